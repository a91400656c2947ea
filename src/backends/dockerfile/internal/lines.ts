/**
 * A Dockerfile's text as logical lines: parser directives, comments, continuations and heredocs are read here, instructions are not.
 */
import * as Result from "effect/Result"
import { invalid, type Refusal } from "../Refusal.ts"

/** A physical line, as BuildKit's scanner limits it. */
const maxLine = 65_535

/** Far above any Dockerfile; keeps a hostile one from taking memory. */
const maxFile = 4 * 1024 * 1024

export interface Directives {
  /** `# syntax=`: the frontend that the file asks for. */
  readonly syntax: string | undefined
  /** `# escape=`: `\` or a backtick. */
  readonly escapeToken: string
  /** `# check=`. */
  readonly check: string | undefined
}

export interface HeredocWord {
  readonly name: string
  readonly fileDescriptor: number
  /** Variables in it are replaced: no part of the word was quoted. */
  readonly expands: boolean
  /** Leading tabs are cut: `<<-`. */
  readonly chomps: boolean
}

export interface Heredoc extends HeredocWord {
  /** As it is written, with leading tabs. */
  readonly content: string
}

export interface LogicalLine {
  readonly line: number
  readonly endLine: number
  /** Continuations joined. */
  readonly text: string
  readonly heredocs: ReadonlyArray<Heredoc>
}

export interface Lines {
  readonly directives: Directives
  readonly lines: ReadonlyArray<LogicalLine>
}

/** `heredocsOf`: the heredocs that a logical line opens. */
export const readLines = (
  text: string,
  heredocsOf: (line: string, escapeToken: string) => Result.Result<ReadonlyArray<HeredocWord>, string>
): Result.Result<Lines, Refusal> => {
  if (text.length > maxFile) {
    return Result.fail(invalid({ line: 1, text: "" }, `it is larger than ${maxFile / 1024 / 1024} MiB`))
  }
  const physical = text.split("\n")
  // Only lines that end are lines, and one that is not empty at the end.
  if (physical.at(-1) === "") physical.pop()
  if (physical[0]?.startsWith("\uFEFF") === true) physical[0] = physical[0].slice(1)
  const long = physical.findIndex((line) => line.length > maxLine)
  if (long !== -1) {
    return Result.fail(
      invalid({ line: long + 1, text: physical[long]!.slice(0, 200) }, `it is longer than ${maxLine} characters`)
    )
  }

  const directives = new Map<string, string>()
  let inDirectives = true
  let escapeToken = "\\"
  /** Whether reading may go on. */
  const readDirective = (line: string, number: number): Refusal | undefined => {
    if (!inDirectives) return undefined
    const match = line.startsWith("#") ? /^([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(\S.*)$/.exec(line.slice(1).trim()) : null
    const name = match?.[1]?.toLowerCase() ?? ""
    if (name !== "syntax" && name !== "escape" && name !== "check") {
      inDirectives = false
      return undefined
    }
    const at = { line: number, text: line }
    if (directives.has(name)) return invalid(at, `only one ${name} parser directive can be used`)
    const value = match![2]!.trimEnd()
    directives.set(name, value)
    if (name !== "escape") return undefined
    if (value !== "\\" && value !== "`") return invalid(at, "the escape character is \\ or `")
    escapeToken = value
    return undefined
  }

  const lines: Array<LogicalLine> = []
  let index = 0
  while (index < physical.length) {
    const number = index + 1
    const first = withoutEnd(physical[index++]!).trimStart()
    const refusal = readDirective(first, number)
    if (refusal !== undefined) return Result.fail(refusal)
    const begun = continuation(isComment(first) ? "" : first, escapeToken)
    if (!begun.continues && begun.text === "") continue
    const parts = [begun.text]
    for (let { continues } = begun; continues && index < physical.length; ) {
      const line = withoutEnd(physical[index++]!)
      if (isComment(line) || line.trim() === "") continue
      const next = continuation(line, escapeToken)
      parts.push(next.text)
      continues = next.continues
    }
    const logical = parts.join("")
    const opened = heredocsOf(logical, escapeToken)
    if (Result.isFailure(opened)) return Result.fail(invalid({ line: number, text: logical }, opened.failure))
    const heredocs: Array<Heredoc> = []
    for (const word of opened.success) {
      const content: Array<string> = []
      let terminated = false
      while (index < physical.length && !terminated) {
        const line = physical[index++]!
        const end = line.replace(/\r+$/, "")
        terminated = (word.chomps ? end.replace(/^\t+/, "") : end) === word.name
        if (!terminated) content.push(`${line}\n`)
      }
      if (!terminated) return Result.fail(invalid({ line: number, text: logical }, "unterminated heredoc"))
      heredocs.push({ ...word, content: content.join("") })
    }
    lines.push({ line: number, endLine: index, text: logical, heredocs })
  }
  return Result.succeed({
    directives: { syntax: directives.get("syntax"), escapeToken, check: directives.get("check") },
    lines
  })
}

const withoutEnd = (line: string): string => {
  let end = line.length
  while (line[end - 1] === "\r") end--
  return line.slice(0, end)
}

const isComment = (line: string): boolean => /^\s*#/.test(line)

/** An escape character at the end of a line continues it, unless it is escaped itself. */
const continuation = (line: string, escapeToken: string): { readonly text: string; readonly continues: boolean } => {
  let end = line.length
  while (line[end - 1] === " " || line[end - 1] === "\t") end--
  return line[end - 1] === escapeToken && line[end - 2] !== escapeToken
    ? { text: line.slice(0, end - 1), continues: true }
    : { text: line, continues: false }
}
