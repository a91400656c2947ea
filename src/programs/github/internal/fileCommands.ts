/** The files by which steps set variables, outputs and paths for the steps after them. */
import * as Result from "effect/Result"
import { StepFile } from "../../../domain/Step.ts"
import * as StepOutputs from "../../../domain/StepOutputs.ts"

const names = {
  env: "GITHUB_ENV",
  output: "GITHUB_OUTPUT",
  path: "GITHUB_PATH",
  state: "GITHUB_STATE",
  summary: "GITHUB_STEP_SUMMARY"
}

/** Empty ones for each step. */
export const stepFiles: ReadonlyArray<StepFile> = Object.entries(names).map(
  ([name, variable]) => new StepFile({ name, variable, collect: true })
)

export interface FileCommands {
  readonly env: Readonly<Record<string, string>>
  readonly outputs: Readonly<Record<string, string>>
  readonly state: Readonly<Record<string, string>>
  /** In the order of the file: later ones go first in PATH. */
  readonly paths: ReadonlyArray<string>
  readonly summary: string
  /** Files that cannot be read: GitHub fails the step for them. */
  readonly problems: ReadonlyArray<string>
  /** What is ignored, and why. */
  readonly warnings: ReadonlyArray<string>
}

/** GitHub's limit, above which it takes nothing of it. */
const maxSummary = 1024 * 1024

export const readFileCommands = (files: ReadonlyMap<string, string>): FileCommands => {
  const problems: Array<string> = []
  const warnings: Array<string> = []
  const read = (name: "env" | "output" | "state") => {
    const parsed = StepOutputs.parse(files.get(name) ?? "")
    if (Result.isSuccess(parsed)) return parsed.success
    problems.push(`the file of $${names[name]} cannot be read: ${parsed.failure}`)
    return {}
  }
  const env = Object.fromEntries(
    Object.entries(read("env")).filter(([name]) => {
      const allowed = name.toUpperCase() !== "NODE_OPTIONS"
      if (!allowed) warnings.push(`${name} cannot be set by $${names.env}`)
      return allowed
    })
  )
  const summary = files.get("summary") ?? ""
  const fits = summary.length <= maxSummary
  if (!fits)
    warnings.push(`$${names.summary} takes ${maxSummary / 1024} KiB at most, and there are ${summary.length >> 10}`)
  return {
    env,
    outputs: read("output"),
    state: read("state"),
    paths: (files.get("path") ?? "").split(/\r?\n/).filter((line) => line !== ""),
    summary: fits ? summary : "",
    problems,
    warnings
  }
}
