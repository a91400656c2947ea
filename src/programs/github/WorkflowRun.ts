/**
 * Runs a workflow file on any backend, by the same engine and with the same events as every other workflow.
 *
 * **Example**
 *
 * ```ts
 * const program = Effect.flatMap(WorkflowFile.read(".github/workflows/ci.yml"), (file) =>
 *   WorkflowRun.run(file, { secrets: { TOKEN: Redacted.make("...") } }))
 * ```
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import { JobBackend } from "../../domain/JobBackend.ts"
import * as Workflow from "../../domain/Workflow.ts"
import * as WorkflowEngine from "../../domain/WorkflowEngine.ts"
import type { WorkflowResult } from "../../domain/WorkflowResult.ts"
import { inOrder, WorkflowInvalid } from "./Diagnostic.ts"
import { checkout } from "./internal/checkout.ts"
import { nameOf } from "./internal/contexts.ts"
import { checksOut, jobsOf } from "./internal/jobGraph.ts"
import { type PreparedRun, prepareRun } from "./internal/prepareRun.ts"
import { refusals } from "./internal/refusals.ts"
import type { StepSummary } from "./internal/stepRunner.ts"
import type { OptionInvalid } from "./OptionInvalid.ts"
import type { Options } from "./RunOptions.ts"
import type { WorkflowFile } from "./WorkflowFile.ts"

export type { StepSummary } from "./internal/stepRunner.ts"

/**
 * What came of it. `ExitCode.ofWorkflow(result)` is the exit code.
 *
 * @category models
 */
export interface RunOutcome {
  readonly result: WorkflowResult
  /** What steps wrote to `$GITHUB_STEP_SUMMARY`, in the order in which they ended. */
  readonly summaries: ReadonlyArray<StepSummary>
}

/**
 * Runs the jobs that the options select, to the end. Interrupting it cancels them in order, as with every workflow.
 *
 * **Details**
 *
 * What does not fit the file, and what the backend cannot do, is refused before anything is started. Events, results and messages show no
 * secret.
 *
 * @category running
 */
export const run = Effect.fnUntraced(function* (
  file: WorkflowFile,
  options: Options = {}
): Effect.fn.Return<RunOutcome, WorkflowInvalid | OptionInvalid, JobBackend | FileSystem.FileSystem> {
  const { images, prepared } = yield* prepare(file, options)
  const summaries: Array<StepSummary> = []
  const onSummary = (summary: StepSummary) => {
    summaries.push(summary)
  }
  const copies = options.workspace !== "in-place" && prepared.jobs.some(checksOut)
  const result = yield* Effect.scoped(
    Effect.flatMap(copies ? checkout(file.workspace) : Effect.succeed(file.workspace), (workspace) =>
      WorkflowEngine.run(Workflow.make(nameOf(file), jobsOf(prepared, { workspace, images, onSummary })), {
        parallel: options.parallel,
        conclude: options.conclude
      })
    )
  )
  return { result, summaries }
})

/**
 * Refuses what `run` would refuse, and runs nothing.
 *
 * @category running
 */
export const check = (
  file: WorkflowFile,
  options: Options = {}
): Effect.Effect<void, WorkflowInvalid | OptionInvalid, JobBackend | FileSystem.FileSystem> =>
  Effect.asVoid(prepare(file, options))

const prepare = Effect.fnUntraced(function* (file: WorkflowFile, options: Options) {
  const { capabilities, name: backend } = yield* JobBackend
  const prepared: PreparedRun = yield* prepareRun(file, options)
  const images = capabilities.hostScripts ? undefined : (options.images ?? {})
  const refused = refusals(prepared, backend, capabilities, images)
  if (refused.length > 0) return yield* new WorkflowInvalid({ diagnostics: inOrder(refused) })
  return { prepared, images }
})
