/**
 * Events of jobs as lines: what every renderer for people shows, whatever it adds.
 *
 * Output comes in whole lines. What a step has written after its last line end comes when the step ends.
 */
import type { JobEvent } from "../../../domain/JobEvent.ts"
import type { StepResult } from "../../../domain/JobResult.ts"
import type { LineSplitter } from "../../../domain/LineSplitter.ts"
import * as LogLine from "../../commands/internal/logLine.ts"
import * as BoundedLines from "./BoundedLines.ts"
import * as TerminalText from "./TerminalText.ts"
import * as Times from "./Times.ts"
import { conclusions, counted, warning } from "./Wording.ts"

/**
 * `output` is the user's own, `command` what was asked for; all others are ours.
 *
 * @category models
 */
export type Tone = "output" | "start" | "command" | "detail" | "success" | "warning" | "problem"

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
 * A fold with the state of one output. Events of a run that has ended leave nothing in it.
 *
 * @category models
 */
export interface JobLines {
  readonly push: (event: JobEvent) => ReadonlyArray<JobLine>
  /** What is left of output whose step never ended. */
  readonly flush: () => ReadonlyArray<JobLine>
}

/**
 * What tells one run from all others. What happens outside of a run, as with an environment that was opened without a job, has the name
 * for that.
 *
 * @category getters
 */
export const runOf = ({ job, run }: JobEvent): string => `${run} ${job}`

/** @category constructors */
export const make = (): JobLines => {
  const runs = new Map<string, RunState>()
  let latest = 0

  const begin = (event: JobEvent): RunState => {
    const state: RunState = {
      job: event.job,
      ofJob: event._tag !== "EnvironmentRequested",
      waiting: "",
      steps: new Map()
    }
    runs.set(runOf(event), state)
    return state
  }

  const stepOf = (event: JobEvent & { readonly step: string }): StepState => {
    const { steps } = runs.get(runOf(event)) ?? begin(event)
    const known = steps.get(event.step)
    if (known !== undefined) return known
    const label = event._tag === "StepStarted" ? labelOf(event.step, event.name) : event.step
    const step = { label, stdout: BoundedLines.make(), stderr: BoundedLines.make() }
    steps.set(event.step, step)
    return step
  }

  /** Forgets a run, and gives what is left of its output. */
  const end = (run: string, at: number): ReadonlyArray<JobLine> => {
    const state = runs.get(run)
    runs.delete(run)
    return state === undefined ? [] : [...state.steps.values()].flatMap((step) => rest(state.job, step, at))
  }

  /** An environment without a job around it is all there is of its run. */
  const endUnlessJob = (run: string, at: number): ReadonlyArray<JobLine> =>
    runs.get(run)?.ofJob === true ? [] : end(run, at)

  const about = (event: JobEvent): ReadonlyArray<JobLine> => {
    const { at, job } = event
    const run = runOf(event)
    const say = (tone: Tone, text: string, step?: string): ReadonlyArray<JobLine> =>
      text.split("\n").map((line) => ({ at, job, tone, text: line, ...(step === undefined ? {} : { step }) }))
    switch (event._tag) {
      case "JobStarted":
        begin(event)
        return say("start", `${started} ${counted(event.steps, "step")} on ${event.backend}`)
      case "PhaseStarted": {
        const state = runs.get(run)
        if (state !== undefined) state.waiting = ""
        return []
      }
      case "Waiting": {
        const state = runs.get(run)
        if (state?.waiting === event.reason) return []
        if (state !== undefined) state.waiting = event.reason
        return say("detail", `waiting for ${event.reason}`)
      }
      case "EnvironmentRequested":
        if (runs.has(run)) return []
        begin(event)
        return say("start", `${started} environment`)
      case "EnvironmentReady":
        return say("detail", `environment ${event.environment} is ready`)
      case "StepStarted": {
        const { label } = stepOf(event)
        return [
          ...say("start", `${started} ${event.name}`, label),
          ...(event.command === event.name ? [] : say("command", `$ ${TerminalText.inOneLine(event.command)}`, label))
        ]
      }
      case "StepOutput": {
        const step = stepOf(event)
        return output(job, step, at, step[event.stream].push(event.bytes))
      }
      case "StepFinished": {
        const steps = runs.get(run)?.steps
        const step = steps?.get(event.step)
        steps?.delete(event.step)
        const { text, tone } = endOf(event.result)
        return [
          ...(step === undefined ? [] : rest(job, step, at)),
          ...say(tone, text, labelOf(event.step, event.result.name))
        ]
      }
      case "Retrying":
        return say(
          "warning",
          `${again} ${event.what}: try ${event.attempt} of ${event.of}, after: ${event.error.message}`
        )
      case "Warning":
        return say("warning", `${warning.mark} ${event.message}`)
      case "Stopping":
        return say("warning", `${conclusions.cancelled.mark} stopping: ${event.why}`)
      case "EnvironmentHandedOver":
        return [...endUnlessJob(run, at), ...say("detail", `environment ${event.environment} is handed over`)]
      case "EnvironmentReleased":
        return [...endUnlessJob(run, at), ...say("detail", `environment ${event.environment} is released`)]
      case "Leaked":
        return [
          ...endUnlessJob(run, at),
          ...say("problem", `${warning.mark} ${event.error.message}\n${event.error.advice}`)
        ]
      case "JobFinished": {
        const { conclusion, duration, error } = event.result
        const { mark, tone } = conclusions[conclusion]
        const why = error === undefined ? "" : `: ${error.message}`
        return [...end(run, at), ...say(tone, `${mark} ${conclusion} after ${Times.duration(duration)}${why}`)]
      }
    }
  }

  return {
    push: (event) => {
      latest = event.at
      return about(event)
    },
    flush: () => [...runs.keys()].flatMap((run) => end(run, latest))
  }
}

interface RunState {
  readonly job: string
  /** Not of an environment alone. */
  readonly ofJob: boolean
  waiting: string
  /** Those that run. */
  readonly steps: Map<string, StepState>
}

interface StepState {
  readonly label: string
  readonly stdout: LineSplitter
  readonly stderr: LineSplitter
}

const started = "▸"
const again = "↻"

/**
 * What stands for a step in its column. An id that somebody chose is short, and stays the same; a counted one says nothing, so there
 * the name stands for it.
 */
const labelOf = (id: string, name: string): string =>
  /(?:^|\.)step-\d+(?:\.post)?$/.test(id) ? TerminalText.cut(name, 24) : id

const output = (job: string, step: StepState, at: number, lines: ReadonlyArray<string>): ReadonlyArray<JobLine> =>
  lines.some(LogLine.isCommand)
    ? lines.flatMap((text) => ofCommand(LogLine.of(text)).map((line) => ({ at, job, step: step.label, ...line })))
    : lines.map((text) => ({ at, job, step: step.label, tone: "output", text }))

const ofCommand = (line: LogLine.LogLine): ReadonlyArray<Pick<JobLine, "tone" | "text">> => {
  const say = (tone: Tone) =>
    LogLine.describe(line)
      .split("\n")
      .map((text) => ({ tone, text }))
  switch (line._tag) {
    case "Text":
      return [{ tone: "output", text: line.text }]
    case "Annotation":
      return say(({ error: "problem", warning: "warning", notice: "detail" } as const)[line.annotation.level])
    case "Group":
      return say("start")
    case "EndGroup":
      return []
    case "Debug":
      return say("detail")
  }
}

const rest = (job: string, step: StepState, at: number): ReadonlyArray<JobLine> =>
  output(job, step, at, [...step.stdout.flush(), ...step.stderr.flush()])

const endOf = (result: StepResult): { readonly text: string; readonly tone: Tone } => {
  const excused = result.conclusion !== result.outcome
  const { mark, tone } = excused ? warning : conclusions[result.outcome]
  return { tone, text: `${mark} ${whatCameOf(result)}${excused ? ", and that is allowed" : ""}` }
}

const whatCameOf = ({ detail, duration, error, exitCode, name, outcome }: StepResult): string => {
  const took = Times.duration(duration)
  switch (outcome) {
    case "success":
      return took
    case "failure":
      return `${detail ?? `exit code ${exitCode ?? "unknown"}`} after ${took}`
    case "error":
      return error === undefined ? `after ${took}` : `${error.reason._tag}: ${error.message}`
    case "timeout":
      return `out of time after ${took}`
    case "cancelled":
      return `stopped after ${took}`
    case "skipped":
      return `${name}: skipped`
  }
}
