/**
 * What came of a workflow and its jobs.
 */
import * as Schema from "effect/Schema"
import { BackendError } from "./JobError.ts"
import { Conclusion, JobResult } from "./JobResult.ts"

/** @category schemas */
export class WorkflowJobResult extends Schema.Class<WorkflowJobResult>("jobscope/WorkflowJobResult")({
  id: Schema.String,
  /** What happened. */
  outcome: Conclusion,
  /** What counts for the jobs that need it and for the workflow: `success` where the job has `continueOnError`. */
  conclusion: Conclusion,
  outputs: Schema.Record(Schema.String, Schema.String),
  /** One for each combination of the matrix that was started; one for a job without a matrix, also if it was skipped. */
  runs: Schema.Array(JobResult)
}) {}

/** @category schemas */
export class WorkflowResult extends Schema.Class<WorkflowResult>("jobscope/WorkflowResult")({
  workflow: Schema.String,
  conclusion: Conclusion,
  /** Why nothing was run at all. */
  error: Schema.optionalKey(BackendError),
  /** In the order of the workflow. */
  jobs: Schema.Array(WorkflowJobResult),
  /** Milliseconds since 1970. */
  startedAt: Schema.Finite,
  /** Milliseconds. */
  duration: Schema.Finite
}) {
  /** All runs of all jobs: what a summary shows. A workflow that was refused is shown as one that did not start. */
  get runs(): ReadonlyArray<JobResult> {
    if (this.error === undefined) return this.jobs.flatMap(({ runs }) => runs)
    const { conclusion, duration, error, startedAt } = this
    return [new JobResult({ job: this.workflow, conclusion, error, steps: [], leaks: [], startedAt, duration })]
  }
  job(id: string): WorkflowJobResult | undefined {
    return this.jobs.find((each) => each.id === id)
  }
}

/**
 * One conclusion of several: a cancel, then the infrastructure's failures, then the user's; `success` if none is any of these.
 *
 * @category getters
 */
export const worst = (conclusions: ReadonlyArray<Conclusion>): Conclusion =>
  (["cancelled", "error", "timeout", "failure"] as const).find((each) => conclusions.includes(each)) ?? "success"
