/** What a builder adds to the pod of a container step, in Kubernetes' terms. */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { BackendError } from "../../../domain/JobError.ts"
import type { HandOver } from "../../dockerfile/StepPlan.ts"
import type { PodManifest } from "../PodOptions.ts"
import type { PodVolume, VolumeMount } from "./mountPlan.ts"

export type SecurityContext = NonNullable<NonNullable<PodManifest["spec"]>["containers"][number]["securityContext"]>

/** A container as it is planned; without a command it is the image's, or the step's. */
export interface BuiltContainer {
  readonly name: string
  readonly image: string
  readonly command: ReadonlyArray<string> | undefined
  readonly env: Readonly<Record<string, string>>
  readonly security: SecurityContext
}

/** What a builder adds to the pod of a step. */
export interface BuiltStep {
  readonly container: BuiltContainer
  readonly before: ReadonlyArray<BuiltContainer>
  readonly beside: ReadonlyArray<BuiltContainer>
  /** Of all of them. */
  readonly mounts: ReadonlyArray<VolumeMount>
  readonly volumes: ReadonlyArray<PodVolume>
}

/** Files that are written when a container asks for them: see `HandOver`. */
export interface LateFiles extends HandOver {
  readonly files: ReadonlyArray<{ readonly path: string; readonly text: string }>
}

/** A directory of files that containers of a step's pod see, before all others but those that bring files. */
export interface FilesFor {
  /** Where the step's own files are mounted. */
  readonly targets: ReadonlyArray<string>
  /** Writes files into a new directory, gone with the step, for a volume of that name. */
  readonly share: (
    name: string,
    mountPath: string,
    write: (directory: string) => Effect.Effect<void, BackendError>,
    late?: LateFiles
  ) => Effect.Effect<
    { readonly mount: VolumeMount; readonly volumes: ReadonlyArray<PodVolume> },
    BackendError,
    Scope.Scope
  >
}
