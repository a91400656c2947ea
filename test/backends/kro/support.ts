/** Objects as the API gives them. */
import type { Child } from "jobscope/backends/kro/ChildView"
import type { KroInstance } from "jobscope/backends/kro/KroInstance"
import type { ResourceGraphDefinition } from "jobscope/backends/kro/ResourceGraphDefinition"

/** An expression of CEL, as templates have it. */
export const cel = (expression: string): string => `\${${expression}}`

type DeepPartial<T> = T extends object ? { [K in keyof T]?: DeepPartial<T[K]> } : T

export const instance = (
  status: object | undefined,
  metadata: DeepPartial<KroInstance["metadata"]> = {}
): KroInstance =>
  ({
    metadata: { name: "r", namespace: "ci", uid: "i1", generation: 1, finalizers: ["kro.run/finalizer"], ...metadata },
    ...(status === undefined ? {} : { status })
  }) as KroInstance

export const condition = (type: string, status: string, reason = type, message = "", observedGeneration = 1) => ({
  type,
  status,
  reason,
  message,
  observedGeneration
})

export const ready = { state: "ACTIVE", conditions: [condition("ResourcesReady", "True"), condition("Ready", "True")] }
export const progressing = {
  state: "IN_PROGRESS",
  conditions: [
    condition("ResourcesReady", "False", "NotReady", "waiting for runnerPod"),
    condition("Ready", "False", "NotReady", "waiting for runnerPod")
  ]
}

export const pod = (
  status: object,
  metadata: Partial<Child["metadata"]> = {},
  containers: ReadonlyArray<object> = [{ name: "runner", image: "img:1" }]
): Child => ({
  metadata: {
    name: "r-job",
    namespace: "ci",
    uid: "p1",
    labels: { "kro.run/instance-id": "i1", "kro.run/instance-name": "r", "kro.run/node-id": "runnerPod" },
    ...metadata
  },
  spec: { containers, restartPolicy: "Never" },
  status
})

export const containers = (state: object, name = "runner", more: object = {}) => ({
  phase: "Running",
  containerStatuses: [{ name, image: "img:1", state, ...more }]
})

export const running = containers({ running: { startedAt: "2026-01-01T00:00:00Z" } })
export const terminated = (exitCode: number, more: object = {}) =>
  containers({
    terminated: {
      exitCode,
      reason: exitCode === 0 ? "Completed" : "Error",
      finishedAt: "2026-01-01T00:00:10Z",
      ...more
    }
  })

export const rgd = (
  spec: DeepPartial<ResourceGraphDefinition["spec"]>,
  metadata: DeepPartial<ResourceGraphDefinition["metadata"]> = {},
  status: object = { state: "Active", conditions: [condition("Ready", "True")] }
): ResourceGraphDefinition =>
  ({
    metadata: { name: "g", uid: "g1", generation: 1, ...metadata },
    spec: { resources: [podNode()], ...spec, schema: { apiVersion: "v1alpha1", kind: "Runner", ...spec.schema } },
    status
  }) as ResourceGraphDefinition

export const podNode = (id = "runnerPod", more: object = {}, spec: object = {}) => ({
  id,
  readyWhen: [cel(`${id}.status.phase == 'Succeeded'`)],
  template: {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: `${cel("schema.spec.runnerName")}-job` },
    spec: {
      restartPolicy: "Never",
      terminationGracePeriodSeconds: 1,
      containers: [{ name: "runner", image: "img:1" }],
      ...spec
    }
  },
  ...more
})
