import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Masker from "../../../src/programs/commands/Masker.ts"

const of = (...secrets: ReadonlyArray<string>) => Masker.make(secrets.map((secret) => Redacted.make(secret)))
const bytesOf = (text: string) => new TextEncoder().encode(text)
const textOf = (chunks: ReadonlyArray<Uint8Array>) =>
  new TextDecoder("utf-8", { ignoreBOM: true }).decode(Buffer.concat(chunks))

const through = (masker: Masker.Masker, chunks: ReadonlyArray<Uint8Array>) => {
  const stream = masker.stream()
  return Buffer.concat([
    ...chunks.map((chunk) => stream.push(chunk.slice())).map((part) => part.slice()),
    stream.flush()
  ])
}

/** Cuts at the given places, each taken modulo what is left. */
const cut = (bytes: Uint8Array, places: ReadonlyArray<number>) => {
  const at = places.map((place) => Math.abs(place) % (bytes.length + 1)).sort((a, b) => a - b)
  return [...at, bytes.length].map((end, index) => bytes.subarray(index === 0 ? 0 : at[index - 1]!, end))
}

describe("mask", () => {
  const cases: ReadonlyArray<{
    readonly title: string
    readonly secrets: ReadonlyArray<string>
    readonly text: string
    readonly masked: string
  }> = [
    { title: "the value", secrets: ["hunter22"], text: "pass=hunter22;", masked: "pass=***;" },
    { title: "several times", secrets: ["hunter22"], text: "hunter22 hunter22", masked: "*** ***" },
    { title: "side by side as one", secrets: ["hunter22"], text: "hunter22hunter22", masked: "***" },
    { title: "overlapping ones as one", secrets: ["abcdef", "defghi"], text: "xabcdefghix", masked: "x***x" },
    {
      title: "one within another",
      secrets: ["secret", "mysecretvalue"],
      text: "mysecretvalu secret",
      masked: "my***valu ***"
    },
    {
      title: "one that continues another",
      secrets: ["abc", "abcdefgh"],
      text: "abcdefgh abcdefg",
      masked: "*** ***defg"
    },
    { title: "one character", secrets: ["x"], text: "axbxc\n", masked: "a***b***c\n" },
    { title: "none that is blank", secrets: ["", "  ", "\n"], text: "a  b\n\n", masked: "a  b\n\n" },
    { title: "without the blanks around it", secrets: [" hunter22\n"], text: "<hunter22>", masked: "<***>" },
    { title: "without the quotes around it", secrets: ['"hunter22"'], text: "hunter22", masked: "***" },
    { title: "non-ASCII", secrets: ["pässwörd😀"], text: "ü pässwörd😀 ü", masked: "ü *** ü" },
    {
      title: "each line of several",
      secrets: ["line one\nline two"],
      text: "x line two\nline one y",
      masked: "x ***\n*** y"
    },
    {
      title: "several lines at once",
      secrets: ["line one\nline two"],
      text: "a\nline one\nline two\nb",
      masked: "a\n***\n***\nb"
    },
    {
      title: "several lines with other line ends",
      secrets: ["one1\ntwo2\n\nfour"],
      text: "one1\r\ntwo2\r\n\r\nfour",
      masked: "***\r\n***\r\n\r\n***"
    },
    {
      title: "not the braces of JSON",
      secrets: ['{\n  "key": "abcdef"\n}'],
      text: '{\n}\n"key": "abcdef"\n{',
      masked: "{\n}\n***\n{"
    },
    { title: "short lines, where all are", secrets: ["ab\ncd"], text: "ab, cd", masked: "***, ***" },
    { title: "wrapped", secrets: ["0123456789abcdef"], text: "0123456\n789abcdef\n", masked: "***\n***\n" },
    {
      title: "wrapped after a few characters: the rest",
      secrets: ["0123456789abcdef"],
      text: "ab012\n3456789abcdef",
      masked: "ab012\n***"
    },
    { title: "short ones not across lines", secrets: ["abcdef"], text: "abc\ndef", masked: "abc\ndef" },
    {
      title: "not across empty lines",
      secrets: ["0123456789"],
      text: "01234\n\n\n\n\n56789",
      masked: "01234\n\n\n\n\n56789"
    },
    { title: "JSON", secrets: ['a"b\\c\td'], text: JSON.stringify({ v: 'a"b\\c\td' }), masked: '{"v":"***"}' },
    { title: "JSON in ASCII", secrets: ["schlüssel"], text: '"schl\\u00fcssel"', masked: '"***"' },
    { title: "JSON of several lines", secrets: ["line one\nline two"], text: '"line one\\nline two"', masked: '"***"' },
    { title: "URL", secrets: ["p@ss w/rd"], text: "?p=p%40ss%20w%2Frd&", masked: "?p=***&" },
    { title: "a path", secrets: ["p@ss w/rd+"], text: "/p%40ss%20w/rd%2B/x", masked: "/***/x" },
    { title: "a whole URL", secrets: ["p@ss w/rd"], text: "u:p@ss%20w/rd@h", masked: "u:***@h" },
    { title: "URL in small letters", secrets: ["p@ss w/rd"], text: "?p=p%40ss%20w%2frd&", masked: "?p=***&" },
    {
      title: "HTML form",
      secrets: ["p@ss w'rd"],
      text: new URLSearchParams({ p: "p@ss w'rd" }).toString(),
      masked: "p=***"
    },
    { title: "quoted for sh", secrets: ["it's me"], text: "'it'\\''s me'", masked: "'***'" },
    { title: "printf %q", secrets: ["it's $me"], text: "it\\'s\\ \\$me", masked: "***" },
    { title: "$'…' of bash", secrets: ["one\ntwo's"], text: "$'one\\ntwo\\'s'", masked: "$'***'" },
    { title: "double quotes", secrets: ['a$b`c"d'], text: '"a\\$b\\`c\\"d"', masked: '"***"' },
    { title: "XML", secrets: ["a<b>&c"], text: "<v>a&lt;b&gt;&amp;c</v>", masked: "<v>***</v>" },
    {
      title: "workflow command",
      secrets: ["100% sure\nof it"],
      text: "::debug::100%25 sure%0Aof it",
      masked: "::debug::***"
    },
    { title: "hexadecimal", secrets: ["hunter22"], text: "68756e7465723232 68756E7465723232", masked: "*** ***" },
    {
      title: "base64url",
      secrets: ["\u00ff\u00fe?>~"],
      text: Buffer.from("\u00ff\u00fe?>~").toString("base64url"),
      masked: "***"
    },
    { title: "what is no UTF-8", secrets: ["hunter22"], text: "\ud800 hunter2", masked: "\ud800 hunter2" }
  ]
  it.each(cases)("$title", ({ masked, secrets, text }) => {
    assert.strictEqual(of(...secrets).mask(text), masked)
  })

  it("base64, whatever is around it, also wrapped", () => {
    const secret = "hunter22-and-more-of-it"
    for (const before of ["", "a", "ab", "abc", "user:"]) {
      for (const after of ["", "\n", "a", "ab", "abc"]) {
        for (const width of [76, 64, 12, 5]) {
          const encoded = Buffer.from(before + secret + after)
            .toString("base64")
            .replaceAll(new RegExp(`.{${width}}`, "g"), "$&\n")
          const left = of(secret).mask(encoded).replaceAll(/[\n=]/g, "")
          // What is left is of the characters beside the secret, with at most one of its own at each end, and three before a wrap.
          assert.isBelow(left.replaceAll("*", "").length, 7 + 1 + 3 + 1 + 4, left)
        }
      }
    }
  })
})

describe("a stream", () => {
  it("shows what cannot become a secret any more at once", () => {
    const stream = of("hunter22").stream()
    assert.strictEqual(textOf([stream.push(bytesOf("so hunt"))]), "so ")
    assert.strictEqual(textOf([stream.push(bytesOf("ing"))]), "hunting")
    assert.strictEqual(textOf([stream.push(bytesOf(" hunter22"))]), " ***")
  })

  it("does not keep a line back because of its last characters", () => {
    const stream = of("hunter22").stream()
    assert.strictEqual(textOf([stream.push(bytesOf("a path\n"))]), "a path\n")
    assert.strictEqual(textOf([stream.push(bytesOf("a hun\n"))]), "a hun\n")
    assert.strictEqual(textOf([stream.push(bytesOf("ter22 x\n"))]), "*** x\n")
    assert.strictEqual(textOf([stream.flush()]), "")
  })

  it("gives what was kept back at its end", () => {
    const stream = of("hunter22").stream()
    assert.strictEqual(textOf([stream.push(bytesOf("hunter2")), stream.flush()]), "hunter2")
  })

  it("learns of secrets while it runs", () => {
    const masker = of("first-one")
    const stream = masker.stream()
    const parts = [stream.push(bytesOf("first-one sec"))]
    masker.add(Redacted.make("second-one"))
    parts.push(stream.push(bytesOf("ond-one fir")))
    masker.add(Redacted.make("third-one"))
    parts.push(stream.push(bytesOf("st-one third")), stream.push(bytesOf("-one second-one\n")), stream.flush())
    assert.strictEqual(textOf(parts), "*** second-one *** *** ***\n")
  })

  it("keeps no more than a secret's length, whatever comes", () => {
    const stream = of("a".repeat(1000)).stream()
    let pushed = 0
    let shown = 0
    for (const text of ["a".repeat(999), "\n".repeat(5000), "a".repeat(900), "a\n".repeat(3000), "x"]) {
      pushed += text.length
      shown += stream.push(bytesOf(text)).length
      assert.isBelow(pushed - shown, 5000)
    }
  })
})

describe("any output", () => {
  const secretParts = Schema.Literals([
    "a",
    "b",
    "c",
    "ab",
    "abc",
    "1",
    "=",
    " ",
    "'",
    '"',
    "\\",
    "$",
    "/",
    "%",
    "&",
    "ü",
    "😀",
    "\n",
    "\r\n",
    "{"
  ])
  const secret = Arbitrary.schema(Schema.Array(Schema.Union([secretParts, Schema.String]))).pipe(
    Arbitrary.map((parts) => new TextDecoder().decode(bytesOf(parts.join("").slice(0, 40))))
  )
  const secrets = Arbitrary.array(secret, { maxLength: 4 })
  const encodings: ReadonlyArray<(text: string) => string> = [
    (text) => text,
    (text) => JSON.stringify(text),
    encodeURIComponent,
    (text) => `'${text.replaceAll("'", "'\\''")}'`,
    (text) => Buffer.from(text).toString("base64"),
    (text) => Buffer.from(`x${text}y`).toString("base64"),
    (text) => Buffer.from(`xy${text}y`).toString("base64"),
    (text) => Buffer.from(text).toString("hex"),
    (text) => text.replaceAll(/.{7}/g, "$&\n")
  ]
  type Piece = { readonly text: string } | { readonly secret: number; readonly encoding: number }
  const piece = Arbitrary.schema(
    Schema.Union([
      Schema.Struct({ text: Schema.Union([secretParts, Schema.String]) }),
      Schema.Struct({ secret: Schema.Int, encoding: Schema.Int })
    ])
  )
  const pieces = Arbitrary.array(piece, { maxLength: 12 })
  const places = Arbitrary.schema(Schema.Array(Schema.Int))
  const pick = <A>(all: ReadonlyArray<A>, index: number): A | undefined =>
    all[Math.abs(index) % Math.max(1, all.length)]
  const written = (secrets: ReadonlyArray<string>, pieces: ReadonlyArray<Piece>) =>
    pieces
      .map((piece) =>
        "text" in piece ? piece.text : pick(encodings, piece.encoding)!(pick(secrets, piece.secret) ?? "")
      )
      .join("")

  it.prop(
    "is masked alike however it comes in pieces",
    [secrets, pieces, places],
    ([secrets, pieces, places]) => {
      const bytes = bytesOf(written(secrets, pieces))
      const whole = through(of(...secrets), [bytes])
      assert.deepStrictEqual(through(of(...secrets), cut(bytes, places)), whole)
      assert.deepStrictEqual(
        through(
          of(...secrets),
          [...bytes].map((byte) => new Uint8Array([byte]))
        ),
        whole
      )
    },
    { arbitrary: { runs: 2000 } }
  )

  it.prop(
    "has no secret in it any more",
    [secrets, pieces],
    ([secrets, pieces]) => {
      const shown = textOf([through(of(...secrets), [bytesOf(written(secrets, pieces))])])
      for (const secret of secrets.map((secret) => secret.trim())) {
        if (secret === "") continue
        for (const part of shown.split("***")) {
          assert.notInclude(part, secret)
          if (secret.length < 8) continue
          for (const encode of encodings.slice(0, 4)) assert.notInclude(part, encode(secret))
          // Of a wrapped one at most three characters are left.
          assert.notInclude(part.replaceAll(/[\r\n]/g, ""), secret.replaceAll(/[\r\n]/g, ""))
        }
      }
    },
    { arbitrary: { runs: 2000 } }
  )

  it.prop(
    "has everything else in it, byte for byte",
    [secrets, pieces],
    ([secrets, pieces]) => {
      // A star beside a mask could be one of either.
      const text = textOf([bytesOf(written(secrets, pieces))]).replaceAll("*", "+")
      const shown = textOf([through(of(...secrets), [bytesOf(text)])])
      // What is between the stars is found in the text, in order, from its beginning to its end.
      const parts = shown.split("***")
      let at = 0
      for (const [index, part] of parts.entries()) {
        const found = index === parts.length - 1 ? text.length - part.length : text.indexOf(part, at)
        assert.isAtLeast(found, at)
        if (index === 0) assert.strictEqual(found, 0)
        at = found + part.length
      }
    },
    { arbitrary: { runs: 1000 } }
  )

  it.prop(
    "without a secret in it stays as it is",
    [Schema.Uint8Array, places],
    ([bytes, places]) => {
      const masker = of("no-such-thing-in-it", "neither\nthis")
      assert.deepStrictEqual(through(masker, cut(bytes, places)), Buffer.from(bytes))
    },
    { arbitrary: { runs: 1000 } }
  )
})
