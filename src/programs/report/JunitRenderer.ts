/**
 * A JUnit report, written at the end: a suite for each run of a job, a case for each step. Test viewers of CI services open it.
 *
 * Output of a step is part of it up to a bound: its end, which is where a failure is.
 */
import * as Equal from "effect/Equal"
import type { BackendError } from "../../domain/JobError.ts"
import type { JobEvent } from "../../domain/JobEvent.ts"
import type { JobResult, StepResult } from "../../domain/JobResult.ts"
import * as LogLine from "../commands/internal/logLine.ts"
import * as TerminalText from "../console/internal/TerminalText.ts"
import * as Times from "../console/internal/Times.ts"
import type { Renderer } from "../console/Renderer.ts"
import * as StepLines from "./internal/StepLines.ts"
import * as Xml from "./internal/Xml.ts"

/** @category options */
export interface Options {
  /** Of the whole report: the workflow's name, for one. Default `jobscope`. */
  readonly name?: string | undefined
  /** Characters of output that are kept of each step. Default 65,536; of a step that succeeded a quarter. */
  readonly maxOutput?: number | undefined
}

/** @category constructors */
export const make = ({ maxOutput = 65_536, name = "jobscope" }: Options = {}): Renderer => {
  const lines = StepLines.make()
  /** Last lines of steps, by run. */
  const outputs = new Map<string, Map<string, Tail>>()
  const suites: Array<Suite> = []

  const keep = (event: JobEvent & { readonly step: string }, found: ReadonlyArray<StepLines.Line>) => {
    if (found.length === 0) return
    const run = StepLines.keyOf(event)
    const steps = outputs.get(run) ?? new Map<string, Tail>()
    outputs.set(run, steps)
    const tail = steps.get(event.step) ?? newTail()
    steps.set(event.step, tail)
    for (const { text } of found) add(tail, text, maxOutput)
  }

  return {
    event: (event) => {
      switch (event._tag) {
        case "StepOutput":
          keep(event, lines.push(event))
          break
        case "StepFinished": {
          keep(event, lines.end(event))
          const tail = outputs.get(StepLines.keyOf(event))?.get(event.step)
          if (tail !== undefined && event.result.outcome === "success") shorten(tail, maxOutput / 4)
          break
        }
        case "JobFinished":
          suites.push(suiteOf(event.result, outputs.get(StepLines.keyOf(event)) ?? new Map()))
          outputs.delete(StepLines.keyOf(event))
          lines.forget(event)
          break
      }
      return ""
    },
    above: (text) => text,
    moving: () => false,
    tick: () => "",
    pause: () => "",
    end: () => documentOf(name, suites)
  }
}

// ---- output

interface Tail {
  readonly lines: Array<string>
  length: number
  /** Something was left out. */
  cut: boolean
}

const newTail = (): Tail => ({ lines: [], length: 0, cut: false })

const add = (tail: Tail, line: string, limit: number) => {
  tail.lines.push(line)
  tail.length += line.length + 1
  // Now and then only: taking from the beginning moves all the rest.
  if (tail.length > 2 * limit) shorten(tail, limit)
}

const shorten = (tail: Tail, limit: number) => {
  let from = 0
  while (tail.length > limit && from < tail.lines.length) tail.length -= tail.lines[from++]!.length + 1
  if (from === 0) return
  tail.lines.splice(0, from)
  tail.cut = true
}

const textOf = ({ cut, lines }: Tail): string => (cut ? ["…", ...lines] : lines).flatMap(readable).join("\n")

const readable = (text: string): ReadonlyArray<string> => {
  const line = LogLine.of(text)
  return line._tag === "EndGroup" ? [] : [TerminalText.strip(LogLine.describe(line))]
}

// ---- the document

interface Suite {
  readonly text: string
  readonly tests: number
  readonly failures: number
  readonly errors: number
  readonly skipped: number
  readonly seconds: number
}

const suiteOf = (result: JobResult, outputs: ReadonlyMap<string, Tail>): Suite => {
  const cases = result.steps.map((step) => caseOf(result, step, outputs.get(step.id)))
  // What no step tells: a job that did not start, an environment that was lost. And a suite without a case is not shown at all.
  const told = result.steps.some((step) => step.error !== undefined && Equal.equals(step.error, result.error))
  if ((result.error !== undefined && !told) || cases.length === 0) cases.push(caseOfJob(result))
  const count = (kind: Kind) => cases.filter((each) => each.kind === kind).length
  const numbers = {
    tests: cases.length,
    failures: count("failure"),
    errors: count("error"),
    skipped: count("skipped"),
    seconds: result.duration / 1000
  }
  const attributes = {
    name: result.job,
    ...attributesOf(numbers),
    timestamp: Times.make("utc")(result.startedAt).replace(/\.\d+Z$/, "")
  }
  return {
    ...numbers,
    text: Xml.element(
      "testsuite",
      attributes,
      cases.map(({ text }) => text)
    )
  }
}

type Kind = "success" | "failure" | "error" | "skipped"

interface Case {
  readonly kind: Kind
  readonly text: string
}

const caseOf = (job: JobResult, step: StepResult, output: Tail | undefined): Case => {
  const attributes = { classname: job.job, name: step.name, time: secondsOf(step.duration / 1000) }
  const kind = kindOf(step)
  const system = output === undefined ? [] : [Xml.element("system-out", {}, [Xml.text(textOf(output))])]
  return { kind, text: Xml.element("testcase", attributes, [...verdict(kind, step), ...system]) }
}

const kindOf = ({ conclusion, outcome }: StepResult): Kind => {
  if (outcome === "skipped") return "skipped"
  if (conclusion === "success") return "success"
  return conclusion === "failure" ? "failure" : "error"
}

const verdict = (kind: Kind, step: StepResult): ReadonlyArray<string> => {
  switch (kind) {
    case "success":
      return []
    case "skipped":
      return [Xml.element("skipped", {}, [])]
    case "failure": {
      const message = step.detail ?? `exit code ${step.exitCode ?? "unknown"}`
      return [
        Xml.element("failure", { message, type: "StepFailed" }, [Xml.text(step.tail.flatMap(readable).join("\n"))])
      ]
    }
    case "error":
      return [
        step.error === undefined
          ? Xml.element("error", { message: step.outcome, type: step.outcome }, [])
          : errorOf(step.error)
      ]
  }
}

const caseOfJob = (result: JobResult): Case => {
  const attributes = { classname: result.job, name: result.job, time: secondsOf(result.duration / 1000) }
  if (result.error !== undefined) {
    return { kind: "error", text: Xml.element("testcase", attributes, [errorOf(result.error)]) }
  }
  return result.conclusion === "success"
    ? { kind: "success", text: Xml.element("testcase", attributes, []) }
    : {
        kind: "skipped",
        text: Xml.element("testcase", attributes, [Xml.element("skipped", { message: result.conclusion }, [])])
      }
}

const errorOf = (error: BackendError): string =>
  Xml.element("error", { message: error.message, type: error.reason._tag }, [
    Xml.text(`${error.advice}\n${error.anchor}`)
  ])

const documentOf = (name: string, suites: ReadonlyArray<Suite>): string => {
  const sum = (key: Exclude<keyof Suite, "text">) => suites.reduce((total, suite) => total + suite[key], 0)
  const numbers = {
    tests: sum("tests"),
    failures: sum("failures"),
    errors: sum("errors"),
    skipped: sum("skipped"),
    seconds: sum("seconds")
  }
  return `${Xml.declaration}\n${Xml.element(
    "testsuites",
    { name, ...attributesOf(numbers) },
    suites.map(({ text }) => text)
  )}\n`
}

const attributesOf = ({ errors, failures, seconds, skipped, tests }: Omit<Suite, "text">) => ({
  tests: String(tests),
  failures: String(failures),
  errors: String(errors),
  skipped: String(skipped),
  time: secondsOf(seconds)
})

const secondsOf = (seconds: number): string => Math.max(0, seconds).toFixed(3)
