/** The calls that read and write objects. Synchronous, as the store is. */
import type { ApiCall } from "./apiCall.ts"
import { withPodDefaults } from "./defaults.ts"
import { at, isJson, type Json, type KubeObject } from "./KubeObject.ts"
import { apiVersionOf, claims, jobs, type Kind, namespaces, pods, serviceAccounts } from "./kinds.ts"
import type { ObjectStore } from "./objectStore.ts"
import * as Status from "./Status.ts"
import { fieldSelector, labelSelector, type Selector } from "./selectors.ts"
import { problemsOf } from "./validation.ts"

export interface Answer {
  readonly code: number
  readonly body: unknown
}

/** How many objects of a kind a namespace may have. */
export interface Quota {
  readonly namespace?: string | undefined
  /** As in a Role: `pods`, `secrets`. */
  readonly resource: string
  readonly limit: number
}

export interface ObjectCallsOptions {
  readonly store: ObjectStore
  readonly random: () => number
  readonly quotas: () => ReadonlyArray<Quota>
  /** A token of a service account. */
  readonly token: (namespace: string, account: string) => string
}

export const makeObjectCalls = ({ quotas, random, store, token }: ObjectCallsOptions) => {
  /** What later pages of a list show, by their token. */
  const pages = new Map<string, { readonly items: ReadonlyArray<KubeObject>; readonly version: string }>()

  const list = (call: ApiCall): Answer => {
    const select = selectorOf(call)
    if (typeof select === "string") return refuse(Status.badRequest(select))
    const limit = Number(call.query.get("limit") ?? 0)
    const continued = call.query.get("continue") ?? ""
    const page = continued === "" ? undefined : pages.get(continued)
    if (continued !== "" && page === undefined) {
      return refuse(
        Status.expired(
          "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter."
        )
      )
    }
    const version = page?.version ?? String(store.version())
    const all = page?.items ?? store.list(call.kind, call.namespace).filter(select)
    const items = limit > 0 ? all.slice(0, limit) : all
    const rest = all.slice(items.length)
    const next = rest.length === 0 ? undefined : Buffer.from(`${version} ${pages.size}`).toString("base64url")
    if (next !== undefined) pages.set(next, { items: rest, version })
    return {
      code: 200,
      body: {
        kind: `${call.kind.kind}List`,
        apiVersion: apiVersionOf(call.kind),
        metadata: {
          resourceVersion: version,
          ...(next === undefined ? {} : { continue: next, remainingItemCount: rest.length })
        },
        items: items.map(({ apiVersion: _, kind: __, ...object }) => object)
      }
    }
  }

  const create = (call: ApiCall, body: unknown): Answer => {
    const { kind, namespace } = call
    if (!isJson(body)) return refuse(Status.badRequest("the object provided is unrecognized (must be of type JSON)"))
    const wrongKind = kindProblem(kind, body)
    if (wrongKind !== undefined) return refuse(wrongKind)
    const given = at(body, "metadata", "namespace")
    if (given !== undefined && namespace !== undefined && given !== namespace) {
      return refuse(
        Status.badRequest(`the namespace of the provided object does not match the namespace sent on the request`)
      )
    }
    const name = nameOf(body)
    const problems = problemsOf(kind, name, body)
    if (problems.length > 0) return refuse(Status.invalid(kind, name, problems))
    if (namespace !== undefined) {
      const holder = store.get(namespaces, undefined, namespace)
      if (holder === undefined) return refuse(Status.notFound(namespaces, namespace))
      if (holder.metadata.deletionTimestamp !== undefined) {
        return refuse(
          Status.notAdmitted(
            kind,
            name,
            `unable to create new content in namespace ${namespace} because it is being terminated`
          )
        )
      }
    }
    const existing = store.get(kind, namespace, name)
    if (existing !== undefined) {
      return refuse(Status.alreadyExists(kind, name, existing.metadata.deletionTimestamp !== undefined))
    }
    const exceeded = quotaProblem(kind, namespace ?? "")
    if (exceeded !== undefined) return refuse(Status.notAdmitted(kind, name, exceeded))
    const account = String(at(body, "spec", "serviceAccountName") ?? "default")
    if (kind === pods && account !== "default" && store.get(serviceAccounts, namespace, account) === undefined) {
      return refuse(
        Status.notAdmitted(
          kind,
          name,
          `error looking up service account ${namespace}/${account}: serviceaccount "${account}" not found`
        )
      )
    }
    return { code: 201, body: store.create(kind, namespace, name, withDefaults(kind, body)) }
  }

  const nameOf = (body: Json): string => {
    const name = at(body, "metadata", "name")
    const prefix = at(body, "metadata", "generateName")
    if (typeof name === "string" && name !== "") return name
    if (typeof prefix !== "string") return ""
    const letters = "bcdfghjklmnpqrstvwxz2456789"
    return prefix + Array.from({ length: 5 }, () => letters[Math.floor(random() * letters.length)]).join("")
  }

  const quotaProblem = (kind: Kind, namespace: string): string | undefined => {
    const used = store.list(kind, namespace).length
    const quota = quotas().find(
      ({ limit, namespace: only = namespace, resource }) =>
        resource === kind.plural && only === namespace && used >= limit
    )
    return quota === undefined
      ? undefined
      : `exceeded quota: quota, requested: ${kind.plural}=1, used: ${kind.plural}=${used}, limited: ${kind.plural}=${quota.limit}`
  }

  const existing = (call: ApiCall, act: (object: KubeObject) => Answer): Answer => {
    const object = store.get(call.kind, call.namespace, call.name ?? "")
    return object === undefined ? refuse(Status.notFound(call.kind, call.name ?? "")) : act(object)
  }

  const replace = (call: ApiCall, object: KubeObject, body: Json): Answer => {
    const { name, resourceVersion, uid } = object.metadata
    const version = at(body, "metadata", "resourceVersion")
    if (typeof version === "string" && version !== "" && version !== resourceVersion) {
      return refuse(Status.conflict(call.kind, name, Status.changed))
    }
    const given = at(body, "metadata", "uid")
    if (typeof given === "string" && given !== uid) {
      return refuse(Status.otherUid(call.kind, name, given, uid))
    }
    const problems = problemsOf(call.kind, name, body)
    if (problems.length > 0) return refuse(Status.invalid(call.kind, name, problems))
    // What the server alone decides stays, and a status has its own call.
    const { creationTimestamp, deletionGracePeriodSeconds, deletionTimestamp, namespace } = object.metadata
    const metadata = {
      ...(isJson(body.metadata) ? body.metadata : {}),
      name,
      ...(namespace === undefined ? {} : { namespace }),
      uid,
      resourceVersion,
      creationTimestamp,
      ...(deletionTimestamp === undefined ? {} : { deletionTimestamp, deletionGracePeriodSeconds })
    }
    const status =
      call.subresource === "status" ? { ...object, status: body.status } : { ...body, status: object.status, metadata }
    return {
      code: 200,
      body: store.update(call.kind, object, { ...status, apiVersion: object.apiVersion, kind: object.kind })
    }
  }

  const remove = (call: ApiCall, object: KubeObject, options: unknown): Answer => {
    const { name, uid } = object.metadata
    const expected = at(options, "preconditions", "uid")
    if (typeof expected === "string" && expected !== uid) {
      return refuse(Status.otherUid(call.kind, name, expected, uid))
    }
    const grace = at(options, "gracePeriodSeconds") ?? call.query.get("gracePeriodSeconds") ?? undefined
    const gone = store.destroy(call.kind, object, grace === undefined ? undefined : Number(grace))
    if (call.kind === pods || call.kind === namespaces || call.kind === jobs) return { code: 200, body: gone }
    return {
      code: 200,
      body: {
        kind: "Status",
        apiVersion: "v1",
        metadata: {},
        status: "Success",
        details: { name, kind: call.kind.plural, uid }
      }
    }
  }

  const removeAll = (call: ApiCall, options: unknown): Answer => {
    const select = selectorOf(call)
    if (typeof select === "string") return refuse(Status.badRequest(select))
    const chosen = store.list(call.kind, call.namespace).filter(select)
    const items = chosen.map((object) => remove(call, object, options).body)
    const body = {
      kind: `${call.kind.kind}List`,
      apiVersion: apiVersionOf(call.kind),
      metadata: { resourceVersion: String(store.version()) },
      items
    }
    return { code: 200, body }
  }

  const answer = (call: ApiCall, body: unknown): Answer => {
    if (call.subresource === "token") {
      return existing(call, ({ metadata }) => ({
        code: 201,
        body: {
          kind: "TokenRequest",
          apiVersion: "authentication.k8s.io/v1",
          metadata: { name: metadata.name, namespace: metadata.namespace },
          status: { token: token(metadata.namespace ?? "", metadata.name), expirationTimestamp: store.now() }
        }
      }))
    }
    if (call.subresource === "eviction") {
      return existing(call, (object) => {
        store.destroy(call.kind, object, undefined)
        return { code: 201, body: { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", code: 201 } }
      })
    }
    switch (call.verb) {
      case "get":
        return existing(call, (object) => ({ code: 200, body: object }))
      case "list":
        return list(call)
      case "create":
        return create(call, body)
      case "update":
        return existing(call, (object) =>
          isJson(body) ? replace(call, object, body) : refuse(Status.badRequest("the object provided is unrecognized"))
        )
      case "patch":
        return existing(call, (object) => {
          if (!/^application\/merge-patch\+json/.test(call.contentType)) {
            const message = `the body of the request was in an unknown format - accepted media types of this fake: application/merge-patch+json`
            return refuse(Status.failure(415, "UnsupportedMediaType", message))
          }
          const merged = mergePatch(object, body)
          return isJson(merged) ? replace(call, object, merged) : refuse(Status.badRequest("not an object"))
        })
      case "delete":
        return existing(call, (object) => remove(call, object, body))
      default:
        return removeAll(call, body)
    }
  }
  return { answer, expirePages: () => pages.clear() }
}

const refuse = (status: Status.Status): Answer => ({ code: status.code, body: status })

/** What `labelSelector` and `fieldSelector` choose, or what is wrong with them. */
export const selectorOf = ({ name, query }: ApiCall): Selector | string => {
  const byLabel = labelSelector(query.get("labelSelector") ?? undefined)
  const byField = fieldSelector(query.get("fieldSelector") ?? undefined)
  if (typeof byLabel === "string") return byLabel
  if (typeof byField === "string") return byField
  return (object) => byLabel(object) && byField(object) && (name === undefined || object.metadata.name === name)
}

const kindProblem = (kind: Kind, { apiVersion, kind: given }: Json): Status.Status | undefined => {
  const expected = apiVersionOf(kind)
  if ((given ?? kind.kind) === kind.kind && (apiVersion ?? expected) === expected) return undefined
  return Status.badRequest(
    `the API version in the data (${apiVersion}) or its kind (${given}) does not match the expected ${expected}, ${kind.kind}`
  )
}

const withDefaults = (kind: Kind, body: Json): Json => {
  switch (kind) {
    case pods:
      return withPodDefaults(body)
    case namespaces:
      return { ...body, status: { phase: "Active" } }
    case claims:
      return { ...body, status: { phase: "Bound" } }
  }
  if (kind.plural !== "secrets") return body
  const texts = Object.entries(isJson(body.stringData) ? body.stringData : {})
  const data = Object.fromEntries(texts.map(([key, value]) => [key, Buffer.from(String(value)).toString("base64")]))
  const { stringData: _, ...rest } = body
  return { type: "Opaque", ...rest, data: { ...(isJson(body.data) ? body.data : {}), ...data } }
}

/** RFC 7386. */
const mergePatch = (target: unknown, patch: unknown): unknown => {
  if (!isJson(patch)) return patch
  const merged: Record<string, unknown> = { ...(isJson(target) ? target : {}) }
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key]
    else merged[key] = mergePatch(merged[key], value)
  }
  return merged
}
