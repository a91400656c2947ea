/** What who may call. */
import type { KubeCall } from "../../backends/kubernetes/KubeCalls.ts"

/**
 * A rule of a Role.
 *
 * @category models
 */
export interface Rule {
  /** "" is the core group, `*` any. */
  readonly group: string
  /** With the subresource: `pods/exec`; `*` is any. */
  readonly resource: string
  readonly verbs: ReadonlyArray<string>
}

/**
 * The Role that Actions Runner Controller's scale set chart gives to runners with `containerMode: kubernetes`.
 *
 * @category constants
 */
export const actionsRunnerController: ReadonlyArray<Rule> = [
  { group: "", resource: "pods", verbs: ["get", "list", "create", "delete"] },
  { group: "", resource: "pods/exec", verbs: ["get", "create"] },
  { group: "", resource: "pods/log", verbs: ["get", "list", "watch"] },
  { group: "batch", resource: "jobs", verbs: ["get", "list", "create", "delete"] },
  { group: "", resource: "secrets", verbs: ["get", "list", "create", "delete"] }
]

/**
 * Exactly what calls need.
 *
 * @category constructors
 */
export const ofCalls = (calls: ReadonlyArray<KubeCall>): ReadonlyArray<Rule> =>
  calls.map(({ group, resource, verb }) => ({ group, resource, verbs: [verb] }))

/** Whether a rule covers a call. */
export const covers = (
  rule: Rule,
  call: { readonly verb: string; readonly group: string; readonly resource: string }
): boolean =>
  (rule.verbs.includes(call.verb) || rule.verbs.includes("*")) &&
  (rule.group === call.group || rule.group === "*") &&
  (rule.resource === call.resource || rule.resource === "*")
