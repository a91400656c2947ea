import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Words from "../../../src/programs/container-options/Words.ts"

describe("Words", () => {
  it.each([
    ["", []],
    ["  ", []],
    ["a  b\tc\nd", ["a", "b", "c", "d"]],
    [`"a b" 'c d'`, ["a b", "c d"]],
    [`--name="a b"x --e=''`, ["--name=a bx", "--e="]],
    [`""`, [""]],
    [`"" ''`, ["", ""]],
    [`"say \\"hi\\""`, ['say "hi"']],
    [`'say \\"hi\\"'`, ['say \\"hi\\"']],
    [`"C:\\dir\\" x"`, ['C:\\dir" x']],
    [`"C:\\\\" x`, ["C:\\", "x"]],
    ['C:\\dir a\\ b \\"c \\\\d', ["C:\\dir", "a b", '"c', "\\d"]],
    ["it's", ["it's"]],
    [`"open`, ['"open']],
    ["a\\", ["a\\"]],
    ["$(id) `id` ; * $X", ["$(id)", "`id`", ";", "*", "$X"]],
    [`"a\n b"`, ["a\n b"]]
  ] as ReadonlyArray<[string, ReadonlyArray<string>]>)("%j", (text, words) => {
    assert.deepStrictEqual(Words.split(text), words)
  })

  // What the runner does to each argument of a container action. It leaves backslashes alone, so those before a quote are lost to it already.
  it.effect.prop("gives back what the runner has wrapped in quotes", [Schema.Array(Schema.String)], ([args]) => {
    const clean = args.map((arg) => arg.replace(/\\+("|$)/g, "$1"))
    const wrapped = clean.map((arg) => `"${arg.replaceAll('"', '\\"')}"`).join(" ")
    assert.deepStrictEqual(Words.split(wrapped), clean)
    return Effect.void
  })

  it.effect.prop("loses nothing but white space and quoting", [Schema.String], ([text]) => {
    const plain = text.replace(/["'\\]/g, "")
    assert.strictEqual(Words.split(plain).join(""), plain.replace(/\s/g, ""))
    return Effect.void
  })
})
