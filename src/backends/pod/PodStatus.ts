/**
 * What a pod's own story says: whether it is ready, what it waits for, why it cannot start, why it was lost. Pure.
 *
 * Sources: the fields and reasons of the Kubernetes API (pods, `status.conditions`, `containerStatuses`), and what kubelet 1.36 was seen
 * to write into them.
 */
import {
  EnvironmentLost,
  ImagePullFailed,
  ProvisionFailed,
  type Reason,
  ServiceUnhealthy,
  Unschedulable
} from "../../domain/JobError.ts"
import type { ContainerRole, PodManifest } from "./PodOptions.ts"

type ContainerStatus = NonNullable<NonNullable<PodManifest["status"]>["containerStatuses"]>[number]

/**
 * How far a pod is.
 *
 * @category models
 */
export type PodStatus =
  | {
      readonly _tag: "Waiting"
      /** For people, a sentence without a full stop. */
      readonly on: string
      /** It does not look as if it healed by itself: the failure that it is, once its grace is over. */
      readonly trouble?: { readonly kind: "pull" | "schedule"; readonly reason: Reason }
    }
  | { readonly _tag: "Ready" }
  /** It will never be ready. */
  | { readonly _tag: "Broken"; readonly reason: Reason; readonly container?: string }

/** Waiting reasons that a later try may heal: the registry, the network, the node. */
const pulling = new Set([
  "ErrImagePull",
  "ImagePullBackOff",
  "RegistryUnavailable",
  "ErrImageNeverPull",
  "ImageInspectError"
])

/** Waiting reasons that no later try heals. */
const hopeless = new Set([
  "InvalidImageName",
  "CreateContainerConfigError",
  "CreateContainerError",
  "RunContainerError",
  "CrashLoopBackOff"
])

/**
 * How far a pod is on its way to ready: every container runs, and every service answers its probe.
 *
 * @category getters
 */
export const statusOf = (pod: PodManifest, roles: ReadonlyMap<string, ContainerRole>): PodStatus => {
  const lost = lossOf(pod)
  if (lost !== undefined) return { _tag: "Broken", reason: lost }
  const statuses = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])]
  for (const status of statuses) {
    const broken = brokenBy(pod, status, roles)
    if (broken !== undefined) return { _tag: "Broken", reason: broken, container: status.name }
  }
  const scheduled = pod.status?.conditions?.find(({ type }) => type === "PodScheduled")
  if (scheduled?.status === "False") {
    const detail = scheduled.message ?? scheduled.reason ?? "the scheduler gives no reason"
    return {
      _tag: "Waiting",
      on: `a node: ${detail}`,
      trouble: { kind: "schedule", reason: new Unschedulable({ detail }) }
    }
  }
  for (const status of statuses) {
    const waiting = status.state?.waiting
    if (waiting?.reason !== undefined && pulling.has(waiting.reason)) {
      const detail = waiting.message ?? waiting.reason
      return {
        _tag: "Waiting",
        on: `the image ${status.image}: ${detail}`,
        trouble: { kind: "pull", reason: new ImagePullFailed({ image: status.image, detail }) }
      }
    }
  }
  const init = pod.status?.initContainerStatuses?.find(({ state }) => state?.running !== undefined)
  if (init !== undefined) return { _tag: "Waiting", on: `${init.name} to end` }
  const regular = pod.status?.containerStatuses ?? []
  const expected = pod.spec?.containers.length ?? 0
  const starting = regular.find(({ state }) => state?.running === undefined && state?.terminated === undefined)
  if (starting !== undefined || regular.length < expected) {
    const what = starting === undefined ? "its node" : `${starting.name} (image ${starting.image})`
    return { _tag: "Waiting", on: `${what} to start` }
  }
  const unready = regular.find(({ name, ready }) => roles.get(name) === "service" && !ready)
  return unready === undefined
    ? { _tag: "Ready" }
    : { _tag: "Waiting", on: `the service ${unready.name} to become ready` }
}

/** Why a container keeps the pod from becoming ready, if it does for good. */
const brokenBy = (
  pod: PodManifest,
  { image, name, state }: ContainerStatus,
  roles: ReadonlyMap<string, ContainerRole>
): Reason | undefined => {
  const { terminated, waiting } = state ?? {}
  if (waiting?.reason !== undefined && hopeless.has(waiting.reason)) {
    const detail = waiting.message ?? waiting.reason
    if (waiting.reason === "InvalidImageName") return new ImagePullFailed({ image, detail })
    return new ProvisionFailed({ detail: `the container ${name} (image ${image}): ${detail}`, transient: false })
  }
  if (terminated === undefined) return undefined
  const isInit = pod.spec?.initContainers?.some((container) => container.name === name) === true
  if (isInit && terminated.exitCode === 0) return undefined
  const role = roles.get(name)
  const how = howItEnded(terminated)
  if (role === "service") {
    const checked = pod.spec?.containers.some((one) => one.name === name && one.startupProbe !== undefined) === true
    const detail = checked ? `${how} while its health check was awaited` : how
    return new ServiceUnhealthy({ service: name, detail, log: [] })
  }
  if (role === undefined && !isInit) return undefined
  return new ProvisionFailed({
    detail: `the container ${name} (image ${image}) ${how}${/exec: "sh"|executable file not found|no such file or directory/.test(terminated.message ?? "") ? "; script steps need a shell (`sh`) in the image" : ""}`,
    transient: false
  })
}

/** In words: `ended with exit code 3 (Error): <message>`. */
export const howItEnded = (terminated: {
  readonly exitCode: number
  readonly reason?: string
  readonly message?: string
}): string =>
  [
    `ended with exit code ${terminated.exitCode}`,
    ...(terminated.reason === undefined || terminated.reason === "Completed" ? [] : [`(${terminated.reason})`]),
    ...(terminated.message === undefined || terminated.message === "" ? [] : [`: ${terminated.message.trim()}`])
  ]
    .join(" ")
    .replace(" : ", ": ")

/** `reason` of the condition DisruptionTarget, by which the control plane says who ends a pod. */
const disruptions: Readonly<Record<string, EnvironmentLost["cause"]>> = {
  EvictionByEvictionAPI: "Evicted",
  TerminationByKubelet: "Evicted",
  PreemptionByScheduler: "Preempted",
  DeletionByTaintManager: "NodeLost",
  DeletionByPodGC: "NodeLost"
}

/** `status.reason` of a pod that was ended as a whole. */
const endings: Readonly<Record<string, EnvironmentLost["cause"]>> = {
  Evicted: "Evicted",
  DeadlineExceeded: "DeadlineExceeded",
  NodeLost: "NodeLost",
  NodeShutdown: "NodeLost",
  Shutdown: "NodeLost",
  Terminated: "NodeLost",
  Preempting: "Preempted",
  Preempted: "Preempted"
}

/**
 * Why a pod was lost, or nothing as long as it is not. The end of a single container only counts for the one named `watched`.
 *
 * @category getters
 */
export const lossOf = (pod: PodManifest, watched?: string): EnvironmentLost | undefined => {
  const name = pod.metadata?.name ?? ""
  const disruption = pod.status?.conditions?.find(
    ({ status, type }) => type === "DisruptionTarget" && status === "True"
  )
  const container = pod.status?.containerStatuses?.find((status) => status.name === watched)
  const terminated = container?.state?.terminated
  if (disruption !== undefined) {
    return new EnvironmentLost({
      cause: disruptions[disruption.reason ?? ""] ?? "Unknown",
      detail: `the pod ${name}: ${disruption.message ?? disruption.reason ?? "it is being disrupted"}`
    })
  }
  const oom = pod.status?.containerStatuses?.find(({ state }) => state?.terminated?.reason === "OOMKilled")
  if (oom !== undefined && (watched === undefined || oom.name === watched)) {
    return new EnvironmentLost({
      cause: "OOMKilled",
      detail: `the container ${oom.name} of the pod ${name} used more memory than its limit allows`
    })
  }
  if (pod.metadata?.deletionTimestamp !== undefined) {
    return new EnvironmentLost({ cause: "Deleted", detail: `the pod ${name} was deleted` })
  }
  if (pod.status?.phase === "Failed" && pod.status.reason !== undefined) {
    return new EnvironmentLost({
      cause: endings[pod.status.reason] ?? "Unknown",
      detail: `the pod ${name}: ${pod.status.message ?? pod.status.reason}`
    })
  }
  if (terminated !== undefined) {
    return new EnvironmentLost({
      cause: "Unknown",
      detail: `the container ${watched} of the pod ${name} ${howItEnded(terminated)}`
    })
  }
  return undefined
}
