/** What can be said of a job before anything runs. */
import * as Result from "effect/Result"
import type { Combination } from "../../../domain/Matrix.ts"
import type { Selection } from "../RunOptions.ts"
import type { WorkflowFile } from "../WorkflowFile.ts"
import type { JobSyntax } from "../WorkflowSyntax.ts"
import * as Contexts from "./contexts.ts"
import { type Scope, unknown } from "./expression.ts"
import { combinationsOf } from "./strategy.ts"

/** What is known of the run. */
export interface Known {
  readonly file: WorkflowFile
  readonly contexts: Contexts.RunContexts
}

/** Of everything but steps: what jobs before it hand over is not known. */
export const contextsBefore = ({ contexts }: Known, job: JobSyntax): Scope["contexts"] => ({
  github: Contexts.githubContext(contexts, { job: job.id.value }),
  inputs: contexts.inputs,
  vars: contexts.vars,
  needs: unknown
})

/** Those of its matrix that are wanted, an empty one for a job without; or what was thrown instead. */
export const combinationsBefore = (
  run: Known,
  job: JobSyntax,
  wanted: Selection["matrix"]
): Result.Result<ReadonlyArray<Combination>, unknown> => {
  const { strategy } = job
  return Result.try(() =>
    strategy?.matrix === undefined
      ? [{}]
      : combinationsOf(run.file.syntax.file, strategy, { contexts: contextsBefore(run, job) }, wanted)
  )
}
