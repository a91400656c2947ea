import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as KroBackend from "jobscope/backends/kro/KroBackend"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import { JobSpec } from "jobscope/domain/Job"
import { TestNamespace, layer as testNamespace } from "../support/testNamespace.ts"
import { makeRgd, pod } from "./support/rgds.ts"

layer(testNamespace, { excludeTestServices: true, timeout: "3 minutes" })("the KRO backend", (it) => {
  it.effect("runs an instance to its end and leaves nothing", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      const namespace = (yield* TestNamespace).name
      const rgd = yield* makeRgd({ resources: [pod("sleep 2; exit 3")] })
      const completion = yield* Effect.scoped(
        Effect.gen(function* () {
          const backend = yield* KroBackend.make({ rgd: { name: rgd.metadata.name }, namespace })
          const environment = yield* backend.provision(new JobSpec({ name: "red" }))
          return yield* environment.completion
        })
      )
      assert.deepStrictEqual(completion, { exitCode: 3, evidence: "observed" })
      const pods = yield* kube.list({ resource: KubeResource.pods, namespace })
      assert.deepStrictEqual(pods.items, [])
    })
  )
})
