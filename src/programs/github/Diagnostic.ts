/**
 * What is wrong with a workflow file, and where: found before anything runs, all of it at once.
 */
import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"

/**
 * A place in a file: lines and columns count from 1, the end is the first column after it.
 *
 * @category schemas
 */
export const Range = Schema.Struct({
  line: Schema.Int,
  column: Schema.Int,
  endLine: Schema.Int,
  endColumn: Schema.Int
})

/** @category models */
export type Range = typeof Range.Type

/**
 * What kind of mistake it is, for tools.
 *
 * @category schemas
 */
export const Code = Schema.Literals([
  "file-unreadable",
  "file-empty",
  "file-too-large",
  "file-not-text",
  "yaml-syntax",
  "yaml-feature",
  "alias-limit",
  "unknown-key",
  "duplicate-key",
  "missing-key",
  "wrong-type",
  "bad-value",
  "duplicate-id",
  "unknown-need",
  "needs-cycle",
  "expression-syntax",
  "unknown-context",
  "unavailable-context",
  "unknown-function",
  "unknown-reference",
  "action-not-found",
  "action-invalid",
  "unsupported",
  "no-effect"
])

/** @category models */
export type Code = typeof Code.Type

/**
 * One mistake. With the severity `error` the file is refused; a `warning` says what will be other than one might think.
 *
 * @category schemas
 */
export class Diagnostic extends Schema.Class<Diagnostic>("jobscope/github/Diagnostic")({
  severity: Schema.Literals(["error", "warning"]),
  code: Code,
  file: Schema.String,
  ...Range.fields,
  message: Schema.String,
  /** What to do about it. */
  hint: Schema.optionalKey(Schema.String),
  /** The line of the file, for people; cut where it is long. */
  excerpt: Schema.optionalKey(Schema.String)
}) {
  /** `ci.yml:3:5`, which editors and terminals open. */
  get position(): string {
    return `${this.file}:${this.line}:${this.column}`
  }
}

/**
 * A file that cannot be run: every error that was found, in the order of the file, warnings among them.
 *
 * @category errors
 */
export class WorkflowInvalid extends Schema.TaggedError<WorkflowInvalid>()("WorkflowInvalid", {
  diagnostics: Schema.Array(Diagnostic)
}) {
  override get message() {
    return render(this.diagnostics)
  }
  override readonly [Runtime.errorExitCode] = 2
}

/**
 * Diagnostics as text for people: a screen at most, errors first come first.
 *
 * @category rendering
 */
export const render = (diagnostics: ReadonlyArray<Diagnostic>, options: { readonly lines?: number } = {}): string => {
  const room = options.lines ?? 40
  const lines: Array<string> = []
  for (const [index, diagnostic] of diagnostics.entries()) {
    const block = blockOf(diagnostic)
    const left = diagnostics.length - index
    // One line is kept for how many more there are.
    if (lines.length > 0 && lines.length + block.length > room - (left > 1 ? 1 : 0)) {
      lines.push(`… and ${left} more`)
      break
    }
    lines.push(...block)
  }
  return lines.join("\n")
}

const blockOf = (diagnostic: Diagnostic): ReadonlyArray<string> => {
  const { code, column, endColumn, endLine, excerpt, hint, line, message, position, severity } = diagnostic
  const number = `${line}`.padStart(5)
  const width = Math.max(1, endLine === line ? endColumn - column : (excerpt?.length ?? 0) - column + 1)
  const marked =
    excerpt === undefined || excerpt.trim() === ""
      ? []
      : [
          `${number} | ${excerpt}`,
          ...(column > excerpt.length + 1
            ? []
            : [
                `${" ".repeat(number.length)} | ${excerpt.slice(0, column - 1).replace(/[^\t]/g, " ")}${"^".repeat(Math.min(width, Math.max(1, excerpt.length - column + 1)))}`
              ])
        ]
  return [
    `${position}: ${severity}: ${message} [${code}]`,
    ...marked,
    ...(hint === undefined ? [] : [`        ${hint}`])
  ]
}

/**
 * In the order of their places.
 *
 * @category rendering
 */
export const inOrder = (diagnostics: ReadonlyArray<Diagnostic>): ReadonlyArray<Diagnostic> =>
  diagnostics.toSorted(
    (a, b) => (a.file === b.file ? 0 : a.file < b.file ? -1 : 1) || a.line - b.line || a.column - b.column
  )

/** @category getters */
export const hasErrors = (diagnostics: ReadonlyArray<Diagnostic>): boolean =>
  diagnostics.some(({ severity }) => severity === "error")
