/**
 * The calls that the KRO backend and its runner make to Kubernetes, in one table: the Roles in the documentation and of `kro-runner check` are
 * rendered from it, and errors take from it what a missing right is needed for.
 */
import * as JobError from "../../domain/JobError.ts"
import { fromKubeError } from "../kubernetes/BackendErrors.ts"
import type { KubeCall } from "../kubernetes/KubeCalls.ts"
import * as KubeCalls from "../kubernetes/KubeCalls.ts"
import type { KubeError } from "../kubernetes/KubeError.ts"
import * as KroNames from "./KroNames.ts"

/** The kind of the instances, and the kind that is the work: known only once the RGD is. */
export interface Kinds {
  readonly instances: { readonly group: string; readonly plural: string }
  /** Left out where nothing but the instance tells the result. */
  readonly work?: { readonly group: string; readonly plural: string }
}

/**
 * Of the cluster: RGDs belong to no namespace.
 *
 * @category constants
 */
export const clusterCalls: ReadonlyArray<KubeCall> = [
  {
    group: KroNames.group,
    resource: "resourcegraphdefinitions",
    verb: "get",
    purpose: "looking at a ResourceGraphDefinition that is named"
  },
  {
    group: KroNames.group,
    resource: "resourcegraphdefinitions",
    verb: "list",
    purpose: "finding the ResourceGraphDefinition of a scale set"
  }
]

/**
 * In the namespace of the instances, for the backend.
 *
 * @category getters
 */
export const callsFor = ({ instances, work }: Kinds): ReadonlyArray<KubeCall> => {
  const { group, plural: resource } = instances
  return [
    { group, resource, verb: "create", purpose: "making an instance" },
    { group, resource, verb: "get", purpose: "looking at an instance that is left over" },
    { group, resource, verb: "list", purpose: "finding instances" },
    {
      group,
      resource,
      verb: "watch",
      purpose: "noticing changes of an instance at once",
      without: "the instance is polled"
    },
    { group, resource, verb: "delete", purpose: "releasing an instance" },
    {
      group,
      resource,
      verb: "patch",
      purpose: "taking over the instance of a runner pod that is gone, and a faster release",
      without: "that instance is replaced, and a release may take 3 seconds longer"
    },
    ...(work === undefined ? [] : workCalls(work))
  ]
}

const workCalls = ({ group, plural: resource }: NonNullable<Kinds["work"]>): ReadonlyArray<KubeCall> => [
  {
    group,
    resource,
    verb: "list",
    purpose: "seeing how the work ended",
    without: "only the instance's readiness tells that it ended, not how"
  },
  {
    group,
    resource,
    verb: "watch",
    purpose: "noticing the end of the work at once",
    without: "it is polled"
  },
  {
    group,
    resource,
    verb: "delete",
    purpose: "stopping a second start of the work, and removing it when its ResourceGraphDefinition is gone",
    without: "KRO alone removes it"
  }
]

/**
 * In the namespace of the instances, for steps in their pods (`KroHosted`).
 *
 * @category getters
 */
export const hostedCallsFor = (instances: Kinds["instances"]): ReadonlyArray<KubeCall> => [
  ...callsFor({ instances, work: { group: "", plural: "pods" } }),
  ...KubeCalls.calls
]

/**
 * What the runner needs beyond the backend.
 *
 * @category constants
 */
export const runnerCalls: ReadonlyArray<KubeCall> = [
  { group: "", resource: "pods", verb: "get", purpose: "reading the runner pod's UID, labels and grace period" },
  {
    group: "",
    resource: "pods/log",
    verb: "get",
    purpose: "showing the end of the job pod's log after a failure",
    without: "only the exit code is shown"
  },
  {
    group: "",
    resource: "events",
    verb: "create",
    purpose: "telling the outcome as an Event",
    without: "none is made"
  },
  {
    group: "actions.github.com",
    resource: "ephemeralrunners",
    verb: "get",
    purpose: "seeing that the JIT configuration was used already",
    without: "a runner pod that is made again starts its runner again"
  }
]

/**
 * Only where the runner makes a Secret of its own.
 *
 * @category constants
 */
export const secretCalls: ReadonlyArray<KubeCall> = [
  { group: "", resource: "secrets", verb: "create", purpose: "handing the JIT configuration to the job pod" },
  { group: "", resource: "secrets", verb: "delete", purpose: "removing that Secret" }
]

/**
 * A failure of Kubernetes in the domain's words; a missing right with what it is needed for.
 *
 * @category conversions
 */
export const explain = (error: KubeError, kinds?: Kinds): JobError.BackendError => {
  const { reason } = error
  if (reason._tag !== "Forbidden") return fromKubeError(error)
  const { group, resource, verb } = reason.target
  const purpose = [
    ...clusterCalls,
    ...(kinds === undefined ? [] : callsFor(kinds)),
    ...runnerCalls,
    ...secretCalls
  ].find((call) => call.group === group && call.resource === resource && call.verb === verb)?.purpose
  const { namespace } = reason.target
  return new JobError.BackendError({
    reason: new JobError.Forbidden({
      verb,
      resource: group === "" ? resource : `${resource}.${group}`,
      place: namespace === undefined ? "the cluster" : `the namespace ${namespace}`,
      detail: purpose === undefined ? reason.detail : `it is needed for ${purpose} (${reason.detail})`
    })
  })
}
