/** A namespace for all tests of a file, ready for pods; gone afterwards. */
import { randomUUID } from "node:crypto"
import { afterAll, beforeAll } from "@effect/vitest"
import { Effect, Layer, Schedule } from "effect"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"

export const kube: Layer.Layer<KubeClient.KubeClient> = Layer.orDie(KubeClient.layer({ sources: ["kubeconfig"] }))

/** Registers the hooks, and gives the name. */
export const suiteNamespace = (): string => {
  const name = `jobscope-test-${randomUUID().slice(0, 8)}`
  beforeAll(() =>
    Effect.gen(function* () {
      const client = yield* KubeClient.KubeClient
      yield* client.request({
        verb: "create",
        resource: KubeResource.namespaces,
        body: { apiVersion: "v1", kind: "Namespace", metadata: { name, labels: { "jobscope-test": "true" } } }
      })
      // Pods are refused until the namespace has it.
      yield* Effect.retry(
        client.request({ verb: "get", resource: KubeResource.serviceAccounts, namespace: name, name: "default" }),
        { schedule: Schedule.spaced("100 millis"), times: 300 }
      )
    }).pipe(Effect.provide(kube), Effect.runPromise)
  )
  afterAll(() =>
    Effect.flatMap(KubeClient.KubeClient, (client) =>
      client.request({ verb: "delete", resource: KubeResource.namespaces, name })
    ).pipe(Effect.provide(kube), Effect.runPromise)
  )
  return name
}
