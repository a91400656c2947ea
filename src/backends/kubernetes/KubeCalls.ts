/**
 * The calls that jobscope makes to Kubernetes, in one table: the Role in the documentation is rendered from it, and errors take from it
 * what a missing right is needed for.
 */

/** @category models */
export interface KubeCall {
  /** As in a Role: "" is the core group. */
  readonly group: string
  /** As in a Role, with the subresource: `pods/exec`. */
  readonly resource: string
  readonly verb: "get" | "list" | "watch" | "create" | "update" | "patch" | "delete"
  /** Completes "needed for ...". */
  readonly purpose: string
  /** What is done without the right, if it is optional. */
  readonly without?: string
}

/**
 * Every call. Those without `without` are required; they are a subset of the Role of Actions Runner Controller.
 *
 * @category constants
 */
export const calls: ReadonlyArray<KubeCall> = [
  { group: "", resource: "pods", verb: "create", purpose: "starting a job or a container step" },
  { group: "", resource: "pods", verb: "get", purpose: "seeing whether a job's pod is ready, and why it ended" },
  { group: "", resource: "pods", verb: "list", purpose: "finding the pods of a job" },
  { group: "", resource: "pods", verb: "delete", purpose: "releasing a job" },
  { group: "", resource: "pods/exec", verb: "get", purpose: "running a step in the job's pod" },
  {
    group: "",
    resource: "pods/exec",
    verb: "create",
    purpose: "running a step in the job's pod, from Kubernetes 1.35 on"
  },
  { group: "", resource: "pods/log", verb: "get", purpose: "the output of container steps and services" },
  { group: "", resource: "secrets", verb: "create", purpose: "handing a container step its environment" },
  { group: "", resource: "secrets", verb: "list", purpose: "finding the secrets of a job" },
  { group: "", resource: "secrets", verb: "delete", purpose: "releasing a job" },
  {
    group: "",
    resource: "secrets",
    verb: "get",
    purpose: "reading base images of a Dockerfile with the pull secrets of the job's pod",
    without: "registries are asked without them"
  },
  {
    group: "",
    resource: "pods",
    verb: "watch",
    purpose: "noticing changes of a pod at once",
    without: "the pod is polled"
  },
  {
    group: "",
    resource: "events",
    verb: "list",
    purpose: "saying why a pod does not start",
    without: "only the pod's own conditions are told"
  }
]

/**
 * The entry for a call, if it is one of ours.
 *
 * @category getters
 */
export const find = (call: {
  readonly verb: string
  readonly group: string
  readonly resource: string
}): KubeCall | undefined =>
  calls.find(({ group, resource, verb }) => verb === call.verb && group === call.group && resource === call.resource)

/**
 * The Role that allows `calls`, as YAML; a ClusterRole for those that belong to no namespace.
 *
 * @category rendering
 */
export const renderRole = (options: {
  readonly name: string
  readonly namespace?: string
  readonly kind?: "Role" | "ClusterRole"
  /** Default: all of them. */
  readonly calls?: ReadonlyArray<KubeCall>
}): string => {
  const rules = new Map<string, { readonly rule: KubeCall; readonly verbs: Array<string> }>()
  for (const call of options.calls ?? calls) {
    const key = `${call.group}/${call.resource}`
    const entry = rules.get(key) ?? { rule: call, verbs: [] }
    rules.set(key, entry)
    if (!entry.verbs.includes(call.verb)) entry.verbs.push(call.verb)
  }
  return [
    "apiVersion: rbac.authorization.k8s.io/v1",
    `kind: ${options.kind ?? "Role"}`,
    "metadata:",
    `  name: ${JSON.stringify(options.name)}`,
    ...(options.namespace === undefined ? [] : [`  namespace: ${JSON.stringify(options.namespace)}`]),
    "rules:",
    ...Array.from(rules.values()).flatMap(({ rule, verbs }) => [
      `  - apiGroups: [${JSON.stringify(rule.group)}]`,
      `    resources: [${JSON.stringify(rule.resource)}]`,
      `    verbs: [${verbs.map((verb) => JSON.stringify(verb)).join(", ")}]`
    ]),
    ""
  ].join("\n")
}

/**
 * The calls without which jobscope does not work.
 *
 * @category getters
 */
export const required: ReadonlyArray<KubeCall> = calls.filter((call) => call.without === undefined)
