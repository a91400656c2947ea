/** Values of expressions as what a field needs; what does not fit throws a sentence with the place in the file. */
import { data } from "@actions/expressions"
import { truthy } from "@actions/expressions/result"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Predicate from "effect/Predicate"
import type * as Schema from "effect/Schema"
import type { Range } from "../Diagnostic.ts"
import type { Condition, Text, Tree, Variables } from "../WorkflowSyntax.ts"
import * as ContextData from "./contextData.ts"
import { evaluate, type Scope, UnknownUntilRun } from "./expression.ts"
import { evaluateString, evaluateText, evaluateTree } from "./template.ts"

/** A value of the file, or of a run, that cannot be used. */
export class ValueProblem extends Data.TaggedError("ValueProblem")<{ readonly message: string }> {}

/** Thrown by `hashFiles` where the files were not looked at yet. */
export class FilesNeeded extends Data.TaggedError("FilesNeeded")<{ readonly patterns: ReadonlyArray<string> }> {}

/** Runs an evaluation, and puts the place to what it throws. */
const at = <A>(file: string, { column, line }: Range, evaluation: () => A): A => {
  try {
    return evaluation()
  } catch (cause) {
    if (cause instanceof UnknownUntilRun || cause instanceof FilesNeeded || cause instanceof ValueProblem) throw cause
    const said = cause instanceof Error ? cause.message : String(cause)
    throw new ValueProblem({ message: `${file}:${line}:${column}: ${said}` })
  }
}

const refuse = (message: string): never => {
  throw new ValueProblem({ message })
}

const wrong = (
  file: string,
  { column, line }: Range,
  what: string,
  wanted: string,
  value: data.ExpressionData
): never =>
  refuse(
    `${file}:${line}:${column}: ${what} must be ${wanted}, and is ${JSON.stringify(ContextData.toJson(value)).slice(0, 100)}`
  )

export const string = (file: string, text: Text, scope: Scope): string =>
  at(file, text.range, () => evaluateString(text, scope))

export const boolean = (file: string, text: Text | undefined, what: string, scope: Scope): boolean | undefined => {
  if (text === undefined) return undefined
  const value = at(file, text.range, () => evaluateText(text, scope))
  if (value.kind === data.Kind.Boolean) return (value as data.BooleanData).value
  const word = value.kind === data.Kind.String ? value.coerceString().toLowerCase() : ""
  return word === "true" || word === "false" ? word === "true" : wrong(file, text.range, what, "true or false", value)
}

export const number = (file: string, text: Text | undefined, what: string, scope: Scope): number | undefined => {
  if (text === undefined) return undefined
  const value = at(file, text.range, () => evaluateText(text, scope))
  const found = value.kind === data.Kind.Array || value.kind === data.Kind.Dictionary ? Number.NaN : value.number()
  if (value.kind === data.Kind.Null || value.coerceString() === "") return undefined
  return Number.isFinite(found) && found > 0 ? found : wrong(file, text.range, what, "a number above 0", value)
}

export const minutes = (
  file: string,
  text: Text | undefined,
  what: string,
  scope: Scope
): Duration.Duration | undefined => {
  const found = number(file, text, what, scope)
  return found === undefined ? undefined : Duration.millis(Math.max(1, Math.round(found * 60_000)))
}

/** A text for each name. */
export const record = (file: string, variables: Variables, what: string, scope: Scope): Record<string, string> => {
  if (!("kind" in variables)) {
    return Object.fromEntries(variables.map(({ name, value }) => [name, string(file, value, scope)]))
  }
  const value = at(file, variables.range, () => evaluateText(variables, scope))
  if (value.kind === data.Kind.Null || (value.kind === data.Kind.String && value.coerceString() === "")) return {}
  if (value.kind !== data.Kind.Dictionary) return wrong(file, variables.range, what, "a mapping", value)
  return Object.fromEntries((value as data.Dictionary).pairs().map(({ key, value }) => [key, value.coerceString()]))
}

export const json = (file: string, tree: Tree, scope: Scope): Schema.Json =>
  at(file, tree.range, () => ContextData.toJson(evaluateTree(tree, scope)))

/** `needsSuccess`: what a condition without a status function waits for. */
export const holds = (file: string, condition: Condition | undefined, scope: Scope, needsSuccess: boolean): boolean => {
  if (condition === undefined) return needsSuccess
  const { expression, hasStatus, range } = condition
  if (!hasStatus && !needsSuccess) return false
  return at(file, range, () =>
    truthy("ast" in expression ? evaluate(expression, scope, true) : evaluateText(expression, scope))
  )
}

export const isRecord = (value: Schema.Json | undefined): value is { readonly [key: string]: Schema.Json } =>
  Predicate.isObject(value) && !Array.isArray(value)

/** How a scalar of JSON reads as a text, as expressions have it. */
export const textOf = (value: Schema.Json): string => ContextData.fromJson(value).coerceString()
