import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import * as SimpleSchema from "jobscope/backends/kro/SimpleSchema"

const field = (text: unknown, types?: unknown) =>
  Result.map(SimpleSchema.parse({ it: text }, types), (fields) => fields.get("it"))

describe("SimpleSchema", () => {
  const string = { _tag: "String" } as const
  it.each([
    ["string", { type: string, required: false }],
    [" integer ", { type: { _tag: "Integer" }, required: false }],
    ["float", { type: { _tag: "Float" }, required: false }],
    ["boolean | default=true", { type: { _tag: "Boolean" }, required: false, default: "true" }],
    ["object", { type: { _tag: "Object" }, required: false }],
    ["string | required=true", { type: string, required: true }],
    ["string | required=false", { type: string, required: false }],
    ['string | required=true description="a | b=c, with \\"quotes\\""', { type: string, required: true }],
    ['string | default="a b"', { type: string, required: false, default: "a b" }],
    ['string | default=""', { type: string, required: false, default: "" }],
    [
      'string | enum="small, large" default=small',
      { type: string, required: false, default: "small", enum: ["small", "large"] }
    ],
    ["integer | minimum=1 maximum=10", { type: { _tag: "Integer" }, required: false }],
    ["[]string", { type: { _tag: "List", of: string }, required: false }],
    [
      '[]string | default=["a b", "c"]',
      { type: { _tag: "List", of: string }, required: false, default: '["a b", "c"]' }
    ],
    ["map[string][]integer", { type: { _tag: "Map", of: { _tag: "List", of: { _tag: "Integer" } } }, required: false }],
    [
      { a: "string | required=true" },
      { type: { _tag: "Struct", fields: new Map([["a", { type: string, required: true }]]) }, required: false }
    ]
  ])("reads %j", (text, expected) => {
    assert.deepStrictEqual(Result.getOrThrow(field(text)), expected as never)
  })

  it("resolves types of the RGD, with what they say of default and required", () => {
    const types = {
      Size: 'string | enum="s,l" required=true',
      Box: { size: "Size", more: "[]Box2" },
      Box2: { n: "integer" }
    }
    assert.deepStrictEqual(Result.getOrThrow(field("Size", types)), { type: string, required: true, enum: ["s", "l"] })
    const box = Result.getOrThrow(field("Box", types))
    assert.strictEqual(box?.type._tag, "Struct")
  })

  it.each([
    ["", /no type/],
    ["Unknown", /unknown type Unknown/],
    ["[]", /no type/],
    ["string | required", /has no value/],
    ['string | default="open', /quote/],
    ["string | default=[1", /bracket/],
    ["string | =3", /without a name/],
    [7, /no object/]
  ])("refuses %j", (text, why) => {
    const parsed = field(text)
    assert.isTrue(Result.isFailure(parsed))
    assert.match(Result.isFailure(parsed) ? parsed.failure : "", why)
    assert.match(Result.isFailure(parsed) ? parsed.failure : "", /^it: /)
  })

  it("refuses a type that contains itself", () => {
    const parsed = field("A", { A: { b: "B" }, B: { a: "[]A" } })
    assert.match(Result.isFailure(parsed) ? parsed.failure : "", /contains itself/)
  })

  it("takes no prototype's members for types", () => {
    assert.isTrue(Result.isFailure(field("constructor", {})))
    assert.isTrue(Result.isFailure(field("toString")))
  })

  it.prop("never throws", [Schema.String], ([text]) => {
    field(text)
  })

  it.prop("gives back what was quoted", [Schema.String], ([text]) => {
    const quoted = text.replace(/[\\"]/g, "\\$&")
    const parsed = Result.getOrThrow(field(`string | default="${quoted}" required=true`))
    assert.strictEqual(parsed?.default, text)
    assert.isTrue(parsed?.required)
  })
})
