import { assert, describe, it } from "@effect/vitest"
import type { ContainerRole, PodManifest } from "jobscope/backends/pod/PodOptions"
import { howItEnded, lossOf, statusOf } from "jobscope/backends/pod/PodStatus"

type Status = NonNullable<PodManifest["status"]>
type ContainerStatus = NonNullable<Status["containerStatuses"]>[number]

const roles = new Map<string, ContainerRole>([
  ["job", "job"],
  ["redis", "service"]
])

const container = (name: string, state: ContainerStatus["state"], more: Partial<ContainerStatus> = {}) =>
  ({ name, image: `${name}:1`, imageID: "", ready: false, restartCount: 0, state, ...more }) as ContainerStatus

const running = (name: string, ready = true) => container(name, { running: {} }, { ready })
const waiting = (name: string, reason?: string, message?: string) =>
  container(name, { waiting: { ...(reason ? { reason } : {}), ...(message ? { message } : {}) } })
const terminated = (name: string, exitCode: number, reason?: string, message?: string) =>
  container(name, {
    terminated: { exitCode, ...(reason ? { reason } : {}), ...(message ? { message } : {}) }
  })

const pod = (status: Status, more: Partial<PodManifest> = {}): PodManifest => ({
  metadata: { name: "pod-1", ...more.metadata },
  spec: {
    containers: [{ name: "job" }, { name: "redis" }],
    initContainers: [{ name: "externals" }],
    ...more.spec
  },
  status
})

const condition = (type: string, status: string, reason?: string, message?: string) => ({
  type,
  status,
  ...(reason ? { reason } : {}),
  ...(message ? { message } : {})
})

describe("statusOf", () => {
  const cases: ReadonlyArray<readonly [string, PodManifest, unknown]> = [
    ["nothing is known yet", pod({}), { _tag: "Waiting", on: "its node to start" }],
    [
      "no node takes it",
      pod({ conditions: [condition("PodScheduled", "False", "Unschedulable", "0/1 nodes are available")] }),
      { _tag: "Waiting", on: "a node: 0/1 nodes are available", trouble: "schedule Unschedulable" }
    ],
    [
      "no node takes it, and nobody says why",
      pod({ conditions: [condition("PodScheduled", "False")] }),
      { _tag: "Waiting", on: "a node: the scheduler gives no reason", trouble: "schedule Unschedulable" }
    ],
    [
      "containers are created",
      pod({ containerStatuses: [waiting("job", "ContainerCreating"), waiting("redis", "ContainerCreating")] }),
      { _tag: "Waiting", on: "job (image job:1) to start" }
    ],
    ...["ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "RegistryUnavailable", "ImageInspectError"].map(
      (reason) =>
        [
          `an image: ${reason}`,
          pod({ containerStatuses: [running("job"), waiting("redis", reason, "manifest unknown")] }),
          { _tag: "Waiting", on: "the image redis:1: manifest unknown", trouble: "pull ImagePullFailed" }
        ] as const
    ),
    [
      "the image of an init container",
      pod({ initContainerStatuses: [waiting("externals", "ErrImagePull", "no")] }),
      { _tag: "Waiting", on: "the image externals:1: no", trouble: "pull ImagePullFailed" }
    ],
    [
      "an invalid image name",
      pod({ containerStatuses: [waiting("job", "InvalidImageName", "couldn't parse")] }),
      { _tag: "Broken", reason: "ImagePullFailed", container: "job", detail: "couldn't parse" }
    ],
    ...["CreateContainerConfigError", "CreateContainerError", "RunContainerError", "CrashLoopBackOff"].map(
      (reason) =>
        [
          `a container: ${reason}`,
          pod({ containerStatuses: [waiting("job", reason, "secret not found")] }),
          {
            _tag: "Broken",
            reason: "ProvisionFailed",
            container: "job",
            detail: "the container job (image job:1): secret not found"
          }
        ] as const
    ),
    [
      "an init container runs",
      pod({
        initContainerStatuses: [running("externals")],
        containerStatuses: [waiting("job", "PodInitializing"), waiting("redis", "PodInitializing")]
      }),
      { _tag: "Waiting", on: "externals to end" }
    ],
    [
      "an init container has ended well",
      pod({
        initContainerStatuses: [terminated("externals", 0, "Completed")],
        containerStatuses: [running("job"), waiting("redis", "ContainerCreating")]
      }),
      { _tag: "Waiting", on: "redis (image redis:1) to start" }
    ],
    [
      "an init container has failed",
      pod({ initContainerStatuses: [terminated("externals", 1, "Error", "no space")] }),
      {
        _tag: "Broken",
        reason: "ProvisionFailed",
        container: "externals",
        detail: "the container externals (image externals:1) ended with exit code 1 (Error): no space"
      }
    ],
    [
      "a service does not answer yet",
      pod({ containerStatuses: [running("job"), running("redis", false)] }),
      { _tag: "Waiting", on: "the service redis to become ready" }
    ],
    ["all is well", pod({ containerStatuses: [running("job"), running("redis")] }), { _tag: "Ready" }],
    [
      "the job's container is not ready by somebody's probe",
      pod({ containerStatuses: [running("job", false), running("redis")] }),
      { _tag: "Ready" }
    ],
    [
      "a service has ended",
      pod({ containerStatuses: [running("job"), terminated("redis", 3, "Error")] }),
      { _tag: "Broken", reason: "ServiceUnhealthy", container: "redis", detail: "ended with exit code 3 (Error)" }
    ],
    [
      "a service with a health check has ended",
      pod(
        { containerStatuses: [running("job"), terminated("redis", 137, "Error")] },
        { spec: { containers: [{ name: "redis", startupProbe: {} }] } }
      ),
      {
        _tag: "Broken",
        reason: "ServiceUnhealthy",
        container: "redis",
        detail: "ended with exit code 137 (Error) while its health check was awaited"
      }
    ],
    [
      "the image has no shell",
      pod({
        containerStatuses: [
          terminated("job", 128, "StartError", 'exec: "sh": executable file not found in $PATH: unknown')
        ]
      }),
      { _tag: "Broken", reason: "ProvisionFailed", container: "job", detail: /need a shell \(`sh`\) in the image/ }
    ],
    [
      "a container that is nobody's",
      pod({ containerStatuses: [running("job"), running("redis"), terminated("istio-proxy", 1)] }),
      { _tag: "Ready" }
    ],
    [
      "it is being deleted while it starts",
      pod({}, { metadata: { name: "pod-1", deletionTimestamp: "2026-01-01T00:00:00Z" } }),
      { _tag: "Broken", reason: "EnvironmentLost" }
    ],
    [
      "a service used too much memory",
      pod({ containerStatuses: [running("job"), terminated("redis", 137, "OOMKilled")] }),
      { _tag: "Broken", reason: "EnvironmentLost" }
    ]
  ]
  for (const [title, given, expected] of cases) {
    it(title, () => {
      const status = statusOf(given, roles)
      const { _tag, container, detail, on, reason, trouble } = expected as Record<string, unknown>
      assert.strictEqual(status._tag, _tag)
      if (status._tag === "Waiting") {
        assert.strictEqual(status.on, on)
        assert.strictEqual(status.trouble && `${status.trouble.kind} ${status.trouble.reason._tag}`, trouble)
      }
      if (status._tag === "Broken") {
        assert.strictEqual(status.reason._tag, reason)
        assert.strictEqual(status.container, container)
        const told = "detail" in status.reason ? String(status.reason.detail) : ""
        if (detail instanceof RegExp) assert.match(told, detail)
        else if (detail !== undefined) assert.strictEqual(told, detail)
      }
    })
  }
})

describe("lossOf", () => {
  const deletionTimestamp = "2026-01-01T00:00:00Z"
  const deleted = { metadata: { name: "pod-1", deletionTimestamp } }
  const disruption = (reason: string) => condition("DisruptionTarget", "True", reason, "told by the control plane")
  const cases: ReadonlyArray<readonly [string, PodManifest, string | undefined]> = [
    ["it runs", pod({ phase: "Running", containerStatuses: [running("job")] }), undefined],
    ["it was deleted", pod({ phase: "Running" }, deleted), "Deleted"],
    ["it was evicted by the API", pod({ conditions: [disruption("EvictionByEvictionAPI")] }, deleted), "Evicted"],
    ["kubelet evicts it", pod({ conditions: [disruption("TerminationByKubelet")] }), "Evicted"],
    ["kubelet has evicted it", pod({ phase: "Failed", reason: "Evicted", message: "low on memory" }), "Evicted"],
    ["it was preempted", pod({ conditions: [disruption("PreemptionByScheduler")] }, deleted), "Preempted"],
    ["its node is tainted", pod({ conditions: [disruption("DeletionByTaintManager")] }, deleted), "NodeLost"],
    ["its node is gone", pod({ conditions: [disruption("DeletionByPodGC")] }, deleted), "NodeLost"],
    ["a disruption nobody knows", pod({ conditions: [disruption("New")] }), "Unknown"],
    [
      "a disruption that is over",
      pod({ conditions: [condition("DisruptionTarget", "False", "PreemptionByScheduler")] }),
      undefined
    ],
    ["its node shuts down", pod({ phase: "Failed", reason: "Terminated" }), "NodeLost"],
    ["out of time", pod({ phase: "Failed", reason: "DeadlineExceeded" }), "DeadlineExceeded"],
    ["a failure nobody knows", pod({ phase: "Failed", reason: "UnexpectedAdmissionError" }), "Unknown"],
    [
      "its container used too much memory",
      pod({ containerStatuses: [terminated("job", 137, "OOMKilled")] }),
      "OOMKilled"
    ],
    [
      "too much memory, and then it was deleted",
      pod({ containerStatuses: [terminated("job", 137, "OOMKilled")] }, deleted),
      "OOMKilled"
    ],
    ["a service used too much memory", pod({ containerStatuses: [terminated("redis", 137, "OOMKilled")] }), undefined],
    ["a service has ended", pod({ containerStatuses: [terminated("redis", 0)] }), undefined],
    ["its container has ended", pod({ containerStatuses: [terminated("job", 0, "Completed")] }), "Unknown"]
  ]
  for (const [title, given, cause] of cases) {
    it(title, () => {
      const loss = lossOf(given, "job")
      assert.strictEqual(loss?.cause, cause)
      if (loss !== undefined) assert.include(loss.detail, "pod-1")
    })
  }
})

describe("howItEnded", () => {
  const cases: ReadonlyArray<readonly [Parameters<typeof howItEnded>[0], string]> = [
    [{ exitCode: 0, reason: "Completed" }, "ended with exit code 0"],
    [{ exitCode: 3 }, "ended with exit code 3"],
    [{ exitCode: 3, reason: "Error" }, "ended with exit code 3 (Error)"],
    [{ exitCode: 3, reason: "Error", message: "" }, "ended with exit code 3 (Error)"],
    [
      { exitCode: 128, reason: "StartError", message: " why : not\n" },
      "ended with exit code 128 (StartError): why : not"
    ],
    [{ exitCode: 1, message: "a : b" }, "ended with exit code 1: a : b"]
  ]
  for (const [given, expected] of cases) it(expected, () => assert.strictEqual(howItEnded(given), expected))
})
