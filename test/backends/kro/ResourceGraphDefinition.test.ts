import { assert, describe, it } from "@effect/vitest"
import * as Rgd from "jobscope/backends/kro/ResourceGraphDefinition"
import { condition, podNode, rgd } from "./support.ts"

const states = (state: string | undefined, ...conditions: ReadonlyArray<object>) => ({
  ...(state === undefined ? {} : { state }),
  conditions
})

describe("problemOf", () => {
  it.each([
    ["active", {}, states("Active", condition("KindReady", "True"), condition("Ready", "True")), undefined],
    ["active, KRO 0.3", {}, states("Active", condition("ReconcilerReady", "True")), undefined],
    [
      "active, though a part was written for an older generation",
      { generation: 2 },
      states("Active", condition("ControllerReady", "True", "", "", 1), condition("Ready", "True", "", "", 2)),
      undefined
    ],
    ["no status yet", {}, {}, { transient: true, detail: /has not worked on/ }],
    [
      "about an older generation",
      { generation: 2 },
      states("Active", condition("Ready", "True", "", "", 1)),
      { transient: true, detail: /has not worked/ }
    ],
    [
      "a false graph",
      {},
      states(
        "Inactive",
        condition("GraphAccepted", "False", "InvalidResourceGraph", "no such field"),
        condition("Ready", "False")
      ),
      { transient: false, detail: /GraphAccepted is False \(InvalidResourceGraph\): no such field/ }
    ],
    [
      "another one's kind",
      { generation: 2 },
      states(
        "Inactive",
        condition("ControllerReady", "True", "", "", 1),
        condition("KindReady", "False", "Failed", "owned by another ResourceGraphDefinition", 2)
      ),
      { transient: false, detail: /owned by another/ }
    ],
    [
      "still starting",
      {},
      states("Inactive", condition("GraphRevisionsResolved", "Unknown", "WaitingForCompilation", "soon")),
      { transient: true, detail: /WaitingForCompilation/ }
    ],
    [
      "being deleted",
      { deletionTimestamp: "2026-01-01T00:00:00Z" },
      states("Active", condition("Ready", "True")),
      { transient: false, detail: /being deleted/ }
    ]
  ])("%s", (_, metadata, status, expected) => {
    const problem = Rgd.problemOf(rgd({}, metadata, status))
    if (expected === undefined) return assert.isUndefined(problem)
    assert.strictEqual(problem?.transient, expected.transient)
    assert.match(problem?.detail ?? "", expected.detail)
  })
})

describe("kindOf", () => {
  it("defaults the group, as older versions leave it out", () => {
    assert.deepStrictEqual(Rgd.kindOf(rgd({})), { group: "kro.run", version: "v1alpha1", kind: "Runner" })
    const own = rgd({ schema: { group: "acme.io", apiVersion: "v1", kind: "Box" } })
    assert.deepStrictEqual(Rgd.kindOf(own), { group: "acme.io", version: "v1", kind: "Box" })
  })

  it("splits the version of a template", () => {
    assert.deepStrictEqual(Rgd.kindOfTemplate({ apiVersion: "v1", kind: "Pod" }), {
      group: "",
      version: "v1",
      kind: "Pod"
    })
    const job = Rgd.kindOfTemplate({ apiVersion: "batch/v1", kind: "Job" })
    assert.deepStrictEqual(job, { group: "batch", version: "v1", kind: "Job" })
    assert.isUndefined(Rgd.kindOfTemplate({}))
  })
})

describe("workOf", () => {
  const vm = { id: "vm", template: { apiVersion: "kubevirt.io/v1", kind: "VirtualMachineInstance" } }
  const redis = podNode("redis")
  const service = { id: "service", template: { apiVersion: "v1", kind: "Service" } }
  const node = (nodes: ReadonlyArray<object>, annotations: Record<string, string> = {}) => {
    const work = Rgd.workOf(rgd({ resources: nodes as never }, { annotations }))
    return typeof work === "object" ? work.node : work
  }

  it.each([
    ["the usual name", [redis, podNode("runnerPod")], "runnerPod"],
    ["the only pod", [service, redis], "redis"],
    ["the only machine", [service, vm], "vm"],
    ["a pod before a machine", [vm, podNode("job")], "job"],
    ["two pods", [redis, podNode("job")], undefined],
    ["none", [service], undefined],
    ["a collection", [podNode("runnerPod", { forEach: [{ a: "b" }] })], undefined],
    ["an external one", [{ id: "runnerPod", externalRef: { apiVersion: "v1", kind: "Pod" } }], undefined]
  ])("%s", (_, nodes, expected) => {
    assert.strictEqual(node(nodes), expected)
  })

  it("is what the annotation names", () => {
    const work = "jobscope.dev/work-node"
    assert.strictEqual(node([redis, podNode("job")], { [work]: "job" }), "job")
    assert.match(node([redis], { [work]: "job" }) ?? "", /names job, which is no resource/)
    assert.match(node([service], { [work]: "service" }) ?? "", /cannot be the work/)
  })

  it("has the container that the annotation names", () => {
    const work = Rgd.workOf(rgd({}, { annotations: { "jobscope.dev/work-container": "main" } }))
    assert.deepInclude(work, { node: "runnerPod", container: "main" })
  })
})

describe("resultFieldOf", () => {
  it.each([
    [{ "jobscope.dev/result-field": "status.vm.phase" }, {}, "vm.phase"],
    [{ "jobscope.dev/result-field": ".status.code" }, {}, "code"],
    [{ "jobscope.dev/result-field": "code" }, { exitCode: "x" }, "code"],
    [{}, { exitCode: "x" }, "exitCode"],
    [{}, { phase: "x" }, undefined]
  ])("%j and %j", (annotations, status, expected) => {
    assert.strictEqual(Rgd.resultFieldOf(rgd({ schema: { status } }, { annotations })), expected)
  })
})
