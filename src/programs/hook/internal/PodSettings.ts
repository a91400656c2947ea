/**
 * The pod backend as the hook wants it: names, labels and places of GitHub's own hooks, and the administrator's template over everything.
 */
import * as Fs from "node:fs"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Options, Sharing } from "../../../backends/pod/PodOptions.ts"
import * as PodTemplate from "../../../backends/pod/PodTemplate.ts"
import { BackendError, ConfigurationInvalid } from "../../../domain/JobError.ts"
import * as BuilderSettings from "./BuilderSettings.ts"
import * as Externals from "./Externals.ts"
import type { HookConfig } from "./HookConfig.ts"
import type { HookMount } from "./HookInput.ts"
import * as HookNames from "./HookNames.ts"
import * as Returned from "./Returned.ts"
import { isWithin, type RunnerFacts } from "./RunnerPod.ts"

/** Where the runner's externals are on the runner: it says so, or beside its work directory. */
export const externalsOf = ({ paths }: HookConfig, mounts: ReadonlyArray<HookMount> = []): string =>
  mounts.find(({ targetVolumePath }) => targetVolumePath === "/__e")?.sourceVolumePath ??
  `${paths.work.replace(/\/[^/]*$/, "")}/externals`

/** Where pods find them: on the claim, if it has them anyway or they can be copied to it, else in a volume. */
export const externalsIn = (config: HookConfig, { claim }: RunnerFacts, own: string): string => {
  // What the template has at their place counts; else they are copied.
  if (claim === undefined && config.backend === "kro") return own
  if (claim === undefined) return Externals.volumeName
  return isWithin(own, claim.root) ? own : `${config.paths.work}/externals`
}

/** How files get into pods. */
export const sharingOf = (config: HookConfig, { claim }: RunnerFacts): Sharing => {
  const stateDirectory = stateDirectoryOf(config)
  if (claim !== undefined) return { ...claim, stateDirectory }
  const copied = Returned.sharing(config, config.paths)
  const alpine = Externals.alpineIn(externalsOf(config))
  return { ...copied, excluded: [...(copied.excluded ?? []), ...alpine], stateDirectory }
}

/** What hook calls of one job keep for each other beside the state that the runner hands on. */
export const stateDirectoryOf = ({ paths }: HookConfig): string => `${paths.work}/.jobscope`

/** Options, and what there is to say about the template once a pod was made with it. */
export interface PodSettings {
  readonly options: Options
  readonly warnings: ReadonlyArray<string>
}

/** Fails if the template cannot be used. `arch` is the runner's, and so are `externals`. */
export const make = Effect.fnUntraced(function* (
  config: HookConfig,
  facts: RunnerFacts,
  arch: string,
  externals: string
): Effect.fn.Return<PodSettings, BackendError> {
  const template = config.hookTemplate === undefined ? undefined : yield* readTemplate(config.hookTemplate)
  const warnings: Array<string> = []
  const { claim, ownerReference, placement } = facts
  return {
    warnings,
    options: {
      namespace: config.namespace,
      sharing: sharingOf(config, facts),
      transport: config.transport,
      placement,
      ownerLabel: HookNames.ownerLabel,
      ownerReference,
      nameOf: () => HookNames.jobPod(config.podName),
      childName: (_, kind, id) => HookNames.child(config.podName, kind, id),
      adjust: (pod, roles) => {
        if (template === undefined) return pod
        const strict = config.strict?.includes("template")
        const applied = PodTemplate.apply(template, pod, roles, { strict, protect: [HookNames.ownerLabel] })
        for (const warning of applied.warnings) if (!warnings.includes(warning)) warnings.push(warning)
        return applied.pod
      },
      custody: "handed-over",
      // Each call lives as long as one command, which notices by itself.
      vigilance: "on-demand",
      // Output is written before more is asked for.
      outputMemory: "reused",
      imagePullGrace: config.imagePullGrace ?? Duration.seconds(30),
      scheduleGrace: config.scheduleGrace,
      initContainers: initContainers(config, facts, arch, externals),
      volumes: claim === undefined ? Externals.volumes : [],
      allowPrivileged: config.allowPrivileged,
      hostPorts: config.strict?.includes("host-ports"),
      builder: BuilderSettings.make(config),
      buildLog: "github"
    }
  }
})

const initContainers = (
  config: HookConfig,
  facts: RunnerFacts,
  arch: string,
  externals: string
): NonNullable<Options["initContainers"]> => {
  const { claim } = facts
  const musl = arch === "arm64" ? config.muslNodeImage : undefined
  const nodes = (mount: { readonly name: string; readonly subPath?: string }) =>
    musl === undefined ? [] : Externals.muslNodes(musl, mount)
  if (claim === undefined) {
    return [
      ...Externals.initContainers(config.image ?? defaultImage, externals),
      ...nodes({ name: Externals.volumeName })
    ]
  }
  const inside = externalsIn(config, facts, externals).slice(claim.root.length).replace(/^\/+/, "")
  return nodes({ name: claimVolume, subPath: [claim.subPath, inside].filter((part) => part !== undefined).join("/") })
}

/** What GitHub's own runner image is called. */
const defaultImage = "ghcr.io/actions/actions-runner:latest"

/** What the pod backend calls the claim, as GitHub's own hooks do. */
const claimVolume = "work"

const readTemplate = (path: string) => {
  const refuse = (detail: string) =>
    new BackendError({
      reason: new ConfigurationInvalid({
        source: `the pod template ${path} (ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE)`,
        detail,
        hint: "Mend the file, or mount it where the variable says."
      })
    })
  return Effect.flatMap(
    Effect.try({
      try: () => Fs.readFileSync(path, "utf8"),
      catch: (cause) => refuse(cause instanceof Error ? cause.message : String(cause))
    }),
    (yaml) => Effect.fromResult(Result.mapError(PodTemplate.parse(yaml), refuse))
  )
}
