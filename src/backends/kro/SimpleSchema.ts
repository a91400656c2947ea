/**
 * KRO's simple schema, as far as one who fills an instance's `spec` must know it: type, required, default, enum.
 *
 * **Details**
 *
 * The rest (bounds, patterns, lengths) is for the API server, which checks it when the instance is created.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"

/** @category models */
export type FieldType =
  | { readonly _tag: "String" | "Integer" | "Float" | "Boolean" | "Object" }
  | { readonly _tag: "List" | "Map"; readonly of: FieldType }
  | { readonly _tag: "Struct"; readonly fields: Fields }

/** @category models */
export interface Field {
  readonly type: FieldType
  readonly required: boolean
  /** As it is written. */
  readonly default?: string
  /** As they are written. */
  readonly enum?: ReadonlyArray<string>
}

/** @category models */
export type Fields = ReadonlyMap<string, Field>

/**
 * The fields of `schema.spec`; `types` is `schema.types`. What KRO itself would not accept is an error text that names the field.
 *
 * @category decoding
 */
export const parse = (spec: unknown, types: unknown = {}): Result.Result<Fields, string> =>
  parseStruct(spec ?? {}, { types: Predicate.isObject(types) ? types : {}, within: [] })

interface Known {
  readonly types: { readonly [name: PropertyKey]: unknown }
  /** The custom types that are being resolved: a circle ends here. */
  readonly within: ReadonlyArray<string>
}

const parseStruct = (spec: unknown, known: Known): Result.Result<Fields, string> => {
  if (!Predicate.isObject(spec)) return Result.fail("it is no object")
  const fields = new Map<string, Field>()
  for (const [name, declared] of Object.entries(spec)) {
    const field = parseDeclared(declared, known)
    if (Result.isFailure(field)) return Result.fail(`${name}: ${field.failure}`)
    fields.set(name, field.success)
  }
  return Result.succeed(fields)
}

const parseDeclared = (declared: unknown, known: Known): Result.Result<Field, string> =>
  Predicate.isString(declared)
    ? parseField(declared, known)
    : Result.map(parseStruct(declared, known), (fields) => ({ type: { _tag: "Struct", fields }, required: false }))

/** `[]string | required=true description="..."`. */
const parseField = (text: string, known: Known): Result.Result<Field, string> => {
  const bar = text.indexOf("|")
  const written = (bar === -1 ? text : text.slice(0, bar)).trim()
  return Result.gen(function* () {
    const base = yield* parseType(written, known)
    if (bar === -1) return base
    const markers = yield* parseMarkers(text.slice(bar + 1))
    const required = markers.get("required")
    const enumeration = markers.get("enum")
    const fallback = markers.get("default") ?? base.default
    const values = enumeration?.split(",").map((value) => value.trim()) ?? base.enum
    return {
      type: base.type,
      required: base.required || (required !== undefined && /^(?:1|t|T|TRUE|true|True)$/.test(required)),
      ...(fallback === undefined ? {} : { default: fallback }),
      ...(values === undefined ? {} : { enum: values })
    }
  })
}

const atoms: Readonly<Record<string, FieldType>> = {
  string: { _tag: "String" },
  integer: { _tag: "Integer" },
  float: { _tag: "Float" },
  boolean: { _tag: "Boolean" },
  object: { _tag: "Object" }
}

const parseType = (text: string, known: Known): Result.Result<Field, string> => {
  if (text === "") return Result.fail("no type")
  const atom = Object.hasOwn(atoms, text) ? atoms[text] : undefined
  if (atom !== undefined) return Result.succeed({ type: atom, required: false })
  const collection = /^(\[\]|map\[string\])(.*)$/s.exec(text)
  if (collection !== null) {
    const _tag = collection[1] === "[]" ? "List" : "Map"
    return Result.map(parseType((collection[2] ?? "").trim(), known), ({ type }) => ({
      type: { _tag, of: type },
      required: false
    }))
  }
  if (!Object.hasOwn(known.types, text)) return Result.fail(`unknown type ${text}`)
  if (known.within.includes(text)) return Result.fail(`the type ${text} contains itself`)
  return parseDeclared(known.types[text], { ...known, within: [...known.within, text] })
}

/** `name=value` pairs; values may be quoted, or in brackets. The last one of a name counts. */
const parseMarkers = (text: string): Result.Result<ReadonlyMap<string, string>, string> => {
  const markers = new Map<string, string>()
  let name: string | undefined
  let buffer = ""
  let quoted = false
  let escaped = false
  let depth = 0
  const take = () => {
    if (name === undefined) return
    markers.set(name, unquoted(buffer))
    name = undefined
    buffer = ""
  }
  for (const char of text) {
    if (char === "=" && name === undefined && !quoted && depth === 0) {
      name = buffer.trim()
      if (name === "") return Result.fail("a marker without a name")
      buffer = ""
      continue
    }
    if (/\s/.test(char) && !quoted && depth === 0) {
      take()
      continue
    }
    if (char === '"' && !escaped) quoted = !quoted
    if (!quoted && /[{[]/.test(char)) depth++
    if (!quoted && /[}\]]/.test(char)) depth--
    escaped = char === "\\" && quoted && !escaped
    buffer += char
  }
  if (quoted) return Result.fail("a quote that does not end")
  if (depth !== 0) return Result.fail("a bracket that does not end")
  if (name === undefined && buffer.trim() !== "") return Result.fail(`the marker ${buffer.trim()} has no value`)
  take()
  return Result.succeed(markers)
}

const unquoted = (text: string): string =>
  text.length > 1 && text.startsWith('"') && text.endsWith('"')
    ? text.slice(1, -1).replace(/\\(["\\])/g, "$1")
    : text.trim()
