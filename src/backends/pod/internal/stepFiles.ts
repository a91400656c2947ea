/** The files of a container step, however they get into its pod and back. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { BackendError } from "../../../domain/JobError.ts"
import type { ContainerStep } from "../../../domain/Step.ts"
import type { KubeClient } from "../../kubernetes/KubeClient.ts"
import type { Identity } from "../PodManifest.ts"
import type { Options, PodManifest, Sharing } from "../PodOptions.ts"
import type { FilesFor } from "./builtStep.ts"
import type { Copying } from "./copying.ts"
import type { PodVolume, VolumeMount } from "./mountPlan.ts"
import type { PodData } from "./podData.ts"
import { stateDirectory } from "./podScripts.ts"
import type { PodWatch } from "./podWatch.ts"
import type { awaitPod } from "./readiness.ts"
import { unguessable } from "./unguessable.ts"

type Container = NonNullable<PodManifest["spec"]>["containers"][number]
type Waiting = Omit<Parameters<typeof awaitPod>[0], "pod" | "enough">

/** What a container step needs to know of its environment. */
export interface Setting {
  readonly kube: KubeClient["Service"]
  readonly namespace: string
  readonly watch: PodWatch
  readonly options: Options
  readonly sharing: Sharing
  readonly copying: Copying
  readonly identity: Identity
  readonly data: PodData
  readonly job: string
}

export interface StepFiles extends FilesFor {
  /** Variables with the paths of the step's files, and where those are mounted. */
  readonly env: Readonly<Record<string, string>>
  readonly mounts: ReadonlyArray<VolumeMount>
  readonly volumes: ReadonlyArray<PodVolume>
  readonly before: ReadonlyArray<Container>
  readonly beside: ReadonlyArray<Container>
  /** Once the pod is created. */
  readonly bring: (pod: PodManifest, waiting: Waiting) => Effect.Effect<void, BackendError>
  /** What this process has to do once the pod runs: ends when all late files are there, which is never if nobody asks for them. */
  readonly handOver: Effect.Effect<void, BackendError>
  /** Once the step's container has ended. */
  readonly fetch: Effect.Effect<void, BackendError>
  readonly collected: Effect.Effect<ReadonlyMap<string, string>, BackendError>
}

export const filesDirectory = `${stateDirectory}/files`

export const variablesOf = (step: ContainerStep) =>
  Object.fromEntries(
    step.files.flatMap(({ name, variable }) =>
      variable === undefined ? [] : [[variable, `${filesDirectory}/${name}`]]
    )
  )

/** A path in a directory, for a new directory whose name cannot be guessed; what is made there goes with the scope. */
export const temporary = (parent: string): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.map(unguessable, (name) => Path.join(parent, name)),
    (path) =>
      // What a container has left there may be another user's: it goes with the environment.
      Effect.ignore(
        Effect.try({ try: () => Fs.rmSync(path, { recursive: true, force: true }), catch: () => "left" as const })
      )
  )
