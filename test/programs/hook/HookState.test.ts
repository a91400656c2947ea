import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { EnvironmentHandle } from "../../../src/domain/EnvironmentHandle.ts"
import * as HookState from "../../../src/programs/hook/internal/HookState.ts"
import type * as RunnerPod from "../../../src/programs/hook/internal/RunnerPod.ts"

const handle = new EnvironmentHandle({
  version: 1,
  backend: "pod",
  environment: "runner-abc-workflow",
  owner: "runner-abc",
  data: { uid: "1" }
})

const runner: RunnerPod.RunnerFacts = {
  claim: { _tag: "Claim", claim: "c", root: "/w", subPath: "a" },
  placement: { _tag: "Near", node: "n", required: true },
  ownerReference: { apiVersion: "v1", kind: "Pod", name: "runner-abc", uid: "u" }
}

describe("HookState", () => {
  it.effect("goes through the runner and comes back", () =>
    Effect.gen(function* () {
      const state = JSON.parse(JSON.stringify(HookState.encode({ handle, runner })))
      assert.strictEqual(state.jobPod, "runner-abc-workflow")
      assert.deepStrictEqual(yield* HookState.decode(state), { handle, runner })
      assert.deepStrictEqual(yield* HookState.decode({ ...state, more: { of: "another version" } }), { handle, runner })
    })
  )

  it.effect.each([
    ["an official hook's", { jobPod: "runner-abc-workflow" }, /another container hook .*pod runner-abc-workflow/],
    ["none", null, /did not hand over/],
    ["none at all", undefined, /did not hand over/],
    ["something else", "text", /did not hand over/],
    ["a newer one", { jobPod: "p", jobscope: { version: 2, handle: {} } }, /state version 2/],
    ["a damaged one", { jobPod: "p", jobscope: { version: 1, handle: { backend: 3 } } }, /cannot be used/]
  ] as ReadonlyArray<[string, unknown, RegExp]>)(
    "is refused where it cannot be gone on with: %s",
    ([, state, expected]) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(HookState.decode(state))
        assert.strictEqual(error.reason._tag, "HandleRejected")
        assert.match(error.message, expected)
      })
  )
})
