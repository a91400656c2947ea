/** Access to the cluster by the rules of kro-actions-runner, which are client-go's: kubeconfig files first, then the pod that we run in. */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as KubeClient from "../../backends/kubernetes/KubeClient.ts"
import * as KubeConfig from "../../backends/kubernetes/KubeConfig.ts"
import type { KubeError } from "../../backends/kubernetes/KubeError.ts"
import type { Settings } from "./Settings.ts"

/** @category layers */
export const layer = (settings: Pick<Settings, "namespace">): Layer.Layer<KubeClient.KubeClient, KubeError> =>
  Layer.effect(
    KubeClient.KubeClient,
    Effect.gen(function* () {
      const { namespace } = settings
      // In a pod `POD_NAMESPACE` says where, else the service account's file.
      const named = Option.getOrUndefined(yield* Effect.orDie(Config.option(Config.String("POD_NAMESPACE"))))
      const host = Option.getOrUndefined(yield* Effect.orDie(Config.option(Config.String("KUBERNETES_SERVICE_HOST"))))
      const inPod = host !== undefined && named !== "" ? named : undefined
      const access = yield* KubeConfig.load({ namespace, sources: ["kubeconfig"] }).pipe(
        Effect.catchReason("KubeError", "ConfigInvalid", (reason, error) =>
          reason.source === "no cluster is configured"
            ? KubeConfig.load({ namespace: namespace ?? inPod, sources: ["kubeconfig", "in-cluster"] })
            : Effect.fail(error)
        )
      )
      return yield* KubeClient.make(access, { memory: "small" })
    })
  )
