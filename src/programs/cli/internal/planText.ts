/**
 * A plan for people.
 *
 * ```
 * CI, on push
 *
 * build
 *   runs on ubuntu-latest
 *   1. actions/checkout@v5
 *   2. Compile
 * deploy: unknown until run (needs)
 *   after build
 * ```
 */
import * as TerminalText from "../../console/internal/TerminalText.ts"
import type { Foreseen, PlannedJob, PlannedStep, Verdict, WorkflowPlan } from "../../github/WorkflowPlan.ts"

/** @category formatting */
export const render = ({ event, jobs, workflow }: WorkflowPlan): string =>
  [`${workflow}, on ${event}`, ...jobs.map((job) => jobLines(job).join("\n"))].map(inLines).join("\n\n")

const inLines = (text: string): string => text.split("\n").map(TerminalText.inOneLine).join("\n")

const jobLines = (job: PlannedJob): ReadonlyArray<string> => {
  const name = shown(job.name)
  const about = [
    ...(job.needs.length === 0 ? [] : [`after ${job.needs.join(", ")}`]),
    ...(job.condition === undefined ? [] : [`if ${job.condition}`]),
    ...matrixLines(job.matrix),
    `runs on ${shown(job.runsOn)}${job.container === undefined ? "" : `, in ${shown(job.container)}`}`,
    ...(job.services.length === 0 ? [] : [`services: ${job.services.join(", ")}`])
  ]
  const head = `${job.id}${name === job.id ? "" : ` (${name})`}${verdict(job.verdict, job.why)}`
  return [head, ...about.map((line) => `  ${line}`), ...stepLines(job.steps, "  ")]
}

const matrixLines = (matrix: PlannedJob["matrix"]): ReadonlyArray<string> => {
  if (matrix === undefined) return []
  if (matrix._tag !== "Known") return [`matrix: ${shown(matrix)}`]
  const { length } = matrix.value
  return [`${length} combination${length === 1 ? "" : "s"}: ${matrix.value.map((each) => `(${each})`).join(" ")}`]
}

const stepLines = (steps: ReadonlyArray<PlannedStep>, indent: string): ReadonlyArray<string> =>
  steps.flatMap((step, index) => {
    const uses = step.uses === undefined || step.uses === step.name ? "" : ` (${step.uses})`
    const condition = step.condition === undefined ? "" : `, if ${step.condition}`
    return [
      `${indent}${index + 1}. ${step.name}${uses}${verdict(step.verdict)}${condition}`,
      ...stepLines(step.steps, `${indent}   `)
    ]
  })

const verdict = (is: Verdict, why?: string): string => {
  const because = why === undefined ? "" : ` (${why})`
  switch (is) {
    case "runs":
      return ""
    case "skipped":
      return `: skipped${because}`
    case "unknown":
      return `: unknown until run${because}`
  }
}

const shown = (value: Foreseen<unknown>): string => {
  switch (value._tag) {
    case "Known":
      return String(value.value)
    case "Unknown":
      return `unknown until run (${value.until})`
    case "Wrong":
      return `an error when it runs: ${value.message}`
  }
}
