/**
 * For a log of GitHub Actions: a group for each step, and annotations for what failed.
 *
 * ```
 * ::group::build › Install the dependencies
 * added 132 packages
 * ::endgroup::
 * ✓ build › Install the dependencies, 3.4s
 * ```
 *
 * Groups of GitHub do not nest and do not interleave, so one step at a time has its output shown as it comes. That of the others is kept until
 * it has ended, or until there is much of it. A failed step's last lines are shown again outside of its group, which is closed.
 */
import type { BackendError } from "../../domain/JobError.ts"
import type { JobEvent } from "../../domain/JobEvent.ts"
import type { StepResult } from "../../domain/JobResult.ts"
import * as LogLine from "../commands/internal/logLine.ts"
import * as WorkflowCommands from "../commands/WorkflowCommands.ts"
import * as TerminalText from "../console/internal/TerminalText.ts"
import * as Times from "../console/internal/Times.ts"
import { conclusions, warning } from "../console/internal/Wording.ts"
import type { Renderer } from "../console/Renderer.ts"
import * as StepLines from "./internal/StepLines.ts"

/** @category options */
export interface Options {
  /** A word that nobody can guess: it keeps the runner from obeying commands that are only text for us. */
  readonly stopToken: string
  /** Characters that are kept of a step that is not shown at the moment. Default 262,144. */
  readonly maxKept?: number | undefined
}

/** @category constructors */
export const make = ({ maxKept = 262_144, stopToken }: Options): Renderer => {
  const lines = StepLines.make()
  const steps = new Map<string, Step>()
  /** The step whose group is open. */
  let shown: Step | undefined

  const close = (): string => {
    if (shown === undefined) return ""
    shown.begun = true
    shown = undefined
    return "::endgroup::\n"
  }

  /** Opens the group of a step, and writes what was kept of it. */
  const show = (step: Step): string => {
    if (shown === step) return ""
    const closed = close()
    const title = step.begun ? `${step.title} (continued)` : step.title
    const kept = step.kept
    step.kept = ""
    shown = step
    return `${closed}${WorkflowCommands.render(WorkflowCommands.command("group", title))}\n${kept}`
  }

  const write = (step: Step, found: ReadonlyArray<StepLines.Line>): string => {
    let text = ""
    for (const line of found) text += render(line.text, step.title, stopToken)
    if (shown === step) return text
    step.kept += text
    return shown === undefined || step.kept.length > maxKept ? show(step) : ""
  }

  const end = (step: Step, result: StepResult, left: ReadonlyArray<StepLines.Line>): string => {
    const text = write(step, left)
    const rest = step.kept === "" && shown !== step ? "" : show(step) + close()
    steps.delete(step.key)
    return text + rest + verdict(step.title, result, stopToken)
  }

  /** A line of our own, which must not be hidden in a group. */
  const say = (text: string): string => `${close()}${text}`

  return {
    event: (event) => {
      const { job } = event
      switch (event._tag) {
        case "JobStarted":
        case "PhaseStarted":
        case "EnvironmentRequested":
        case "EnvironmentReady":
        case "EnvironmentReleased":
        case "EnvironmentHandedOver":
          return ""
        case "Waiting":
          return say(plain(`${job}: waiting for ${TerminalText.inOneLine(event.reason)}`, stopToken))
        case "StepStarted": {
          const key = keyOf(event)
          const step = {
            key,
            title: titleOf(job, event.name),
            kept: plain(`$ ${TerminalText.inOneLine(event.command)}`, stopToken),
            begun: false
          }
          steps.set(key, step)
          return shown === undefined ? show(step) : ""
        }
        case "StepOutput": {
          const step = steps.get(keyOf(event))
          return step === undefined ? "" : write(step, lines.push(event))
        }
        case "StepFinished": {
          const step = steps.get(keyOf(event))
          // One that was skipped never started.
          if (step === undefined) return say(verdict(titleOf(job, event.result.name), event.result, stopToken))
          return end(step, event.result, lines.end(event))
        }
        case "Retrying":
          return say(
            annotate("warning", job, `${event.what}, try ${event.attempt} of ${event.of}: ${event.error.message}`)
          )
        case "Warning":
          return say(annotate("warning", job, event.message))
        case "Stopping":
          return say(plain(`${job}: stopping: ${TerminalText.inOneLine(event.why)}`, stopToken))
        case "Leaked":
          return say(annotate("warning", `${job}: not released`, explained(event.error)))
        case "JobFinished": {
          lines.forget(event)
          const { conclusion, duration, error, steps } = event.result
          const { mark } = conclusions[conclusion]
          const told = steps.some((step) => step.error !== undefined)
          const line = plain(`${mark} ${job}: ${conclusion} after ${Times.duration(duration)}`, stopToken)
          return say(
            error === undefined || told
              ? line
              : line + annotate("error", `${job}: ${error.reason._tag}`, explained(error))
          )
        }
      }
    },
    above: (text) => text,
    moving: () => false,
    tick: () => "",
    pause: () => "",
    end: () => {
      const left = [...steps.values()].filter(({ kept }) => kept !== "").map(show)
      return left.join("") + close()
    }
  }
}

interface Step {
  readonly key: string
  readonly title: string
  /** What is to be written when it is shown. */
  kept: string
  /** Part of it was shown already. */
  begun: boolean
}

const titleOf = (job: string, step: string): string => TerminalText.inOneLine(`${job} › ${step}`)

const keyOf = (event: JobEvent & { readonly step: string }): string => `${StepLines.keyOf(event)} ${event.step}`

/** A line of a step's output. */
const render = (text: string, title: string, stopToken: string): string => {
  const line = LogLine.of(text)
  switch (line._tag) {
    case "Annotation":
      return command(WorkflowCommands.ofAnnotation({ ...line.annotation, title: line.annotation.title ?? title }))
    case "Debug":
      return command(WorkflowCommands.command("debug", line.message))
    // Groups do not nest.
    case "Group":
      return `▸ ${line.name}\n`
    case "EndGroup":
      return ""
    case "Text":
      return plain(text, stopToken)
  }
}

/** It is text by now, whatever it looks like: a step may print such lines between stop-commands and its token. */
const plain = (text: string, stopToken: string): string =>
  WorkflowCommands.parse(text) === undefined
    ? `${text}\n`
    : `::stop-commands::${stopToken}\n${text}\n::${stopToken}::\n`

const verdict = (title: string, result: StepResult, stopToken: string): string => {
  const { conclusion, detail, duration, error, exitCode, outcome, tail } = result
  const excused = conclusion !== outcome
  const { mark } = excused ? warning : conclusions[outcome]
  const took = outcome === "skipped" ? "" : `, ${Times.duration(duration)}`
  const line = plain(
    `${mark} ${title}${outcome === "success" ? "" : `: ${outcome}`}${excused ? ", and that is allowed" : ""}${took}`,
    stopToken
  )
  if (outcome === "success" || outcome === "skipped" || outcome === "cancelled") return line
  const why = error === undefined ? (detail ?? `exit code ${exitCode ?? "unknown"}`) : explained(error)
  const level = excused ? "warning" : "error"
  return `${line}${tail.map((text) => plain(`  | ${LogLine.describe(LogLine.of(text)).replaceAll("\n", " ")}`, stopToken)).join("")}${annotate(level, title, why)}`
}

const explained = (error: BackendError): string => `${error.message}\n${error.advice}\n${error.anchor}`

const annotate = (level: WorkflowCommands.Level, title: string, message: string): string =>
  command(WorkflowCommands.ofAnnotation({ level, title, message }))

const command = (written: WorkflowCommands.WorkflowCommand): string => `${WorkflowCommands.render(written)}\n`
