import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as BoundedLines from "../../../../src/programs/console/internal/BoundedLines.ts"
import * as Story from "../story.ts"

const all = (limit: number, chunks: ReadonlyArray<Uint8Array>): ReadonlyArray<string> => {
  const lines = BoundedLines.make(limit)
  return [...chunks.flatMap((chunk) => lines.push(chunk)), ...lines.flush()]
}

describe("BoundedLines", () => {
  it("cuts a line that is too long, between characters", () => {
    assert.deepStrictEqual(all(4, [Story.bytes("abcdefghij\nab\nabcd\nabcde")]), [
      "abcd",
      "efgh",
      "ij",
      "ab",
      "abcd",
      "abcd",
      "e"
    ])
    assert.deepStrictEqual(all(4, [Story.bytes("aaa漢漢")]), ["aaa漢", "漢"])
    assert.deepStrictEqual(all(4, [Story.bytes("🚀🚀🚀")]), ["🚀", "🚀", "🚀"])
  })

  it("is bounded also for bytes that are no characters", () => {
    const lines = all(4, [new Uint8Array(100).fill(0x80)])
    assert.isTrue(lines.length > 10)
    assert.strictEqual(lines.join("").length, 100)
  })

  it("takes a chunk of very many lines", () => {
    assert.strictEqual(all(BoundedLines.maxLength, [Story.bytes("\n".repeat(300_000))]).length, 300_000)
    assert.strictEqual(all(8, [Story.bytes(`${"x".repeat(20)}\n`.repeat(200_000))]).length, 600_000)
  })

  const Parts = Schema.Array(Schema.Array(Schema.Literals(["a", "bb", "é", "漢", "🚀", "\n"])))

  it.prop("cuts at the same places however the bytes come", [Parts], ([parts]) => {
    const whole = Story.bytes(parts.map((part) => part.join("")).join(""))
    const inOne = all(5, [whole])
    assert.deepStrictEqual(
      all(
        5,
        parts.map((part) => Story.bytes(part.join("")))
      ),
      inOne
    )
    assert.deepStrictEqual(
      all(
        5,
        [...whole].map((byte) => Uint8Array.of(byte))
      ),
      inOne
    )
    assert.isFalse(inOne.join("").includes("\ufffd"))
  })
})
