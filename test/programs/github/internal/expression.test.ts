import { data } from "@actions/expressions"
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Availability from "../../../../src/programs/github/internal/availability.ts"
import * as ContextData from "../../../../src/programs/github/internal/contextData.ts"
import * as Contexts from "../../../../src/programs/github/internal/contexts.ts"
import * as Expression from "../../../../src/programs/github/internal/expression.ts"
import { makeSource, start } from "../../../../src/programs/github/internal/source.ts"
import * as Template from "../../../../src/programs/github/internal/template.ts"
import { readYaml } from "../../../../src/programs/github/internal/yaml.ts"

const scope: Expression.Scope = {
  contexts: {
    github: ContextData.fromJson({
      ref: "refs/heads/main",
      event: { labels: [{ name: "a" }, { name: "b" }], n: null }
    }),
    env: Contexts.envContext({ PATH: "upper", path: "lower" }),
    matrix: ContextData.fromJson(JSON.parse('{"constructor":"c","toString":"t","__proto__":"p"}')),
    needs: Expression.unknown
  },
  functions: { success: () => new data.BooleanData(true) }
}

const evaluate = (source: string, truthOnly = false) => {
  const parsed = Expression.parse(source, { ...Availability.stepIf, contexts: Availability.contextNames }, start)
  if (Result.isFailure(parsed)) return assert.fail(parsed.failure.map(({ message }) => message).join())
  return ContextData.toJson(Expression.evaluate(parsed.success, scope, truthOnly))
}

describe("expressions", () => {
  const cases: ReadonlyArray<readonly [source: string, value: Schema.Json]> = [
    ["'it''s ''two'' times'", "it's 'two' times"],
    ["1 == '1'", true],
    ["-9.2", -9.2],
    ["0xff", 255],
    ["'A' == 'a'", true],
    ["null == 0", true],
    ["github.event.labels.*.name", ["a", "b"]],
    ["contains(github.event.labels.*.name, 'B')", true],
    ["join(github.event.labels.*.name, '-')", "a-b"],
    ["github['REF']", "refs/heads/main"],
    ["github.nope.nope", null],
    ["format('{0} {{1}} {1}', 'a', 2)", "a {1} 2"],
    ["env.PATH", "upper"],
    ["env.path", "lower"],
    ["env.Path", null],
    ["matrix.constructor", "c"],
    ["matrix.toString", "t"],
    ['fromJSON(\'{"constructor":1,"a":[1,{"b":null}]}\')', { constructor: 1, a: [1, { b: null }] } as never],
    ["toJSON(fromJSON('[1]'))", "[\n  1\n]"],
    ["case(false, 'a', true, 'b', 'c')", "b"],
    ["true && 'x' || 'y'", "x"],
    ["success()", true]
  ]
  it.each(cases)("%s", (source, value) => {
    assert.deepStrictEqual(evaluate(source), value)
  })

  it("what is unknown until the run is told, unless the rest decides", () => {
    assert.throws(() => evaluate("needs.a.result == 'success'"), Expression.UnknownUntilRun)
    assert.throws(() => evaluate("needs.a.result == 'success' && true", true), Expression.UnknownUntilRun)
    assert.strictEqual(evaluate("needs.a.result == 'success' && false", true), false)
    assert.strictEqual(evaluate("needs.a.result == 'success' || true", true), true)
    assert.strictEqual(evaluate("false && needs.a", true), false)
  })

  it("says which names it refers to, and where", () => {
    const parsed = Expression.parse("a.b['c'].d[e.f] ||\n  g(x.*.y)", { contexts: [], functions: [] }, start)
    assert.deepStrictEqual(
      Result.isFailure(parsed) ? parsed.failure.map(({ length, message, offset }) => [message, offset, length]) : [],
      [
        ['There is no context "e"', 11, 1],
        ['There is no context "a"', 0, 1],
        ['There is no context "x"', 23, 1],
        ['There is no function "g"', 21, 1]
      ]
    )
  })

  it.prop("any text is parsed or refused, and never more", [Arbitrary.schema(Schema.String)], ([text]) => {
    const parsed = Expression.parse(text, Availability.stepIf, start)
    if (Result.isFailure(parsed)) {
      for (const { length, offset } of parsed.failure) {
        assert.isAtLeast(offset, 0)
        assert.isAtMost(offset, text.length)
        assert.isAtLeast(length, 0)
      }
    }
  })

  it.prop("a text survives as a literal", [Arbitrary.schema(Schema.String)], ([text]) => {
    assert.strictEqual(evaluate(`'${text.replaceAll("'", "''")}'`), text)
  })
})

describe("templates", () => {
  const pieces = ["text", "${{ 'a' }}", "${{ '}}' }}", "$", "{", "}}", " ", "${{ format('{0}', 'x') }}", "\n"] as const
  const meaning: Readonly<Record<string, string>> = {
    "${{ 'a' }}": "a",
    "${{ '}}' }}": "}}",
    "${{ format('{0}', 'x') }}": "x"
  }
  it.prop(
    "texts and expressions in any order keep their order, whatever style the scalar has",
    [Arbitrary.schema(Schema.Array(Schema.Literals(pieces))), Arbitrary.schema(Schema.Boolean)],
    ([parts, block]) => {
      // Two pieces may make a sign of their own: `$` and `{`.
      const text = parts.join("|")
      const expected = parts.map((part) => meaning[part] ?? part).join("|")
      const yaml = block ? `x: |-\n${`#${text}`.replace(/^/gm, "   ")}` : `x: ${JSON.stringify(`#${text}`)}`
      const source = makeSource("x.yml", yaml)
      const root = readYaml(source)
      const node = root?.kind === "mapping" ? root.entries[0]?.value : undefined
      if (node?.kind !== "scalar") return assert.fail(JSON.stringify(source.diagnostics))
      const value = Template.evaluateString(Template.readText(source, node, Availability.nowhere), scope)
      assert.deepStrictEqual(source.diagnostics, [])
      // A block drops what is after its last line.
      assert.strictEqual(
        block ? value.replace(/\s+$/, "") : value,
        `#${block ? expected.replace(/\s+$/, "") : expected}`
      )
    }
  )
})
