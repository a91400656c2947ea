import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { makeTrailerReader } from "../../../src/backends/pod/internal/trailer.ts"

const token = "\u001e0123456789abcdef"

const bytesOf = (...parts: ReadonlyArray<string | Uint8Array>) =>
  Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part) : part)))

const trailerOf = (end: string, files: ReadonlyArray<readonly [string, Uint8Array]> = []) =>
  bytesOf(
    `${token} exit ${end}\n`,
    ...files.flatMap(([name, content]) => [`${token} file ${content.length} ${name}\n`, content, "\n"]),
    `${token} end\n`
  )

/** Pushes bytes in pieces of these sizes, in turn; the memory of each is used again, as a socket's may be. */
const read = (reader: ReturnType<typeof makeTrailerReader>, bytes: Buffer, sizes: ReadonlyArray<number>) => {
  const out: Array<Buffer> = []
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes.length === 0 ? bytes.length : Math.max(1, sizes[turn % sizes.length] ?? 1)
    const piece = Buffer.from(bytes.subarray(at, at + size))
    out.push(Buffer.from(reader.push(piece)))
    piece.fill(0x1e)
    at += size
  }
  return Buffer.concat(out)
}

const byte = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 }))
const size = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 64 }))
const rendered = (parts: ReadonlyArray<number | string>) =>
  bytesOf(...parts.map((part) => (typeof part === "string" ? part : Uint8Array.of(part))))
/** Output that looks like a token, or the start of one, as often as not; it never is one, which nobody can guess. */
const output = Schema.Array(
  Schema.Union([
    byte,
    Schema.Literals(["\u001e", "\u001e0123", token.slice(0, -1), `${token.slice(0, -1)}g started\n`, "\u001e\u001e"])
  ])
).check(Schema.makeFilter((parts) => !rendered(parts).includes(token)))

describe("makeTrailerReader", () => {
  it.prop(
    "takes output and trailer apart, however they are cut",
    [output, Schema.Array(size), byte, Schema.Array(Schema.Array(byte)), Schema.Boolean],
    ([parts, sizes, code, contents, running]) => {
      const given = rendered(parts)
      const files = contents.map((content, index) => [`a file ${index}`, Uint8Array.from(content)] as const)
      const reader = makeTrailerReader(token, running)
      const stream = bytesOf(running ? "" : `${token} started\n`, given, trailerOf(String(code), files))
      assert.deepStrictEqual(read(reader, stream, sizes), given)
      assert.isTrue(reader.started)
      assert.deepStrictEqual(reader.trailer, { end: code, files: new Map(files) })
    },
    { arbitrary: { runs: 300 } }
  )

  it.prop(
    "a connection that breaks before the end tells no end",
    [output, Schema.Array(size), size],
    ([parts, sizes, missing]) => {
      const given = rendered(parts)
      const trailer = trailerOf("0", [["output", Buffer.from("a=1\n")]])
      const reader = makeTrailerReader(token, true)
      const stream = bytesOf(given, trailer)
      const got = read(reader, stream.subarray(0, Math.max(0, stream.length - missing)), sizes)
      assert.isUndefined(reader.trailer)
      assert.isTrue(given.subarray(0, got.length).equals(got))
    }
  )

  it("what is held back at a break is no output: it comes again", () => {
    const reader = makeTrailerReader(token, true)
    assert.strictEqual(read(reader, bytesOf("abc", token.slice(0, 5)), []).toString(), "abc")
  })

  it("a step that has not started has no output", () => {
    const reader = makeTrailerReader(token, false)
    assert.isFalse(reader.started)
    assert.strictEqual(reader.push(bytesOf(token, " star")).length, 0)
    assert.isFalse(reader.started)
    assert.strictEqual(bytesOf(reader.push(bytesOf("ted\nout"))).toString(), "out")
    assert.isTrue(reader.started)
  })

  it("what was said before the start is not the step's", () => {
    const reader = makeTrailerReader(token, false)
    const said = read(reader, bytesOf("sh: no such thing\n", `${token} started\n`, "err"), [])
    assert.strictEqual(said.toString().slice(-3), "err")
    const whole = makeTrailerReader(token, false)
    assert.strictEqual(bytesOf(whole.push(bytesOf("noise\n", `${token} started\n`, "err"))).toString(), "err")
  })

  for (const end of ["lost", "refused"] as const) {
    it(`an end that is no exit code: ${end}`, () => {
      const reader = makeTrailerReader(token, true)
      reader.push(trailerOf(end, [[".refused", Buffer.from("why\n")]]))
      assert.strictEqual(reader.trailer?.end, end)
    })
  }

  it("a damaged trailer is a loss, never a success", () => {
    for (const damaged of [
      bytesOf(`${token} exit 0\n`, "something else\n"),
      bytesOf(`${token} end\n`),
      trailerOf(""),
      trailerOf("0x0"),
      bytesOf(`${token} exit 0\n${token} file 3 a\nabcdef\n${token} end\n`)
    ]) {
      const reader = makeTrailerReader(token, true)
      reader.push(damaged)
      assert.strictEqual(reader.trailer?.end, "lost")
    }
  })

  it("much that comes back takes time as it is long", () => {
    const content = Buffer.alloc(1024 * 1024, "x")
    const files = Array.from({ length: 48 }, (_, index) => [`file-${index}`, content] as const)
    const reader = makeTrailerReader(token, true)
    let copied = 0
    const concat = Buffer.concat
    Buffer.concat = (list, ...rest) => {
      for (const part of list) copied += part.length
      return concat(list, ...rest)
    }
    try {
      const bytes = trailerOf("0", files)
      copied = 0
      for (let at = 0; at < bytes.length; at += 16_384) reader.push(bytes.subarray(at, at + 16_384))
      assert.strictEqual(reader.trailer?.files.size, 48)
      assert.isBelow(copied, 4 * bytes.length)
    } finally {
      Buffer.concat = concat
    }
  })
})
