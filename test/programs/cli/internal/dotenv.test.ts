import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { parse, render } from "../../../../src/programs/cli/internal/dotenv.ts"

const valuesOf = (text: string) => Object.fromEntries(Result.getOrThrow(parse(text)))

describe("dotenv", () => {
  it.each([
    { text: "", values: {} },
    { text: "A=1", values: { A: "1" } },
    { text: "\ufeffA=1\r\nB=2\r\n", values: { A: "1", B: "2" } },
    { text: "# comment\n\n  # another\nA=1 # comment\nB=a#b\n", values: { A: "1", B: "a#b" } },
    { text: "export A = b c \n", values: { A: "b c" } },
    { text: "A=\nB=#\nC= # x", values: { A: "", B: "", C: "" } },
    { text: "A='b # c' # d\nB=''", values: { A: "b # c", B: "" } },
    { text: 'A="b\\nc\\t\\"\\\\ \\$x $y \\q"', values: { A: 'b\nc\t"\\ $x $y \\q' } },
    { text: "A='line 1\nline \"2\"\n'\nB=1", values: { A: 'line 1\nline "2"\n', B: "1" } },
    { text: 'KEY="-----BEGIN\nabc=\n-----END"\nA.b-c=1', values: { KEY: "-----BEGIN\nabc=\n-----END", "A.b-c": "1" } },
    { text: "A=1\nA=2", values: { A: "2" } },
    { text: "A=a=b==", values: { A: "a=b==" } },
    { text: "__proto__=1", values: Object.fromEntries([["__proto__", "1"]]) }
  ])("$text", ({ text, values }) => {
    assert.deepStrictEqual(valuesOf(text), values)
  })

  it.each([
    { text: "A=1\nsecret", says: "line 2: expected NAME=value" },
    { text: "1A=secret", says: "line 1: expected NAME=value" },
    { text: "\nA='secret\n\n", says: "line 2: the quote never ends" },
    { text: 'A="secret\nx" y', says: "line 2: there is something behind the closing quote" },
    { text: 'A="secret\\"', says: "line 1: the quote never ends" }
  ])("$text is refused without its value", ({ says, text }) => {
    const failure = Result.flip(parse(text))
    assert.deepStrictEqual(failure, Result.succeed(says))
  })

  const name = Arbitrary.schema(Schema.Literals(["A", "b_2", "X.y-z"]))
  it.prop(
    "what is written is read back",
    [Arbitrary.array(Arbitrary.all([name, Arbitrary.schema(Schema.String)]), { maxLength: 5 })],
    ([entries]) => {
      const text = entries.map(([name, value]) => render(name, value)).join("\n")
      assert.deepStrictEqual(valuesOf(text), Object.fromEntries(entries))
    },
    { arbitrary: { runs: 1000 } }
  )

  it.prop(
    "any text is read, or refused",
    [Schema.String],
    ([text]) => {
      parse(text)
    },
    { arbitrary: { runs: 1000 } }
  )
})
