/**
 * What happens to jobs as JSON, for other programs: version 1. docs/events.md is about it.
 *
 * **Details**
 *
 * Within a version fields and types are only added: a reader leaves alone what it does not know.
 */
import * as Schema from "effect/Schema"
import { Phase } from "../../domain/JobEvent.ts"
import { Conclusion } from "../../domain/JobResult.ts"

/** The version of the format, on every line. */
export const version = 1

/**
 * A failure of the infrastructure, or of its input.
 *
 * @category schemas
 */
export const Problem = Schema.Struct({
  reason: Schema.String.annotate({
    description: "A word for programs, for example `ImagePullFailed`; docs/errors.md has them all"
  }),
  message: Schema.String.annotate({ description: "What happened, and why" }),
  advice: Schema.String.annotate({ description: "What to do" }),
  retryable: Schema.Boolean.annotate({ description: "A second try may help" }),
  url: Schema.String.annotate({ description: "Where it is explained" })
})

const header = {
  v: Schema.Literal(version).annotate({ description: "The version of the format" }),
  at: Schema.String.annotate({ description: "The time, ISO 8601 in UTC with milliseconds" })
}
const ofJob = {
  ...header,
  run: Schema.String.annotate({ description: "Unique for each run of a job" }),
  job: Schema.String.annotate({ description: "The job's name, with its combination if it has a matrix" })
}
const ofStep = { ...ofJob, step: Schema.String.annotate({ description: "The step's id, unique in the job" }) }

const milliseconds = (description: string) => Schema.Finite.annotate({ description: `${description}, in milliseconds` })
const environment = Schema.String.annotate({ description: "The environment's name" })
const outcome = Conclusion.annotate({ description: "What happened" })
const conclusion = Conclusion.annotate({ description: "What counts: `success` also for a failure that is allowed" })

/**
 * One event, a line of the output.
 *
 * @category schemas
 */
export const JsonEvent = Schema.Union([
  Schema.Struct({
    type: Schema.Literal("job-started"),
    ...ofJob,
    backend: Schema.String.annotate({ description: "The backend's name" }),
    steps: Schema.Int.annotate({ description: "How many steps it has" })
  }).annotate({ description: "A job begins" }),
  Schema.Struct({
    type: Schema.Literal("phase-started"),
    ...ofJob,
    phase: Phase.annotate({ description: "The phase" })
  }).annotate({
    description: "A job gets its environment, runs its steps, or releases the environment"
  }),
  Schema.Struct({
    type: Schema.Literal("waiting"),
    ...ofJob,
    phase: Phase.annotate({ description: "The phase that waits" }),
    reason: Schema.String.annotate({ description: "What for" })
  }).annotate({ description: "A phase waits for something; said again when that changes" }),
  Schema.Struct({
    type: Schema.Literal("environment-requested"),
    ...ofJob,
    environment,
    removal: Schema.String.annotate({
      description: "The command that removes it, should this process not live to do it"
    })
  }).annotate({ description: "From here on there may be something to release" }),
  Schema.Struct({ type: Schema.Literal("environment-ready"), ...ofJob, environment }).annotate({
    description: "The environment is there"
  }),
  Schema.Struct({ type: Schema.Literal("environment-released"), ...ofJob, environment }).annotate({
    description: "Nothing of the environment is left"
  }),
  Schema.Struct({ type: Schema.Literal("environment-handed-over"), ...ofJob, environment }).annotate({
    description: "Another process will release it"
  }),
  Schema.Struct({
    type: Schema.Literal("environment-leaked"),
    ...ofJob,
    environment,
    error: Problem.annotate({ description: "Why, with what is left and how to remove it" })
  }).annotate({ description: "A release failed" }),
  Schema.Struct({
    type: Schema.Literal("step-started"),
    ...ofStep,
    name: Schema.String.annotate({ description: "The step's name" }),
    command: Schema.String.annotate({ description: "The first line of its script, or its image with arguments" })
  }).annotate({ description: "A step begins" }),
  Schema.Struct({
    type: Schema.Literal("output"),
    ...ofStep,
    stream: Schema.Literals(["stdout", "stderr"]).annotate({ description: "Where it was written" }),
    text: Schema.String.annotate({ description: "The line, without its end; what is not UTF-8 is U+FFFD" })
  }).annotate({ description: "One line of output; more than 64 KiB without a line end are several" }),
  Schema.Struct({
    type: Schema.Literal("annotation"),
    ...ofStep,
    level: Schema.Literals(["error", "warning", "notice"]).annotate({ description: "How bad it is" }),
    message: Schema.String.annotate({ description: "What a step says about it" }),
    title: Schema.optional(Schema.String).annotate({ description: "The same in short" }),
    file: Schema.optional(Schema.String).annotate({ description: "The file that it is about" }),
    line: Schema.optional(Schema.Int).annotate({ description: "The first line" }),
    endLine: Schema.optional(Schema.Int).annotate({ description: "The last line" }),
    col: Schema.optional(Schema.Int).annotate({ description: "The first column" }),
    endColumn: Schema.optional(Schema.Int).annotate({ description: "The last column" })
  }).annotate({ description: "A step gave a workflow command `::error::`, `::warning::` or `::notice::`" }),
  Schema.Struct({
    type: Schema.Literal("step-finished"),
    ...ofStep,
    name: Schema.String.annotate({ description: "The step's name" }),
    outcome,
    conclusion,
    exitCode: Schema.optionalKey(Schema.Int).annotate({ description: "If one was read from the step" }),
    error: Schema.optionalKey(Problem).annotate({ description: "Why it is an `error` or a `timeout`" }),
    detail: Schema.optionalKey(Schema.String).annotate({
      description: "Why it is a `failure`, where the exit code does not tell"
    }),
    outputs: Schema.Record(Schema.String, Schema.String).annotate({ description: "Its outputs by name" }),
    duration: milliseconds("How long it took")
  }).annotate({ description: "A step has ended, or was skipped" }),
  Schema.Struct({
    type: Schema.Literal("retrying"),
    ...ofJob,
    what: Schema.String.annotate({ description: "What is tried again" }),
    attempt: Schema.Int.annotate({ description: "Which try it is, from 2 on" }),
    of: Schema.Int.annotate({ description: "How many there are at most" }),
    error: Problem.annotate({ description: "Why the one before failed" })
  }).annotate({ description: "A failure of the infrastructure is tried again" }),
  Schema.Struct({
    type: Schema.Literal("warning"),
    ...ofJob,
    message: Schema.String.annotate({ description: "What is the matter" })
  }).annotate({ description: "Something is not as it should be, and does not count" }),
  Schema.Struct({
    type: Schema.Literal("stopping"),
    ...ofJob,
    why: Schema.String.annotate({ description: "Why" })
  }).annotate({
    description: "A job stops before its end; `always` and `cancelled` steps still run"
  }),
  Schema.Struct({
    type: Schema.Literal("job-finished"),
    ...ofJob,
    conclusion: Conclusion.annotate({ description: "How it ended" }),
    error: Schema.optionalKey(Problem).annotate({ description: "Why it is an `error` or a `timeout`" }),
    steps: Schema.Array(
      Schema.Struct({
        id: Schema.String,
        name: Schema.String,
        outcome: Conclusion,
        conclusion: Conclusion,
        duration: Schema.Finite
      })
    ).annotate({ description: "Its steps, as `step-finished` told them" }),
    leaks: Schema.Array(Problem).annotate({ description: "What could not be released" }),
    duration: milliseconds("How long it took, the release included")
  }).annotate({ description: "A job has ended, and its environment is released" }),
  Schema.Struct({
    type: Schema.Literal("finished"),
    ...header,
    exitCode: Schema.Int.annotate({ description: "The exit code of the program" }),
    jobs: Schema.Array(Schema.Struct({ job: Schema.String, conclusion: Conclusion, duration: Schema.Finite })).annotate(
      {
        description: "All jobs"
      }
    ),
    problems: Schema.Array(Schema.String).annotate({ description: "What else ended the program, a line each" })
  }).annotate({ description: "The last line. Where it is missing, the program was killed" })
])

/** @category models */
export type JsonEvent = typeof JsonEvent.Type
