/**
 * The `spec` of an instance: of all that could be told, what the RGD's schema asks for.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type { Field, Fields, FieldType } from "./SimpleSchema.ts"

/**
 * Values by the name of the field that they fill.
 *
 * @category models
 */
export type Values = ReadonlyMap<string, unknown>

/** @category models */
export interface Filled {
  readonly spec: { readonly [field: string]: unknown }
  /** Declared fields that nothing fills and that have no default: a template that uses one waits for ever. */
  readonly open: ReadonlyArray<string>
}

/**
 * Why a spec cannot be filled.
 *
 * @category models
 */
export interface SpecProblem {
  readonly field: string
  readonly detail: string
}

/** @category options */
export interface Sources {
  /** For fields that the schema declares; the API server would drop the rest without a word. What does not fit an optional field is left out. */
  readonly offered: Values
  /** Asked for by name: here a field that is not declared is a problem. Wins over the others. */
  readonly wanted?: Values
  /** For fields that are declared, and have neither a value nor a default. */
  readonly otherwise?: Values
}

/**
 * Fills the declared fields. A required field without a value, a value that is not among the allowed ones, and one that cannot be turned into
 * the declared type are problems, all of them told at once.
 *
 * @category constructors
 */
export const fill = (fields: Fields, sources: Sources): Result.Result<Filled, ReadonlyArray<SpecProblem>> => {
  const { offered, otherwise = new Map(), wanted = new Map() } = sources
  const problems: Array<SpecProblem> = []
  const open: Array<string> = []
  const spec: Record<string, unknown> = {}
  for (const field of wanted.keys()) {
    if (fields.has(field)) continue
    const declared = fields.size === 0 ? "no field" : [...fields.keys()].join(", ")
    problems.push({ field, detail: `the schema does not declare it (it declares ${declared})` })
  }
  for (const [name, field] of fields) {
    const given = wanted.has(name) ? wanted.get(name) : offered.get(name)
    const value = given ?? (field.default === undefined ? otherwise.get(name) : undefined)
    const adapted = value === undefined ? undefined : adapt(field.type, value)
    if (value === undefined || (adapted === undefined && !wanted.has(name) && !field.required)) {
      if (field.required && field.default === undefined) {
        problems.push({ field: name, detail: "it is required, and there is no value for it" })
      } else if (field.default === undefined && field.type._tag !== "Struct") {
        open.push(name)
      }
    } else if (adapted === undefined) {
      problems.push({ field: name, detail: `${kindOf(value)} does not fit ${describe(field.type)}` })
    } else if (field.enum !== undefined && !field.enum.includes(String(adapted))) {
      problems.push({ field: name, detail: `its value is not one of ${field.enum.join(", ")}` })
    } else {
      spec[name] = adapted
    }
  }
  return problems.length > 0 ? Result.fail(problems) : Result.succeed({ spec, open })
}

/** The value as the declared type has it, if that loses nothing. */
const adapt = (type: FieldType, value: unknown): unknown => {
  switch (type._tag) {
    case "String":
      return Predicate.isString(value)
        ? value
        : Predicate.isNumber(value) || Predicate.isBoolean(value)
          ? String(value)
          : undefined
    case "Integer":
    case "Float": {
      const number = Predicate.isString(value) && value.trim() !== "" ? Number(value) : value
      const fits = type._tag === "Integer" ? Number.isSafeInteger(number) : Number.isFinite(number)
      return fits ? number : undefined
    }
    case "Boolean":
      return Predicate.isBoolean(value)
        ? value
        : value === "true" || value === "1"
          ? true
          : value === "false" || value === "0"
            ? false
            : undefined
    case "Object":
      return Predicate.isObject(value) ? value : undefined
    case "List": {
      if (!Array.isArray(value)) return undefined
      const items = value.map((item) => adapt(type.of, item))
      return items.includes(undefined) ? undefined : items
    }
    case "Map": {
      if (!Predicate.isObject(value)) return undefined
      const entries = Object.entries(value).map(([key, item]) => [key, adapt(type.of, item)] as const)
      return entries.some(([, item]) => item === undefined) ? undefined : Object.fromEntries(entries)
    }
    case "Struct":
      return adaptStruct(type.fields, value)
  }
}

const adaptStruct = (fields: Fields, value: unknown): unknown => {
  if (!Predicate.isObject(value)) return undefined
  const entries = Object.entries(value).map(([name, item]) => {
    const field: Field | undefined = fields.get(name)
    return [name, field === undefined ? undefined : adapt(field.type, item)] as const
  })
  return entries.some(([, item]) => item === undefined) ? undefined : Object.fromEntries(entries)
}

/** Never the value itself: it may be a secret. */
const kindOf = (value: unknown): string =>
  Array.isArray(value)
    ? "a list"
    : value === null
      ? "null"
      : Predicate.isObject(value)
        ? "an object"
        : `a ${typeof value}`

const describe = (type: FieldType): string => {
  switch (type._tag) {
    case "List":
      return `a list of ${describe(type.of)}`
    case "Map":
      return `a map of ${describe(type.of)}`
    case "Struct":
      return `an object of ${[...type.fields.keys()].join(", ")}`
    case "Integer":
      return "an integer"
    case "Object":
      return "an object"
    default:
      return `a ${type._tag.toLowerCase()}`
  }
}
