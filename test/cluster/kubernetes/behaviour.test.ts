import { Effect, Layer, Scope } from "effect"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeConfig from "jobscope/backends/kubernetes/KubeConfig"
import { behaviour } from "../../testing/kubernetes/behaviour.ts"
import { Cluster } from "../../testing/kubernetes/support.ts"
import { TestNamespace, layer as testNamespace } from "../support/testNamespace.ts"

const access = Effect.gen(function* () {
  const { name: namespace } = yield* TestNamespace
  return { ...(yield* KubeConfig.load({ sources: ["kubeconfig"] })), namespace }
})

const client = Layer.effect(
  KubeClient.KubeClient,
  Effect.flatMap(access, (found) => KubeClient.make(found))
)

const cluster = Layer.effect(
  Cluster,
  Effect.gen(function* () {
    const administrator = yield* access
    const scope = yield* Effect.scope
    // A client certificate would be who it is, whatever the token says.
    const { cert: _, key: __, ...tls } = administrator.tls
    return {
      namespace: administrator.namespace,
      as: (token: string) =>
        Effect.provideService(
          KubeClient.make({
            ...administrator,
            tls,
            headers: () => Effect.succeed({ authorization: `Bearer ${token}` })
          }),
          Scope.Scope,
          scope
        )
    }
  })
)

// The suite of the fake, on what it plays.
behaviour(Layer.merge(cluster, client).pipe(Layer.provide(testNamespace), Layer.orDie), { pods: true, prompt: false })
