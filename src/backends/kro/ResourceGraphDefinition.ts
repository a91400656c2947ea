/**
 * KRO's ResourceGraphDefinition (RGD): what a platform team describes an environment with.
 */
import * as Predicate from "effect/Predicate"
import * as KubeResource from "../kubernetes/KubeResource.ts"
import * as Conditions from "./Conditions.ts"
import * as KroNames from "./KroNames.ts"

/**
 * As the API gives it, as far as it is looked at.
 *
 * @category models
 */
export interface ResourceGraphDefinition {
  readonly metadata: {
    readonly name: string
    readonly uid: string
    readonly generation?: number
    readonly deletionTimestamp?: string
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
  }
  readonly spec: {
    readonly schema: {
      readonly apiVersion: string
      readonly kind: string
      readonly group?: string
      readonly scope?: "Namespaced" | "Cluster"
      readonly spec?: unknown
      readonly types?: unknown
      readonly status?: unknown
    }
    readonly resources?: ReadonlyArray<Node>
  }
  readonly status?: {
    readonly state?: string
    readonly conditions?: ReadonlyArray<Conditions.Condition>
  }
}

/**
 * A resource of the graph.
 *
 * @category models
 */
export interface Node {
  readonly id: string
  readonly template?: Template
  readonly externalRef?: Template
  readonly readyWhen?: ReadonlyArray<string>
  readonly includeWhen?: ReadonlyArray<string>
  readonly forEach?: ReadonlyArray<unknown>
}

/** @category models */
export interface Template {
  readonly apiVersion?: string
  readonly kind?: string
  readonly metadata?: { readonly name?: string; readonly namespace?: string }
  readonly spec?: unknown
}

/** @category kinds */
export const definitions: KubeResource.KubeResource<ResourceGraphDefinition> = KubeResource.make({
  group: KroNames.group,
  version: "v1alpha1",
  plural: "resourcegraphdefinitions",
  namespaced: false
})

/**
 * Why instances cannot be made of an RGD now.
 *
 * @category models
 */
export interface Problem {
  readonly detail: string
  /** KRO is still at it: looking again may help. */
  readonly transient: boolean
}

/**
 * Why instances cannot be made, or nothing.
 *
 * **Details**
 *
 * An RGD that is active has a kind of its own: where another RGD has the kind, `KindReady` is false and the state `Inactive`, in every version
 * of KRO, though the conditions' names differ between versions.
 *
 * @category guards
 */
export const problemOf = (rgd: ResourceGraphDefinition): Problem | undefined => {
  const { metadata, status } = rgd
  const about = `the ResourceGraphDefinition ${metadata.name}`
  if (metadata.deletionTimestamp !== undefined) return { detail: `${about} is being deleted`, transient: false }
  const conditions = status?.conditions ?? []
  const refused = conditions.find(
    (condition) => condition.status === "False" && condition.type !== "Ready" && Conditions.isCurrent(rgd, condition)
  )
  if (refused !== undefined) {
    return { detail: `${about} is ${status?.state ?? "not active"}: ${Conditions.tell(refused)}`, transient: false }
  }
  // The others are not all written again for each new version.
  const root = conditions.find(({ type }) => type === "Ready")
  const stale =
    root === undefined ? conditions.some((one) => !Conditions.isCurrent(rgd, one)) : !Conditions.isCurrent(rgd, root)
  if (status?.state === undefined || stale) return { detail: `KRO has not worked on ${about} yet`, transient: true }
  if (status.state === "Active") return undefined
  const waiting = conditions.find((condition) => condition.status !== "True")
  return {
    detail: `${about} is ${status.state}${waiting === undefined ? "" : `: ${Conditions.tell(waiting)}`}`,
    transient: true
  }
}

/**
 * What the instance's kind is called: its group and version; the plural is for the API to say.
 *
 * @category getters
 */
export const kindOf = ({ spec: { schema } }: ResourceGraphDefinition): GroupVersionKind => ({
  group: schema.group === undefined || schema.group === "" ? KroNames.group : schema.group,
  version: schema.apiVersion,
  kind: schema.kind
})

/** @category models */
export interface GroupVersionKind {
  readonly group: string
  readonly version: string
  readonly kind: string
}

/**
 * The kind that a template makes, if it says so.
 *
 * @category getters
 */
export const kindOfTemplate = ({ apiVersion, kind }: Template): GroupVersionKind | undefined => {
  if (apiVersion === undefined || kind === undefined) return undefined
  const slash = apiVersion.indexOf("/")
  return slash === -1
    ? { group: "", version: apiVersion, kind }
    : { group: apiVersion.slice(0, slash), version: apiVersion.slice(slash + 1), kind }
}

/**
 * The resource that is the work, whose end is the instance's result.
 *
 * @category models
 */
export interface Work {
  readonly node: string
  readonly kind: GroupVersionKind
  /** Of a pod: the container that is the work. */
  readonly container?: string
}

/** Kinds whose end can be told, best first. */
const workKinds = [
  { group: "", kind: "Pod" },
  { group: "kubevirt.io", kind: "VirtualMachineInstance" },
  { group: "kubevirt.io", kind: "VirtualMachine" },
  { group: "batch", kind: "Job" },
  { group: "ec2.services.k8s.aws", kind: "Instance" }
]

/**
 * Finds the work in an RGD: the resource that it names, else `runnerPod`, `runner` or `runnerVM`, else the only one of the first kind that
 * there is one of. Nothing, if it cannot be told; a text, if what the RGD names cannot be the work.
 *
 * @category getters
 */
export const workOf = (rgd: ResourceGraphDefinition): Work | string | undefined => {
  const nodes = rgd.spec.resources ?? []
  const named = rgd.metadata.annotations?.[KroNames.workNodeAnnotation]
  if (named !== undefined) {
    const node = nodes.find(({ id }) => id === named)
    if (node === undefined)
      return `its annotation ${KroNames.workNodeAnnotation} names ${named}, which is no resource of it`
    return asWork(rgd, node) ?? `its resource ${named} cannot be the work: only a single ${workKindNames} can`
  }
  const candidates = nodes.flatMap((node) => asWork(rgd, node) ?? [])
  const usual = candidates.find(({ node }) => /^runner(?:Pod|VM|Vm)?$/.test(node))
  if (usual !== undefined) return usual
  for (const { group, kind } of workKinds) {
    const same = candidates.filter((work) => work.kind.group === group && work.kind.kind === kind)
    if (same.length > 0) return same.length === 1 ? same[0] : undefined
  }
  return undefined
}

const workKindNames = workKinds.map(({ kind }) => kind).join(", ")

const asWork = (rgd: ResourceGraphDefinition, { forEach, id, template }: Node): Work | undefined => {
  const kind = template === undefined ? undefined : kindOfTemplate(template)
  if (kind === undefined || forEach !== undefined) return undefined
  if (!workKinds.some((known) => known.group === kind.group && known.kind === kind.kind)) return undefined
  const container = rgd.metadata.annotations?.[KroNames.workContainerAnnotation]
  return { node: id, kind, ...(container === undefined ? {} : { container }) }
}

/**
 * The path below `status` where the RGD tells the result: what it names, else `exitCode` if it declares that.
 *
 * @category getters
 */
export const resultFieldOf = (rgd: ResourceGraphDefinition): string | undefined => {
  const named = rgd.metadata.annotations?.[KroNames.resultFieldAnnotation]
  if (named !== undefined) return named.replace(/^\.?(?:status\.)?/, "")
  const declared = rgd.spec.schema.status
  return Predicate.isObject(declared) && Object.hasOwn(declared, "exitCode") ? "exitCode" : undefined
}
