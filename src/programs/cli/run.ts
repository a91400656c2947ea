/**
 * `jobscope run`: a workflow file on a backend.
 */
import * as Console from "effect/Console"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import { WorkflowResult } from "../../domain/WorkflowResult.ts"
import { Afterwards } from "../commandMain.ts"
import * as Masker from "../commands/Masker.ts"
import * as ExitCode from "../console/ExitCode.ts"
import * as JobMain from "../console/JobMain.ts"
import * as Diagnostic from "../github/Diagnostic.ts"
import * as WorkflowFile from "../github/WorkflowFile.ts"
import * as WorkflowRun from "../github/WorkflowRun.ts"
import * as GithubRenderer from "../report/GithubRenderer.ts"
import * as JsonRenderer from "../report/JsonRenderer.ts"
import * as JunitRenderer from "../report/JunitRenderer.ts"
import * as Backends from "./Backends.ts"
import { builderOf } from "./internal/builderOf.ts"
import { flags, values } from "./internal/command.ts"
import { inGithubActions } from "./internal/inGithubActions.ts"
import { keepFailed } from "./internal/keepFailed.ts"
import { byFlag } from "./internal/optionInvalid.ts"
import * as Paths from "./internal/paths.ts"
import { runOptions, runSettings } from "./internal/runOptions.ts"
import { workflowFile } from "./internal/workflowFiles.ts"
import type * as Setting from "./Setting.ts"
import * as settings from "./settings.ts"

/** @category options */
export const all = {
  ...runSettings,
  backend: settings.backend,
  output: settings.output,
  timestamps: settings.timestamps,
  onFailure: settings.onFailure,
  passthrough: settings.passthrough,
  summaryFile: settings.summaryFile,
  builder: settings.builder,
  builderOptions: settings.builderOptions,
  ...Backends.settings
}

/** @category commands */
export const command = Command.make(
  "run",
  {
    file: Paths.argument("file").pipe(
      Argument.withMetavar("FILE"),
      Argument.withDescription("Workflow file, or the name of one in .github/workflows. Default: the only one there"),
      Argument.optional
    ),
    ...flags(all)
  },
  Effect.fnUntraced(function* ({ file: named, ...given }) {
    const wanted = yield* values(all, given)
    const path = yield* workflowFile(Option.getOrUndefined(named))
    const file = yield* WorkflowFile.read(path, { workspace: wanted.workspace, actions: wanted.actions })
    const options = yield* runOptions(wanted, file)
    if (file.warnings.length > 0) yield* Console.error(Diagnostic.render(file.warnings))

    const run = WorkflowRun.run(file, options).pipe(
      Effect.catchTag("OptionInvalid", byFlag),
      Effect.tap(({ summaries }) =>
        wanted.summaryFile === undefined ? Effect.void : writeSummaries(wanted.summaryFile, summaries)
      )
    )
    const fileSystem = yield* FileSystem.FileSystem
    const program = (wanted.onFailure === "keep" ? keepFailed(run) : run).pipe(
      Effect.map(({ result }) => result),
      Effect.provide(
        Backends.layer(wanted.backend ?? "local", wanted, builderOf(wanted.builder, wanted.builderOptions))
      ),
      Effect.provideService(FileSystem.FileSystem, fileSystem)
    )
    const output = wanted.output ?? ((yield* inGithubActions) ? "github" : undefined)
    const shown = yield* rendererOf(output, path)
    const masker = Masker.make(Object.values(options.secrets))
    const { run: afterwards } = yield* Afterwards
    yield* afterwards(() =>
      JobMain.runMain(program, {
        ...shown,
        timestamps: wanted.timestamps,
        mask: masker.mask,
        exitCode: wanted.passthrough ? passedThrough : ExitCode.ofExit
      })
    )
  })
).pipe(
  Command.withDescription(
    "Runs a workflow file: all of its jobs, or some. Exits with 0 if all succeeded, 1 if a step failed, 2 if something is not valid, 3 for failures of the infrastructure, 4 when out of time."
  ),
  Command.withShortDescription("Run a workflow file"),
  Command.withExamples([
    { command: "jobscope run ci.yml", description: "All jobs, on this machine" },
    {
      command: "jobscope run ci.yml -j test --matrix node:22",
      description: "One job with what it needs, one combination"
    },
    { command: "jobscope run ci.yml -b pod --secret-file .secrets", description: "In pods, with secrets" },
    { command: "jobscope run ci.yml -o junit > report.xml", description: "A report for a test viewer" }
  ])
)

/** For the log of GitHub Actions the summary is in order too; data stays data. */
const rendererOf = Effect.fnUntraced(function* (
  output: Setting.Values<typeof all>["output"],
  path: string
): Effect.fn.Return<JobMain.Options> {
  switch (output) {
    case undefined:
      return { renderer: "auto" }
    case "tty":
      return { renderer: "live" }
    case "plain":
      return { renderer: "plain" }
    case "github": {
      const token = yield* Effect.replicateEffect(Random.nextIntBetween(0, Number.MAX_SAFE_INTEGER), 3)
      const stopToken = token.map((part) => part.toString(36)).join("")
      return { renderer: GithubRenderer.make({ stopToken }), summary: true }
    }
    case "json":
      return { renderer: JsonRenderer.make() }
    case "junit":
      return { renderer: JunitRenderer.make({ name: path }) }
  }
})

/** The code of the first step that failed a job, where that is all that happened. */
const passedThrough = (exit: Exit.Exit<ExitCode.Results, unknown>): number => {
  const code = ExitCode.ofExit(exit)
  if (code !== ExitCode.failure || !Exit.isSuccess(exit) || !(exit.value instanceof WorkflowResult)) return code
  const failed = exit.value.jobs.filter(({ conclusion }) => conclusion === "failure").flatMap(({ runs }) => runs)
  return failed.find(({ conclusion }) => conclusion === "failure")?.failedStep?.exitCode || code
}

const writeSummaries = Effect.fnUntraced(function* (path: string, summaries: ReadonlyArray<WorkflowRun.StepSummary>) {
  const fs = yield* FileSystem.FileSystem
  const text = summaries.map(({ markdown }) => (markdown.endsWith("\n") ? markdown : `${markdown}\n`)).join("")
  if (text === "") return
  yield* Effect.catch(fs.writeFileString(path, text, { flag: "a" }), (error) =>
    Effect.logWarning(`The summaries could not be written to ${path}: ${error.message}`)
  )
})
