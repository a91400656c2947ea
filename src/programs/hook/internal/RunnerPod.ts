/**
 * What the runner's own pod tells: whether its work directory is on a claim that job pods can mount too, where they may run then, and whose
 * they are.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as KubeClient from "../../../backends/kubernetes/KubeClient.ts"
import type { KubeError } from "../../../backends/kubernetes/KubeError.ts"
import * as KubeResource from "../../../backends/kubernetes/KubeResource.ts"
import type { PodManifest } from "../../../backends/pod/PodOptions.ts"
import type { HookConfig } from "./HookConfig.ts"

const Claim = Schema.TaggedStruct("Claim", {
  claim: Schema.String,
  root: Schema.String,
  subPath: Schema.optionalKey(Schema.String)
})

/** What follows from it for all pods of a job; kept in the hook's state, so that it is asked once. */
export const RunnerFacts = Schema.Struct({
  /** Left out where nothing is shared: files are copied. */
  claim: Schema.optionalKey(Claim),
  placement: Schema.Union([
    Schema.TaggedStruct("Anywhere", {}),
    Schema.TaggedStruct("Near", { node: Schema.String, required: Schema.Boolean }),
    Schema.TaggedStruct("On", { node: Schema.String })
  ]),
  ownerReference: Schema.optionalKey(
    Schema.Struct({ apiVersion: Schema.String, kind: Schema.String, name: Schema.String, uid: Schema.String })
  )
})

/** @see RunnerFacts */
export type RunnerFacts = typeof RunnerFacts.Type

/** Facts, and what is not as the configuration wants it or cannot be known. */
export interface Looked {
  readonly facts: RunnerFacts
  readonly warnings: ReadonlyArray<string>
}

type Environment = Readonly<Record<string, string | undefined>>

/** Asks for the runner's pod, once. A runner outside of the cluster has none. */
export const look = (config: HookConfig, env: Environment): Effect.Effect<Looked, KubeError, KubeClient.KubeClient> =>
  Effect.gen(function* () {
    const kube = yield* KubeClient.KubeClient
    const pod = yield* Effect.catchReason(
      Effect.asSome(kube.request({ verb: "get", resource: KubeResource.pods, name: config.podName })),
      "KubeError",
      "NotFound",
      () => Effect.succeedNone
    )
    return factsOf(Option.getOrUndefined(pod), config, env)
  })

/** What the pod, if there is one, and the configuration say together. */
export const factsOf = (pod: PodManifest | undefined, config: HookConfig, env: Environment): Looked => {
  const warnings: Array<string> = []
  if (pod === undefined) {
    warnings.push(
      `There is no pod ${config.podName} (ACTIONS_RUNNER_POD_NAME): what is made here goes with cleanup_job, not with the runner.`
    )
  }
  const node = pod?.spec?.nodeName
  const sharing = config.sharing ?? (config.backend === "kro" ? "copy" : "auto")
  const claim = sharing === "copy" ? undefined : claimOf(pod, config, env)
  if (claim === undefined && config.sharing === "claim") {
    warnings.push(`JOBSCOPE_SHARING is claim, but ${config.paths.work} is on no claim: files are copied.`)
  }
  const { name, uid } = pod?.metadata ?? {}
  return {
    facts: {
      ...(claim === undefined ? {} : { claim }),
      placement: claim === undefined || node === undefined ? { _tag: "Anywhere" } : placementOn(node, config),
      ...(name === undefined || uid === undefined
        ? {}
        : { ownerReference: { apiVersion: "v1", kind: "Pod", name, uid } })
    },
    warnings
  }
}

/**
 * One node can mount a claim of ARC's default kind. The scheduler is asked even so: unlike `nodeName` it waits for room on that node, and heeds
 * taints.
 */
const placementOn = (node: string, { disableScheduler, rwo, useScheduler }: HookConfig): RunnerFacts["placement"] =>
  disableScheduler === true || useScheduler === false
    ? { _tag: "On", node }
    : { _tag: "Near", node, required: rwo ?? true }

const claimOf = (pod: PodManifest | undefined, config: HookConfig, env: Environment): RunnerFacts["claim"] => {
  const { work } = config.paths
  const mounts = (pod?.spec?.containers ?? [])
    .flatMap(({ volumeMounts }) => volumeMounts ?? [])
    .filter(({ mountPath }) => isWithin(work, mountPath))
    // The innermost one is what is really there.
    .sort((a, b) => b.mountPath.length - a.mountPath.length)
  const [mount] = mounts
  const volume = pod?.spec?.volumes?.find(({ name }) => name === mount?.name)
  const found =
    volume?.persistentVolumeClaim?.claimName ??
    (volume?.ephemeral === undefined ? undefined : `${pod?.metadata?.name}-${volume.name}`)
  const claim = config.claimName ?? found
  // Without a pod there is no other way to know; the official hook's default name is not guessed.
  if (claim === undefined || (mount === undefined && pod !== undefined && config.claimName === undefined))
    return undefined
  const subPath = mount?.subPath ?? expanded(mount?.subPathExpr, env)
  return {
    _tag: "Claim",
    claim,
    root: mount === undefined ? work : trimmed(mount.mountPath),
    ...(subPath === undefined || subPath === "" ? {} : { subPath })
  }
}

/** Of `$(NAME)`: the runner's container has those variables, and we are in it. */
const expanded = (expression: string | undefined, env: Environment) =>
  expression?.replace(/\$\(([^)]+)\)/g, (whole, name: string) => env[name] ?? whole)

const trimmed = (path: string) => path.replace(/(?<=.)\/+$/, "")

/** Whether a path is a directory, or in it. */
export const isWithin = (path: string, directory: string): boolean =>
  path === trimmed(directory) || path.startsWith(directory.endsWith("/") ? directory : `${directory}/`)
