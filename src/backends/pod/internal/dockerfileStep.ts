/** A container step of a Dockerfile: what a builder plans, as containers, volumes and files of the step's pod. */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { BackendError } from "../../../domain/JobError.ts"
import type { ContainerStep } from "../../../domain/Step.ts"
import type { Builder, BuildFailed, Prepared } from "../../dockerfile/Builder.ts"
import { githubLog, plainLog } from "../../dockerfile/LogStyle.ts"
import type { PlanContainer, PlanVolume } from "../../dockerfile/StepPlan.ts"
import type { Options } from "../PodOptions.ts"
import type { BuiltContainer, BuiltStep, FilesFor, SecurityContext } from "./builtStep.ts"
import type { PodVolume, VolumeMount } from "./mountPlan.ts"
import { unguessable } from "./unguessable.ts"

/** The default, loaded when there is a Dockerfile: few processes see one. */
const inline: Effect.Effect<Builder["Service"]> = Effect.map(
  Effect.promise(() => Promise.all([import("../../dockerfile/Builder.ts"), import("../../dockerfile/ImageConfig.ts")])),
  ([builder, images]) => builder.make({}, images.make())
)

/** What was planned, or built already, and what that wrote. */
interface PreparedStep {
  readonly prepared: Prepared
  readonly log: ReadonlyArray<string>
}

/** A build that has run, and failed. */
interface FailedBuild {
  readonly exitCode: number
  readonly log: ReadonlyArray<string>
}

/** Plans the step, or builds its image. What a builder writes meanwhile is kept for the step's output. */
export const prepareStep = Effect.fnUntraced(function* (
  step: ContainerStep,
  dockerfile: string,
  about: {
    readonly options: Options
    readonly arch: string
    /** Of the job's pod, which has those of its service account, too. */
    readonly pullSecrets: Effect.Effect<ReadonlyArray<string>>
  }
): Effect.fn.Return<PreparedStep | FailedBuild, BackendError> {
  const { arch, options, pullSecrets } = about
  const builder = yield* options.builder ?? inline
  const log: Array<string> = []
  return yield* builder
    .prepare({
      dockerfile,
      entryPoint: step.entryPoint,
      args: step.args,
      architecture: architectures[arch],
      credentials: step.credentials === undefined ? [] : [step.credentials],
      moreCredentials: Effect.flatMap(pullSecrets, credentialsIn),
      log: options.buildLog === "github" ? githubLog(yield* unguessable) : plainLog,
      write: (line) =>
        Effect.sync(() => {
          log.push(line)
        })
    })
    .pipe(
      Effect.map((prepared): PreparedStep | FailedBuild => ({ prepared, log })),
      Effect.catchTag("BuildFailed", ({ detail, exitCode }: BuildFailed) =>
        Effect.succeed({ exitCode, log: [...log, detail] })
      )
    )
})

const credentialsIn = (dockerConfigs: ReadonlyArray<string>) =>
  Effect.map(
    Effect.promise(() => import("../../dockerfile/ImageConfig.ts")),
    ({ credentialsOf }) => dockerConfigs.flatMap(credentialsOf)
  )

/** Go's names by Node's, for those that differ. Unknown is what the registry's default is. */
const architectures: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64", arm: "arm", ia32: "386" }

/** Writes the plan's files, and says what its containers are in the pod. */
export const placeStep = Effect.fnUntraced(function* (
  { plan, stage }: Prepared,
  step: ContainerStep,
  files: FilesFor & { readonly env: Readonly<Record<string, string>> }
): Effect.fn.Return<BuiltStep, BackendError, Scope.Scope> {
  const env = Object.fromEntries(Object.entries(step.env).map(([name, value]) => [name, Redacted.value(value)]))
  const entering = plan.enter({
    env: { ...env, ...files.env },
    workingDirectory: step.workingDirectory,
    mounts: [...step.mounts.map(({ target }) => target), ...files.targets]
  })
  const mounts: Array<VolumeMount> = []
  const volumes: Array<PodVolume> = []
  for (const { from, name, path } of plan.volumes) {
    if (from._tag === "Files") {
      const shared =
        plan.handOver === undefined
          ? yield* files.share(name, path, (directory) => stage(directory, entering))
          : yield* files.share(name, path, (directory) => stage(directory, []), {
              ...plan.handOver,
              files: entering.flatMap(({ content, path }) =>
                content._tag === "Text" ? [{ path, text: content.text }] : []
              )
            })
      mounts.push(shared.mount)
      volumes.push(...shared.volumes)
      continue
    }
    mounts.push({ name, mountPath: path, ...("subPath" in from ? { subPath: from.subPath } : {}) })
    volumes.push({ name, ...sourceOf(from) })
  }
  return {
    container: {
      name: "",
      image: plan.image,
      command: plan.command,
      env: plan.env,
      security: securityOf(plan.security)
    },
    before: plan.before.map(containerOf),
    beside: plan.beside.map(containerOf),
    mounts,
    volumes
  }
})

const containerOf = ({ security, ...container }: PlanContainer): BuiltContainer => ({
  ...container,
  security: securityOf(security)
})

const securityOf = ({ capabilities, ...security }: PlanContainer["security"]): SecurityContext => ({
  ...security,
  ...(capabilities === undefined ? {} : { capabilities: { add: [...capabilities.add], drop: [...capabilities.drop] } })
})

const sourceOf = (from: Exclude<PlanVolume["from"], { readonly _tag: "Files" }>): Omit<PodVolume, "name"> => {
  switch (from._tag) {
    case "Empty":
      return { emptyDir: {} }
    case "Claim":
      return { persistentVolumeClaim: { claimName: from.claim } }
    case "Secret":
      return { secret: { secretName: from.secret } }
  }
}
