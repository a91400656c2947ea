/**
 * What can go wrong. The system's failures (`BackendError`) and the user's (`StepFailed`) never mix: the first asks the
 * platform engineer to act, the second the author of the job.
 *
 * Every reason says what happened and why (`message`), what to do (`advice`), whether a second try may help (`retryable`), and
 * has an anchor in docs/errors.md.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"
import { OwnedResource } from "./OwnedResource.ts"

/** @category errors */
export class ImagePullFailed extends Schema.TaggedError<ImagePullFailed>()("ImagePullFailed", {
  image: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `The image ${this.image} could not be pulled: ${this.detail}`
  }
  get advice() {
    return "Check the image's name and tag, and the credentials for its registry."
  }
  get retryable() {
    return true
  }
}

/** @category errors */
export class Unschedulable extends Schema.TaggedError<Unschedulable>()("Unschedulable", { detail: Schema.String }) {
  override get message() {
    return `No node takes the environment: ${this.detail}`
  }
  get advice() {
    return "Lower the requested resources, or add nodes that match the job's selectors and tolerations."
  }
  get retryable() {
    return false
  }
}

/** @category errors */
export class QuotaExceeded extends Schema.TaggedError<QuotaExceeded>()("QuotaExceeded", { detail: Schema.String }) {
  override get message() {
    return `A quota does not allow the environment: ${this.detail}`
  }
  get advice() {
    return "Wait until other jobs have ended, lower the requested resources, or raise the quota."
  }
  get retryable() {
    return true
  }
}

/** @category errors */
export class Forbidden extends Schema.TaggedError<Forbidden>()("Forbidden", {
  verb: Schema.String,
  resource: Schema.String,
  /** Where: a namespace, a directory. */
  place: Schema.optionalKey(Schema.String),
  detail: Schema.String
}) {
  override get message() {
    return `Not allowed to ${this.verb} ${this.resource}${this.place === undefined ? "" : ` in ${this.place}`}: ${this.detail}`
  }
  get advice() {
    return `Grant the right to ${this.verb} ${this.resource}.`
  }
  get retryable() {
    return false
  }
}

/** @category errors */
export class Unauthorized extends Schema.TaggedError<Unauthorized>()("Unauthorized", {
  endpoint: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `${this.endpoint} does not accept the credentials: ${this.detail}`
  }
  get advice() {
    return "Renew the credentials, or name others."
  }
  get retryable() {
    return false
  }
}

/** @category errors */
export class ConfigurationInvalid extends Schema.TaggedError<ConfigurationInvalid>()("ConfigurationInvalid", {
  /** Where it is wrong: a file with the entry in it, a variable. */
  source: Schema.String,
  detail: Schema.String,
  hint: Schema.String
}) {
  override get message() {
    return `The configuration cannot be used: ${this.source}: ${this.detail}`
  }
  get advice() {
    return this.hint
  }
  get retryable() {
    return false
  }
}

/** @category errors */
export class Conflict extends Schema.TaggedError<Conflict>()("Conflict", {
  resource: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `${this.resource} is in the way: ${this.detail}`
  }
  get advice() {
    return "Release what carries that name, or wait until its release is done."
  }
  get retryable() {
    return true
  }
}

/** @category errors */
export class ConnectionLost extends Schema.TaggedError<ConnectionLost>()("ConnectionLost", {
  endpoint: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `The connection to ${this.endpoint} was lost: ${this.detail}`
  }
  get advice() {
    return "Check the network between this program and the endpoint, and time-outs of proxies between them."
  }
  get retryable() {
    return true
  }
}

/** @category errors */
export class Unavailable extends Schema.TaggedError<Unavailable>()("Unavailable", {
  service: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `${this.service} is not available: ${this.detail}`
  }
  get advice() {
    return "Try again later; if it lasts, look at that service's own health and logs."
  }
  get retryable() {
    return true
  }
}

/** @category errors */
export class EnvironmentLost extends Schema.TaggedError<EnvironmentLost>()("EnvironmentLost", {
  cause: Schema.Literals(["Evicted", "OOMKilled", "Deleted", "NodeLost", "Preempted", "DeadlineExceeded", "Unknown"]),
  detail: Schema.String
}) {
  override get message() {
    return `The environment was lost (${this.cause}): ${this.detail}`
  }
  get advice() {
    return this.cause === "OOMKilled"
      ? "Raise the memory limit of the job."
      : "Find out who or what removed it; the job itself did not fail. Jobs that may run twice can set `retry.rerun`."
  }
  get retryable() {
    return true
  }
}

/** @category errors */
export class ServiceUnhealthy extends Schema.TaggedError<ServiceUnhealthy>()("ServiceUnhealthy", {
  service: Schema.String,
  detail: Schema.String,
  /** The last lines that the service wrote. */
  log: Schema.Array(Schema.String)
}) {
  override get message() {
    const log = this.log.length === 0 ? "" : `\n${this.log.map((line) => `  ${this.service} | ${line}`).join("\n")}`
    return `The service ${this.service} did not become ready: ${this.detail}${log}`
  }
  get advice() {
    return "Look at the service's own output, its command, and its health check."
  }
  get retryable() {
    return false
  }
}

/** @category errors */
export class ProvisionFailed extends Schema.TaggedError<ProvisionFailed>()("ProvisionFailed", {
  detail: Schema.String,
  /** Whether the cause may go away by itself. */
  transient: Schema.Boolean
}) {
  override get message() {
    return `The environment could not be made: ${this.detail}`
  }
  get advice() {
    return "Mend the named cause on the machine or cluster that runs the job."
  }
  get retryable() {
    return this.transient
  }
}

/** @category errors */
export class StorageFailed extends Schema.TaggedError<StorageFailed>()("StorageFailed", {
  /** What it was for: `removing the job's directory`. */
  operation: Schema.String,
  detail: Schema.String,
  /** Whether the cause may go away by itself. */
  transient: Schema.Boolean
}) {
  override get message() {
    return `Files could not be read or written (${this.operation}): ${this.detail}`
  }
  get advice() {
    return "Check free space, permissions and the state of that file system."
  }
  get retryable() {
    return this.transient
  }
}

/** @category errors */
export class StepStartFailed extends Schema.TaggedError<StepStartFailed>()("StepStartFailed", {
  detail: Schema.String,
  /** Whether the cause may go away by itself. */
  transient: Schema.Boolean
}) {
  override get message() {
    return `The step could not be started: ${this.detail}`
  }
  get advice() {
    return "Check the step's shell, working directory and variables."
  }
  get retryable() {
    return this.transient
  }
}

/** @category errors */
export class ReleaseFailed extends Schema.TaggedError<ReleaseFailed>()("ReleaseFailed", {
  environment: Schema.String,
  left: Schema.Array(OwnedResource),
  detail: Schema.String,
  /** A command that removes it. */
  removal: Schema.String
}) {
  override get message() {
    const left = this.left.map((resource) => `${resource.kind} ${resource.name}`).join(", ")
    return `The environment ${this.environment} could not be released: ${this.detail}${left === "" ? "" : `; left: ${left}`}`
  }
  get advice() {
    return `Remove it with: ${this.removal}`
  }
  get retryable() {
    return true
  }
}

/** @category errors */
export class TimedOut extends Schema.TaggedError<TimedOut>()("TimedOut", {
  phase: Schema.Literals(["provision", "step", "total", "release"]),
  after: Schema.DurationFromString,
  waitingFor: Schema.String
}) {
  override get message() {
    return `Out of time (${this.phase}, after ${Duration.format(this.after)}), waiting for ${this.waitingFor}`
  }
  get advice() {
    return `If it only needs longer, raise the job's time-out (\`timeouts.${this.phase}\`).`
  }
  get retryable() {
    return false
  }
}

/** @category errors */
export class Unsupported extends Schema.TaggedError<Unsupported>()("Unsupported", {
  backend: Schema.String,
  feature: Schema.String,
  hint: Schema.String
}) {
  override get message() {
    return `The ${this.backend} backend has no ${this.feature}`
  }
  get advice() {
    return this.hint
  }
  get retryable() {
    return false
  }
}

/** @category errors */
export class InvalidInput extends Schema.TaggedError<InvalidInput>()("InvalidInput", {
  /** What is wrong, by its path: `steps[2].env.TOKEN`. Never a value. */
  input: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `${this.input} is not valid: ${this.detail}`
  }
  get advice() {
    return `Change ${this.input}.`
  }
  get retryable() {
    return false
  }
}

/** @category errors */
export class DockerfileRefused extends Schema.TaggedError<DockerfileRefused>()("DockerfileRefused", {
  /** With the line and its text, where it is about one. */
  detail: Schema.String,
  /** Who can do what about it. */
  hint: Schema.String
}) {
  override get message() {
    return this.detail
  }
  get advice() {
    return this.hint
  }
  get retryable() {
    return false
  }
}

/** @category errors */
export class HandleRejected extends Schema.TaggedError<HandleRejected>()("HandleRejected", { detail: Schema.String }) {
  override get message() {
    return `The environment handle cannot be used: ${this.detail}`
  }
  get advice() {
    return "Use the backend, and a version of jobscope, that the environment was provisioned with."
  }
  get retryable() {
    return false
  }
}

/** @category errors */
export class BackendDefect extends Schema.TaggedError<BackendDefect>()("BackendDefect", { detail: Schema.String }) {
  override get message() {
    return `The backend itself has a defect: ${this.detail}`
  }
  get advice() {
    return "Report it, with this text."
  }
  get retryable() {
    return false
  }
}

/**
 * Every reason that a backend fails for.
 *
 * @category errors
 */
export const Reason = Schema.Union([
  ImagePullFailed,
  Unschedulable,
  QuotaExceeded,
  Forbidden,
  Unauthorized,
  ConfigurationInvalid,
  Conflict,
  ConnectionLost,
  Unavailable,
  EnvironmentLost,
  ServiceUnhealthy,
  ProvisionFailed,
  StorageFailed,
  StepStartFailed,
  ReleaseFailed,
  TimedOut,
  Unsupported,
  InvalidInput,
  DockerfileRefused,
  HandleRejected,
  BackendDefect
])

/** @category models */
export type Reason = typeof Reason.Type

/**
 * The one error of every backend; callers look at `reason`, for example with `Effect.catchReason`.
 *
 * `NodeRuntime.runMain` exits with 2 for input that cannot be run, 4 for a time-out, else 3.
 *
 * @category errors
 */
export class BackendError extends Schema.TaggedError<BackendError>()("BackendError", { reason: Reason }) {
  override get message() {
    return this.reason.message
  }
  /** A second try may help. Only callers know whether a script has started; `JobLifecycle` retries only if it has not. */
  get retryable(): boolean {
    return this.reason.retryable
  }
  get advice(): string {
    return this.reason.advice
  }
  /** Where docs/errors.md explains it. */
  get anchor(): string {
    return anchorOf(this.reason._tag)
  }
  override readonly [Runtime.errorExitCode] = exitCodeOf(this.reason)
}

/**
 * The user's failure: a step ended with another exit code than 0.
 *
 * @category errors
 */
export class StepFailed extends Schema.TaggedError<StepFailed>()("StepFailed", {
  job: Schema.String,
  step: Schema.String,
  exitCode: Schema.Int,
  /** Why it failed, where the exit code does not tell. */
  detail: Schema.optionalKey(Schema.String),
  /** The last lines that the step wrote. */
  tail: Schema.Array(Schema.String)
}) {
  override get message() {
    return `The step "${this.step}" of the job "${this.job}" failed${this.detail === undefined ? ` with exit code ${this.exitCode}` : `: ${this.detail}`}`
  }
  get advice() {
    return "Look at the step's output."
  }
  get anchor(): string {
    return anchorOf(this._tag)
  }
  override readonly [Runtime.errorExitCode] = 1
}

/**
 * The job was cancelled before it ended.
 *
 * @category errors
 */
export class JobCancelled extends Schema.TaggedError<JobCancelled>()("JobCancelled", { job: Schema.String }) {
  override get message() {
    return `The job "${this.job}" was cancelled`
  }
  get advice() {
    return "Everything it had is released; start it again if you still want its result."
  }
  get anchor(): string {
    return anchorOf(this._tag)
  }
  override readonly [Runtime.errorExitCode] = 130
}

/**
 * Fails with a reason.
 *
 * @category constructors
 */
export const fail = (reason: Reason): Effect.Effect<never, BackendError> => Effect.fail(new BackendError({ reason }))

/**
 * The heading in docs/errors.md: `ImagePullFailed` is `#image-pull-failed`.
 *
 * @category getters
 */
export const anchorOf = (tag: string): string =>
  `docs/errors.md#${tag.replace(/(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/g, "-").toLowerCase()}`

const exitCodeOf = (reason: Reason): number => {
  switch (reason._tag) {
    case "InvalidInput":
    case "ConfigurationInvalid":
    case "Unsupported":
    case "DockerfileRefused":
    case "HandleRejected":
      return 2
    case "TimedOut":
      return 4
    default:
      return 3
  }
}
