import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as StepOutputs from "../../src/domain/StepOutputs.ts"

const outputsOf = (text: string) => {
  const result = StepOutputs.parse(text)
  return Result.isSuccess(result) ? result.success : assert.fail(result.failure)
}
const failureOf = (text: string) => {
  const result = StepOutputs.parse(text)
  return Result.isFailure(result) ? result.failure : assert.fail(JSON.stringify(result.success))
}

const render = (name: string, value: string, delimiter: string) =>
  Result.getOrThrow(StepOutputs.render(name, value, delimiter))

describe("parse", () => {
  const good: ReadonlyArray<{
    readonly title: string
    readonly text: string
    readonly outputs: Record<string, string>
  }> = [
    { title: "nothing", text: "", outputs: {} },
    { title: "empty lines", text: "\n\n\n", outputs: {} },
    { title: "one line", text: "a=1\n", outputs: { a: "1" } },
    { title: "no line end", text: "a=1", outputs: { a: "1" } },
    { title: "several", text: "a=1\n\nb=2\n", outputs: { a: "1", b: "2" } },
    { title: "an empty value", text: "a=\n", outputs: { a: "" } },
    { title: "the first = separates", text: "a=b=c\n", outputs: { a: "b=c" } },
    { title: "spaces belong to names and values", text: " a = b \n", outputs: { " a ": " b " } },
    { title: "= before <<: a value with <<", text: "a=x<<y\n", outputs: { a: "x<<y" } },
    { title: "= right before <<", text: "a=<<EOF\n", outputs: { a: "<<EOF" } },
    { title: "<< before =: a delimiter with =", text: "a<<E=F\nx\nE=F\n", outputs: { a: "x" } },
    { title: "a block", text: "a<<EOF\nx\ny\nEOF\n", outputs: { a: "x\ny" } },
    { title: "a block without a line end", text: "a<<EOF\nx\nEOF", outputs: { a: "x" } },
    { title: "an empty block", text: "a<<EOF\nEOF\n", outputs: { a: "" } },
    { title: "a block of one empty line", text: "a<<EOF\n\nEOF\n", outputs: { a: "" } },
    { title: "a block of two empty lines", text: "a<<EOF\n\n\nEOF\n", outputs: { a: "\n" } },
    {
      title: "a block with what looks like outputs",
      text: "a<<EOF\nb=1\nc<<D\nEOF\nd=2\n",
      outputs: { a: "b=1\nc<<D", d: "2" }
    },
    { title: "only a whole line is the delimiter", text: "a<<EOF\n EOF\nEOF2\nEOF\n", outputs: { a: " EOF\nEOF2" } },
    { title: "a delimiter with <<", text: "a<<b<<c\nx\nb<<c\n", outputs: { a: "x" } },
    { title: "a later value of a name wins", text: "a=1\na<<E\n2\nE\n", outputs: { a: "2" } },
    { title: "CR belongs to values", text: "a=1\r\nb<<EOF\r\nx\r\ny\r\nEOF\r\n", outputs: { a: "1\r", b: "x\r\ny\r" } },
    { title: "a lone CR is text", text: "a=1\r2\n", outputs: { a: "1\r2" } },
    {
      title: "names that objects have",
      text: "constructor=1\ntoString=2\n",
      outputs: { constructor: "1", toString: "2" } as never
    }
  ]
  it.each(good)("$title", ({ outputs, text }) => {
    const parsed = outputsOf(text)
    assert.deepStrictEqual(Object.entries(parsed), Object.entries(outputs))
  })

  it("__proto__ is a name like any other", () => {
    const parsed = outputsOf("__proto__=1\n")
    assert.deepStrictEqual(Object.entries(parsed), [["__proto__", "1"]])
  })

  const bad: ReadonlyArray<{ readonly title: string; readonly text: string; readonly says: ReadonlyArray<string> }> = [
    { title: "neither = nor <<", text: "a=1\n\nnonsense\n", says: ["line 3", "NAME=VALUE", "NAME<<DELIMITER"] },
    { title: "a single <", text: "a<EOF\n", says: ["line 1", "NAME<<DELIMITER"] },
    { title: "no name before =", text: "=1\n", says: ["line 1", 'no name before "="'] },
    { title: "no name before <<", text: "a=1\n<<EOF\nEOF\n", says: ["line 2", 'no name before "<<"'] },
    { title: "no delimiter", text: "a<<\n\n", says: ["line 1", "no delimiter"] },
    { title: "a block without end", text: "a=1\nb<<EOF\nx\n", says: ["line 2", '"EOF" never comes'] },
    { title: "a line that is only CR", text: "a=1\n\r\n", says: ["line 2", "NAME=VALUE"] },
    { title: "a delimiter with another line end", text: "a<<E\nx\nE\r\n", says: ["line 1", '"E" never comes'] },
    { title: "a delimiter that comes only before", text: "EOF=1\nb<<EOF\n", says: ["line 2", '"EOF" never comes'] },
    { title: "an error after good ones", text: "a<<E\n\nE\nnonsense", says: ["line 4"] }
  ]
  it.each(bad)("$title", ({ says, text }) => {
    const failure = failureOf(text)
    for (const words of says) assert.include(failure, words)
  })

  it("an error never shows a value", () => {
    assert.notInclude(failureOf("hunter2\n"), "hunter2")
  })
})

describe("render", () => {
  const parts = Schema.Literals([
    "a",
    "=",
    "<",
    "<<",
    "\n",
    "\r",
    "\r\n",
    "EOF",
    " ",
    "ü",
    "😀",
    "$",
    "'",
    "\\",
    "__proto__"
  ])
  const text = Arbitrary.schema(Schema.Array(Schema.Union([parts, Schema.String]))).pipe(
    Arbitrary.map((pieces) => pieces.join(""))
  )
  // The format cannot hold: names with its own signs or line ends, and line ends other than \n within a value.
  const name = text.pipe(
    Arbitrary.map((raw) => raw.replaceAll(/[=\n]/g, "").replaceAll(/<+/g, "<").replace(/<$/, "") || "name")
  )
  const value = text
  const delimiter = Arbitrary.schema(Schema.Array(parts)).pipe(
    Arbitrary.map((pieces) => pieces.join("").replaceAll("\n", "") || "END")
  )

  it.prop(
    "what it writes is read back",
    [name, value, delimiter],
    ([name, value, delimiter]) => {
      if (value.split("\n").includes(delimiter)) return
      assert.deepStrictEqual(Object.entries(outputsOf(render(name, value, delimiter))), [[name, value]])
    },
    { arbitrary: { runs: 1000 } }
  )

  it.prop(
    "several together are read back",
    [Arbitrary.array(Arbitrary.all([name, value]), { maxLength: 6 })],
    ([entries]) => {
      const file = entries.map(([name, value], index) => render(name, value, `__${index}_END__`)).join("")
      assert.deepStrictEqual(new Map(Object.entries(outputsOf(file))), new Map(entries))
    },
    { arbitrary: { runs: 300 } }
  )

  it("a value of one line is one line, whatever is in it", () => {
    assert.strictEqual(render("a", "x<<y=z", "END"), "a=x<<y=z\n")
    assert.strictEqual(render("a", "x\ny", "END"), "a<<END\nx\ny\nEND\n")
  })

  it("a name that ends with < is read back with a value of one line", () => {
    assert.deepStrictEqual(outputsOf(render("a<", "1", "END")), { "a<": "1" })
  })

  it("says what the format cannot hold, instead of writing something else", () => {
    for (const name of ["", "a=b", "a<<b", "a\nb"])
      assert.isTrue(Result.isFailure(StepOutputs.render(name, "x", "END")))
    assert.isTrue(Result.isFailure(StepOutputs.render("a", "x\nEND\ny", "END")))
  })
})
