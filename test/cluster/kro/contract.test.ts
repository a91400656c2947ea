/** Every promise of the contract in pods that KRO makes, on a real KRO. */
import { Layer } from "effect"
import * as KroHosted from "jobscope/backends/kro/KroHosted"
import { suite } from "../../contract/JobBackendContract.ts"
import { kube, suiteNamespace } from "../support/suiteNamespace.ts"
import { host, suiteRgd } from "./support/hosts.ts"

const namespace = suiteNamespace()
const rgd = suiteRgd(host())
const layer = KroHosted.layer({ rgd: { name: rgd }, namespace, stuckAfter: 0 }).pipe(Layer.provide(kube))

suite("steps in pods of KRO", layer, {
  secondProcess: layer,
  interruptions: 2,
  // It mostly waits, for pods to start and to end.
  concurrent: true,
  lines: 20_000,
  brokenJob: { container: { image: "no.such.registry.invalid/image:none" } as never }
})
