/** Every promise of the contract, on the fake cluster, with a shared claim and steps through it. */
import { describe } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import * as PodBackend from "jobscope/backends/pod/PodBackend"
import { FakeKubernetes } from "jobscope/testing"
import { suite } from "./JobBackendContract.ts"

const job = { container: { image: "busybox:latest" } as never }

const claim = Layer.effectDiscard(
  KubeClient.KubeClient.use((kube) =>
    kube.request({ verb: "create", resource: KubeResource.claims, body: { metadata: { name: "work" } } })
  )
)

const backend = Layer.unwrap(
  Effect.map(FakeKubernetes.FakeKubernetes, ({ claimDirectory }) =>
    PodBackend.layer({ sharing: { _tag: "Claim", claim: "work", root: claimDirectory("work") }, transport: "volume" })
  )
)

describe.skipIf(FakeKubernetes.unsupported() !== undefined)("on a fake cluster", () => {
  // A second of a probe is a second of waiting.
  const cluster = Layer.provideMerge(claim, FakeKubernetes.layer({ probeSecond: "100 millis" }))
  suite("pod, a shared claim, steps through the volume", Layer.provideMerge(backend, cluster), {
    // Of the same cluster.
    secondProcess: backend,
    job,
    concurrent: true,
    interruptions: 8,
    brokenJob: {
      ...job,
      services: [{ name: "broken", image: "busybox:latest", command: ["false"], ports: [{ container: 1 }] }] as never
    }
  })
})
