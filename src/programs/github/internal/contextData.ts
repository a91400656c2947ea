import { data } from "@actions/expressions"
import type * as Schema from "effect/Schema"

/**
 * Values of expressions, from JSON and back. Objects are our own dictionaries: the library's forget keys such as `constructor`, and cannot
 * tell the variables `path` and `PATH` apart.
 */
export const fromJson = (value: Schema.Json): data.ExpressionData => {
  if (value === null) return new data.Null()
  if (typeof value === "string") return new data.StringData(value)
  if (typeof value === "number") return new data.NumberData(value)
  if (typeof value === "boolean") return new data.BooleanData(value)
  if (isArray(value)) return new data.Array(...value.map(fromJson))
  return new Dictionary(Object.entries(value).map(([key, each]) => [key, fromJson(each)]))
}

export const toJson = (value: data.ExpressionData): Schema.Json => {
  switch (value.kind) {
    case data.Kind.Null:
      return null
    case data.Kind.String:
    case data.Kind.Boolean:
    case data.Kind.Number:
      return (value as data.StringData | data.BooleanData | data.NumberData).value
    case data.Kind.Array:
      return (value as data.Array).values().map(toJson)
    default:
      return Object.fromEntries((value as data.Dictionary).pairs().map(({ key, value }) => [key, toJson(value)]))
  }
}

const isArray = (value: Schema.Json): value is ReadonlyArray<Schema.Json> => Array.isArray(value)

interface Pair {
  key: string
  value: data.ExpressionData
}

/** A dictionary of any keys; their case does not count, unless it is told to. */
export class Dictionary extends data.Dictionary {
  readonly #entries = new Map<string, Pair>()
  readonly #caseSensitive: boolean

  constructor(entries: Iterable<readonly [string, data.ExpressionData]> = [], caseSensitive = false) {
    super()
    this.#caseSensitive = caseSensitive
    for (const [key, value] of entries) this.#entries.set(this.#nameOf(key), { key, value })
  }

  #nameOf(key: string): string {
    return this.#caseSensitive ? key : key.toLowerCase()
  }

  override add(key: string, value: data.ExpressionData): void {
    const name = this.#nameOf(key)
    if (!this.#entries.has(name)) this.#entries.set(name, { key, value })
  }

  override get(key: string): data.ExpressionData | undefined {
    return this.#entries.get(this.#nameOf(key))?.value
  }

  override values(): Array<data.ExpressionData> {
    return Array.from(this.#entries.values(), ({ value }) => value)
  }

  override pairs(): Array<Pair> {
    return [...this.#entries.values()]
  }
}

export const textOf = (value: data.ExpressionData): string => value.coerceString()
