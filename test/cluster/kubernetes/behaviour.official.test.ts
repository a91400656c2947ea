import { KubeConfig } from "@kubernetes/client-node"
import { Effect, Layer, Scope } from "effect"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeClientNode from "jobscope/backends/kubernetes/KubeClientNode"
import { behaviour } from "../../testing/kubernetes/behaviour.ts"
import { Cluster } from "../../testing/kubernetes/support.ts"
import { TestNamespace, layer as testNamespace } from "../support/testNamespace.ts"

const official = (namespace: string, token?: string) =>
  Effect.suspend(() => {
    const config = new KubeConfig()
    config.loadFromDefault()
    // A client certificate would be who it is, whatever the token says.
    if (token !== undefined) config.users = config.users.map(({ name }) => ({ name, token }))
    return KubeClientNode.make({ config, namespace })
  })

const client = Layer.effect(
  KubeClient.KubeClient,
  Effect.flatMap(TestNamespace, ({ name }) => official(name))
)

const cluster = Layer.effect(
  Cluster,
  Effect.gen(function* () {
    const { name: namespace } = yield* TestNamespace
    const scope = yield* Effect.scope
    return {
      namespace,
      as: (token: string) => Effect.orDie(Effect.provideService(official(namespace, token), Scope.Scope, scope))
    }
  })
)

// The suite of the fake, on what it plays, over the connections of the official client.
behaviour(Layer.merge(cluster, client).pipe(Layer.provide(testNamespace), Layer.orDie), { pods: true, prompt: false })
