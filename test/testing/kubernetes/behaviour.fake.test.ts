import { Effect, Layer, Scope } from "effect"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import { FakeKubernetes } from "jobscope/testing"
import { behaviour } from "./behaviour.ts"
import { Cluster } from "./support.ts"

const cluster = Layer.effect(
  Cluster,
  Effect.gen(function* () {
    const { access, namespace } = yield* FakeKubernetes.FakeKubernetes
    const scope = yield* Effect.scope
    return {
      namespace,
      as: (token: string) =>
        Effect.provideService(
          KubeClient.make({ ...access, headers: () => Effect.succeed({ authorization: `Bearer ${token}` }) }),
          Scope.Scope,
          scope
        )
    }
  })
).pipe(Layer.provideMerge(FakeKubernetes.layer({ namespace: "ci" })))

behaviour(cluster, { pods: FakeKubernetes.unsupported() === undefined, prompt: true })
