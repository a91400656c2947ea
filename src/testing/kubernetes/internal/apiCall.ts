/** A request, understood: which verb on what. */
import type { IncomingMessage } from "node:http"
import { apiVersionOf, builtIn, type Kind } from "./kinds.ts"
import { badRequest, failure, type Status, unknownPath } from "./Status.ts"

export interface ApiCall {
  readonly verb: string
  readonly kind: Kind
  /** `pods/exec`, as rules have it. */
  readonly resource: string
  readonly subresource: string | undefined
  readonly namespace: string | undefined
  readonly name: string | undefined
  readonly query: URLSearchParams
  readonly contentType: string
}

const subresources = new Map([
  ["pods", ["exec", "log", "status", "eviction"]],
  ["serviceaccounts", ["token"]],
  ["namespaces", ["status"]]
])

/** Kinds of custom resources have a status, and nothing else. */
const hasSubresource = (kind: Kind, subresource: string) =>
  (subresources.get(kind.plural) ?? (builtIn.includes(kind) ? [] : ["status"])).includes(subresource)

/** What there is of a group and version, where the path asks for that. */
export const discoveryAt = (path: string, kinds: ReadonlyArray<Kind>): object | undefined => {
  const groupVersion = /^\/apis?\/([^?]+?)\/?(?:\?.*)?$/.exec(path)?.[1]
  const found = kinds.filter((kind) => apiVersionOf(kind) === groupVersion)
  if (found.length === 0) return undefined
  return {
    kind: "APIResourceList",
    apiVersion: "v1",
    groupVersion,
    resources: found.map(({ kind, namespaced, plural }) => ({ name: plural, kind, namespaced }))
  }
}

export const parseCall = (request: IncomingMessage, kinds: ReadonlyArray<Kind>): ApiCall | Status => {
  const url = new URL(request.url ?? "/", "http://api")
  const parts = url.pathname
    .split("/")
    .filter((part) => part !== "")
    .map(decodeURIComponent)
  const group = parts[0] === "api" ? "" : parts[0] === "apis" ? (parts[1] ?? "") : undefined
  const version = parts[0] === "api" ? parts[1] : parts[2]
  const rest = parts.slice(group === "" ? 2 : 3)
  // "namespaces" is a kind of its own, and where others are.
  const inNamespace =
    rest[0] === "namespaces" && rest.length > 2 && subresources.get("namespaces")?.includes(rest[2] ?? "") !== true
  const [plural, name, subresource, ...more] = inNamespace ? rest.slice(2) : rest
  const kind = kinds.find((one) => one.group === group && one.version === version && one.plural === plural)
  if (kind === undefined || more.length > 0) return unknownPath
  if (subresource !== undefined && !hasSubresource(kind, subresource)) return unknownPath
  if (kind.namespaced && name !== undefined && !inNamespace) return unknownPath
  const verb = verbOf(request.method ?? "GET", name, subresource, url.searchParams)
  if (verb === undefined) {
    return failure(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
  }
  if (kind.namespaced && verb === "create" && !inNamespace)
    return badRequest("an empty namespace may not be set during creation")
  return {
    verb,
    kind,
    resource: subresource === undefined ? kind.plural : `${kind.plural}/${subresource}`,
    subresource,
    namespace: inNamespace ? rest[1] : undefined,
    name,
    query: url.searchParams,
    contentType: request.headers["content-type"] ?? ""
  }
}

const verbOf = (
  method: string,
  name: string | undefined,
  subresource: string | undefined,
  query: URLSearchParams
): string | undefined => {
  const watching = isTrue(query.get("watch"))
  switch (method) {
    case "GET":
      return watching ? "watch" : name === undefined ? "list" : "get"
    case "POST":
      return name === undefined || subresource !== undefined ? "create" : undefined
    case "PUT":
      return name === undefined ? undefined : "update"
    case "PATCH":
      return name === undefined ? undefined : "patch"
    case "DELETE":
      return name === undefined ? "deletecollection" : "delete"
  }
  return undefined
}

export const isTrue = (text: string | null): boolean => text === "true" || text === "1"
