/** The variables of a container, as the kubelet makes them. */

import { at, type KubeObject } from "./KubeObject.ts"
import { configMaps, secrets } from "./kinds.ts"
import type { ObjectStore } from "./objectStore.ts"
import type { Container, Pod } from "./pod.ts"

/** The variables, or what must be there before the container can be created, and is not. */
export type Environment =
  | { readonly variables: Readonly<Record<string, string>> }
  | { readonly missing: string; readonly variables?: never }

export const environmentOf = (
  store: ObjectStore,
  pod: Pod,
  container: Container,
  image: Readonly<Record<string, string>>,
  node: string
): Environment => {
  const { namespace } = pod.metadata
  const variables = new Map(Object.entries({ PATH: defaultPath, HOME: "/root", HOSTNAME: pod.metadata.name, ...image }))
  const source = (kind: typeof secrets, name: string | undefined) => store.get(kind, namespace, name ?? "")

  for (const { configMapRef, prefix = "", secretRef } of container.envFrom ?? []) {
    const [kind, reference] = secretRef === undefined ? [configMaps, configMapRef] : [secrets, secretRef]
    const object = source(kind, reference?.name)
    if (object === undefined) {
      if (reference?.optional === true) continue
      return { missing: missingObject(kind.kind, reference?.name) }
    }
    for (const [key, value] of Object.entries(textsOf(object))) variables.set(`${prefix}${key}`, value)
  }
  for (const { name, value, valueFrom } of container.env ?? []) {
    const [kind, reference] =
      valueFrom?.secretKeyRef === undefined
        ? [configMaps, valueFrom?.configMapKeyRef]
        : [secrets, valueFrom.secretKeyRef]
    if (reference !== undefined) {
      const object = source(kind, reference.name)
      const found = object === undefined ? undefined : textsOf(object)[reference.key]
      if (found !== undefined) variables.set(name, found)
      else if (reference.optional !== true) {
        return {
          missing:
            object === undefined
              ? missingObject(kind.kind, reference.name)
              : `couldn't find key ${reference.key} in ${kind.kind} ${namespace}/${reference.name}`
        }
      }
    } else if (valueFrom?.fieldRef !== undefined) variables.set(name, fieldOf(pod, valueFrom.fieldRef.fieldPath, node))
    else variables.set(name, expand(value ?? "", variables))
  }
  return { variables: Object.fromEntries(variables) }
}

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

const missingObject = (kind: string, name = "") => `${kind.toLowerCase()} "${name}" not found`

/** `$(NAME)` of what is known; `$$(NAME)` is a literal one. */
export const expand = (text: string, variables: ReadonlyMap<string, string>): string =>
  text.replace(/\$\$|\$\(([^)]*)\)/g, (found, name: string | undefined) =>
    name === undefined ? "$" : (variables.get(name) ?? found)
  )

/** The entries of a Secret or ConfigMap. */
export const bytesOf = (object: KubeObject): Readonly<Record<string, Buffer>> => {
  const encoding = object.kind === "Secret" ? "base64" : "utf8"
  const data = Object.entries(at(object, "data") ?? {}).map(([key, value]) => [
    key,
    Buffer.from(String(value), encoding)
  ])
  const binary = Object.entries(at(object, "binaryData") ?? {}).map(([key, value]) => [
    key,
    Buffer.from(String(value), "base64")
  ])
  return Object.fromEntries([...data, ...binary])
}

const textsOf = (object: KubeObject): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(bytesOf(object)).map(([key, bytes]) => [key, bytes.toString("utf8")]))

/** What the downward API gives. */
export const fieldOf = (pod: Pod, path: string, node: string): string => {
  const entry = /^metadata\.(labels|annotations)\['([^']+)'\]$/.exec(path)
  if (entry !== null) return String(at(pod, "metadata", entry[1] ?? "", entry[2] ?? "") ?? "")
  if (path === "spec.nodeName") return node
  if (path === "status.podIP" || path === "status.hostIP") return "127.0.0.1"
  const value = at(pod, ...path.split("."))
  return typeof value === "object" && value !== null
    ? Object.entries(value)
        .map(([key, text]) => `${key}=${JSON.stringify(text)}`)
        .join("\n")
    : String(value ?? "")
}
