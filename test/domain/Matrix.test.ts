import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Matrix from "../../src/domain/Matrix.ts"

type Input = ConstructorParameters<typeof Matrix.Matrix>[0]

const combinations = (input: Input) => {
  const expanded = Matrix.expand(new Matrix.Matrix(input))
  return Result.isSuccess(expanded) ? expanded.success : assert.fail(expanded.failure)
}
const refusal = (input: Input) => {
  const expanded = Matrix.expand(new Matrix.Matrix(input))
  return Result.isFailure(expanded) ? expanded.failure : assert.fail(JSON.stringify(expanded.success))
}

describe("expand", () => {
  it("the first key varies slowest", () => {
    assert.deepStrictEqual(combinations({ values: { os: ["a", "b"], node: [20, 22] } }), [
      { os: "a", node: 20 },
      { os: "a", node: 22 },
      { os: "b", node: 20 },
      { os: "b", node: 22 }
    ])
  })

  it("excludes what fits in all keys that are named, whatever the values are", () => {
    const values = { os: ["a", "b"], config: [{ x: 1, y: [2] }, { x: 2 }] }
    assert.deepStrictEqual(
      combinations({
        values,
        exclude: [
          { os: "b", config: { y: [2], x: 1 } },
          { os: "a", unknown: 1 }
        ]
      }),
      [
        { os: "a", config: { x: 1, y: [2] } },
        { os: "a", config: { x: 2 } },
        { os: "b", config: { x: 2 } }
      ]
    )
    assert.deepStrictEqual(combinations({ values: { n: [1, 2, 3] }, exclude: [{ n: 2 }] }), [{ n: 1 }, { n: 3 }])
  })

  it("includes as GitHub's documentation does", () => {
    assert.deepStrictEqual(
      combinations({
        values: { fruit: ["apple", "pear"], animal: ["cat", "dog"] },
        include: [
          { color: "green" },
          { color: "pink", animal: "cat" },
          { fruit: "apple", shape: "circle" },
          { fruit: "banana" },
          { fruit: "banana", animal: "cat" }
        ]
      }),
      [
        { fruit: "apple", animal: "cat", color: "pink", shape: "circle" },
        { fruit: "apple", animal: "dog", color: "green", shape: "circle" },
        { fruit: "pear", animal: "cat", color: "pink" },
        { fruit: "pear", animal: "dog", color: "green" },
        { fruit: "banana" },
        { fruit: "banana", animal: "cat" }
      ]
    )
  })

  it("only includes: each is a combination", () => {
    assert.deepStrictEqual(combinations({ values: {}, include: [{ a: 1 }, { a: 2, b: 3 }] }), [
      { a: 1 },
      { a: 2, b: 3 }
    ])
  })

  it("refuses nothing at all, an empty list, and too many", () => {
    assert.include(refusal({ values: {} }), "no combination left")
    assert.include(refusal({ values: { n: [1] }, exclude: [{ n: 1 }] }), "no combination left")
    assert.include(refusal({ values: { os: ["a"], node: [] } }), 'no value for "node"')
    const many = Array.from({ length: 17 }, (_, index) => index)
    assert.include(refusal({ values: { a: many, b: many } }), "289 combinations, and 256")
    const enormous = Array.from({ length: 10_000 }, (_, index) => index)
    assert.include(refusal({ values: { a: enormous, b: enormous, c: enormous } }), "1000000000000 combinations")
  })

  it("keys are names, not paths into objects", () => {
    const key = "__proto__"
    const [only] = combinations({
      values: { n: [1] },
      include: [JSON.parse(`{ "${key}": { "n": 2 }, "constructor": 3 }`)]
    })
    assert.deepStrictEqual(Object.entries(only ?? {}), [
      ["n", 1],
      [key, { n: 2 }],
      ["constructor", 3]
    ])
  })

  const small = Schema.Array(Schema.Literals([1, 2, 3]))
  it.prop(
    "without include and exclude it is the product, and exclude only removes",
    [small, small, small],
    ([a, b, e]) => {
      if (a.length === 0 || b.length === 0 || a.length * b.length > 256) return
      const all = combinations({ values: { a, b } })
      assert.strictEqual(all.length, a.length * b.length)
      const expanded = Matrix.expand(new Matrix.Matrix({ values: { a, b }, exclude: e.map((n) => ({ a: n })) }))
      const kept = all.filter((each) => !e.includes(each.a as 1 | 2 | 3))
      assert.deepStrictEqual(Result.isSuccess(expanded) ? expanded.success : [], kept)
    }
  )
})

describe("describe", () => {
  it("names a combination by its values", () => {
    assert.strictEqual(
      Matrix.describe({ os: "linux", node: 20, extra: { a: [1] }, on: true, none: null }),
      'linux, 20, {"a":[1]}, true, null'
    )
  })
})
