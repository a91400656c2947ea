/** What a pod tells about the work in one of its containers. Pure. */
import type { V1ContainerStatus, V1Pod } from "@kubernetes/client-node"
import * as JobError from "../../../domain/JobError.ts"
import type { Wire } from "../../kubernetes/KubeResource.ts"
import type { Child, ChildView } from "../ChildView.ts"
import { epochMillis } from "./times.ts"

type Pod = Pick<Wire<V1Pod>, "spec" | "status">
type Container = Wire<V1ContainerStatus>
type Terminated = NonNullable<NonNullable<Container["state"]>["terminated"]>

/**
 * The container's own end comes first: it is told a second before the pod's phase. But not for a pod that was taken away from the work: a
 * runner that is told to stop ends with 0, too.
 */
export const view = (child: Child, named: string | undefined): ChildView => {
  // The API's own promise for this kind.
  const { spec, status } = child as Pod
  const name = workContainer(child, named)
  const about = `the pod ${child.metadata.name}`
  const container = status?.containerStatuses?.find((candidate) => candidate.name === name)
  // A container that was started again has already ended once: what runs now is a second run.
  const end = container?.lastState?.terminated ?? container?.state?.terminated
  const taken = takenAway(child, child as Pod, end)
  if (taken !== undefined) return lost(taken.cause, `${about} ${taken.detail}`)
  if (end !== undefined) return ended(about, name, end)
  if (status?.phase === "Succeeded") return finished(0, `${about} has succeeded`)
  if (status?.phase === "Failed") return failedBefore(about, status)
  if (container?.state?.running !== undefined) return { _tag: "Running" }
  if (name === undefined || !(spec?.containers ?? []).some((candidate) => candidate.name === name)) {
    const detail = `${about} has no container ${named ?? "at all"}`
    return { _tag: "Lost", reason: new JobError.ProvisionFailed({ detail, transient: false }) }
  }
  return waiting(about, child as Pod)
}

/** The container that is the work: the one named, else `runner`, else the first. */
export const workContainer = (child: Child, named: string | undefined): string | undefined => {
  const containers = (child as Pod).spec?.containers ?? []
  return named ?? (containers.find(({ name }) => name === "runner") ?? containers[0])?.name
}

type LostCause = JobError.EnvironmentLost["cause"]

const disruptions: Readonly<Record<string, LostCause>> = {
  PreemptionByScheduler: "Preempted",
  EvictionByEvictionAPI: "Evicted",
  TerminationByKubelet: "Evicted",
  DeletionByTaintManager: "NodeLost",
  DeletionByPodGC: "NodeLost"
}

const podReasons: Readonly<Record<string, LostCause>> = {
  Evicted: "Evicted",
  DeadlineExceeded: "DeadlineExceeded",
  Preempting: "Preempted",
  NodeLost: "NodeLost",
  NodeShutdown: "NodeLost",
  Terminated: "NodeLost",
  Shutdown: "NodeLost"
}

/** Who or what ended the pod, unless the work had ended before. */
const takenAway = (
  { metadata }: Child,
  { spec, status }: Pod,
  end: Terminated | undefined
): { readonly cause: LostCause; readonly detail: string } | undefined => {
  const before = (millis: number) => end?.finishedAt !== undefined && epochMillis(end.finishedAt) < millis
  const disruption = status?.conditions?.find(({ status, type }) => type === "DisruptionTarget" && status === "True")
  if (disruption !== undefined && !before(epochMillis(disruption.lastTransitionTime ?? ""))) {
    const cause = disruptions[disruption.reason ?? ""] ?? "Unknown"
    return { cause, detail: `was disrupted: ${disruption.message ?? disruption.reason}` }
  }
  const cause = podReasons[status?.reason ?? ""]
  if (cause !== undefined && status?.phase === "Failed") {
    return { cause, detail: `was ended (${status.reason}): ${status.message ?? "no message"}` }
  }
  if (metadata.deletionTimestamp === undefined) return undefined
  return before(deletionRequested(metadata, spec))
    ? undefined
    : { cause: "Deleted", detail: "is being deleted by somebody else" }
}

/**
 * When the deletion was asked for: the time stamp says when the grace period ends. The kubelet's own delete, after which only a finalizer keeps a
 * pod, makes that period 0 and the time its own: then it was before the period of the pod's spec, and before what the kubelet needed.
 */
const deletionRequested = (
  { deletionGracePeriodSeconds = 0, deletionTimestamp = "" }: Child["metadata"],
  spec: Pod["spec"]
) => {
  const ends = epochMillis(deletionTimestamp)
  if (deletionGracePeriodSeconds > 0) return ends - deletionGracePeriodSeconds * 1000
  return ends - (spec?.terminationGracePeriodSeconds ?? 30) * 1000 - kubeletDelay
}

/** More than that hardly passes between the end of a pod's containers and the kubelet's delete. */
const kubeletDelay = 30_000

const ended = (about: string, container: string | undefined, end: Terminated): ChildView => {
  const where = `${about}, container ${container}`
  if (end.reason === "OOMKilled") return lost("OOMKilled", `${where}, used more memory than its limit`)
  if (end.reason === "ContainerStatusUnknown")
    return lost("Unknown", `${where}: ${end.message ?? "its end is not known"}`)
  if (end.reason === "StartError" || end.reason === "ContainerCannotRun") {
    const detail = `${where} could not start: ${end.message ?? end.reason}`
    return { _tag: "Lost", reason: new JobError.ProvisionFailed({ detail, transient: false }) }
  }
  return finished(end.exitCode, `${where}, ended with exit code ${end.exitCode}`)
}

const finished = (exitCode: number, detail: string): ChildView => ({
  _tag: "Ended",
  completion: { exitCode, evidence: "observed" },
  detail
})

/** The pod has failed, and the work has never run. */
const failedBefore = (about: string, status: NonNullable<Pod["status"]>): ChildView => {
  const init = (status.initContainerStatuses ?? []).find(({ state }) => (state?.terminated?.exitCode ?? 0) !== 0)
  const why =
    init === undefined
      ? `${status.reason ?? "no reason"}: ${status.message ?? "no message"}`
      : `its init container ${init.name} ended with exit code ${init.state?.terminated?.exitCode}`
  return {
    _tag: "Lost",
    reason: new JobError.ProvisionFailed({ detail: `${about} failed before the work ran (${why})`, transient: true })
  }
}

const waiting = (about: string, { spec, status }: Pod): ChildView => {
  const unscheduled = status?.conditions?.find(({ status, type }) => type === "PodScheduled" && status === "False")
  if (unscheduled !== undefined) {
    return { _tag: "Waiting", for: `a node for ${about}: ${unscheduled.message ?? unscheduled.reason}` }
  }
  const statuses = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])]
  for (const { image, name, state } of statuses) {
    const { message, reason } = state?.waiting ?? {}
    if (reason === undefined || reason === "PodInitializing" || reason === "ContainerCreating") continue
    const detail = message ?? reason
    const pulling = /Image/.test(reason)
    return {
      _tag: "Waiting",
      for: `${about}, container ${name}: ${reason}${message === undefined ? "" : `: ${message}`}`,
      stuck: {
        reason: pulling
          ? new JobError.ImagePullFailed({ image: imageIn(spec, name) ?? image, detail })
          : new JobError.ProvisionFailed({
              detail: `${about}, container ${name}: ${reason}: ${detail}`,
              transient: true
            }),
        hopeless: reason === "InvalidImageName" || reason === "ErrImageNeverPull"
      }
    }
  }
  const init = (status?.initContainerStatuses ?? []).find(({ state }) => state?.running !== undefined)
  return {
    _tag: "Waiting",
    for: init === undefined ? `${about} to start its containers` : `${about}: its init container ${init.name} runs`
  }
}

const imageIn = (spec: Pod["spec"], container: string): string | undefined =>
  [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])].find(({ name }) => name === container)?.image

const lost = (cause: LostCause, detail: string): ChildView => ({
  _tag: "Lost",
  reason: new JobError.EnvironmentLost({ cause, detail })
})
