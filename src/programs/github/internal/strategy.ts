import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import * as Matrix from "../../../domain/Matrix.ts"
import type { Selection } from "../RunOptions.ts"
import type { StrategySyntax } from "../WorkflowSyntax.ts"
import type { Scope } from "./expression.ts"
import { isRecord, json, textOf, ValueProblem } from "./values.ts"

/** The combinations of a matrix that are wanted; throws a sentence with the place. */
export const combinationsOf = (
  file: string,
  strategy: StrategySyntax,
  scope: Scope,
  wanted: Selection["matrix"]
): ReadonlyArray<Matrix.Combination> => {
  const { matrix } = strategy
  if (matrix === undefined) return []
  const refuse = (detail: string): never => {
    throw new ValueProblem({ message: `${file}:${matrix.range.line}:${matrix.range.column}: ${detail}` })
  }
  const value = json(file, matrix, scope)
  if (!isRecord(value)) return refuse("the matrix is no mapping")
  const list = (key: string): ReadonlyArray<Schema.Json> => {
    const found = value[key] ?? []
    return Array.isArray(found) ? found : refuse(`\`matrix.${key}\` is no list`)
  }
  const mappings = (key: string) =>
    list(key).map((entry) => (isRecord(entry) ? entry : refuse(`what \`matrix.${key}\` lists are no mappings`)))
  const keys = Object.keys(value).filter((key) => key !== "include" && key !== "exclude")
  const expanded = Matrix.expand(
    new Matrix.Matrix({
      values: Object.fromEntries(keys.map((key) => [key, list(key)])),
      include: mappings("include"),
      exclude: mappings("exclude")
    })
  )
  const all = Result.isSuccess(expanded) ? expanded.success : refuse(expanded.failure)
  const kept = all.filter((combination) => isWanted(combination, wanted))
  return kept.length === 0 ? refuse("no combination of the matrix is wanted") : kept
}

/** The combination in words, as GitHub names its job: what is inside of lists and mappings is named, too. */
export const describe = (combination: Matrix.Combination): string =>
  Object.values(combination).flatMap(leaves).join(", ")

const leaves = (value: Schema.Json): ReadonlyArray<string> =>
  Array.isArray(value)
    ? value.flatMap((each: Schema.Json) => leaves(each))
    : isRecord(value)
      ? Object.values(value).flatMap(leaves)
      : [textOf(value)]

export const isWanted = (combination: Matrix.Combination, wanted: Selection["matrix"]): boolean =>
  Object.entries(wanted ?? {}).every(
    ([key, values]) => !Object.hasOwn(combination, key) || values.includes(textOf(combination[key] ?? null))
  )

/** For the engine: what was expanded here is not expanded again. */
export const asMatrix = (combinations: ReadonlyArray<Matrix.Combination>): Matrix.Matrix =>
  new Matrix.Matrix({ values: {}, include: combinations })
