/**
 * `jobscope plan`: what a run would do, and nothing is run.
 */
import * as Console from "effect/Console"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { JobBackend } from "../../domain/JobBackend.ts"
import * as Masker from "../commands/Masker.ts"
import * as Diagnostic from "../github/Diagnostic.ts"
import * as WorkflowFile from "../github/WorkflowFile.ts"
import * as WorkflowPlan from "../github/WorkflowPlan.ts"
import * as WorkflowRun from "../github/WorkflowRun.ts"
import * as Backends from "./Backends.ts"
import { flags, values } from "./internal/command.ts"
import { byFlag } from "./internal/optionInvalid.ts"
import * as Paths from "./internal/paths.ts"
import { render } from "./internal/planText.ts"
import { runOptions, runSettings } from "./internal/runOptions.ts"
import { workflowFile } from "./internal/workflowFiles.ts"
import * as settings from "./settings.ts"

/** @category options */
export const all = { ...runSettings, backend: settings.backend, output: settings.listOutput, ...Backends.settings }

/** @category commands */
export const command = Command.make(
  "plan",
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
    const plan = yield* Effect.catchTag(WorkflowPlan.plan(file, options), "OptionInvalid", byFlag)
    const { mask } = Masker.make(Object.values(options.secrets))
    yield* Console.log(wanted.output === "json" ? asJson(plan, mask) : mask(render(plan)))
    if (wanted.backend !== undefined) yield* refuse(wanted.backend, wanted, WorkflowRun.check(file, options))
  })
).pipe(
  Command.withDescription(
    "Shows what a run of a workflow file would do: its jobs in an order in which they can run, their combinations and steps. What only the run can tell is called so; nothing is guessed, and nothing is run."
  ),
  Command.withShortDescription("Show what would run"),
  Command.withExamples([
    { command: "jobscope plan ci.yml", description: "Everything" },
    { command: "jobscope plan ci.yml -b pod", description: "And what pods cannot do of it" },
    {
      command: "jobscope plan ci.yml -j deploy --event-name push",
      description: "One job with what it needs, on a push"
    }
  ])
)

/** What the backend cannot do; nothing if it cannot be asked, for a plan needs no cluster. */
const refuse = Effect.fnUntraced(function* <E>(
  name: Backends.Name,
  wanted: Backends.Values,
  check: Effect.Effect<void, E, JobBackend | FileSystem.FileSystem>
) {
  const backend = yield* Effect.result(Layer.build(Backends.layer(name, wanted)))
  yield* Result.isSuccess(backend)
    ? Effect.provide(check, backend.success)
    : Console.error(`not looked at: ${name}: ${backend.failure.message}`)
}, Effect.scoped)

const asJson = (plan: WorkflowPlan.WorkflowPlan, mask: (text: string) => string): string =>
  JSON.stringify({ v: 1, ...plan }, (_, value) => (typeof value === "string" ? mask(value) : value), 2)
