/** Every promise of the contract, on the fake cluster, with files that are copied and steps over exec. */
import { describe } from "@effect/vitest"
import { Layer } from "effect"
import * as PodBackend from "jobscope/backends/pod/PodBackend"
import { FakeKubernetes } from "jobscope/testing"
import { suite } from "./JobBackendContract.ts"

const backend = PodBackend.layer({})
const job = { container: { image: "busybox:latest" } as never }

describe.skipIf(FakeKubernetes.unsupported() !== undefined)("on a fake cluster", () => {
  suite("pod, copied files, steps over exec", Layer.provideMerge(backend, FakeKubernetes.layer()), {
    // Of the same cluster.
    secondProcess: Layer.fresh(backend),
    job,
    concurrent: true,
    interruptions: 8,
    brokenJob: {
      ...job,
      services: [{ name: "broken", image: "busybox:latest", command: ["false"], ports: [{ container: 1 }] }] as never
    }
  })
})
