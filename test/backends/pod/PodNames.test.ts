import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { containerName, custodyOf, labelSelector, labelValue } from "jobscope/backends/pod/PodNames"

const text = Schema.Union([
  Schema.String,
  Schema.String.check(Schema.isPattern(/^[A-Za-z0-9_.-]{0,80}$/)),
  Schema.String.check(Schema.isPattern(/^[ -~]{0,300}$/))
])

describe("labelValue", () => {
  it.prop("is always the value of a label", [text], ([given]) => {
    assert.match(labelValue(given), /^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$/)
  })

  it.prop("what differs differs, and a value of its own is its own", [text, text], ([one, other]) => {
    assert.strictEqual(labelValue(labelValue(one)), labelValue(one))
    if (one !== other) assert.notStrictEqual(labelValue(one), labelValue(other))
  })

  it("what fits stays, and what is cut is not mistaken", () => {
    assert.strictEqual(labelValue("runner-1.abc_X"), "runner-1.abc_X")
    assert.notStrictEqual(labelValue(`${"x".repeat(100)}1`), labelValue(`${"x".repeat(100)}2`))
    assert.notStrictEqual(labelValue("a b"), labelValue("a-b"))
  })
})

describe("containerName", () => {
  it.prop("is always a name of a container, whatever the image is called", [Schema.Array(text)], ([texts]) => {
    const taken = new Set(["job"])
    const names = texts.map((one) => containerName(one, taken))
    for (const name of names) assert.match(name, /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/)
    assert.strictEqual(new Set([...names, "job"]).size, texts.length + 1)
  })

  const cases: ReadonlyArray<readonly [string, string]> = [
    ["redis", "redis"],
    ["Redis_Cache", "redis-cache"],
    ["ghcr.io/Org/Image:1.2", "ghcr-io-org-image-1-2"],
    ["postgres@sha256:0123", "postgres-sha256-0123"],
    ["--", "container"],
    ["", "container"],
    ["é", "container"],
    [`${"a".repeat(62)}-b`, "a".repeat(62)]
  ]
  for (const [given, expected] of cases) {
    it(`${given || "nothing"}: ${expected}`, () => assert.strictEqual(containerName(given, new Set()), expected))
  }

  it("the same one twice, and one as long as may be", () => {
    const taken = new Set<string>()
    const long = "a".repeat(70)
    assert.deepStrictEqual(
      [containerName("redis", taken), containerName("redis", taken), containerName("redis-1", taken)],
      ["redis", "redis-1", "redis-1-1"]
    )
    assert.strictEqual(containerName(long, taken), "a".repeat(63))
    assert.strictEqual(containerName(long, taken), `${"a".repeat(61)}-1`)
  })
})

describe("labelSelector", () => {
  it("selects by environment, by owner, or all of ours", () => {
    assert.strictEqual(labelSelector(undefined), "jobscope.dev/environment")
    assert.strictEqual(labelSelector({ environment: "e-1" }), "jobscope.dev/environment=e-1")
    assert.strictEqual(labelSelector({ owner: "o 1" }), `jobscope.dev/owner=${labelValue("o 1")}`)
  })
})

describe("custodyOf", () => {
  const held = { metadata: { annotations: { "jobscope.dev/custody": "held" } } }
  const handedOver = { metadata: { annotations: { "jobscope.dev/custody": "handed-over" } } }
  const cases = [
    ["held", { ...held, status: { phase: "Running" } }, "held"],
    ["ended", { ...held, status: { phase: "Failed" } }, "orphaned"],
    ["handed over", { ...handedOver, status: { phase: "Running" } }, "handed-over"],
    ["handed over, and ended", { ...handedOver, status: { phase: "Failed" } }, "handed-over"],
    ["not said", {}, "unknown"]
  ] as const
  for (const [title, given, expected] of cases) it(title, () => assert.strictEqual(custodyOf(given), expected))
})
