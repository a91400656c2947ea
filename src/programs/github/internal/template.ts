/** Values with `${{ }}` in them: read once, with their places, and evaluated as often as they are needed. */
import { data } from "@actions/expressions"
import * as Result from "effect/Result"
import type { Range } from "../Diagnostic.ts"
import type { Availability } from "./availability.ts"
import { Dictionary, fromJson, textOf } from "./contextData.ts"
import { type Expression, evaluate, parse, type Scope } from "./expression.ts"
import type { Source } from "./source.ts"
import type { Node, Scalar } from "./yaml.ts"

/** A scalar: the value that is written there, or literal texts and expressions in turn. */
export interface Text {
  readonly kind: "text"
  readonly range: Range
  /** Only where no expression is in it. */
  readonly literal?: Scalar["value"]
  readonly parts: ReadonlyArray<string | Expression>
}

/** Any value. */
export type Tree = Text | TreeMapping | TreeSequence

export interface TreeEntry {
  readonly key: string
  readonly keyRange: Range
  readonly value: Tree
}

export interface TreeMapping {
  readonly kind: "mapping"
  readonly range: Range
  readonly entries: ReadonlyArray<TreeEntry>
}

export interface TreeSequence {
  readonly kind: "sequence"
  readonly range: Range
  readonly items: ReadonlyArray<Tree>
}

// ---- reading

export const readTree = (source: Source, node: Node, available: Availability): Tree => {
  switch (node.kind) {
    case "scalar":
      return readText(source, node, available)
    case "mapping":
      return {
        ...node,
        entries: node.entries.map((entry) => ({ ...entry, value: readTree(source, entry.value, available) }))
      }
    case "sequence":
      return { ...node, items: node.items.map((item) => readTree(source, item, available)) }
  }
}

export const readText = (source: Source, node: Scalar, available: Availability): Text => {
  const { range, value } = node
  if (typeof value !== "string" || !value.includes("${{")) return { kind: "text", range, literal: value, parts: [] }
  const parts: Array<string | Expression> = []
  let at = 0
  let count = 0
  while (at < value.length) {
    const open = value.indexOf("${{", at)
    if (open < 0) {
      parts.push(value.slice(at))
      break
    }
    if (open > at) parts.push(value.slice(at, open))
    const close = endOf(value, open + 3)
    if (close < 0) {
      const from = rawStart(source, node, count)
      source.report("expression-syntax", source.rangeOf(from, from + 3), "The expression is never closed with `}}`")
      break
    }
    const written = value.slice(open + 3, close)
    const expression = readExpression(source, node, written, rawStart(source, node, count) + 3, available)
    if (expression !== undefined) parts.push(expression)
    at = close + 2
    count++
  }
  return { kind: "text", range, parts }
}

/** A whole scalar that is an expression without `${{ }}`, as in `if`. */
export const readBareExpression = (
  source: Source,
  node: Scalar,
  written: string,
  available: Availability
): Expression | undefined => {
  const quoted = /^["']/.test(source.text.slice(node.start, node.start + 1)) ? 1 : 0
  return readExpression(source, node, written, node.start + quoted, available)
}

const readExpression = (
  source: Source,
  node: Scalar,
  written: string,
  start: number,
  available: Availability
): Expression | undefined => {
  // In folded and quoted scalars the text is not as it is in the file: then its beginning has to do.
  const exact = source.text.startsWith(written, start)
  const place = (offset: number, length: number) =>
    exact ? source.rangeOf(start + offset, start + offset + length) : source.rangeOf(start, start)
  const range = exact ? source.rangeOf(start, start + written.length) : node.range
  const parsed = parse(written, available, range)
  if (Result.isSuccess(parsed)) return parsed.success
  for (const { code, hint, length, message, offset } of parsed.failure) {
    source.report(code, place(offset, length), message, { hint })
  }
  return undefined
}

/** Where the `}}` is that closes an expression; texts in single quotes may have one in them. */
const endOf = (value: string, from: number): number => {
  let quoted = false
  for (let index = from; index < value.length; index++) {
    if (value[index] === "'") quoted = !quoted
    else if (!quoted && value[index] === "}" && value[index + 1] === "}") return index
  }
  return -1
}

/** The offset in the file of the so-manieth `${{` of a scalar. */
const rawStart = (source: Source, node: Scalar, count: number): number => {
  let found = node.start
  let from = node.start
  for (let index = 0; index <= count; index++) {
    const next = source.text.indexOf("${{", from)
    if (next < 0 || next >= node.end) return found
    found = next
    from = next + 3
  }
  return found
}

// ---- evaluating

/** Throws what `evaluate` throws; the value of what is a single expression keeps its type. */
export const evaluateText = (text: Text, scope: Scope): data.ExpressionData => {
  const [first] = text.parts
  if (first === undefined) return fromJson(text.literal ?? null)
  if (text.parts.length === 1 && typeof first !== "string") return evaluate(first, scope)
  return new data.StringData(
    text.parts.map((part) => (typeof part === "string" ? part : textOf(evaluate(part, scope)))).join("")
  )
}

export const evaluateString = (text: Text, scope: Scope): string => textOf(evaluateText(text, scope))

export const evaluateTree = (tree: Tree, scope: Scope): data.ExpressionData => {
  switch (tree.kind) {
    case "text":
      return evaluateText(tree, scope)
    case "mapping":
      return new Dictionary(tree.entries.map(({ key, value }) => [key, evaluateTree(value, scope)]))
    case "sequence":
      return new data.Array(...tree.items.map((item) => evaluateTree(item, scope)))
  }
}

/** All expressions in it. */
export const expressionsOf = (tree: Tree): ReadonlyArray<Expression> => {
  switch (tree.kind) {
    case "text":
      return tree.parts.filter((part) => typeof part !== "string")
    case "mapping":
      return tree.entries.flatMap(({ value }) => expressionsOf(value))
    case "sequence":
      return tree.items.flatMap(expressionsOf)
  }
}

/** What stands there, expressions as they are written: for people. */
export const written = (text: Text): string =>
  text.parts.length === 0
    ? String(text.literal ?? "")
    : text.parts.map((part) => (typeof part === "string" ? part : `\${{${part.source}}}`)).join("")
