import { assert, describe, it } from "@effect/vitest"
import type { ChildView } from "jobscope/backends/kro/ChildView"
import * as KroChild from "jobscope/backends/kro/KroChild"
import { containers, pod, running, terminated } from "./support.ts"

const podWork = { node: "runnerPod", kind: { group: "", version: "v1", kind: "Pod" } }

/** In short: `ended 3`, `lost Evicted`, `running`, `waiting: ...`. */
const short = (view: ChildView): string => {
  switch (view._tag) {
    case "Ended":
      return `ended ${view.completion.exitCode} ${view.completion.evidence}`
    case "Lost":
      return `lost ${view.reason._tag === "EnvironmentLost" ? view.reason.cause : view.reason._tag}`
    case "Running":
      return "running"
    case "Waiting":
      return `waiting${view.stuck === undefined ? "" : view.stuck.hopeless ? " hopelessly" : " stuck"}: ${view.for}`
  }
}

const deletion = (at: string, grace: number) => ({ deletionTimestamp: at, deletionGracePeriodSeconds: grace })
const disrupted = (reason: string, at = "2026-01-01T00:00:05Z") => ({
  conditions: [{ type: "DisruptionTarget", status: "True", reason, message: "why", lastTransitionTime: at }]
})

describe("a pod", () => {
  it.each([
    ["runs", running, {}, /^running$/],
    ["has ended, and its phase not yet", terminated(0), {}, /^ended 0 observed$/],
    ["has ended with a code", terminated(3), {}, /^ended 3 observed$/],
    [
      "was restarted: the first end counts",
      containers({ running: {} }, "runner", { lastState: terminated(5).containerStatuses[0]!.state }),
      {},
      /^ended 5/
    ],
    ["only its phase is known", { phase: "Succeeded" }, {}, /^ended 0/],
    [
      "its sidecar has ended, it has not",
      {
        phase: "Running",
        containerStatuses: [
          ...running.containerStatuses,
          ...containers({ terminated: { exitCode: 1 } }, "redis").containerStatuses
        ]
      },
      {},
      /^running$/
    ],
    ["used too much memory", terminated(137, { reason: "OOMKilled" }), {}, /^lost OOMKilled$/],
    [
      "could not start its program",
      terminated(128, { reason: "StartError", message: "no such file" }),
      {},
      /^lost ProvisionFailed$/
    ],
    ["its node came back without it", terminated(137, { reason: "ContainerStatusUnknown" }), {}, /^lost Unknown$/],
    [
      "was evicted, with a terminated container",
      { ...terminated(137), phase: "Failed", reason: "Evicted", message: "disk" },
      {},
      /^lost Evicted$/
    ],
    ["was evicted, without one", { phase: "Failed", reason: "Evicted" }, {}, /^lost Evicted$/],
    [
      "took too long for its deadline",
      { ...terminated(143), phase: "Failed", reason: "DeadlineExceeded" },
      {},
      /^lost DeadlineExceeded$/
    ],
    ["was preempted", { ...running, ...disrupted("PreemptionByScheduler") }, {}, /^lost Preempted$/],
    ["is drained", { ...running, ...disrupted("EvictionByEvictionAPI") }, {}, /^lost Evicted$/],
    ["lost its node", { ...running, ...disrupted("DeletionByTaintManager") }, {}, /^lost NodeLost$/],
    [
      "was disrupted after its end",
      { ...terminated(0), ...disrupted("EvictionByEvictionAPI", "2026-01-01T00:00:11Z") },
      {},
      /^ended 0/
    ],
    ["is being deleted", running, deletion("2026-01-01T00:00:30Z", 30), /^lost Deleted$/],
    ["ended because it was deleted", terminated(0), deletion("2026-01-01T00:00:35Z", 30), /^lost Deleted$/],
    [
      "ended in the second in which it was deleted",
      terminated(0),
      deletion("2026-01-01T00:00:10Z", 0),
      /^lost Deleted$/
    ],
    // As seen on Kubernetes 1.36: the kubelet's own delete, the last one, sets the grace to 0, and the time to its own.
    [
      "ended because it was deleted, and is kept by a finalizer",
      terminated(0),
      deletion("2026-01-01T00:00:15Z", 0),
      /^lost Deleted$/
    ],
    [
      "ended long before it was deleted, and is kept by a finalizer",
      terminated(0),
      deletion("2026-01-01T00:02:00Z", 0),
      /^ended 0/
    ],
    ["was deleted after its end", terminated(0), deletion("2026-01-01T00:00:41Z", 30), /^ended 0/],
    [
      "has failed before it ran",
      { phase: "Failed", initContainerStatuses: [{ name: "setup", state: { terminated: { exitCode: 4 } } }] },
      {},
      /^lost ProvisionFailed$/
    ],
    [
      "was refused by the node",
      { phase: "Failed", reason: "OutOfcpu", message: "no cpu" },
      {},
      /^lost ProvisionFailed$/
    ],
    [
      "has no node",
      {
        phase: "Pending",
        conditions: [{ type: "PodScheduled", status: "False", reason: "Unschedulable", message: "0/3 nodes" }]
      },
      {},
      /^waiting: a node for the pod r-job: 0\/3 nodes$/
    ],
    ["is new", {}, {}, /^waiting: the pod r-job to start its containers$/],
    [
      "creates its container",
      {
        phase: "Pending",
        containerStatuses: [{ name: "runner", image: "i", state: { waiting: { reason: "ContainerCreating" } } }]
      },
      {},
      /^waiting: the pod/
    ],
    [
      "runs an init container",
      { phase: "Pending", initContainerStatuses: [{ name: "setup", state: { running: {} } }] },
      {},
      /its init container setup runs/
    ],
    [
      "cannot pull",
      containers({ waiting: { reason: "ImagePullBackOff", message: "not found" } }),
      {},
      /^waiting stuck: .*ImagePullBackOff: not found$/
    ],
    [
      "has a wrong image name",
      containers({ waiting: { reason: "InvalidImageName", message: "bad" } }),
      {},
      /^waiting hopelessly/
    ],
    [
      "lacks a secret",
      containers({ waiting: { reason: "CreateContainerConfigError", message: "secret x not found" } }),
      {},
      /^waiting stuck: .*secret x not found/
    ]
  ])("%s", (_, status, metadata, expected) => {
    assert.match(short(KroChild.view(podWork, pod(status, metadata), false)), expected)
  })

  it("is judged by the container named, else runner, else the first", () => {
    const two = [{ name: "redis" }, { name: "work" }]
    const status = containers({ terminated: { exitCode: 4, reason: "Error" } }, "work")
    assert.strictEqual(
      short(KroChild.view({ ...podWork, container: "work" }, pod(status, {}, two), false)),
      "ended 4 observed"
    )
    assert.match(short(KroChild.view(podWork, pod(status, {}, two), false)), /^waiting/)
    assert.match(
      short(KroChild.view({ ...podWork, container: "no" }, pod(status, {}, two), false)),
      /^lost ProvisionFailed$/
    )
  })

  it("says which image cannot be pulled", () => {
    const view = KroChild.view(podWork, pod(containers({ waiting: { reason: "ErrImagePull" } })), false)
    assert.deepInclude(view._tag === "Waiting" ? view.stuck?.reason : {}, { _tag: "ImagePullFailed", image: "img:1" })
  })
})

describe("other kinds", () => {
  const work = (group: string, kind: string) => ({ node: "vm", kind: { group, version: "v1", kind } })
  const vmi = work("kubevirt.io", "VirtualMachineInstance")
  const vm = work("kubevirt.io", "VirtualMachine")
  const ec2 = work("ec2.services.k8s.aws", "Instance")
  const job = work("batch", "Job")
  const held = (type: string, status: string, message: string, reason = "") => ({
    conditions: [{ type, status, message, reason }]
  })

  it.each([
    [vmi, {}, false, /^waiting: .*no phase yet/],
    [
      vmi,
      { phase: "Scheduling", ...held("Ready", "False", "guest not running") },
      false,
      /Scheduling\): guest not running/
    ],
    [vmi, { phase: "Running" }, false, /^running$/],
    [vmi, { phase: "Succeeded" }, true, /^ended 0 observed$/],
    [vmi, { phase: "Failed" }, true, /^ended 1 observed$/],
    [vm, { printableStatus: "Stopped" }, false, /^waiting/],
    [vm, { printableStatus: "ErrorUnschedulable" }, false, /ErrorUnschedulable/],
    [vm, { printableStatus: "Running" }, false, /^running$/],
    [vm, { printableStatus: "Stopped" }, true, /^ended 0 inferred$/],
    [ec2, { ...held("ACK.Recoverable", "True", "no such subnet") }, false, /no such subnet/],
    [
      ec2,
      { state: { name: "pending" }, ...held("ACK.ResourceSynced", "False", "x") },
      false,
      /^waiting: .*\(pending\)$/
    ],
    [ec2, { state: { name: "running" } }, false, /^running$/],
    [ec2, { state: { name: "shutting-down" } }, true, /^running$/],
    [ec2, { state: { name: "terminated" } }, true, /^ended 0 inferred$/],
    [ec2, { state: { name: "terminated" } }, false, /^lost ProvisionFailed$/],
    [job, {}, false, /^waiting/],
    [job, { active: 1, ready: 1 }, false, /^running$/],
    [job, held("Complete", "True", ""), true, /^ended 0/],
    [job, held("Failed", "True", "backoff", "BackoffLimitExceeded"), true, /^ended 1/],
    [job, held("Failed", "True", "deadline", "DeadlineExceeded"), true, /^lost DeadlineExceeded$/]
  ])("%j %j", (kind, status, hasRun, expected) => {
    assert.match(short(KroChild.view(kind, pod(status), hasRun)), expected)
  })

  it("are lost when they are deleted", () => {
    const child = pod({ phase: "Running" }, deletion("2026-01-01T00:00:30Z", 30))
    assert.strictEqual(short(KroChild.view(vmi, child, true)), "lost Deleted")
  })
})
