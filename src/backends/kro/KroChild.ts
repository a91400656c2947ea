/** Reads a `ChildView` from a resource that KRO made: a pod, a virtual machine, a job, an instance of EC2. Pure. */
import type { Completion } from "../../domain/JobEnvironment.ts"
import * as JobError from "../../domain/JobError.ts"
import type { Child, ChildView } from "./ChildView.ts"
import * as PodView from "./internal/podView.ts"
import type { GroupVersionKind, Work } from "./ResourceGraphDefinition.ts"

/**
 * What a child says. `hasRun`: it was seen running before, which for machines tells a stop from a start.
 *
 * @category getters
 */
export const view = (work: Work, child: Child, hasRun: boolean): ChildView => {
  const { metadata } = child
  if (work.kind.group === "" && work.kind.kind === "Pod") return PodView.view(child, work.container)
  const about = `the ${work.kind.kind} ${metadata.name}`
  if (metadata.deletionTimestamp !== undefined) return deleted(`${about} is being deleted by somebody else`)
  return (viewOf(work.kind) ?? unknownKind)({ about, hasRun, child: child as Machine })
}

interface Looking {
  readonly about: string
  readonly hasRun: boolean
  readonly child: Machine
}

/** The API's own promise for these kinds, as far as it is looked at. */
interface Machine {
  readonly status?: {
    /** VirtualMachineInstance. */
    readonly phase?: string
    /** VirtualMachine. */
    readonly printableStatus?: string
    /** Instance of EC2. */
    readonly state?: { readonly name?: string }
    /** Job. */
    readonly active?: number
    readonly ready?: number
    readonly conditions?: ReadonlyArray<{
      readonly type: string
      readonly status: string
      readonly reason?: string
      readonly message?: string
    }>
  }
}

type ViewOf = (looking: Looking) => ChildView

const viewOf = ({ group, kind }: GroupVersionKind): ViewOf | undefined => {
  switch (`${group}/${kind}`) {
    case "kubevirt.io/VirtualMachineInstance":
      return machineInstance
    case "kubevirt.io/VirtualMachine":
      return machine
    case "batch/Job":
      return job
    case "ec2.services.k8s.aws/Instance":
      return ec2Instance
    default:
      return undefined
  }
}

const machineInstance: ViewOf = ({ about, child }) => {
  const phase = child.status?.phase
  switch (phase) {
    case "Succeeded":
      return ended(0, "observed", `${about} has succeeded`)
    case "Failed":
      return ended(1, "observed", `${about} has failed${conditionIn(child, /./)}`)
    case "Running":
    case "Unknown":
      return running
    default:
      return waiting(
        `${about} to start (${phase ?? "no phase yet"})${conditionIn(child, /Provisioning|Ready|Synchronized|DataVolumesReady/)}`
      )
  }
}

const machine: ViewOf = ({ about, child, hasRun }) => {
  const state = child.status?.printableStatus
  if (state === "Stopped" && hasRun) return ended(0, "inferred", `${about} has stopped`)
  if (/^(?:Running|Paused|Migrating|Stopping|Unknown)$/.test(state ?? "")) return running
  return waiting(`${about} to start (${state ?? "no status yet"})${conditionIn(child, /./)}`)
}

const ec2Instance: ViewOf = ({ about, child, hasRun }) => {
  const state = child.status?.state?.name
  if (state === "running" || state === "stopping" || state === "shutting-down") return running
  if (state === "terminated" || state === "stopped") {
    return hasRun
      ? ended(0, "inferred", `${about} is ${state}`)
      : lost(new JobError.ProvisionFailed({ detail: `${about} is ${state} and has never run`, transient: true }))
  }
  return waiting(
    `${about} to start (${state ?? "no state yet"})${conditionIn(child, /^ACK\.(?:Terminal|Recoverable)$/)}`
  )
}

const job: ViewOf = ({ about, child }) => {
  const conditions = child.status?.conditions ?? []
  const holds = (type: string) => conditions.find((condition) => condition.type === type && condition.status === "True")
  if (holds("Complete") !== undefined) return ended(0, "observed", `${about} is complete`)
  const failed = holds("Failed")
  if (failed?.reason === "DeadlineExceeded") {
    return lost(new JobError.EnvironmentLost({ cause: "DeadlineExceeded", detail: failed.message ?? about }))
  }
  if (failed !== undefined) return ended(1, "observed", `${about} has failed: ${failed.message ?? failed.reason}`)
  return (child.status?.active ?? 0) > 0 && (child.status?.ready ?? 1) > 0
    ? running
    : waiting(`${about} to start a pod`)
}

const unknownKind: ViewOf = () => running

/** What a condition of one of these types says that is not as it should be. */
const conditionIn = (child: Machine, types: RegExp): string => {
  const telling = child.status?.conditions?.find(
    ({ message, status, type }) =>
      types.test(type) && message !== undefined && (type.startsWith("ACK.") ? status === "True" : status === "False")
  )
  return telling === undefined ? "" : `: ${telling.message}`
}

const running: ChildView = { _tag: "Running" }
const waiting = (text: string): ChildView => ({ _tag: "Waiting", for: text })
const ended = (exitCode: number, evidence: Completion["evidence"], detail: string): ChildView => ({
  _tag: "Ended",
  completion: { exitCode, evidence },
  detail
})
const lost = (reason: JobError.Reason): ChildView => ({ _tag: "Lost", reason })
const deleted = (detail: string): ChildView => lost(new JobError.EnvironmentLost({ cause: "Deleted", detail }))
