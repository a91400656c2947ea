/**
 * The backends that `jobscope` can be told to use: what each is called, what can be set for it, and how it is made.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Builder } from "../../backends/dockerfile/Builder.ts"
import * as KroHosted from "../../backends/kro/KroHosted.ts"
import { fromKubeError } from "../../backends/kubernetes/BackendErrors.ts"
import * as KubeClient from "../../backends/kubernetes/KubeClient.ts"
import * as LocalBackend from "../../backends/local/LocalBackend.ts"
import * as PodBackend from "../../backends/pod/PodBackend.ts"
import type { JobBackend } from "../../domain/JobBackend.ts"
import { type BackendError, fail, InvalidInput } from "../../domain/JobError.ts"
import * as Setting from "./Setting.ts"

/** @category models */
export type Name = (typeof names)[number]

export const names = ["local", "pod", "kro"] as const

/** @category guards */
export const isName = (name: string): name is Name => names.some((each) => each === name)

/**
 * What can be set for backends, in every command that uses one.
 *
 * @category options
 */
export const settings = {
  stateDirectory: Setting.text({
    name: "state-dir",
    metavar: "DIRECTORY",
    description: "local: where it keeps its environments",
    fallback: "$XDG_STATE_HOME/jobscope, else ~/.local/state/jobscope"
  }),
  kubeconfig: Setting.text({
    name: "kubeconfig",
    metavar: "FILE",
    description: "pod, kro: kubeconfig file",
    fallback: "$KUBECONFIG, else the pod that this runs in, else ~/.kube/config"
  }),
  context: Setting.text({
    name: "context",
    metavar: "NAME",
    description: "pod, kro: context of the kubeconfig",
    fallback: "its current one"
  }),
  namespace: Setting.text({
    name: "namespace",
    metavar: "NAME",
    description: "pod, kro: namespace of the jobs",
    fallback: "that of the context"
  }),
  rgd: Setting.text({
    name: "rgd",
    metavar: "NAME",
    description: "kro: ResourceGraphDefinition that environments are instances of"
  }),
  rgdLabels: Setting.pairs({
    name: "rgd-label",
    metavar: "KEY=VALUE",
    description: "kro: in place of its name, a label that only this ResourceGraphDefinition has; may be repeated"
  }),
  rgdValues: Setting.pairs({
    name: "rgd-value",
    metavar: "FIELD=VALUE",
    description: "kro: field of an instance's spec; may be repeated"
  })
}

/** @category models */
export type Values = Setting.Values<typeof settings>

/**
 * Those that are asked where none is named.
 *
 * @category getters
 */
export const reachable = ({ rgd, rgdLabels }: Values): ReadonlyArray<Name> =>
  rgd === undefined && rgdLabels.length === 0 ? ["local", "pod"] : ["local", "pod", "kro"]

/**
 * Makes a backend when it is needed. `builder`: what it makes container steps of a Dockerfile by, asked for when there is one.
 *
 * @category layers
 */
export const layer = (
  name: Name,
  values: Values,
  builder?: Effect.Effect<Builder["Service"], BackendError>
): Layer.Layer<JobBackend, BackendError> => {
  switch (name) {
    case "local":
      return LocalBackend.layer({ stateDirectory: values.stateDirectory })
    case "pod":
      return Layer.provide(
        PodBackend.layer({ namespace: values.namespace, buildLog: "github", builder }),
        kubernetes(values)
      )
    case "kro":
      return Layer.unwrap(
        Effect.map(kroOptions(values), (options) =>
          Layer.provide(KroHosted.layer({ ...options, pod: { buildLog: "github", builder } }), kubernetes(values))
        )
      )
  }
}

const kubernetes = ({ context, kubeconfig, namespace }: Values): Layer.Layer<KubeClient.KubeClient, BackendError> =>
  Layer.catch(
    KubeClient.layer({ context, namespace, files: kubeconfig === undefined ? undefined : [kubeconfig] }),
    (error) => Layer.effect(KubeClient.KubeClient, Effect.fail(fromKubeError(error)))
  )

const kroOptions = Effect.fnUntraced(function* ({
  namespace,
  rgd,
  rgdLabels,
  rgdValues
}: Values): Effect.fn.Return<KroHosted.Options, BackendError> {
  if (rgd === undefined && rgdLabels.length === 0) {
    const detail = "the backend kro needs a ResourceGraphDefinition, by its name or by --rgd-label"
    return yield* fail(new InvalidInput({ input: "--rgd", detail }))
  }
  const labels = Object.fromEntries(rgdLabels.map(([key, value = ""]) => [key, value]))
  return {
    rgd: rgd === undefined ? { labels } : { name: rgd },
    namespace,
    values: Object.fromEntries(rgdValues)
  }
})
