/**
 * Why a call to Kubernetes failed. `KubeError` is the one error of this client; callers look at `reason`, for example with
 * `Effect.catchReason("KubeError", "NotFound", ...)`. `BackendErrors` says it in the domain's words.
 */
import * as Schema from "effect/Schema"
import * as KubeCalls from "./KubeCalls.ts"

/**
 * What was asked of which object: what an error names.
 *
 * @category models
 */
export const Target = Schema.Struct({
  /** As in a Role: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`. */
  verb: Schema.String,
  /** Of the API group, "" for the core one. */
  group: Schema.String,
  /** As in a Role, with the subresource: `pods/exec`. */
  resource: Schema.String,
  namespace: Schema.optionalKey(Schema.String),
  name: Schema.optionalKey(Schema.String)
})

/** @category models */
export type Target = typeof Target.Type

const onTarget = { target: Target, detail: Schema.String }

/** @category errors */
export class NotFound extends Schema.TaggedError<NotFound>()("NotFound", onTarget) {
  override get message() {
    return `${describe(this.target)}: not found (${this.detail})`
  }
  get retryable() {
    return false
  }
}

/** @category errors */
export class AlreadyExists extends Schema.TaggedError<AlreadyExists>()("AlreadyExists", onTarget) {
  override get message() {
    return `${describe(this.target)}: it already exists (${this.detail})`
  }
  get retryable() {
    return false
  }
}

/**
 * The object was changed by somebody else in between, or does not allow this now.
 *
 * @category errors
 */
export class Conflict extends Schema.TaggedError<Conflict>()("Conflict", onTarget) {
  override get message() {
    return `${describe(this.target)}: a conflict (${this.detail})`
  }
  get retryable() {
    return false
  }
}

/**
 * The credentials are good, but do not suffice.
 *
 * @category errors
 */
export class Forbidden extends Schema.TaggedError<Forbidden>()("Forbidden", onTarget) {
  override get message() {
    const { group, namespace, resource, verb } = this.target
    const where = namespace === undefined ? "of the cluster" : `in the namespace ${namespace}`
    const what = group === "" ? resource : `${resource}.${group}`
    const purpose = KubeCalls.find(this.target)?.purpose
    return `No right to ${verb} ${what} ${where}${purpose === undefined ? "" : ` (needed for ${purpose})`}: ${this.detail}`
  }
  get retryable() {
    return false
  }
}

/**
 * The credentials are missing, expired or wrong.
 *
 * @category errors
 */
export class Unauthorized extends Schema.TaggedError<Unauthorized>()("Unauthorized", onTarget) {
  override get message() {
    return `${describe(this.target)}: the API server does not accept the credentials (${this.detail})`
  }
  get retryable() {
    return false
  }
}

/**
 * The resource version, or the continue token of a list, is too old: list again.
 *
 * @category errors
 */
export class Expired extends Schema.TaggedError<Expired>()("Expired", onTarget) {
  override get message() {
    return `${describe(this.target)}: the version asked for is no longer kept (${this.detail})`
  }
  get retryable() {
    return false
  }
}

/** @category errors */
export class Invalid extends Schema.TaggedError<Invalid>()("Invalid", {
  ...onTarget,
  /** The fields that are wrong: `spec.containers[0].image: Required value`. */
  fields: Schema.Array(Schema.String)
}) {
  override get message() {
    return `${describe(this.target)}: not valid (${this.fields.length === 0 ? this.detail : this.fields.join("; ")})`
  }
  get retryable() {
    return false
  }
}

/** @category errors */
export class QuotaExceeded extends Schema.TaggedError<QuotaExceeded>()("QuotaExceeded", onTarget) {
  override get message() {
    return `${describe(this.target)}: a quota does not allow it (${this.detail})`
  }
  get retryable() {
    return false
  }
}

/** @category errors */
export class TooManyRequests extends Schema.TaggedError<TooManyRequests>()("TooManyRequests", {
  ...onTarget,
  /** What the server asks to wait, in milliseconds. */
  retryAfter: Schema.optionalKey(Schema.Finite)
}) {
  override get message() {
    return `${describe(this.target)}: the API server has too much to do (${this.detail})`
  }
  get retryable() {
    return true
  }
}

/**
 * The server answers that it cannot, or could not be reached at all.
 *
 * @category errors
 */
export class Unavailable extends Schema.TaggedError<Unavailable>()("Unavailable", {
  ...onTarget,
  endpoint: Schema.String,
  /** The HTTP status; none if no connection was made, hence nothing was sent. */
  status: Schema.optionalKey(Schema.Int),
  /** What the server asks to wait, in milliseconds. */
  retryAfter: Schema.optionalKey(Schema.Finite)
}) {
  override get message() {
    const what = this.status === undefined ? "cannot be reached" : `answered ${this.status}`
    return `${describe(this.target)}: ${this.endpoint} ${what} (${this.detail})`
  }
  get retryable() {
    return true
  }
}

/**
 * The connection broke before the answer was complete; whether the server has acted is not known.
 *
 * @category errors
 */
export class ConnectionLost extends Schema.TaggedError<ConnectionLost>()("ConnectionLost", {
  ...onTarget,
  endpoint: Schema.String
}) {
  override get message() {
    return `${describe(this.target)}: the connection to ${this.endpoint} was lost (${this.detail})`
  }
  get retryable() {
    return true
  }
}

/**
 * No answer came in time; whether the server has acted is not known.
 *
 * @category errors
 */
export class TimedOut extends Schema.TaggedError<TimedOut>()("TimedOut", { ...onTarget, endpoint: Schema.String }) {
  override get message() {
    return `${describe(this.target)}: ${this.endpoint} did not answer in time (${this.detail})`
  }
  get retryable() {
    return true
  }
}

/**
 * The connection stood, but the container runtime could not run the command: no such container, no such program.
 *
 * @category errors
 */
export class ExecFailed extends Schema.TaggedError<ExecFailed>()("ExecFailed", onTarget) {
  override get message() {
    return `${describe(this.target)}: the command could not be run (${this.detail})`
  }
  get retryable() {
    return false
  }
}

/**
 * The server speaks only v4.channel.k8s.io, in which the end of stdin cannot be told.
 *
 * @category errors
 */
export class HalfCloseUnsupported extends Schema.TaggedError<HalfCloseUnsupported>()("HalfCloseUnsupported", onTarget) {
  override get message() {
    return `${describe(this.target)}: the end of stdin cannot be told (${this.detail})`
  }
  get retryable() {
    return false
  }
}

/**
 * No access to a cluster is configured, or what is configured cannot be used.
 *
 * @category errors
 */
export class ConfigInvalid extends Schema.TaggedError<ConfigInvalid>()("ConfigInvalid", {
  /** Where: a file, with the entry in it. */
  source: Schema.String,
  detail: Schema.String,
  /** What to do. */
  advice: Schema.String
}) {
  override get message() {
    return `The access to Kubernetes is not usable: ${this.source}: ${this.detail}. ${this.advice}`
  }
  get retryable() {
    return false
  }
}

/**
 * An answer that this client does not understand.
 *
 * @category errors
 */
export class Unexpected extends Schema.TaggedError<Unexpected>()("Unexpected", {
  ...onTarget,
  status: Schema.optionalKey(Schema.Int)
}) {
  override get message() {
    const status = this.status === undefined ? "" : ` with status ${this.status}`
    return `${describe(this.target)}: an unexpected answer${status} (${this.detail})`
  }
  get retryable() {
    return false
  }
}

/** @category errors */
export const Reason = Schema.Union([
  NotFound,
  AlreadyExists,
  Conflict,
  Forbidden,
  Unauthorized,
  Expired,
  Invalid,
  QuotaExceeded,
  TooManyRequests,
  Unavailable,
  ConnectionLost,
  TimedOut,
  ExecFailed,
  HalfCloseUnsupported,
  ConfigInvalid,
  Unexpected
])

/** @category models */
export type Reason = typeof Reason.Type

/**
 * The one error of the Kubernetes client.
 *
 * @category errors
 */
export class KubeError extends Schema.TaggedError<KubeError>()("KubeError", { reason: Reason }) {
  override get message() {
    return this.reason.message
  }
  /** The same call may succeed later. Whether it may be repeated depends on the call. */
  get retryable(): boolean {
    return this.reason.retryable
  }
  /** What the server asks to wait, in milliseconds. */
  get retryAfter(): number | undefined {
    return "retryAfter" in this.reason ? this.reason.retryAfter : undefined
  }
}

/** An answer as it came. */
export interface FailedAnswer {
  readonly target: Target
  readonly endpoint: string
  readonly status: number
  readonly body: string
  readonly retryAfter?: string | undefined
}

/**
 * What a 4xx or 5xx answer says; a body that is no `Status` (of a proxy, for example) is told as it is.
 *
 * @category constructors
 */
export const fromAnswer = ({ body, endpoint, retryAfter, status, target }: FailedAnswer): KubeError => {
  const parsed = parseStatus(body)
  const seconds = Number(retryAfter ?? parsed?.details?.retryAfterSeconds)
  return fromStatus({
    target,
    endpoint,
    code: status,
    status: parsed ?? { message: excerpt(body) },
    ...(seconds > 0 ? { retryAfter: seconds * 1000 } : {})
  })
}

/** What of a `Status` object is looked at. */
export const Status = Schema.Struct({
  status: Schema.optionalKey(Schema.String),
  message: Schema.optionalKey(Schema.String),
  reason: Schema.optionalKey(Schema.String),
  code: Schema.optionalKey(Schema.Int),
  details: Schema.optionalKey(
    Schema.Struct({
      retryAfterSeconds: Schema.optionalKey(Schema.Finite),
      causes: Schema.optionalKey(
        Schema.Array(
          Schema.Struct({
            reason: Schema.optionalKey(Schema.String),
            message: Schema.optionalKey(Schema.String),
            field: Schema.optionalKey(Schema.String)
          })
        )
      )
    })
  )
})

/** @category models */
export type Status = typeof Status.Type

/**
 * The `Status` in a text, if it is one.
 *
 * @category decoding
 */
export const parseStatus = (text: string): Status | undefined => {
  const decoded = decodeStatus(text)
  return decoded._tag === "Some" ? decoded.value : undefined
}

const decodeStatus = Schema.decodeOption(Schema.fromJsonString(Status))

/**
 * What a `Status` says.
 *
 * @category constructors
 */
export const fromStatus = (options: {
  readonly target: Target
  readonly endpoint: string
  readonly code: number
  readonly status: Status
  readonly retryAfter?: number
}): KubeError => {
  const { code, endpoint, status, target } = options
  const detail = status.message ?? status.reason ?? `status ${code}`
  const retryAfter = options.retryAfter === undefined ? {} : { retryAfter: options.retryAfter }
  return new KubeError({ reason: reasonOf() })

  function reasonOf(): Reason {
    switch (code) {
      case 401:
        return new Unauthorized({ target, detail })
      case 403:
        // Admission plugins answer 403, too: only the text tells a quota from a missing right.
        return /exceeded quota/i.test(detail)
          ? new QuotaExceeded({ target, detail })
          : new Forbidden({ target: { ...target, verb: verbIn(detail, target) }, detail })
      case 404:
        return new NotFound({ target, detail })
      case 409:
        return status.reason === "AlreadyExists"
          ? new AlreadyExists({ target, detail })
          : new Conflict({ target, detail })
      case 410:
        return new Expired({ target, detail })
      case 400:
      case 405:
      case 413:
      case 415:
      case 422: {
        const fields = (status.details?.causes ?? []).map(({ field, message }) => `${field}: ${message}`)
        return new Invalid({ target, detail, fields })
      }
      case 408:
        return new TimedOut({ target, endpoint, detail })
      case 429:
        return new TooManyRequests({ target, detail, ...retryAfter })
      default:
        return code >= 500
          ? new Unavailable({ target, endpoint, detail, status: code, ...retryAfter })
          : new Unexpected({ target, detail, status: code })
    }
  }
}

/** The verb that was checked: since Kubernetes 1.35 an exec, which is a GET, needs `create`, and 1.36 does not say so where that is missing. */
const verbIn = (detail: string, { resource, verb }: Target): string =>
  /cannot (\w+) resource "/.exec(detail)?.[1] ??
  (verb === "get" && resource === "pods/exec" && /is forbidden:\s*$/.test(detail) ? "create" : verb)

/** `create pods/exec build-1 in ci`. */
const describe = ({ group, name, namespace, resource, verb }: Target): string =>
  `${verb} ${group === "" ? resource : `${resource}.${group}`}${name === undefined ? "" : ` ${name}`}${namespace === undefined ? "" : ` in ${namespace}`}`

/** Enough of a foreign answer to recognise it. */
const excerpt = (body: string): string => {
  const text = body.trim().replace(/\s+/g, " ")
  return text === "" ? "no text" : text.length > 300 ? `${text.slice(0, 300)}…` : text
}
