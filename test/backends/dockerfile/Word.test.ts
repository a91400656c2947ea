import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Word from "../../../src/backends/dockerfile/Word.ts"
import { buildkit } from "./support/vectors.ts"

const { env } = buildkit
const lookup: Word.Lookup = (name) => (Object.hasOwn(env, name) ? [env[name]!] : undefined)
const text = (word: string, options: Word.Options = {}) => {
  const expanded = Word.expand(word, lookup, options)
  return Result.isSuccess(expanded) ? Word.textOf(expanded.success) : expanded.failure.detail
}

describe("a word", () => {
  it("has the value that BuildKit gives it", () => {
    for (const [word, escapeToken, value] of buildkit.words) {
      const expanded = Word.expand(word, lookup, { escapeToken })
      const own = Result.isSuccess(expanded) ? Word.textOf(expanded.success) : null
      assert.strictEqual(own, value, JSON.stringify([word, escapeToken]))
    }
  })

  it("says what is wrong with it", () => {
    assert.strictEqual(text("${A"), "unsupported modifier () in substitution")
    assert.strictEqual(text("${A:-x"), "syntax error: missing '}'")
    assert.strictEqual(text(`\${Z:?where is it}`), "Z: where is it")
    assert.strictEqual(text(`\${Z?}`), "Z: is not allowed to be unset")
    assert.strictEqual(text("'a"), "unexpected end of statement while looking for matching single-quote")
    assert.strictEqual(text("${A/x"), "syntax error: missing '/' in a substitution")
  })

  it("keeps its quotes in heredocs", () => {
    assert.strictEqual(text(`'$A' "\\$A"`, { plainQuotes: true }), `'${env.A}' "$A"`)
  })

  it.prop("throws nothing", [Schema.String], ([word]) => {
    text(word)
    text(`\${A${word}}`)
    text(`\${A/${word}`)
    Word.split(word)
  })
})

describe("a variable of the base image", () => {
  const unknown = (word: string) => Word.expand(word, (name) => (name === "A" ? ["a"] : "unknown"))
  const template = (word: string) => Result.getOrThrow(unknown(word))

  it("stays in the word for the container", () => {
    assert.deepStrictEqual(template("/app:$PATH"), ["/app:", { name: "PATH" }])
    assert.deepStrictEqual(template(`\${X:-$A}/b`), [{ name: "X", operator: ":-", word: ["a"] }, "/b"])
    assert.deepStrictEqual(template(`\${X+y}`), [{ name: "X", operator: "+", word: ["y"] }])
    assert.deepStrictEqual(Word.variablesOf(template(`$X \${Y:-$Z}`)), ["X", "Y", "Z"])
    assert.isUndefined(Word.textOf(template("$X")))
  })

  it("is asked for where the container's shell cannot do it", () => {
    for (const word of [`\${X#a}`, `\${X%%a}`, `\${X/a/b}`, `\${X:?no}`]) {
      const result = unknown(word)
      assert.deepInclude(Result.isFailure(result) ? result.failure : {}, { variable: "X" }, word)
    }
  })

  it("has a name that a variable can have", () => {
    assert.deepStrictEqual(template("$1$@$é."), ["."])
  })
})

describe("a hostile word", () => {
  it.each([
    ["nesting", "${a:-".repeat(100_000)],
    ["dollars", "$".repeat(1_000_000)],
    ["stars before a long value", `\${A#${"*a".repeat(20_000)}b}`],
    ["stars to be replaced", `\${A//${"*?".repeat(20_000)}b/x}`]
  ])("of %s has a value or none at once", (_, word) => {
    Word.expand(word, (name) => (name === "A" ? ["a".repeat(60_000)] : undefined))
  })
})
