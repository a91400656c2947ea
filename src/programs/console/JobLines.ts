/**
 * Events of jobs as lines of text: what every renderer for people shows, whatever it adds.
 *
 * Output comes in whole lines. What a step has written after its last line end comes when the step ends.
 */
import type { JobEvent } from "../../domain/JobEvent.ts"
import type { LineSplitter } from "../../domain/LineSplitter.ts"
import * as BoundedLines from "./BoundedLines.ts"
import type { Style } from "./Style.ts"
import * as TerminalText from "./TerminalText.ts"
import * as Timestamps from "./Timestamps.ts"

/**
 * `output` is the user's own; all others are ours.
 *
 * @category models
 */
export type Tone = "output" | "start" | "detail" | "success" | "warning" | "problem"

/** @category models */
export interface JobLine {
  readonly at: number
  readonly job: string
  /** What stands for the step in its column; left out for what is about the job. */
  readonly step?: string
  readonly tone: Tone
  readonly text: string
}

/**
 * A fold with the state of one output. Events of a job that has ended leave nothing in it.
 *
 * @category models
 */
export interface JobLines {
  readonly push: (event: JobEvent) => ReadonlyArray<JobLine>
  /** What is left of output whose step never ended. */
  readonly flush: () => ReadonlyArray<JobLine>
}

/** @category constructors */
export const make = (): JobLines => {
  const jobs = new Map<string, JobState>()
  let latest = 0

  const stateOf = (job: string): JobState => {
    const known = jobs.get(job)
    if (known !== undefined) return known
    const state: JobState = { count: 0, announced: false, waiting: "", steps: new Map() }
    jobs.set(job, state)
    return state
  }

  const forgetUnlessRunning = (job: string): void => {
    if ((jobs.get(job)?.count ?? 0) <= 0) jobs.delete(job)
  }

  const leftOver = (job: string, at: number): ReadonlyArray<JobLine> =>
    [...(jobs.get(job)?.steps.values() ?? [])].flatMap((step) => rest(job, step, at))

  const about = (event: JobEvent): ReadonlyArray<JobLine> => {
    const { at, job } = event
    const say = (tone: Tone, text: string, step?: string): ReadonlyArray<JobLine> =>
      text.split("\n").map((line) => ({ at, job, tone, text: line, ...(step === undefined ? {} : { step }) }))
    switch (event._tag) {
      case "JobStarted": {
        const state = stateOf(job)
        state.count++
        state.announced = true
        return say("start", `${started} ${counted(event.steps, "step")} on ${event.backend}`)
      }
      case "PhaseStarted": {
        const state = stateOf(job)
        state.waiting = ""
        if (state.announced) return []
        // An environment without a job of ours (`withEnvironment`): nothing else tells that it begins.
        state.announced = true
        return say("start", `${started} environment`)
      }
      case "Waiting": {
        const state = stateOf(job)
        const waiting = `waiting for ${event.reason}`
        if (state.waiting === waiting) return []
        state.waiting = waiting
        return say("detail", waiting)
      }
      case "EnvironmentRequested":
        return []
      case "EnvironmentReady":
        return say("detail", `environment ${event.environment} is ready`)
      case "StepStarted": {
        const { steps } = stateOf(job)
        // The same id again: the job was started over.
        const left = rest(job, steps.get(event.step), at)
        steps.set(event.step, makeStep(labelOf(event.step, event.name)))
        return [...left, ...say("start", `${started} ${event.name}`, labelOf(event.step, event.name))]
      }
      case "StepOutput": {
        const { steps } = stateOf(job)
        let step = steps.get(event.step)
        if (step === undefined) {
          step = makeStep(event.step)
          steps.set(event.step, step)
        }
        return output(job, step, at, step[event.stream].push(event.bytes))
      }
      case "StepFinished": {
        const { result } = event
        const { steps } = stateOf(job)
        const left = rest(job, steps.get(event.step), at)
        steps.delete(event.step)
        const label = labelOf(event.step, result.name)
        const took = Timestamps.duration(result.duration)
        const why = result.error === undefined ? "" : `${result.error.reason._tag}: ${result.error.message}`
        const excused = result.conclusion === result.outcome ? "" : ", and that is allowed"
        switch (result.outcome) {
          case "success":
            return [...left, ...say("success", `${succeeded} ${took}`, label)]
          case "failure":
            return [
              ...left,
              ...say(
                excused === "" ? "problem" : "warning",
                `${excused === "" ? failed : warned} exit code ${result.exitCode ?? "unknown"} after ${took}${excused}`,
                label
              )
            ]
          case "error":
            return [...left, ...say("problem", `${failed} ${why}`, label)]
          case "timeout":
            return [
              ...left,
              ...say(
                excused === "" ? "problem" : "warning",
                `${excused === "" ? failed : warned} out of time after ${took}${excused}`,
                label
              )
            ]
          case "cancelled":
            return [...left, ...say("warning", `${stopped} stopped after ${took}`, label)]
          case "skipped":
            return [...left, ...say("detail", `${skipped} ${result.name}: skipped`, label)]
        }
        break
      }
      case "Retrying":
        return say(
          "warning",
          `${again} ${event.what}: try ${event.attempt} of ${event.of}, after: ${event.error.message}`
        )
      case "Warning":
        return say("warning", `${warned} ${event.message}`)
      case "Stopping":
        return say("warning", `${stopped} stopping: ${event.why}`)
      case "EnvironmentHandedOver":
        forgetUnlessRunning(job)
        return say("detail", `environment ${event.environment} is handed over`)
      case "EnvironmentReleased":
        forgetUnlessRunning(job)
        return say("detail", `environment ${event.environment} is released`)
      case "Leaked":
        forgetUnlessRunning(job)
        return say("problem", `${warned} ${event.error.message}\n${event.error.advice}`)
      case "JobFinished": {
        const { result } = event
        const left = stateOf(job).count > 1 ? [] : leftOver(job, at)
        stateOf(job).count--
        forgetUnlessRunning(job)
        const text = `${conclusions[result.conclusion].mark} ${result.conclusion} after ${Timestamps.duration(result.duration)}`
        const why = result.error === undefined ? "" : `: ${result.error.message}`
        return [...left, ...say(conclusions[result.conclusion].tone, text + why)]
      }
    }
  }

  return {
    push: (event) => {
      latest = event.at
      return about(event)
    },
    flush: () => {
      const left = [...jobs.keys()].flatMap((job) => leftOver(job, latest))
      jobs.clear()
      return left
    }
  }
}

/** @category options */
export interface FormatOptions {
  readonly style: Style
  readonly timestamps: Timestamps.Timestamps
  /** What is done to a line of the user's before it is shown. */
  readonly output: (line: string) => string
}

/**
 * Makes lines of one output look alike: `job | step | text`, with the column of the jobs as wide as the longest name so far, up to a
 * bound. No name is cut: names of a matrix differ at their ends.
 *
 * @category constructors
 */
export const format = ({ output, style, timestamps }: FormatOptions): ((line: JobLine) => string) => {
  const time = Timestamps.make(timestamps)
  const columns = new Map<string, { readonly hue: number; text: string }>()
  let longest = 0
  const bar = style.dim("|")
  const tones: Readonly<Record<Tone, (text: string) => string>> = {
    output,
    start: style.bold,
    detail: style.dim,
    success: style.green,
    warning: style.yellow,
    problem: style.red
  }

  const columnOf = (job: string): string => {
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

  return ({ at, job, step, text, tone }) => {
    const stamp = time(at)
    const head = `${stamp === "" ? "" : `${style.dim(stamp)} `}${columnOf(job)} ${bar} `
    return head + (step === undefined ? "" : `${style.dim(step)} ${bar} `) + tones[tone](text)
  }
}

/**
 * How each conclusion looks.
 *
 * @category formatting
 */
export const conclusions = {
  success: { mark: "✓", tone: "success" },
  failure: { mark: "✗", tone: "problem" },
  error: { mark: "✗", tone: "problem" },
  timeout: { mark: "✗", tone: "problem" },
  cancelled: { mark: "■", tone: "warning" },
  skipped: { mark: "-", tone: "detail" }
} as const

/**
 * What stands for a step in its column. An id that somebody chose is short, and stays the same; a counted one says nothing, so there
 * the name stands for it.
 *
 * @category getters
 */
export const labelOf = (id: string, name: string): string => (/^step-\d+$/.test(id) ? TerminalText.cut(name, 24) : id)

/** @category formatting */
export const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`

interface JobState {
  /** Names need not be unique: how many jobs of this one run. An environment without a job of ours has none. */
  count: number
  announced: boolean
  waiting: string
  readonly steps: Map<string, StepState>
}

interface StepState {
  readonly label: string
  readonly stdout: LineSplitter
  readonly stderr: LineSplitter
}

const started = "▸"
const succeeded = "✓"
const failed = "✗"
const warned = "!"
const stopped = "■"
const skipped = "-"
const again = "↻"

/** Columns that a job's name is filled up to. */
const maxPadding = 20
/** Names whose column is remembered: a program may run any number of jobs. */
const maxRemembered = 1000

const makeStep = (label: string): StepState => ({ label, stdout: BoundedLines.make(), stderr: BoundedLines.make() })

const output = (job: string, step: StepState, at: number, lines: ReadonlyArray<string>): ReadonlyArray<JobLine> =>
  lines.map((text) => ({ at, job, step: step.label, tone: "output", text }))

const rest = (job: string, step: StepState | undefined, at: number): ReadonlyArray<JobLine> =>
  step === undefined ? [] : output(job, step, at, [...step.stdout.flush(), ...step.stderr.flush()])
