import { assert, describe, it } from "@effect/vitest"
import * as HeldEnvironments from "../../../../src/programs/console/internal/HeldEnvironments.ts"
import * as StopSignals from "../../../../src/programs/console/internal/StopSignals.ts"
import * as Story from "../story.ts"

const held = (events: ReadonlyArray<Story.Untimed>) =>
  Story.timed(events).reduce(HeldEnvironments.update, HeldEnvironments.none)

const requested = (environment: string) =>
  ({ _tag: "EnvironmentRequested", job: "j", environment, removal: `remove ${environment}` }) as const

describe("StopSignals", () => {
  it("takes the first signal for a cancel, and the second for the end of patience", () => {
    const first = { signal: "SIGINT", at: 1000 } as const
    assert.strictEqual(StopSignals.meaning(undefined, first), "cancel")
    assert.strictEqual(StopSignals.meaning(first, { signal: "SIGINT", at: 1249 }), "echo")
    assert.strictEqual(StopSignals.meaning(first, { signal: "SIGINT", at: 1250 }), "abandon")
    assert.strictEqual(StopSignals.meaning(first, { signal: "SIGTERM", at: 1001 }), "abandon")
  })

  it("says what happens", () => {
    assert.strictEqual(StopSignals.cancelling("SIGINT", held([])), "SIGINT: cancelling; again to stop waiting\n")
    assert.strictEqual(
      StopSignals.cancelling("SIGTERM", held([requested("a")])),
      "SIGTERM: cancelling, releasing 1 environment; again to stop waiting\n"
    )
    assert.strictEqual(
      StopSignals.outputClosed(held([requested("a"), requested("b")])),
      "stdout is closed: cancelling, releasing 2 environments\n"
    )
    assert.strictEqual(
      StopSignals.abandoning("SIGINT: not waiting any more", held([requested("a"), requested("b")])),
      "SIGINT: not waiting any more; 2 environments may be left, remove with:\n  remove a\n  remove b\n"
    )
    assert.strictEqual(
      StopSignals.abandoning("SIGINT: not waiting any more", held([])),
      "SIGINT: not waiting any more\n"
    )
  })

  it("knows which environments are held, also of two runs that call theirs alike", () => {
    const three = [requested("a"), requested("b"), requested("c")]
    const events: ReadonlyArray<Story.Untimed> = [
      ...three,
      { _tag: "EnvironmentReleased", job: "j", environment: "a" },
      { _tag: "EnvironmentHandedOver", job: "j", environment: "b" },
      { _tag: "Leaked", job: "j", environment: "c", error: Story.leak }
    ]
    assert.strictEqual(HeldEnvironments.releasing(held(three)), 3)
    assert.strictEqual(HeldEnvironments.releasing(held(events)), 0)
    assert.deepStrictEqual(HeldEnvironments.removals(held(events)), ["kubectl delete pod build-1-pod"])
    assert.deepStrictEqual(HeldEnvironments.removals(held(three)), ["remove a", "remove b", "remove c"])
    const twice = [...Story.ofRun("one", [requested("a")]), ...Story.ofRun("two", [requested("a")])]
    assert.strictEqual(HeldEnvironments.releasing(held(twice)), 2)
    const released = Story.ofRun("one", [{ _tag: "EnvironmentReleased", job: "j", environment: "a" }])
    assert.deepStrictEqual(HeldEnvironments.removals(held([...twice, ...released])), ["remove a"])
  })
})
