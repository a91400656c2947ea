/** What a server refuses before it stores it: names, and the parts of a pod that jobs get wrong. */

import { at, isJson, type Json } from "./KubeObject.ts"
import { type Kind, pods } from "./kinds.ts"
import type { Cause } from "./Status.ts"

const label = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/
const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/
const labelValue = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/
const labelKey = /^([a-z0-9.-]+\/)?([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/
const environmentName = /^[^=\0]+$/

const labelText =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
const subdomainText =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
const labelValueText =
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"

const wrong = (field: string, value: unknown, why: string): Cause => ({
  reason: "FieldValueInvalid",
  message: `Invalid value: ${JSON.stringify(value)}: ${why}`,
  field
})
const required = (field: string, why = ""): Cause => ({
  reason: "FieldValueRequired",
  message: `Required value${why === "" ? "" : `: ${why}`}`,
  field
})
const duplicate = (field: string, value: unknown): Cause => ({
  reason: "FieldValueDuplicate",
  message: `Duplicate value: ${JSON.stringify(value)}`,
  field
})
const missing = (field: string, value: unknown): Cause => ({
  reason: "FieldValueNotFound",
  message: `Not found: ${JSON.stringify(value)}`,
  field
})

/** All that is wrong with an object to be stored. */
export const problemsOf = (kind: Kind, name: string, body: Json): ReadonlyArray<Cause> => [
  ...problemsOfName(name),
  ...problemsOfLabels(at(body, "metadata", "labels"), "metadata.labels"),
  ...(kind === pods ? problemsOfPod(at(body, "spec")) : [])
]

const problemsOfName = (name: string): ReadonlyArray<Cause> => {
  if (name === "") return [required("metadata.name", "name or generateName is required")]
  if (name.length > 253) return [wrong("metadata.name", name, "must be no more than 253 bytes")]
  return subdomain.test(name) ? [] : [wrong("metadata.name", name, subdomainText)]
}

const problemsOfLabels = (labels: unknown, field: string): ReadonlyArray<Cause> =>
  Object.entries(isJson(labels) ? labels : {}).flatMap(([key, value]) => [
    ...(labelKey.test(key)
      ? []
      : [wrong(field, key, "name part must consist of alphanumeric characters, '-', '_' or '.'")]),
    ...(typeof value === "string" && value.length > 63
      ? [wrong(field, value, "must be no more than 63 bytes")]
      : typeof value === "string" && labelValue.test(value)
        ? []
        : [wrong(field, value, labelValueText)])
  ])

const list = (value: unknown): ReadonlyArray<Json> => (Array.isArray(value) ? value.filter(isJson) : [])

const problemsOfDnsLabel = (field: string, value: unknown): ReadonlyArray<Cause> => {
  if (typeof value !== "string" || value === "") return [required(field)]
  if (value.length > 63) return [wrong(field, value, "must be no more than 63 characters")]
  return label.test(value) ? [] : [wrong(field, value, labelText)]
}

const problemsOfPod = (spec: unknown): ReadonlyArray<Cause> => {
  const found: Array<Cause> = []
  const volumes = new Set<unknown>()
  for (const [index, volume] of list(at(spec, "volumes")).entries()) {
    const field = `spec.volumes[${index}].name`
    found.push(...problemsOfDnsLabel(field, volume.name))
    if (volumes.has(volume.name)) found.push(duplicate(field, volume.name))
    volumes.add(volume.name)
  }
  const names = new Set<unknown>()
  if (list(at(spec, "containers")).length === 0) found.push(required("spec.containers"))
  for (const group of ["initContainers", "containers"]) {
    for (const [index, container] of list(at(spec, group)).entries()) {
      const field = `spec.${group}[${index}]`
      found.push(...problemsOfDnsLabel(`${field}.name`, container.name))
      if (names.has(container.name)) found.push(duplicate(`${field}.name`, container.name))
      names.add(container.name)
      found.push(...problemsOfContainer(container, field, volumes))
    }
  }
  const deadline = at(spec, "activeDeadlineSeconds")
  if (deadline !== undefined && !(Number(deadline) >= 1)) {
    found.push(wrong("spec.activeDeadlineSeconds", deadline, "must be between 1 and 2147483647, inclusive"))
  }
  return found
}

const problemsOfContainer = (container: Json, field: string, volumes: ReadonlySet<unknown>): ReadonlyArray<Cause> => {
  const found: Array<Cause> = []
  const { image } = container
  if (image === undefined || image === "") found.push(required(`${field}.image`))
  else if (String(image).trim() !== image) {
    found.push(wrong(`${field}.image`, image, "must not have leading or trailing whitespace"))
  }
  for (const [index, { name }] of list(container.env).entries()) {
    if (typeof name !== "string" || name === "") found.push(required(`${field}.env[${index}].name`))
    else if (!environmentName.test(name)) {
      found.push(wrong(`${field}.env[${index}].name`, name, "a valid environment variable name must not contain '='"))
    }
  }
  const mounted = new Set<unknown>()
  for (const [index, { mountPath, name, subPath }] of list(container.volumeMounts).entries()) {
    const mount = `${field}.volumeMounts[${index}]`
    if (!volumes.has(name)) found.push(missing(`${mount}.name`, name))
    if (typeof mountPath !== "string" || mountPath === "") found.push(required(`${mount}.mountPath`))
    if (mounted.has(mountPath)) found.push(wrong(`${mount}.mountPath`, mountPath, "must be unique"))
    mounted.add(mountPath)
    if (typeof subPath === "string" && (subPath.startsWith("/") || subPath.split("/").includes(".."))) {
      found.push(wrong(`${mount}.subPath`, subPath, "must be a relative path"))
    }
  }
  const ports = new Set<string>()
  for (const [index, { containerPort, hostPort, name, protocol = "TCP" }] of list(container.ports).entries()) {
    const port = `${field}.ports[${index}]`
    if (!(Number(containerPort) >= 1 && Number(containerPort) <= 65_535)) {
      found.push(wrong(`${port}.containerPort`, containerPort, "must be between 1 and 65535, inclusive"))
    }
    if (typeof name === "string") {
      if (name.length > 15 || !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name) || !/[a-z]/.test(name)) {
        found.push(wrong(`${port}.name`, name, "must be no more than 15 characters"))
      }
      if (ports.has(name)) found.push(duplicate(`${port}.name`, name))
      ports.add(name)
    }
    const host = `${hostPort}/${protocol}`
    if (hostPort !== undefined) {
      if (ports.has(host)) found.push(duplicate(`${port}.hostPort`, host))
      ports.add(host)
    }
  }
  return found
}
