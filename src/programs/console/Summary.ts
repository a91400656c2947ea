/**
 * What is shown at the end: a line for each job, then why those failed that did.
 */
import * as Cause from "effect/Cause"
import * as Equal from "effect/Equal"
import * as Predicate from "effect/Predicate"
import * as Runtime from "effect/Runtime"
import { BackendError, JobCancelled, StepFailed } from "../../domain/JobError.ts"
import type { JobResult, StepResult } from "../../domain/JobResult.ts"
import * as LogLine from "../commands/internal/logLine.ts"
import * as Style from "./internal/Style.ts"
import * as TerminalText from "./internal/TerminalText.ts"
import * as Times from "./internal/Times.ts"
import { conclusions, counted, warning } from "./internal/Wording.ts"

/** @category options */
export interface Options {
  /** Colour our own text. */
  readonly color: boolean
  /** Keep the colours that steps write themselves. */
  readonly ansi: boolean
}

/**
 * The lines for all jobs; none for none.
 *
 * @category formatting
 */
export const lines = (results: ReadonlyArray<JobResult>, options: Options): ReadonlyArray<string> => {
  if (results.length === 0) return []
  const look = lookOf(options)
  return [
    ...table(results, look.style),
    ...(results.length > 1 ? [look.style.dim(total(results))] : []),
    ...results.flatMap((result) => details(result, look)).flatMap((block) => ["", ...block])
  ]
}

/**
 * The lines for what ended a program, apart from what its results tell already. An interruption has none, and an error that says of
 * itself that it is reported (`Runtime.errorReported`).
 *
 * @category formatting
 */
export const ofCause = (
  cause: Cause.Cause<unknown>,
  results: ReadonlyArray<JobResult>,
  options: Options
): ReadonlyArray<string> => {
  const { style } = lookOf(options)
  return cause.reasons.flatMap((reason): ReadonlyArray<string> => {
    if (Cause.isInterruptReason(reason)) return []
    if (Cause.isDieReason(reason)) {
      return block(style.red(`${conclusions.error.mark} The program has a defect`), [
        Cause.pretty(Cause.die(reason.defect))
      ])
    }
    const { error } = reason
    if (!Runtime.getErrorReported(error) || isTold(error, results)) return []
    if (error instanceof BackendError) {
      return block(`${style.red(conclusions.error.mark)} ${style.bold(error.reason._tag)}`, explained(error, style))
    }
    if (error instanceof StepFailed) {
      return [
        ...block(`${style.red(conclusions.failure.mark)} ${style.bold("StepFailed")}`, [error.message]),
        ...quoted(error.tail, { style, ansi: false }),
        style.dim(`  ${error.anchor}`)
      ]
    }
    if (error instanceof JobCancelled) return [`${style.yellow(conclusions.cancelled.mark)} ${error.message}`]
    // One that says its exit code is meant for people.
    if (error instanceof Error && Predicate.hasProperty(error, Runtime.errorExitCode)) return error.message.split("\n")
    return block(style.red(`${conclusions.error.mark} The program failed`), [Cause.pretty(Cause.fail(error))])
  })
}

interface Look {
  readonly style: Style.Style
  readonly ansi: boolean
}

const lookOf = ({ ansi, color }: Options): Look => ({ style: Style.make(color), ansi })

/** What `JobResult.orFail` makes of a result says nothing new. */
const isTold = (error: unknown, results: ReadonlyArray<JobResult>): boolean =>
  Predicate.isTagged(error, "StepFailed") || Predicate.isTagged(error, "JobCancelled")
    ? results.some(
        ({ conclusion, job }) => conclusion !== "success" && Predicate.hasProperty(error, "job") && error.job === job
      )
    : results.some((result) => Equal.equals(result.error, error))

const table = (results: ReadonlyArray<JobResult>, style: Style.Style): ReadonlyArray<string> => {
  const rows = results.map((result) => ({ result, took: Times.duration(result.duration) }))
  const words = Math.max(...results.map(({ conclusion }) => conclusion.length))
  const times = Math.max(...rows.map(({ took }) => took.length))
  return rows.map(({ result: { conclusion, job }, took }) => {
    const { mark, tone } = conclusions[conclusion]
    const look = { success: style.green, problem: style.red, warning: style.yellow, detail: style.dim }[tone]
    return `${look(`${mark} ${conclusion.padEnd(words)}`)}  ${took.padStart(times)}  ${style.bold(job)}`
  })
}

const total = (results: ReadonlyArray<JobResult>): string => {
  const counts = Object.keys(conclusions)
    .map((word) => ({ word, count: results.filter(({ conclusion }) => conclusion === word).length }))
    .filter(({ count }) => count > 0)
  return `  ${counted(results.length, "job")}: ${counts.map(({ count, word }) => `${count} ${word}`).join(", ")}`
}

/** A block for each thing that went wrong. */
const details = (result: JobResult, look: Look): ReadonlyArray<ReadonlyArray<string>> => {
  const { style } = look
  const steps = result.steps.filter(isTroubled)
  const toldBySteps = steps.some(({ error }) => error !== undefined && Equal.equals(error, result.error))
  return [
    ...steps.map((step) => ofStep(result.job, step, look)),
    ...(result.error === undefined || toldBySteps
      ? []
      : [
          block(
            `${style.red(conclusions.error.mark)} ${style.bold(result.job)}: ${result.error.reason._tag}`,
            explained(result.error, style)
          )
        ]),
    ...result.leaks.map((leak) =>
      block(
        `${style.red(warning.mark)} ${style.bold(result.job)}: not everything could be released`,
        explained(leak, style)
      )
    )
  ]
}

/** Also a step that was stopped because the job's time was over: it is what took the time. */
const isTroubled = ({ conclusion, error, outcome }: StepResult): boolean =>
  outcome === "failure" ||
  conclusion === "error" ||
  outcome === "timeout" ||
  (outcome === "cancelled" && error !== undefined)

const ofStep = (job: string, step: StepResult, look: Look): ReadonlyArray<string> => {
  const { style } = look
  const excused = step.conclusion === "success"
  const reason = step.error?.reason._tag ?? "StepFailed"
  const code = step.exitCode === undefined ? "" : `, exit code ${step.exitCode}`
  const mark = excused ? style.yellow(warning.mark) : style.red(conclusions.failure.mark)
  const head = `${mark} ${style.bold(job)} › ${style.bold(step.name)}: ${reason}${code}`
  if (excused) return [`${head} ${style.dim("(allowed: continueOnError)")}`]
  return [
    head,
    ...(step.detail === undefined ? [] : indented([step.detail])),
    ...quoted(step.tail, look),
    ...(step.error === undefined
      ? [style.dim(`  ${new StepFailed({ job, step: step.name, exitCode: step.exitCode ?? 1, tail: [] }).anchor}`)]
      : indented(explained(step.error, style)))
  ]
}

const explained = (error: BackendError, style: Style.Style): ReadonlyArray<string> => [
  error.message,
  `→ ${error.advice}`,
  style.dim(error.anchor)
]

const quoted = (tail: ReadonlyArray<string>, { ansi, style }: Look): ReadonlyArray<string> =>
  tail.map((line) => {
    const still = TerminalText.still(LogLine.describe(LogLine.of(line)).replaceAll("\n", " "))
    const text = ansi ? still : TerminalText.strip(still)
    return `  ${style.dim("|")} ${style.color ? TerminalText.closed(text) : text}`
  })

const block = (head: string, body: ReadonlyArray<string>): ReadonlyArray<string> => [head, ...indented(body)]

const indented = (texts: ReadonlyArray<string>): ReadonlyArray<string> =>
  texts.flatMap((text) => text.split("\n")).map((line) => `  ${line}`)
