import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as InstanceSpec from "jobscope/backends/kro/InstanceSpec"
import * as SimpleSchema from "jobscope/backends/kro/SimpleSchema"

const fill = (schema: object, offered: object, wanted: object = {}, otherwise: object = {}) =>
  InstanceSpec.fill(Result.getOrThrow(SimpleSchema.parse(schema)), {
    offered: new Map(Object.entries(offered)),
    wanted: new Map(Object.entries(wanted)),
    otherwise: new Map(Object.entries(otherwise))
  })

const problems = (filled: ReturnType<typeof fill>) => {
  assert.isTrue(Result.isFailure(filled))
  return Result.isFailure(filled) ? filled.failure.map(({ detail, field }) => `${field}: ${detail}`) : []
}

describe("InstanceSpec", () => {
  it("fills what is declared, and nothing else", () => {
    const filled = Result.getOrThrow(
      fill({ runnerName: "string | required=true", size: "string | default=small" }, { runnerName: "r", image: "i" })
    )
    assert.deepStrictEqual(filled, { spec: { runnerName: "r" }, open: [] })
  })

  it("tells declared fields that nothing fills", () => {
    const filled = Result.getOrThrow(fill({ a: "string", b: "string | default=x", c: { d: "string" } }, {}))
    assert.deepStrictEqual(filled.open, ["a"])
  })

  it("tells all that is wrong at once", () => {
    const filled = fill(
      { subnet: "string | required=true", size: 'string | enum="s,l"', count: "integer" },
      {},
      { size: "xl", count: "many", colour: "red" }
    )
    assert.deepStrictEqual(problems(filled), [
      "colour: the schema does not declare it (it declares subnet, size, count)",
      "subnet: it is required, and there is no value for it",
      "size: its value is not one of s, l",
      "count: a string does not fit an integer"
    ])
  })

  it("leaves required fields with a default alone", () => {
    assert.deepStrictEqual(Result.getOrThrow(fill({ a: "string | required=true default=x" }, {})).spec, {})
  })

  it("prefers what was asked for by name", () => {
    assert.deepStrictEqual(Result.getOrThrow(fill({ a: "string" }, { a: "offered" }, { a: "wanted" })).spec, {
      a: "wanted"
    })
  })

  it("uses the last resort only where there is no default", () => {
    const schema = { a: "string", b: "string | default=direct", c: "string" }
    const filled = Result.getOrThrow(fill(schema, { c: "x" }, {}, { a: "", b: "", c: "" }))
    assert.deepStrictEqual(filled, { spec: { a: "", c: "x" }, open: [] })
  })

  it("leaves out an offer that does not fit an optional field, and refuses it for a required one", () => {
    assert.deepStrictEqual(Result.getOrThrow(fill({ labels: "[]string" }, { labels: { a: "b" } })), {
      spec: {},
      open: ["labels"]
    })
    assert.deepStrictEqual(problems(fill({ labels: "[]string | required=true" }, { labels: { a: "b" } })), [
      "labels: an object does not fit a list of a string"
    ])
  })

  it.each([
    ["string", 3, "3"],
    ["string", true, "true"],
    ["integer", "42", 42],
    ["integer", "4.2", undefined],
    ["integer", "", undefined],
    ["float", "4.5", 4.5],
    ["boolean", "true", true],
    ["boolean", "0", false],
    ["boolean", "perhaps", undefined],
    ["[]integer", ["1", 2], [1, 2]],
    ["[]integer", ["1", "x"], undefined],
    ["map[string]string", { a: 1 }, { a: "1" }],
    ["map[string]string", ["a"], undefined],
    ["object", { a: { b: 1 } }, { a: { b: 1 } }],
    [{ a: "integer" }, { a: "1" }, { a: 1 }],
    [{ a: "integer" }, { b: "1" }, undefined]
  ])("gives %j the value %j as %j", (type, value, expected) => {
    const filled = fill({ it: type }, {}, { it: value })
    if (expected === undefined) assert.lengthOf(problems(filled), 1)
    else assert.deepStrictEqual(Result.getOrThrow(filled).spec, { it: expected })
  })

  it("never tells a value", () => {
    const filled = fill({ a: 'string | enum="x"', b: "integer" }, {}, { a: "s3cret", b: "s3cret" })
    assert.notInclude(problems(filled).join(), "s3cret")
  })
})
