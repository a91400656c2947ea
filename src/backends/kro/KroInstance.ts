/**
 * An instance of an RGD: what its status says, in every version of KRO.
 */
import * as Predicate from "effect/Predicate"
import * as Conditions from "./Conditions.ts"
import * as KroNames from "./KroNames.ts"

/**
 * As the API gives it, as far as it is looked at.
 *
 * @category models
 */
export interface KroInstance {
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly uid: string
    readonly generation?: number
    readonly resourceVersion?: string
    readonly creationTimestamp?: string
    readonly deletionTimestamp?: string
    readonly finalizers?: ReadonlyArray<string>
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
    readonly ownerReferences?: ReadonlyArray<OwnerReference>
  }
  readonly spec?: { readonly [field: string]: unknown }
  readonly status?: {
    readonly state?: string
    readonly conditions?: ReadonlyArray<Conditions.Condition>
    readonly [field: string]: unknown
  }
}

/** @category models */
export interface OwnerReference {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly uid: string
  readonly controller?: boolean
}

/** In the order of their weight; the last one is of KRO before 0.6. */
const builtIn = ["Ready", "ResourcesReady", "InstanceSynced"]

/**
 * Whether all that the instance consists of is there and ready.
 *
 * **Details**
 *
 * The state alone is not enough: it is `ACTIVE` also while reconciling is suspended, and too early in KRO 0.5.0. Where the RGD's author
 * replaced the conditions by others, none of KRO's is left, and the state has to do.
 *
 * @category guards
 */
export const isReady = (instance: KroInstance): boolean => {
  if (instance.status?.state !== "ACTIVE" || isSuspended(instance)) return false
  const known = builtIn.flatMap((type) => Conditions.find(instance, type) ?? [])
  return known.length === 0 || known.some(({ type }) => Conditions.holds(instance, type))
}

/** @category guards */
export const isSuspended = (instance: KroInstance): boolean =>
  /^(?:suspended|disabled)$/.test(instance.metadata.annotations?.[KroNames.reconcileAnnotation] ?? "")

/**
 * Why the instance is not ready, for people.
 *
 * @category formatting
 */
export const waitingFor = (instance: KroInstance): string => {
  const { metadata, status } = instance
  if (isSuspended(instance)) return `nothing: its annotation ${KroNames.reconcileAnnotation} suspends it`
  if (status?.state === undefined) {
    return metadata.finalizers?.includes(KroNames.finalizer) === true
      ? "KRO to make its resources"
      : "KRO to take it up (is the controller running?)"
  }
  // The root condition repeats what the others say.
  const telling = (status.conditions ?? []).filter(({ status }) => status !== "True")
  const cause = telling.find(({ type }) => type !== "Ready") ?? telling[0]
  const said = cause === undefined ? "" : `: ${Conditions.tell(cause)}`
  return status.state === "ERROR" ? `KRO to get over an error${said}` : `its resources to become ready${said}`
}

/**
 * A result that a status field tells: an exit code; what is no result yet is nothing.
 *
 * **Details**
 *
 * An integer is the exit code. KRO's own `state` is never a result: an instance in `ERROR` may well get over it. Texts are taken as the words of pods, jobs and machines: `Succeeded`, `Completed`, … are 0, `Failed`, … are 1.
 *
 * @category decoding
 */
export const resultIn = (instance: KroInstance, path: string): number | undefined => {
  if (path === "state") return undefined
  let value: unknown = instance.status
  for (const key of path.split("."))
    value = Predicate.isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined
  if (Predicate.isNumber(value)) return Number.isInteger(value) && value >= 0 && value <= 255 ? value : 1
  if (!Predicate.isString(value)) return undefined
  if (/^\d{1,3}$/.test(value)) return Math.min(Number(value), 255)
  if (/^(?:succeeded|success|successful|complete|completed|done|terminated|stopped)$/i.test(value)) return 0
  return /^(?:failed|failure|error|errored)$/i.test(value) ? 1 : undefined
}
