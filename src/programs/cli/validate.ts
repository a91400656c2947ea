/**
 * `jobscope validate`: what is wrong with workflow files, all of it at once, and nothing is run.
 */
import * as Console from "effect/Console"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import { quiet } from "../commandMain.ts"
import * as WorkflowCommands from "../commands/WorkflowCommands.ts"
import * as ExitCode from "../console/ExitCode.ts"
import * as Diagnostic from "../github/Diagnostic.ts"
import * as WorkflowFile from "../github/WorkflowFile.ts"
import { flags, values } from "./internal/command.ts"
import { inGithubActions } from "./internal/inGithubActions.ts"
import * as Paths from "./internal/paths.ts"
import { workflowFiles } from "./internal/workflowFiles.ts"
import * as settings from "./settings.ts"

/** @category options */
export const all = { output: settings.validateOutput, workspace: settings.workspace, actions: settings.actions }

/** @category commands */
export const command = Command.make(
  "validate",
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
    const paths = yield* workflowFiles(files)
    const checked = yield* Effect.forEach(paths, (path) =>
      Effect.map(WorkflowFile.check(path, { workspace, actions }), ({ diagnostics }) => ({ path, diagnostics }))
    )
    const diagnostics = checked.flatMap((each) => each.diagnostics)
    const shown = output ?? ((yield* inGithubActions) ? "github" : "text")
    yield* Console.log(
      shown === "json" ? asJson(checked) : shown === "github" ? asCommands(diagnostics) : asText(checked)
    )
    if (Diagnostic.hasErrors(diagnostics)) return yield* quiet(ExitCode.invalidInput)
  })
).pipe(
  Command.withDescription(
    "Checks workflow files without running anything: syntax, needs, expressions, actions, and what is not supported. Exits with 2 if there is an error."
  ),
  Command.withShortDescription("Check workflow files"),
  Command.withExamples([
    { command: "jobscope validate", description: "All files in .github/workflows" },
    { command: "jobscope validate ci.yml release.yml --output github", description: "Annotations in GitHub Actions" }
  ])
)

interface Checked {
  readonly path: string
  readonly diagnostics: ReadonlyArray<Diagnostic.Diagnostic>
}

const asText = (checked: ReadonlyArray<Checked>): string =>
  [
    ...checked.flatMap(({ diagnostics }) => (diagnostics.length === 0 ? [] : [Diagnostic.render(diagnostics)])),
    summary(checked)
  ].join("\n")

const summary = (checked: ReadonlyArray<Checked>): string => {
  const count = (severity: "error" | "warning") => {
    const found = checked.reduce(
      (sum, { diagnostics }) => sum + diagnostics.filter((each) => each.severity === severity).length,
      0
    )
    return `${found} ${severity}${found === 1 ? "" : "s"}`
  }
  return `${checked.length} file${checked.length === 1 ? "" : "s"}: ${count("error")}, ${count("warning")}`
}

const asJson = (checked: ReadonlyArray<Checked>): string =>
  JSON.stringify(
    {
      v: 1,
      files: checked.map(({ diagnostics, path }) => ({ path, valid: !Diagnostic.hasErrors(diagnostics), diagnostics }))
    },
    undefined,
    2
  )

const asCommands = (diagnostics: ReadonlyArray<Diagnostic.Diagnostic>): string =>
  diagnostics
    .map(({ code, column, endColumn, endLine, file, hint, line, message, severity }) =>
      WorkflowCommands.render(
        WorkflowCommands.ofAnnotation({
          level: severity,
          title: code,
          message: hint === undefined ? message : `${message}\n${hint}`,
          file,
          line,
          ...(endLine === line ? { endLine, col: column, endColumn } : { endLine })
        })
      )
    )
    .join("\n")
