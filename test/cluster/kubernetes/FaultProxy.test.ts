import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeConfig from "jobscope/backends/kubernetes/KubeConfig"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import { FaultProxy } from "jobscope/testing"

const list = (kube: KubeClient.KubeClient["Service"]) =>
  kube.request({ verb: "list", resource: KubeResource.pods, namespace: "kube-system" })

it.live("a fault proxy stands before a real API server, whose certificate stays the server's own", () =>
  Effect.scoped(
    Effect.gen(function* () {
      const target = yield* KubeConfig.load({ sources: ["kubeconfig"] })
      const proxy = yield* FaultProxy.make({
        target,
        faults: { afterBytes: { between: [200, 1000] }, times: 2 },
        seed: 1
      })
      yield* list(yield* KubeClient.make(proxy.access))
      assert.strictEqual(yield* proxy.connections, 3)
      yield* proxy.stop
      const error = yield* Effect.flip(list(yield* KubeClient.make(proxy.access, { retries: 0 })))
      assert.strictEqual(error.reason._tag, "Unavailable")
    })
  )
)
