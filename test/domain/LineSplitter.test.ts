import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import * as LineSplitter from "../../src/domain/LineSplitter.ts"

const split = (chunks: ReadonlyArray<Uint8Array>): ReadonlyArray<string> => {
  const splitter = LineSplitter.make()
  return [...chunks.flatMap(splitter.push), ...splitter.flush()]
}
const bytesOf = (text: string) => new TextEncoder().encode(text)

/** Cuts at the given places, each taken modulo what is left. */
const cut = (bytes: Uint8Array, places: ReadonlyArray<number>) => {
  const at = places.map((place) => Math.abs(place) % (bytes.length + 1)).sort((a, b) => a - b)
  return [...at, bytes.length].map((end, index) => bytes.subarray(index === 0 ? 0 : at[index - 1]!, end))
}

/** What lines are, said in another way. */
const linesOf = (text: string): ReadonlyArray<string> => {
  const last = text.lastIndexOf("\n") + 1
  const whole = [...text.slice(0, last).matchAll(/([^\n]*)\n/g)].map(([, line]) => line!.replace(/\r$/, ""))
  return last === text.length ? whole : [...whole, text.slice(last)]
}

const pieces = Schema.Literals([
  "a",
  "line",
  "\n",
  "\r",
  "\r\n",
  "\n\n",
  "ü",
  "日本",
  "😀",
  "👨‍👩‍👧",
  "\t",
  "\ufeff",
  "\u2028",
  " "
])
const text = Arbitrary.schema(Schema.Array(Schema.Union([pieces, Schema.String]))).pipe(
  // Half of a surrogate pair has no UTF-8.
  Arbitrary.map((parts) => new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytesOf(parts.join(""))))
)
const places = Arbitrary.schema(Schema.Array(Schema.Int))

describe("LineSplitter", () => {
  it.prop(
    "any cutting of any text gives the same lines",
    [text, places],
    ([text, places]) => {
      assert.deepStrictEqual(split(cut(bytesOf(text), places)), linesOf(text))
    },
    { arbitrary: { runs: 1000 } }
  )

  it.prop(
    "each byte for itself too",
    [text],
    ([text]) => {
      assert.deepStrictEqual(split([...bytesOf(text)].map((byte) => new Uint8Array([byte]))), linesOf(text))
    },
    { arbitrary: { runs: 300 } }
  )

  it.prop(
    "any cutting of any bytes, text or not, gives the same lines",
    [Schema.Uint8Array, places],
    ([bytes, places]) => {
      assert.deepStrictEqual(split(cut(bytes, places)), split([bytes]))
    },
    { arbitrary: { runs: 1000 } }
  )

  it.each([
    { title: "nothing", text: "", lines: [] },
    { title: "an empty line", text: "\n", lines: [""] },
    { title: "no line end", text: "a", lines: ["a"] },
    { title: "lines", text: "a\nb\n", lines: ["a", "b"] },
    { title: "CRLF", text: "a\r\nb\r\n", lines: ["a", "b"] },
    { title: "only one CR belongs to the line's end", text: "a\r\r\n", lines: ["a\r"] },
    { title: "a CR within a line stays: progress bars", text: "10%\r20%\n", lines: ["10%\r20%"] },
    { title: "a CR at the end of what is left", text: "a\r", lines: ["a\r"] }
  ])("$title", ({ lines, text }) => {
    assert.deepStrictEqual(split([bytesOf(text)]), lines)
  })

  it("gives a line as soon as it is complete", () => {
    const splitter = LineSplitter.make()
    assert.deepStrictEqual(splitter.push(bytesOf("a")), [])
    assert.deepStrictEqual(splitter.push(bytesOf("b\r")), [])
    assert.deepStrictEqual(splitter.push(bytesOf("\nc\nd")), ["ab", "c"])
    assert.deepStrictEqual(splitter.flush(), ["d"])
    assert.deepStrictEqual(splitter.flush(), [], "and no line twice")
  })

  it("what is not UTF-8 is U+FFFD, also at the very end", () => {
    assert.deepStrictEqual(split([new Uint8Array([0x61, 0xff, 0x62, 0x0a])]), ["a\ufffdb"])
    assert.deepStrictEqual(split([new Uint8Array([0x61, 0xe2, 0x82])]), ["a\ufffd"])
    assert.deepStrictEqual(split([new Uint8Array([0xe2, 0x82])]), ["\ufffd"])
  })

  it("two streams do not mix", () => {
    const [one, other] = [LineSplitter.make(), LineSplitter.make()]
    one.push(new Uint8Array([0xc3]))
    other.push(bytesOf("b"))
    assert.deepStrictEqual(one.push(new Uint8Array([0xbc, 0x0a])), ["ü"])
    assert.deepStrictEqual(other.flush(), ["b"])
  })
})
