import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { KubeClient } from "jobscope/backends/kubernetes/KubeClient"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import { FakeFault, FakeKubernetes } from "jobscope/testing"
import { createNamed } from "../../../src/backends/pod/internal/creating.ts"

describe("createNamed", () => {
  const body = (name: string) => ({ apiVersion: "v1", kind: "Secret", metadata: { name } }) as never

  it.live("an answer that was lost is no failure, and there is one object", () =>
    Effect.gen(function* () {
      const fake = yield* FakeKubernetes.FakeKubernetes
      const kube = yield* KubeClient
      yield* fake.inject({
        match: { verb: "create", resource: "secrets" },
        times: 1,
        action: FakeFault.cut({ afterBytes: 0 })
      })
      const made = yield* createNamed(kube, KubeResource.secrets, "default", body("one"))
      const { items } = yield* kube.list({ resource: KubeResource.secrets, namespace: "default" })
      const ours = items.filter(({ metadata }) => metadata?.name === "one")
      assert.deepStrictEqual(
        ours.map(({ metadata }) => metadata?.uid),
        [made.metadata?.uid]
      )
    }).pipe(Effect.provide(FakeKubernetes.layer()))
  )
})
