/**
 * The backend that the configuration names: pods that the hook makes itself, or instances of a ResourceGraphDefinition whose pods KRO makes.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as KroHosted from "../../../backends/kro/KroHosted.ts"
import type { KubeClient } from "../../../backends/kubernetes/KubeClient.ts"
import * as PodBackend from "../../../backends/pod/PodBackend.ts"
import type { Options as PodOptions } from "../../../backends/pod/PodOptions.ts"
import type { JobBackend } from "../../../domain/JobBackend.ts"
import { type BackendError, ConfigurationInvalid, fail } from "../../../domain/JobError.ts"
import type { HookConfig } from "./HookConfig.ts"
import * as HookNames from "./HookNames.ts"
import type { RunnerFacts } from "./RunnerPod.ts"

/** Made with what there is to say about pods, of which not all is for pods that KRO makes. */
export const make = (
  config: HookConfig,
  facts: RunnerFacts,
  options: PodOptions
): Effect.Effect<JobBackend["Service"], BackendError, KubeClient | Scope.Scope> =>
  config.backend === "kro"
    ? Effect.gen(function* () {
        const wanted = yield* kroOptions(config, facts, options)
        const { make } = yield* Effect.promise(() => import("../../../backends/kro/KroHosted.ts"))
        return yield* make(wanted)
      })
    : PodBackend.make(options)

const kroOptions = Effect.fnUntraced(function* (
  config: HookConfig,
  { claim, ownerReference, placement }: RunnerFacts,
  { initContainers: _, namespace, nameOf, transport: __, ...pod }: PodOptions
): Effect.fn.Return<KroHosted.Options, BackendError> {
  const { podName, rgd, rgdLabels, rgdValues } = config
  if (rgd === undefined && rgdLabels === undefined) {
    return yield* fail(
      new ConfigurationInvalid({
        source: "JOBSCOPE_RGD",
        detail: "it is not set, and neither is JOBSCOPE_RGD_LABEL",
        hint: "Name the ResourceGraphDefinition that jobs get instances of; see docs/kro.md."
      })
    )
  }
  const labels = { [HookNames.ownerLabel]: podName }
  return {
    rgd: rgd === undefined ? { labels: rgdLabels ?? {} } : { name: rgd },
    namespace,
    nameOf,
    values: rgdValues,
    labels,
    ownerReferences: ownerReference === undefined ? [] : [ownerReference],
    stuckAfter: config.imagePullGrace ?? Duration.seconds(30),
    offer: () =>
      Effect.succeed({
        offered: {
          // By which Actions Runner Controller finds what a runner has left.
          labels,
          ...(claim === undefined ? {} : { claimName: claim.claim, claimSubPath: claim.subPath ?? "" }),
          ...(placement._tag === "Anywhere" ? {} : { nodeName: placement.node })
        }
      }),
    pod
  }
})
