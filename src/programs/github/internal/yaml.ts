import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  type ParsedNode,
  parseDocument,
  type Node as YamlNode
} from "yaml"
import type { Range } from "../Diagnostic.ts"
import { type Source, start } from "./source.ts"
import { reportProblems } from "./yamlProblems.ts"

/** A value of the file with its place. */
export type Node = Scalar | Mapping | Sequence

export interface Scalar {
  readonly kind: "scalar"
  readonly range: Range
  readonly value: string | number | boolean | null
  /** The text between these offsets of the file is what it was read from. */
  readonly start: number
  readonly end: number
}

export interface Entry {
  readonly key: string
  readonly keyRange: Range
  readonly value: Node
}

export interface Mapping {
  readonly kind: "mapping"
  readonly range: Range
  readonly entries: ReadonlyArray<Entry>
}

interface Sequence {
  readonly kind: "sequence"
  readonly range: Range
  readonly items: ReadonlyArray<Node>
}

/** Far more than any workflow has; what aliases repeat counts each time. */
const mostNodes = 100_000
const mostDepth = 100

/**
 * Reads YAML 1.2 as GitHub does: anchors and aliases, but neither merge keys nor tags. What is wrong is reported; the result is missing
 * then, for half a file would only bring more complaints.
 */
export const readYaml = (source: Source): Node | undefined => {
  const document = parseDocument(source.text, {
    uniqueKeys: false,
    prettyErrors: false,
    logLevel: "error",
    version: "1.2",
    schema: "core"
  })
  reportProblems(source, document)
  if (source.diagnostics.length > 0) return undefined
  if (document.contents === null || isEmpty(document)) {
    source.report("file-empty", start, "The file is empty", { hint: "A workflow has at least `on` and `jobs`." })
    return undefined
  }
  const root = makeReader(source, document).read()
  return source.diagnostics.some(({ code }) => code !== "duplicate-key") ? undefined : root
}

const isEmpty = (document: Document.Parsed): boolean =>
  isScalar(document.contents) && document.contents.value === null && document.contents.source === ""

const makeReader = (source: Source, document: Document.Parsed) => {
  const anchors = new Map<string, YamlNode>()
  /** How many aliases are being written out. */
  let aliases = 0
  let nodes = 0
  /** Why it is given up: told once. */
  let exhausted = false
  const giveUp = (range: Range, message: string) => {
    if (!exhausted) source.report("alias-limit", range, message)
    exhausted = true
  }
  const rangeOf = (node: YamlNode | null | undefined): Range => {
    const range = (node as ParsedNode | null | undefined)?.range
    return range === null || range === undefined ? start : source.rangeOf(range[0], range[1])
  }

  const read = (node: YamlNode | null, at: Range, depth: number): Node => {
    const nothing: Scalar = { kind: "scalar", range: at, value: null, start: 0, end: 0 }
    if (exhausted || node === null) return nothing
    nodes++
    if (nodes > mostNodes) {
      giveUp(rangeOf(node), `With its aliases written out the file has more than ${mostNodes} values`)
      return nothing
    }
    if (depth > mostDepth) {
      giveUp(rangeOf(node), `It is nested more than ${mostDepth} deep, or an alias contains itself`)
      return nothing
    }
    if (isAlias(node)) return readAlias(node, depth)
    // In the order of the file, so that an alias means the last anchor of its name before it.
    if (aliases === 0 && "anchor" in node && typeof node.anchor === "string") anchors.set(node.anchor, node)
    const range = rangeOf(node)
    if (isMap<YamlNode, YamlNode | null>(node)) {
      const entries: Array<Entry> = []
      const known = new Map<string, Range>()
      for (const pair of node.items) {
        const keyRange = rangeOf(pair.key)
        const key = keyOf(pair.key, keyRange)
        if (key === undefined) continue
        const first = known.get(key)
        if (first !== undefined) {
          source.report("duplicate-key", keyRange, `The key "${key}" is here twice; the first is on line ${first.line}`)
          continue
        }
        known.set(key, keyRange)
        const empty = { ...keyRange, line: keyRange.endLine, column: keyRange.endColumn }
        entries.push({ key, keyRange, value: read(pair.value, empty, depth + 1) })
      }
      return { kind: "mapping", range, entries }
    }
    if (isSeq<YamlNode>(node)) {
      return { kind: "sequence", range, items: node.items.map((item) => read(item, range, depth + 1)) }
    }
    if (isScalar(node)) {
      const [from, to] = node.range ?? [0, 0]
      return { kind: "scalar", range, value: plain(node.value), start: from, end: to }
    }
    return nothing
  }

  const readAlias = (alias: Alias, depth: number): Node => {
    const target = anchors.get(alias.source)
    if (target === undefined) {
      source.report("yaml-syntax", rangeOf(alias), `There is no anchor "${alias.source}" before it`)
      return { kind: "scalar", range: rangeOf(alias), value: null, start: 0, end: 0 }
    }
    aliases++
    const value = read(target, rangeOf(alias), depth + 1)
    aliases--
    return value
  }

  const keyOf = (key: YamlNode, range: Range): string | undefined => {
    const node = isAlias(key) ? anchors.get(key.source) : key
    if (!isScalar(node)) {
      source.report("yaml-feature", range, "A key must be text")
      return undefined
    }
    if (node.value === "<<" && node.type === "PLAIN") {
      source.report("yaml-feature", range, "Merge keys (`<<`) are not supported, by GitHub neither", {
        hint: "Write the values out, or use an alias for the whole value."
      })
      return undefined
    }
    return node.value === null ? "" : typeof node.value === "string" ? node.value : (node.source ?? String(node.value))
  }

  return { read: () => read(document.contents, start, 0) }
}

const plain = (value: unknown): Scalar["value"] =>
  typeof value === "string" || typeof value === "number" || typeof value === "boolean" || value === null
    ? value
    : typeof value === "bigint"
      ? Number(value)
      : String(value)
