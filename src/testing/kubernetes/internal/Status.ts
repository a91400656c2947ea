/** The failures of an API server, in the words of the real one: programs read them. */
import { type Kind, titleOf } from "./kinds.ts"

export interface Cause {
  readonly reason: string
  readonly message: string
  readonly field?: string
}

export interface Status {
  readonly kind: "Status"
  readonly apiVersion: "v1"
  readonly metadata: object
  readonly status: "Failure" | "Success"
  readonly message?: string
  readonly reason?: string
  readonly code: number
  readonly details?: {
    readonly name?: string
    readonly group?: string
    readonly kind?: string
    readonly uid?: string
    readonly causes?: ReadonlyArray<Cause>
    readonly retryAfterSeconds?: number
  }
}

export const failure = (code: number, reason: string, message: string, details?: Status["details"]): Status => ({
  kind: "Status",
  apiVersion: "v1",
  metadata: {},
  status: "Failure",
  message,
  reason,
  ...(details === undefined ? {} : { details }),
  code
})

const detailsOf = (kind: Kind, name: string) => ({
  name,
  ...(kind.group === "" ? {} : { group: kind.group }),
  kind: kind.plural
})

export const unauthorized = failure(401, "Unauthorized", "Unauthorized")

/** The path is not of an API that the server has. */
export const unknownPath = failure(404, "NotFound", "the server could not find the requested resource")

export const notFound = (kind: Kind, name: string): Status =>
  failure(404, "NotFound", `${titleOf(kind)} "${name}" not found`, detailsOf(kind, name))

export const alreadyExists = (kind: Kind, name: string, deleting: boolean): Status =>
  failure(
    409,
    "AlreadyExists",
    `${deleting ? "object is being deleted: " : ""}${titleOf(kind)} "${name}" already exists`,
    detailsOf(kind, name)
  )

export const conflict = (kind: Kind, name: string, why: string): Status =>
  failure(409, "Conflict", `Operation cannot be fulfilled on ${titleOf(kind)} "${name}": ${why}`, detailsOf(kind, name))

export const otherUid = (kind: Kind, name: string, expected: string, uid: string): Status =>
  failure(
    409,
    "Conflict",
    `Operation cannot be fulfilled on ${kind.kind} "${name}": the UID in the precondition (${expected}) does not match the UID in record (${uid}). The object might have been deleted and then recreated`,
    detailsOf(kind, name)
  )

export const changed =
  "the object has been modified; please apply your changes to the latest version and try again" as const

export const invalid = (kind: Kind, name: string, causes: ReadonlyArray<Cause>): Status => {
  const texts = causes.map(({ field, message }) => `${field}: ${message}`)
  const all = texts.length === 1 ? texts[0] : `[${texts.join(", ")}]`
  return failure(
    422,
    "Invalid",
    `${kind.kind}${kind.group === "" ? "" : `.${kind.group}`} "${name}" is invalid: ${all}`,
    {
      name,
      ...(kind.group === "" ? {} : { group: kind.group }),
      kind: kind.kind,
      causes
    }
  )
}

export const badRequest = (message: string): Status => failure(400, "BadRequest", message)

export const internalError = (message: string): Status =>
  failure(500, "InternalError", `Internal error occurred: ${message}`, {
    causes: [{ reason: "", message }]
  })

export const forbidden = (options: {
  readonly user: string
  readonly verb: string
  readonly group: string
  readonly resource: string
  readonly namespace: string | undefined
  readonly name: string | undefined
}): Status => {
  const { group, name, namespace, resource, user, verb } = options
  const base = resource.split("/")[0] ?? resource
  const title = `${group === "" ? base : `${base}.${group}`}${name === undefined ? "" : ` "${name}"`}`
  const where = namespace === undefined ? "at the cluster scope" : `in the namespace "${namespace}"`
  return failure(
    403,
    "Forbidden",
    `${title} is forbidden: User "${user}" cannot ${verb} resource "${resource}" in API group "${group}" ${where}`,
    { ...(name === undefined ? {} : { name }), ...(group === "" ? {} : { group }), kind: base }
  )
}

/** What admission plugins refuse: quotas, namespaces that end. */
export const notAdmitted = (kind: Kind, name: string, why: string): Status =>
  failure(403, "Forbidden", `${titleOf(kind)} "${name}" is forbidden: ${why}`, detailsOf(kind, name))

export const expired = (message: string): Status => failure(410, "Expired", message)
