/**
 * The matrix of a job: one run for each combination of values, as GitHub expands it.
 */
import * as Equal from "effect/Equal"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { defaulted } from "./internal/defaulted.ts"

/**
 * One combination: a value for each key.
 *
 * @category models
 */
export type Combination = Readonly<Record<string, Schema.Json>>

/** @category schemas */
export class Matrix extends Schema.Class<Matrix>("jobscope/Matrix")({
  /** Values of each key; the first key varies slowest. */
  values: Schema.Record(Schema.String, Schema.Array(Schema.Json)),
  /** Combinations that fit one of these, in all of its keys, are left out. */
  exclude: Schema.Array(Schema.Record(Schema.String, Schema.Json)).pipe(defaulted([])),
  /** Each is added to every combination whose own values it leaves as they are, and where there is none, it is one more. */
  include: Schema.Array(Schema.Record(Schema.String, Schema.Json)).pipe(defaulted([]))
}) {}

/** GitHub's limit, and a good one. */
export const maxCombinations = 256

/**
 * All combinations, in order. The failure is a sentence: none is left, or there are too many.
 *
 * **Details**
 *
 * `include` may overwrite what an earlier `include` has added, never a value of `values`; a combination that it made is not extended by
 * later ones (docs.github.com, "Expanding or adding matrix configurations").
 *
 * @category expanding
 */
export const expand = (matrix: Matrix): Result.Result<ReadonlyArray<Combination>, string> => {
  const keys = Object.keys(matrix.values)
  const empty = keys.find((key) => matrix.values[key]?.length === 0)
  if (empty !== undefined) return Result.fail(`the matrix has no value for "${empty}"`)
  const count = keys.reduce((product, key) => product * (matrix.values[key]?.length ?? 0), keys.length === 0 ? 0 : 1)
  // Before it is built: a product of a few long lists does not fit into memory.
  if (count > maxCombinations * 64) return tooMany(count)
  const product = keys.length === 0 ? [] : keys.reduce(times(matrix), [{}])
  const originals = product.filter((combination) => !matrix.exclude.some((entry) => fits(combination, entry)))
  let extended: ReadonlyArray<Combination> = originals
  const added: Array<Combination> = []
  for (const entry of matrix.include) {
    const own = Object.fromEntries(Object.entries(entry).filter(([key]) => Object.hasOwn(matrix.values, key)))
    const targets = new Set(originals.flatMap((original, index) => (fits(original, own) ? [index] : [])))
    if (targets.size === 0) added.push(entry)
    extended = extended.map((combination, index) => (targets.has(index) ? { ...combination, ...entry } : combination))
  }
  const all = [...extended, ...added]
  if (all.length === 0) return Result.fail("the matrix has no combination left")
  return all.length > maxCombinations ? tooMany(all.length) : Result.succeed(all)
}

/**
 * The combination in words, for the name of its run: `20, ubuntu`.
 *
 * @category getters
 */
export const describe = (combination: Combination): string =>
  Object.values(combination)
    .map((value) => (typeof value === "object" && value !== null ? JSON.stringify(value) : String(value)))
    .join(", ")

const times =
  (matrix: Matrix) =>
  (combinations: ReadonlyArray<Combination>, key: string): Array<Combination> =>
    combinations.flatMap((combination) => (matrix.values[key] ?? []).map((value) => ({ ...combination, [key]: value })))

const fits = (combination: Combination, entry: Combination): boolean =>
  Object.entries(entry).every(
    ([key, value]) => Object.hasOwn(combination, key) && Equal.equals(combination[key], value)
  )

const tooMany = (count: number) =>
  Result.fail(`the matrix has ${count} combinations, and ${maxCombinations} are the most that run`)
