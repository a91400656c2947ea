/** The suite of the fake, over the connections of the official client: what differs is in one of the two transports. */
import { KubeConfig } from "@kubernetes/client-node"
import { Effect, Layer, Scope } from "effect"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeClientNode from "jobscope/backends/kubernetes/KubeClientNode"
import { FakeKubernetes } from "jobscope/testing"
import { behaviour } from "./behaviour.ts"
import { Cluster } from "./support.ts"

const configOf = (token?: string) =>
  Effect.gen(function* () {
    const kubernetes = yield* FakeKubernetes.FakeKubernetes
    const config = new KubeConfig()
    config.loadFromString(yield* kubernetes.kubeconfig())
    // The fake speaks plain HTTP, which the official client wants to be allowed.
    config.clusters = config.clusters.map((cluster) => ({ ...cluster, skipTLSVerify: true }))
    if (token !== undefined) config.users = config.users.map((user) => ({ ...user, token }))
    return config
  })

const cluster = Layer.effect(
  Cluster,
  Effect.gen(function* () {
    const kubernetes = yield* FakeKubernetes.FakeKubernetes
    const scope = yield* Effect.scope
    return {
      namespace: kubernetes.namespace,
      as: (token: string) =>
        configOf(token).pipe(
          Effect.flatMap((config) => KubeClientNode.make({ config })),
          Effect.provideService(FakeKubernetes.FakeKubernetes, kubernetes),
          Effect.provideService(Scope.Scope, scope),
          Effect.orDie
        )
    }
  })
)

const client = Layer.effect(
  KubeClient.KubeClient,
  Effect.orDie(Effect.flatMap(configOf(), (config) => KubeClientNode.make({ config })))
)

behaviour(Layer.provide(Layer.merge(cluster, client), FakeKubernetes.layer({ namespace: "ci" })), {
  pods: FakeKubernetes.unsupported() === undefined,
  prompt: true
})
