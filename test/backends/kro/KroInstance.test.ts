import { assert, describe, it } from "@effect/vitest"
import * as KroInstance from "jobscope/backends/kro/KroInstance"
import { condition, instance, progressing, ready } from "./support.ts"

describe("KroInstance", () => {
  it.each([
    ["KRO 0.9", ready, {}, true],
    ["KRO 0.9, in progress", progressing, {}, false],
    [
      "only the root condition, as upstream tells clients",
      { state: "ACTIVE", conditions: [condition("Ready", "True")] },
      {},
      true
    ],
    ["KRO 0.5", { state: "ACTIVE", conditions: [condition("InstanceSynced", "True")] }, {}, true],
    [
      "KRO 0.5.0, active before it is ready",
      { state: "ACTIVE", conditions: [condition("InstanceSynced", "False")] },
      {},
      false
    ],
    ["conditions of the author", { state: "ACTIVE", conditions: [condition("DatabaseUp", "False")] }, {}, true],
    ["no conditions", { state: "ACTIVE" }, {}, true],
    ["about an older generation", ready, { generation: 2 }, false],
    ["suspended", { state: "ACTIVE", conditions: [condition("Ready", "False", "ReconciliationSuspended")] }, {}, false],
    ["suspended, before KRO says so", ready, { annotations: { "kro.run/reconcile": "suspended" } }, false],
    ["ready, and not active", { ...ready, state: "ERROR" }, {}, false],
    ["no status", undefined, {}, false]
  ])("%s", (_, status, metadata, expected) => {
    assert.strictEqual(KroInstance.isReady(instance(status, metadata)), expected)
  })

  it.each([
    [undefined, { finalizers: [] }, /take it up \(is the controller running\?\)/],
    [undefined, {}, /make its resources/],
    [progressing, {}, /^its resources to become ready: ResourcesReady is False \(NotReady\): waiting for runnerPod$/],
    [
      {
        state: "ERROR",
        conditions: [
          condition("Ready", "False", "Failed", "root"),
          condition("GraphResolved", "False", "ResolutionFailed", "no field x")
        ]
      },
      {},
      /^KRO to get over an error: GraphResolved is False \(ResolutionFailed\): no field x$/
    ],
    [
      { state: "IN_PROGRESS", conditions: [condition("InstanceSynced", "Unknown", "", "")] },
      {},
      /InstanceSynced is Unknown$/
    ],
    [{ state: "IN_PROGRESS" }, {}, /^its resources to become ready$/],
    [ready, { annotations: { "kro.run/reconcile": "disabled" } }, /suspends it/]
  ])("says what %j waits for", (status, metadata, expected) => {
    assert.match(KroInstance.waitingFor(instance(status, metadata)), expected)
  })

  it.each([
    ["exitCode", { exitCode: 0 }, 0],
    ["exitCode", { exitCode: 3 }, 3],
    ["exitCode", { exitCode: -1 }, 1],
    ["exitCode", { exitCode: 1000 }, 1],
    ["exitCode", { exitCode: "7" }, 7],
    ["exitCode", {}, undefined],
    ["phase", { phase: "Running" }, undefined],
    ["phase", { phase: "Succeeded" }, 0],
    ["phase", { phase: "failed" }, 1],
    ["phase", { phase: "" }, undefined],
    ["vm.state", { vm: { state: "stopped" } }, 0],
    ["vm.state", { vm: "stopped" }, undefined],
    ["state", { state: "ERROR" }, undefined],
    ["constructor.name", {}, undefined]
  ])("reads the result at %s in %j", (path, status, expected) => {
    assert.strictEqual(KroInstance.resultIn(instance(status), path), expected)
  })
})
