/** The status of a pod, of what the kubelet knows about it. */

import type { ContainerLog } from "./containerLog.ts"
import type { KubeObject } from "./KubeObject.ts"
import { at, type Json } from "./KubeObject.ts"
import type { ContainerProcess } from "./namespaces.ts"
import type { Container } from "./pod.ts"

type ContainerState =
  | { readonly waiting: { readonly reason: string; readonly message?: string } }
  | { readonly running: { readonly startedAt: string } }
  | {
      readonly terminated: {
        readonly exitCode: number
        readonly reason: string
        readonly message?: string
        readonly startedAt: string
        readonly finishedAt: string
        readonly containerID: string
      }
    }

/** A container over all its runs. */
export interface ContainerRecord {
  readonly spec: Container
  readonly role: "init" | "sidecar" | "main"
  state: ContainerState
  lastState: ContainerState | undefined
  /** It has run at least once. */
  begun: boolean
  ready: boolean
  started: boolean
  restarts: number
  imageID: string
  containerID: string
  /** While it runs. */
  process: ContainerProcess | undefined
  env: Readonly<Record<string, string>>
  workingDir: string
  user: number | undefined
  group: number | undefined
  log: ContainerLog | undefined
  previousLog: ContainerLog | undefined
  /** Why its next end is not its own doing: `OOMKilled`. */
  killedAs: string | undefined
}

/** A pod as its kubelet knows it. */
export interface PodRecord {
  readonly uid: string
  readonly containers: ReadonlyArray<ContainerRecord>
  startTime: string | undefined
  scheduled: { readonly reason: string; readonly message: string } | "Yes" | undefined
  /** Volumes are there, containers may be started. */
  prepared: boolean
  initialized: boolean
  /** The end, once it is told. */
  final: { readonly phase: "Succeeded" | "Failed"; readonly reason?: string; readonly message?: string } | undefined
  disruption: { readonly reason: string; readonly message: string } | undefined
}

export const newContainer = (spec: Container, role: ContainerRecord["role"], waiting: string): ContainerRecord => ({
  spec,
  role,
  state: { waiting: { reason: waiting } },
  lastState: undefined,
  begun: false,
  ready: false,
  started: false,
  restarts: 0,
  imageID: "",
  containerID: "",
  process: undefined,
  env: {},
  workingDir: "/",
  user: undefined,
  group: undefined,
  log: undefined,
  previousLog: undefined,
  killedAs: undefined
})

/** The status of the API; `before` keeps the times of conditions that did not change. */
export const statusOf = (record: PodRecord, before: KubeObject, now: string): Json => {
  const { containers, disruption, final, initialized, prepared, scheduled } = record
  const unready = containers.filter(({ ready, role }) => role !== "init" && !ready).map(({ spec }) => spec.name)
  const uninitialized = containers.filter(({ begun, role }) => role !== "main" && !begun).map(({ spec }) => spec.name)
  const notReady = {
    status: "False",
    ...(final?.phase === "Succeeded"
      ? { reason: "PodCompleted" }
      : final?.phase === "Failed"
        ? { reason: "PodFailed" }
        : { reason: "ContainersNotReady", message: `containers with unready status: [${unready.join(" ")}]` })
  }
  const ready = unready.length === 0 && initialized && final === undefined ? { status: "True" } : notReady
  const known = at(before, "status", "conditions")
  const told: ReadonlyArray<Json> = Array.isArray(known) ? known : []
  const condition = (type: string, value: Json): Json => {
    const last = told.find((one) => one.type === type)
    const lastTransitionTime = last?.status === value.status ? last?.lastTransitionTime : now
    return { type, ...value, lastProbeTime: null, lastTransitionTime }
  }
  const conditions =
    scheduled === "Yes"
      ? [
          ...(disruption === undefined ? [] : [condition("DisruptionTarget", { status: "True", ...disruption })]),
          condition("PodReadyToStartContainers", { status: prepared && final === undefined ? "True" : "False" }),
          condition(
            "Initialized",
            initialized
              ? { status: "True" }
              : {
                  status: "False",
                  reason: "ContainersNotInitialized",
                  message: `containers with incomplete status: [${uninitialized.join(" ")}]`
                }
          ),
          condition("Ready", ready),
          condition("ContainersReady", ready),
          condition("PodScheduled", { status: "True" })
        ]
      : scheduled === undefined
        ? []
        : [condition("PodScheduled", { status: "False", ...scheduled })]
  const statuses = (roles: ReadonlyArray<ContainerRecord["role"]>) =>
    containers.filter(({ role }) => roles.includes(role)).map(containerStatus)
  const initStatuses = statuses(["init", "sidecar"])
  return {
    phase: final?.phase ?? phaseOf(record),
    ...(final?.reason === undefined ? {} : { reason: final.reason }),
    ...(final?.message === undefined ? {} : { message: final.message }),
    conditions,
    ...(scheduled === "Yes"
      ? {
          hostIP: "127.0.0.1",
          ...(prepared ? { podIP: "127.0.0.1", podIPs: [{ ip: "127.0.0.1" }] } : {}),
          ...(record.startTime === undefined ? {} : { startTime: record.startTime }),
          ...(initStatuses.length === 0 ? {} : { initContainerStatuses: initStatuses }),
          containerStatuses: statuses(["main"])
        }
      : {}),
    qosClass: "BestEffort"
  }
}

/** Running once every container has run; what a pod's end is, is told later. */
const phaseOf = ({ containers, initialized }: PodRecord): string =>
  initialized && containers.every(({ begun, role }) => role !== "main" || begun) ? "Running" : "Pending"

const containerStatus = (record: ContainerRecord): Json => ({
  ...(record.containerID === "" ? {} : { containerID: record.containerID }),
  image: record.spec.image,
  imageID: record.imageID,
  lastState: record.lastState ?? {},
  name: record.spec.name,
  ready: record.ready,
  restartCount: record.restarts,
  started: record.started,
  state: record.state
})
