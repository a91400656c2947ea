/** Every promise of the contract, on a real cluster, with files that are copied and steps over exec. */
import { Layer } from "effect"
import * as PodBackend from "jobscope/backends/pod/PodBackend"
import { suite } from "../../contract/JobBackendContract.ts"
import { kube, suiteNamespace } from "../support/suiteNamespace.ts"

const namespace = suiteNamespace()
const layer = PodBackend.layer({ namespace }).pipe(Layer.provide(kube))
const job = { container: { image: "busybox:latest" } as never }

suite("pod, copied files, steps over exec", layer, {
  secondProcess: layer,
  job,
  interruptions: 4,
  brokenJob: {
    ...job,
    services: [{ name: "broken", image: "busybox:latest", command: ["false"], ports: [{ container: 1 }] }] as never
  }
})
