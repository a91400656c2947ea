/**
 * One JSON object a line for everything that happens (`JsonEvent`).
 */
import type { BackendError } from "../../domain/JobError.ts"
import type { JobEvent } from "../../domain/JobEvent.ts"
import * as LogLine from "../commands/internal/logLine.ts"
import * as Times from "../console/internal/Times.ts"
import type { Renderer } from "../console/Renderer.ts"
import * as StepLines from "./internal/StepLines.ts"
import { type JsonEvent, type Problem, version } from "./JsonEvent.ts"

/** @category constructors */
export const make = (): Renderer => {
  const lines = StepLines.make()
  const time = Times.make("utc")
  let latest = 0

  const output = (event: JobEvent & { readonly step: string }, found: ReadonlyArray<StepLines.Line>): string => {
    const { job, run, step } = event
    const about = { v: version, at: time(event.at), run, job, step } as const
    let all = ""
    for (const { stream, text } of found) {
      const line = LogLine.of(text)
      all +=
        line._tag === "Annotation"
          ? lineOf({ type: "annotation", ...about, ...line.annotation })
          : lineOf({ type: "output", ...about, stream, text })
    }
    return all
  }

  const eventOf = (event: JobEvent): string => {
    const { job, run } = event
    const about = { v: version, at: time(event.at), run, job } as const
    switch (event._tag) {
      case "JobStarted":
        return lineOf({ type: "job-started", ...about, backend: event.backend, steps: event.steps })
      case "PhaseStarted":
        return lineOf({ type: "phase-started", ...about, phase: event.phase })
      case "Waiting":
        return lineOf({ type: "waiting", ...about, phase: event.phase, reason: event.reason })
      case "EnvironmentRequested":
        return lineOf({
          type: "environment-requested",
          ...about,
          environment: event.environment,
          removal: event.removal
        })
      case "EnvironmentReady":
        return lineOf({ type: "environment-ready", ...about, environment: event.environment })
      case "EnvironmentReleased":
        return lineOf({ type: "environment-released", ...about, environment: event.environment })
      case "EnvironmentHandedOver":
        return lineOf({ type: "environment-handed-over", ...about, environment: event.environment })
      case "Leaked":
        return lineOf({
          type: "environment-leaked",
          ...about,
          environment: event.environment,
          error: problemOf(event.error)
        })
      case "StepStarted":
        return lineOf({ type: "step-started", ...about, step: event.step, name: event.name, command: event.command })
      case "StepOutput":
        return output(event, lines.push(event))
      case "StepFinished": {
        const { conclusion, detail, duration, error, exitCode, name, outcome, outputs } = event.result
        return (
          output(event, lines.end(event)) +
          lineOf({
            type: "step-finished",
            ...about,
            step: event.step,
            name,
            outcome,
            conclusion,
            ...(exitCode === undefined ? {} : { exitCode }),
            ...(error === undefined ? {} : { error: problemOf(error) }),
            ...(detail === undefined ? {} : { detail }),
            outputs,
            duration
          })
        )
      }
      case "Retrying":
        return lineOf({
          type: "retrying",
          ...about,
          what: event.what,
          attempt: event.attempt,
          of: event.of,
          error: problemOf(event.error)
        })
      case "Warning":
        return lineOf({ type: "warning", ...about, message: event.message })
      case "Stopping":
        return lineOf({ type: "stopping", ...about, why: event.why })
      case "JobFinished": {
        lines.forget(event)
        const { conclusion, duration, error, leaks, steps } = event.result
        return lineOf({
          type: "job-finished",
          ...about,
          conclusion,
          ...(error === undefined ? {} : { error: problemOf(error) }),
          steps: steps.map(({ conclusion, duration, id, name, outcome }) => ({
            id,
            name,
            outcome,
            conclusion,
            duration
          })),
          leaks: leaks.map(problemOf),
          duration
        })
      }
    }
  }

  return {
    event: (event) => {
      latest = event.at
      return eventOf(event)
    },
    above: (text) => text,
    moving: () => false,
    tick: () => "",
    pause: () => "",
    end: (outcome) =>
      outcome === undefined
        ? ""
        : lineOf({
            type: "finished",
            v: version,
            at: time(latest),
            exitCode: outcome.exitCode,
            jobs: outcome.results.map(({ conclusion, duration, job }) => ({ job, conclusion, duration })),
            problems: outcome.problems
          })
  }
}

const lineOf = (event: JsonEvent): string => `${JSON.stringify(event)}\n`

const problemOf = (error: BackendError): typeof Problem.Type => ({
  reason: error.reason._tag,
  message: error.message,
  advice: error.advice,
  retryable: error.retryable,
  url: error.anchor
})
