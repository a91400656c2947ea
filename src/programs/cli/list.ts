/**
 * `jobscope list`: the workflows of a repository, and their jobs.
 */
import * as Console from "effect/Console"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Diagnostic from "../github/Diagnostic.ts"
import * as WorkflowFile from "../github/WorkflowFile.ts"
import type { Text } from "../github/WorkflowSyntax.ts"
import { flags, values } from "./internal/command.ts"
import * as Paths from "./internal/paths.ts"
import * as Table from "./internal/table.ts"
import { workflowFiles } from "./internal/workflowFiles.ts"
import * as settings from "./settings.ts"

/** @category options */
export const all = { output: settings.listOutput, workspace: settings.workspace, actions: settings.actions }

/** @category commands */
export const command = Command.make(
  "list",
  {
    files: Paths.argument("files").pipe(
      Argument.withMetavar("FILES"),
      Argument.withDescription("Workflow files, or names of those in .github/workflows. Default: all of those"),
      Argument.variadic()
    ),
    ...flags(all)
  },
  Effect.fnUntraced(function* ({ files, ...given }) {
    const { actions, output, workspace } = yield* values(all, given)
    const found = yield* Effect.forEach(yield* workflowFiles(files), (path) =>
      Effect.map(WorkflowFile.check(path, { workspace, actions }), (checked) => workflowOf(path, checked))
    )
    yield* Console.log(output === "json" ? asJson(found) : found.map(asText).join("\n\n"))
  })
).pipe(
  Command.withDescription("Lists workflow files, and their jobs."),
  Command.withShortDescription("List workflows and jobs"),
  Command.withExamples([{ command: "jobscope list", description: "Everything in .github/workflows" }])
)

interface Workflow {
  readonly path: string
  readonly name?: string
  readonly on: ReadonlyArray<string>
  readonly jobs: ReadonlyArray<Job>
  /** Why it cannot be run. */
  readonly errors: ReadonlyArray<Diagnostic.Diagnostic>
}

interface Job {
  readonly id: string
  readonly name: string
  readonly needs: ReadonlyArray<string>
  readonly matrix: boolean
  readonly steps: number
}

const workflowOf = (path: string, { diagnostics, workflow }: WorkflowFile.Checked): Workflow => {
  if (workflow === undefined) {
    return { path, on: [], jobs: [], errors: diagnostics.filter(({ severity }) => severity === "error") }
  }
  const { jobs, name, on } = workflow.syntax
  return {
    path,
    ...(name === undefined ? {} : { name: written(name) }),
    on: on.map((event) => event.name),
    jobs: jobs.map(({ id, name, needs, steps, strategy }) => ({
      id: id.value,
      name: name === undefined ? id.value : written(name),
      needs: needs.map(({ value }) => value),
      matrix: strategy?.matrix !== undefined,
      steps: steps.length
    })),
    errors: []
  }
}

/** As it is in the file: what expressions give is not known yet. */
const written = ({ literal, parts }: Text): string =>
  literal === undefined
    ? parts.map((part) => (typeof part === "string" ? part : `\${{ ${part.source.trim()} }}`)).join("")
    : String(literal)

const asJson = (workflows: ReadonlyArray<Workflow>): string => JSON.stringify({ v: 1, workflows }, undefined, 2)

const asText = ({ errors, jobs, name, on, path }: Workflow): string => {
  const head = `${path}${name === undefined ? "" : `: ${name}`}`
  if (errors.length > 0) return `${head}\n${Diagnostic.render(errors, { lines: 8 })}`
  const rows = jobs.map((job) => [
    job.id,
    job.name === job.id ? "" : job.name,
    job.needs.join(", "),
    job.matrix ? "yes" : "",
    String(job.steps)
  ])
  const table = Table.render(["JOB", "NAME", "NEEDS", "MATRIX", "STEPS"], rows)
  return `${head} (on ${on.join(", ")})\n${table.replaceAll(/^/gm, "  ")}`
}
