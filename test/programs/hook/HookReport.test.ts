import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import { BackendError, ImagePullFailed, Reason } from "../../../src/domain/JobError.ts"
import * as HookReport from "../../../src/programs/hook/internal/HookReport.ts"

describe("HookReport", () => {
  it("a failure is one line: what, why, what to do, where it is explained", () => {
    const error = new BackendError({ reason: new ImagePullFailed({ image: "x:1", detail: "100% no,\nreally: no" }) })
    const text = HookReport.ofError(error)
    assert.strictEqual(
      text,
      "::error title=Image pull failed::The image x:1 could not be pulled: 100%25 no,%0Areally: no%0A" +
        "Check the image's name and tag, and the credentials for its registry. See docs/errors.md#image-pull-failed\n"
    )
    assert.strictEqual(HookReport.ofCause(Cause.fail(error)), text)
  })

  it("a defect says that it is ours", () => {
    const text = HookReport.ofCause(Cause.die(new TypeError("x is undefined")))
    assert.match(text, /^::error title=Hook defect::.*Report it.*x is undefined.*\n$/)
    assert.strictEqual(text.split("\n").length, 2)
  })

  it("every reason has a title in words", () => {
    for (const { identifier } of Reason.members) assert.match(identifier, /^([A-Z][a-z]+)+$/)
  })

  it.each([
    ["info", "a\nb", "a\nb\n"],
    ["warn", "a\nb", "::warning::a%0Ab\n"],
    ["error", "a", "::error::a\n"],
    ["debug", "a", "::debug::a\n"]
  ] as ReadonlyArray<[HookReport.Level, string, string]>)("%s", (level, text, line) => {
    assert.strictEqual(HookReport.line(level, text), line)
  })

  it("less is said than wanted, never more", () => {
    assert.isTrue(HookReport.isSaid("error", "error"))
    assert.isFalse(HookReport.isSaid("warn", "error"))
    assert.isTrue(HookReport.isSaid("info", "info"))
    assert.isFalse(HookReport.isSaid("debug", "info"))
    assert.isTrue(HookReport.isSaid("debug", "debug"))
  })

  it("events that a reader of the log wants to know of", () => {
    const about = { run: "", job: "j", at: 0 }
    const said = (event: Parameters<typeof HookReport.ofEvent>[0]) => HookReport.ofEvent(event)
    assert.deepStrictEqual(said({ ...about, _tag: "Waiting", phase: "provision", reason: "a node" }), {
      level: "info",
      text: "Waiting for a node"
    })
    assert.strictEqual(said({ ...about, _tag: "Warning", message: "m" })?.level, "warn")
    assert.isUndefined(said({ ...about, _tag: "EnvironmentReady", environment: "e" }))
  })
})
