/** Conditions of Kubernetes objects, as KRO writes them. */

/** @category models */
export interface Condition {
  readonly type: string
  readonly status: string
  readonly reason?: string
  readonly message?: string
  readonly observedGeneration?: number
}

/** @category models */
export interface WithConditions {
  readonly metadata: { readonly generation?: number }
  readonly status?: { readonly conditions?: ReadonlyArray<Condition> }
}

/** @category getters */
export const find = (object: WithConditions, type: string): Condition | undefined =>
  object.status?.conditions?.find((condition) => condition.type === type)

/**
 * Whether a condition is true, and about the object as it is now.
 *
 * @category guards
 */
export const holds = (object: WithConditions, type: string): boolean => {
  const condition = find(object, type)
  return condition?.status === "True" && isCurrent(object, condition)
}

/** Versions of KRO that write no `observedGeneration` cannot be asked. */
export const isCurrent = (object: WithConditions, { observedGeneration }: Condition): boolean =>
  observedGeneration === undefined || observedGeneration >= (object.metadata.generation ?? 0)

/**
 * What a condition says, for people: `ResourcesReady is False (NotReady): awaiting resource readiness`.
 *
 * @category formatting
 */
export const tell = ({ message, reason, status, type }: Condition): string => {
  const why = reason === undefined || reason === "" || reason === type ? "" : ` (${reason})`
  return `${type} is ${status}${why}${message === undefined || message === "" ? "" : `: ${message}`}`
}
