/**
 * What came of a job and its steps.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { BackendError, JobCancelled, StepFailed } from "./JobError.ts"

/**
 * How a step or a job ended. `failure` is the user's, `error` the infrastructure's.
 *
 * @category schemas
 */
export const Conclusion = Schema.Literals(["success", "failure", "error", "timeout", "cancelled", "skipped"])

/** @category models */
export type Conclusion = typeof Conclusion.Type

/** @category schemas */
export class StepResult extends Schema.Class<StepResult>("jobscope/StepResult")({
  id: Schema.String,
  name: Schema.String,
  /** What happened. */
  outcome: Conclusion,
  /** What counts: the outcome, or `success` where the step has `continueOnError`. */
  conclusion: Conclusion,
  /** Only if one was read from the step. */
  exitCode: Schema.optionalKey(Schema.Int),
  error: Schema.optionalKey(BackendError),
  /** Why it is a `failure`, where the exit code does not tell. */
  detail: Schema.optionalKey(Schema.String),
  outputs: Schema.Record(Schema.String, Schema.String),
  /** The last lines that the step wrote, both streams, 20 at most. */
  tail: Schema.Array(Schema.String),
  /** Milliseconds since 1970. */
  startedAt: Schema.Finite,
  /** Milliseconds. */
  duration: Schema.Finite
}) {}

/** @category schemas */
export class JobResult extends Schema.Class<JobResult>("jobscope/JobResult")({
  job: Schema.String,
  conclusion: Conclusion,
  steps: Schema.Array(StepResult),
  /** What the job hands over, where a `StepProgram` decides that. */
  outputs: Schema.optionalKey(Schema.Record(Schema.String, Schema.String)),
  /** Why the conclusion is `error` or `timeout`. */
  error: Schema.optionalKey(BackendError),
  /** What could not be released; it does not change the conclusion. */
  leaks: Schema.Array(BackendError),
  /** Milliseconds since 1970. */
  startedAt: Schema.Finite,
  /** Milliseconds, from the request to the end of the release. */
  duration: Schema.Finite
}) {
  /** The step that decided a `failure`. */
  get failedStep(): StepResult | undefined {
    return this.steps.find((step) => step.conclusion === "failure")
  }
  /** Outputs of a step, by its id; empty if it set none, or does not exist. */
  outputsOf(step: string): Readonly<Record<string, string>> {
    return this.steps.find(({ id }) => id === step)?.outputs ?? {}
  }
}

/**
 * The result of a job that succeeded; any other becomes the error that says why.
 *
 * @category error handling
 */
export const orFail = (result: JobResult): Effect.Effect<JobResult, StepFailed | BackendError | JobCancelled> => {
  if (result.conclusion === "success") return Effect.succeed(result)
  if (result.error !== undefined) return Effect.fail(result.error)
  const failed = result.failedStep
  if (result.conclusion === "failure" && failed !== undefined) {
    return Effect.fail(
      new StepFailed({
        job: result.job,
        step: failed.name,
        exitCode: failed.exitCode ?? 1,
        ...(failed.detail === undefined ? {} : { detail: failed.detail }),
        tail: failed.tail
      })
    )
  }
  return Effect.fail(new JobCancelled({ job: result.job }))
}
