/** Whether a pod may run on the one node of a fake cluster. */
import type { Pod } from "./pod.ts"

export interface NodeFacts {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  /** No new pods. */
  readonly cordoned: () => boolean
}

/** Why not, in the scheduler's words; nothing if it may. */
export const unschedulable = (pod: Pod, node: NodeFacts): string | undefined => {
  const none = (why: string) =>
    `0/1 nodes are available: 1 node(s) ${why}. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.`
  if (node.cordoned()) return none("were unschedulable")
  const selected = Object.entries(pod.spec?.nodeSelector ?? {}).every(([key, value]) => node.labels[key] === value)
  const required = pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution
  const wanted =
    required === undefined ||
    required.nodeSelectorTerms.some(({ matchExpressions = [] }) =>
      matchExpressions.every(({ key, operator, values = [] }) => {
        const value = node.labels[key]
        if (operator === "In") return value !== undefined && values.includes(value)
        if (operator === "NotIn") return value === undefined || !values.includes(value)
        return (value !== undefined) === (operator === "Exists")
      })
    )
  return selected && wanted ? undefined : none("didn't match Pod's node affinity/selector")
}
