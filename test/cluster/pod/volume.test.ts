/** Every promise of the contract, on a real cluster, with a shared claim and steps through it. */
import { describe } from "@effect/vitest"
import { Layer } from "effect"
import * as PodBackend from "jobscope/backends/pod/PodBackend"
import { suite } from "../../contract/JobBackendContract.ts"
import { nodeIsHere, sharedDirectory } from "../support/sharedDirectory.ts"
import { kube, suiteNamespace } from "../support/suiteNamespace.ts"

describe.skipIf(!nodeIsHere)("on the node itself", () => {
  const namespace = suiteNamespace()
  const root = sharedDirectory(namespace, "work")
  const layer = PodBackend.layer({
    namespace,
    sharing: { _tag: "Claim", claim: "work", root },
    transport: "volume"
  }).pipe(Layer.provide(kube))
  const job = { container: { image: "busybox:latest" } as never }

  suite("pod, shared claim, steps through the volume", layer, {
    secondProcess: layer,
    job,
    interruptions: 4,
    brokenJob: {
      ...job,
      services: [{ name: "broken", image: "busybox:latest", command: ["false"], ports: [{ container: 1 }] }] as never
    }
  })
})
