/** How the readers of workflows and actions take values out of the file, and complain. */
import type { Range } from "../Diagnostic.ts"
import type { Condition, InputSyntax, Located, Variable, Variables } from "../WorkflowSyntax.ts"
import type * as Availability from "./availability.ts"
import { didYouMean, type Source } from "./source.ts"
import { readBareExpression, readText, type Text } from "./template.ts"
import type { Entry, Mapping, Node, Scalar } from "./yaml.ts"

/** The keys of one mapping. */
export interface Fields {
  readonly range: Range
  readonly get: (key: string) => Node | undefined
  readonly entry: (key: string) => Entry | undefined
}

const noun = (node: Node): string => {
  if (node.kind !== "scalar") return node.kind === "mapping" ? "a mapping" : "a list"
  return node.value === null ? "nothing" : typeof node.value === "string" ? "a text" : `a ${typeof node.value}`
}

export const wrongType = (source: Source, node: Node, what: string, wanted: string, hint?: string): undefined => {
  source.report("wrong-type", node.range, `${what} must be ${wanted}, and is ${noun(node)}`, { hint })
  return undefined
}

/** A mapping with these keys and no others. */
export const readFields = (
  source: Source,
  node: Node,
  what: string,
  known: ReadonlyArray<string>
): Fields | undefined => {
  if (node.kind !== "mapping") return wrongType(source, node, what, "a mapping")
  for (const { key, keyRange } of node.entries) {
    if (!known.includes(key)) {
      source.report("unknown-key", keyRange, `${what} has no key "${key}"`, { hint: didYouMean(key, known) })
    }
  }
  return fieldsOf(node)
}

const fieldsOf = (node: Mapping): Fields => {
  const byKey = new Map(node.entries.map((entry) => [entry.key, entry]))
  return { range: node.range, get: (key) => byKey.get(key)?.value, entry: (key) => byKey.get(key) }
}

/** A mapping with any keys. */
export const readEntries = (source: Source, node: Node | undefined, what: string): ReadonlyArray<Entry> => {
  if (node === undefined || isNothing(node)) return []
  if (node.kind === "mapping") return node.entries
  wrongType(source, node, what, "a mapping")
  return []
}

export const isNothing = (node: Node): node is Scalar & { readonly value: null } =>
  node.kind === "scalar" && node.value === null

/** The text of a scalar that no expression is in. */
export const literalOf = (node: Node): string | undefined => {
  if (node.kind !== "scalar" || node.value === null) return undefined
  const text = String(node.value)
  return text.includes("${{") ? undefined : text
}

export const isExpression = (node: Node): node is Scalar & { readonly value: string } =>
  node.kind === "scalar" && typeof node.value === "string" && node.value.includes("${{")

/** A text without expressions. */
export const readLiteral = (source: Source, node: Node | undefined, what: string): Located<string> | undefined => {
  if (node === undefined) return undefined
  if (node.kind !== "scalar") return wrongType(source, node, what, "a text")
  if (isExpression(node)) {
    source.report("unavailable-context", node.range, `${what} cannot have an expression`)
    return undefined
  }
  const value = node.value === null ? "" : String(node.value)
  if (value === "") {
    source.report("bad-value", node.range, `${what} is empty`)
    return undefined
  }
  return { value, range: node.range }
}

export const readLiterals = (source: Source, node: Node | undefined, what: string): ReadonlyArray<Located<string>> => {
  if (node === undefined) return []
  const nodes = node.kind === "sequence" ? node.items : [node]
  return nodes.flatMap((item) => readLiteral(source, item, what) ?? [])
}

/** A scalar that may have expressions. */
export const readString = (
  source: Source,
  node: Node | undefined,
  what: string,
  available: Availability.Availability
): Text | undefined => {
  if (node === undefined) return undefined
  if (node.kind !== "scalar") return wrongType(source, node, what, "a text")
  return readText(source, node, available)
}

const readTyped =
  (type: "boolean" | "number", wanted: string) =>
  (source: Source, node: Node | undefined, what: string, available: Availability.Availability): Text | undefined => {
    if (node === undefined) return undefined
    if (node.kind !== "scalar") return wrongType(source, node, what, wanted)
    if (!isExpression(node)) {
      if (typeof node.value !== type) return wrongType(source, node, what, wanted)
    } else if (!/^\s*\$\{\{[\s\S]*\}\}\s*$/.test(node.value)) {
      source.report("wrong-type", node.range, `${what} must be ${wanted}, or one expression for it`)
      return undefined
    }
    return readText(source, typeof node.value === "string" ? { ...node, value: node.value.trim() } : node, available)
  }

export const readBoolean = readTyped("boolean", "true or false")
const readNumber = readTyped("number", "a number")

/** A number above zero, if it is written there. */
export const readPositive = (
  source: Source,
  node: Node | undefined,
  what: string,
  available: Availability.Availability
): Text | undefined => {
  const number = readNumber(source, node, what, available)
  if (number !== undefined && typeof number.literal === "number" && !(number.literal > 0)) {
    source.report("bad-value", number.range, `${what} must be more than 0`)
    return undefined
  }
  return number
}

const identifier = /^[A-Za-z_][A-Za-z0-9_-]*$/

export const checkIdentifier = (source: Source, name: string, range: Range, what: string): void => {
  if (!identifier.test(name)) {
    source.report("bad-value", range, `${what} "${name}" is not possible`, {
      hint: "It starts with a letter or _, and has only letters, digits, - and _."
    })
  }
}

/** `env` and `with`: a mapping of texts, or one expression. */
export const readVariables = (
  source: Source,
  node: Node | undefined,
  what: string,
  available: Availability.Availability
): Variables => {
  if (node === undefined || isNothing(node)) return []
  if (isExpression(node)) return readText(source, node, available)
  return readEntries(source, node, what).flatMap(({ key, keyRange, value }): ReadonlyArray<Variable> => {
    if (key === "") {
      source.report("bad-value", keyRange, `A name in ${what} is empty`)
      return []
    }
    const text = readString(source, value, `${what}.${key}`, available)
    return text === undefined ? [] : [{ name: key, keyRange, value: text }]
  })
}

const statusFunctions = ["success", "failure", "cancelled", "always"]

/** An `if`. */
export const readCondition = (
  source: Source,
  node: Node | undefined,
  what: string,
  available: Availability.Availability
): Condition | undefined => {
  if (node === undefined || isNothing(node)) return undefined
  if (node.kind !== "scalar") return wrongType(source, node, what, "an expression")
  const { range } = node
  const text = String(node.value).trim()
  if (text === "") return undefined
  const whole = /^\$\{\{([\s\S]*)\}\}$/.exec(text)?.[1]
  if (text.includes("${{") && (whole === undefined || whole.includes("${{"))) {
    source.report("no-effect", range, `${what} always holds: what is around \`\${{ }}\` makes it a text`, {
      severity: "warning",
      hint: "Put all of it into one expression."
    })
    return { range, text, expression: readText(source, node, available), hasStatus: false }
  }
  const expression =
    whole === undefined
      ? readBareExpression(source, node, text, available)
      : readText(source, { ...node, value: text }, available).parts[0]
  if (expression === undefined || typeof expression === "string") return undefined
  return {
    range,
    text: whole === undefined ? text : whole.trim(),
    expression,
    hasStatus: statusFunctions.some((name) => expression.functions.has(name))
  }
}

const inputTypes = ["string", "boolean", "number", "choice", "environment"] as const

/** `inputs` of an event or an action. */
export const readInputs = (
  source: Source,
  node: Node | undefined,
  what: string,
  keys: ReadonlyArray<string>,
  available: Availability.Availability
): ReadonlyArray<InputSyntax> =>
  readEntries(source, node, what).map(({ key, keyRange, value }): InputSyntax => {
    // Of an action it may be anything: variables for them have `_` for blanks.
    if (keys.includes("options")) checkIdentifier(source, key, keyRange, "The input")
    const fields = isNothing(value) ? undefined : readFields(source, value, `The input "${key}"`, keys)
    const type = readLiteral(source, fields?.get("type"), `The type of "${key}"`)
    const known = inputTypes.find((each) => each === type?.value)
    if (type !== undefined && known === undefined) {
      source.report("bad-value", type.range, `There are no inputs of the type "${type.value}"`, {
        hint: didYouMean(type.value, inputTypes)
      })
    }
    const required = fields?.get("required")
    return {
      name: key,
      range: keyRange,
      type: known ?? "string",
      required: required?.kind === "scalar" && (required.value === true || required.value === "true"),
      default: readString(source, fields?.get("default"), `The default of "${key}"`, available),
      options: readLiterals(source, fields?.get("options"), `An option of "${key}"`).map((each) => each.value)
    }
  })
