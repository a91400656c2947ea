/** Mistakes in YAML in words for whoever wrote it; the parser's own are about its grammar. */
import { type Document, isScalar, visit } from "yaml"
import type { Source } from "./source.ts"

type Problem = Document.Parsed["errors"][number] | Document.Parsed["warnings"][number]

interface Words {
  readonly message: string
  readonly hint?: string | undefined
  /** Where it is, if that is not where the parser noticed. */
  readonly at?: number | undefined
}

/** As many as are worth reading: a mistake of structure makes more of them. */
const most = 5

/** Reports what is wrong, one mistake a line: those after it on the line mostly come from the first. */
export const reportProblems = (source: Source, document: Document.Parsed): void => {
  const lines = new Set<number>()
  for (const problem of [...document.errors, ...document.warnings]) {
    const [start, end] = problem.pos
    const { at, hint, message } = wordsFor(source.text, document, problem)
    const range = at === undefined ? source.rangeOf(start, end) : source.rangeOf(at, at + 1)
    if (lines.has(range.line) || lines.size >= most) continue
    lines.add(range.line)
    source.report(problem.name === "YAMLWarning" ? "yaml-feature" : "yaml-syntax", range, message, { hint })
    // What is read after it has lost its place.
    if (problem.code === "UNEXPECTED_TOKEN") break
  }
}

const wordsFor = (text: string, document: Document.Parsed, { code, message, pos: [start] }: Problem): Words => {
  const character = text[start] ?? ""
  switch (code) {
    case "RESOURCE_EXHAUSTION":
      return { message: "It is nested too deeply" }
    case "TAB_AS_INDENT":
      return { message: "Tabs are not allowed as indentation", hint: "Indent with spaces." }
    case "MULTIPLE_DOCS":
      return { message: "The file has several documents", hint: "Remove `---` and what follows." }
    case "TAG_RESOLVE_FAILED":
      return beginsWith("!")
    case "BAD_ALIAS":
      return /empty/.test(message) ? beginsWith("*") : { message: plain(message) }
    case "BAD_SCALAR_START":
      return beginsWith(character)
    case "BAD_DQ_ESCAPE":
      return { message: plain(message), hint: "In single quotes a backslash is nothing special." }
    case "MULTILINE_IMPLICIT_KEY":
      return {
        message: "This is no `key: value`",
        hint: "A key is followed by a colon and a space; a text of several lines begins with |."
      }
    case "BLOCK_AS_IMPLICIT_KEY":
      if (!/^Nested/.test(message)) return misplaced(text, start)
      return /:(?:\s|$)/.test(lineFrom(text, start))
        ? { message: 'A value with ": " in it needs quotes', hint: "Or begin it with | on a line of its own." }
        : {
            message: "The line after this value is indented as if it belonged to it",
            hint: "Keys of one mapping begin in the same column."
          }
    case "MISSING_CHAR": {
      if (/quote/.test(message)) return { message: "A text in quotes has no end", at: quoteAround(document, start) }
      return /Sequence item/.test(message) ? misplaced(text, start) : { message: plain(message) }
    }
    case "UNEXPECTED_TOKEN":
      return {
        message: `Something is in the way: ${JSON.stringify(lineFrom(text, start).slice(0, 20))}`,
        hint: "Inside of [ ] and { } a value with brackets or braces in it, such as an expression, needs quotes."
      }
    case "BAD_INDENT": {
      const open = /^Flow (map|sequence)/.exec(message)?.[1]
      return open === undefined
        ? { message: plain(message) }
        : { message: `A ${open === "map" ? "{" : "["} is not closed, or the lines up to its end are not indented` }
    }
    default:
      return { message: plain(message) }
  }
}

const plain = (message: string): string => message.replace(/\.?\s*$/, "")

const beginsWith = (character: string): Words => ({
  message: `A value that begins with ${character} needs quotes`,
  ...(character === "!" ? { hint: `Or put $\{{ }} around the expression.` } : {})
})

const misplaced = (text: string, start: number): Words => ({
  message: "The indentation of this line fits nothing above it",
  hint: "Keys of one mapping begin in the same column, and so do the items of one list.",
  at: start + lineFrom(text, start).search(/\S|$/)
})

const lineFrom = (text: string, start: number): string => {
  const end = text.indexOf("\n", start)
  return end < 0 ? text.slice(start) : text.slice(start, end)
}

/** Where the text begins that goes on to here. */
const quoteAround = (document: Document.Parsed, end: number): number | undefined => {
  let found: number | undefined
  visit(document, {
    Scalar: (_, node) => {
      const range = node.range
      const quoted = isScalar(node) && (node.type === "QUOTE_DOUBLE" || node.type === "QUOTE_SINGLE")
      if (quoted && range !== null && range !== undefined && range[0] <= end && range[2] >= end) found = range[0]
    }
  })
  return found
}
