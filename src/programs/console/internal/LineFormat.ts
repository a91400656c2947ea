/**
 * Lines of one output as text that looks alike: `job | step | text`.
 */
import type { Timestamps } from "../Renderer.ts"
import type { JobLine, Tone } from "./JobLines.ts"
import type { Style } from "./Style.ts"
import * as TerminalText from "./TerminalText.ts"
import * as Times from "./Times.ts"

/** @category options */
export interface Options {
  readonly style: Style
  readonly timestamps: Timestamps
  /** What is done to a line of the user's before it is shown. */
  readonly output: (line: string) => string
  /** How wide the terminal is, where commands are cut for it; asked for each. */
  readonly columns?: () => number
}

/**
 * Formats lines, each with its line end. The column of the jobs is as wide as the longest name so far, up to a bound. No name is cut:
 * names of a matrix differ at their ends.
 *
 * @category constructors
 */
export const make = ({ columns, output, style, timestamps }: Options): ((lines: ReadonlyArray<JobLine>) => string) => {
  const time = Times.make(timestamps)
  const columnOf = makeColumn(style)
  const bar = style.dim("|")
  const tones: Readonly<Record<Tone, (text: string) => string>> = {
    output,
    start: style.bold,
    command: style.dim,
    detail: style.dim,
    success: style.green,
    warning: style.yellow,
    problem: style.red
  }

  const format = ({ at, job, step, text, tone }: JobLine): string => {
    const stamp = time(at)
    const head =
      (stamp === "" ? "" : `${style.dim(stamp)} `) +
      `${columnOf(job)} ${bar} ` +
      (step === undefined ? "" : `${style.dim(step)} ${bar} `)
    const shown =
      tone === "command" && columns !== undefined
        ? TerminalText.cut(text, Math.max(minCommand, columns() - 1 - TerminalText.width(TerminalText.strip(head))))
        : text
    return head + tones[tone](shown)
  }

  return (lines) => {
    let all = ""
    for (const line of lines) all += `${format(line)}\n`
    return all
  }
}

/** Pads the names of jobs, and gives each a colour. */
const makeColumn = (style: Style): ((job: string) => string) => {
  const columns = new Map<string, { readonly hue: number; text: string }>()
  let longest = 0
  return (job) => {
    const known = columns.get(job)
    if (known !== undefined) return known.text
    const wanted = Math.min(TerminalText.width(job), maxPadding)
    if (columns.size >= maxRemembered) columns.clear()
    const hue = columns.size
    columns.set(job, { hue, text: style.hue(hue, TerminalText.pad(job, Math.max(longest, wanted))) })
    if (wanted > longest) {
      longest = wanted
      for (const [name, column] of columns) column.text = style.hue(column.hue, TerminalText.pad(name, longest))
    }
    return columns.get(job)!.text
  }
}

/** Columns that a job's name is filled up to. */
const maxPadding = 20
/** Names whose column is remembered: a program may run any number of jobs. */
const maxRemembered = 1000
/** Columns that a command has in the narrowest terminal. */
const minCommand = 20
