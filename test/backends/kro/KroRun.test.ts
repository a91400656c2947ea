import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Arbitrary from "effect/Arbitrary"
import type { Child } from "jobscope/backends/kro/ChildView"
import type { KroInstance } from "jobscope/backends/kro/KroInstance"
import * as KroRun from "jobscope/backends/kro/KroRun"
import { containers, instance, pod, progressing, ready, running, terminated } from "./support.ts"

const work = { node: "runnerPod", kind: { group: "", version: "v1", kind: "Pod" } }
const infinite = Number.POSITIVE_INFINITY

const plan: KroRun.Plan = {
  rgd: "g",
  instance: { name: "r", uid: "i1" },
  work,
  childrenVisible: true,
  strict: false,
  startedAt: 0,
  limits: { provision: 1000, total: infinite, stuck: 100, settle: 50 }
}
const { work: _, ...workless } = plan
const hosted = { ...plan, hosted: true, resultField: "exitCode" }
const loop = instance(ready)

const seen = (object: KroInstance): KroRun.Observation => ({ _tag: "Instance", instance: object })
const child = (object: Child): KroRun.Observation => ({ _tag: "Child", child: object })
const gone = (object: Child): KroRun.Observation => ({ _tag: "ChildGone", child: object })
const tick: KroRun.Observation = { _tag: "Tick" }

/** One observation a millisecond, or at the times given. */
const stateAfter = (
  steps: ReadonlyArray<KroRun.Observation | readonly [number, KroRun.Observation]>,
  of: KroRun.Plan = plan
) => {
  let now = 0
  return steps.reduce<KroRun.RunState>((state, step) => {
    const [at, observation] = "_tag" in step ? [now + 1, step] : step
    now = at
    return KroRun.advance(of, state, observation, now)
  }, KroRun.initial)
}

const short = ({ end, phase }: KroRun.RunState): string => {
  if (end === undefined) return phase
  if (end._tag === "Finished") return `finished ${end.completion.exitCode} ${end.completion.evidence}`
  const { reason } = end
  return `lost ${reason._tag === "EnvironmentLost" ? reason.cause : reason._tag === "TimedOut" ? reason.phase : reason._tag}`
}

const other = pod(running, { uid: "p2" })
const foreign = pod(terminated(0), {
  uid: "p9",
  labels: { "kro.run/instance-id": "i0", "kro.run/node-id": "runnerPod" }
})
const sidecar = pod(terminated(1), { uid: "p8", labels: { "kro.run/instance-id": "i1", "kro.run/node-id": "redis" } })
const pulling = pod(containers({ waiting: { reason: "ImagePullBackOff", message: "no" } }))
const error = instance({ state: "ERROR" })

describe("KroRun", () => {
  it.each<[string, ReadonlyArray<KroRun.Observation | readonly [number, KroRun.Observation]>, string, KroRun.Plan?]>([
    ["nothing yet", [], "provisioning"],
    ["taken up", [seen(instance(progressing))], "provisioning"],
    ["the work runs", [seen(instance(progressing)), child(pod(running))], "online"],
    ["the work has ended", [child(pod(running)), child(pod(terminated(0)))], "finished 0 observed"],
    ["the work has ended red", [child(pod(terminated(3)))], "finished 3 observed"],
    ["ready is nothing while the work runs", [child(pod(running)), seen(instance(ready)), [10_000, tick]], "online"],
    ["an error is nothing", [child(pod(running)), seen(error)], "online"],
    ["an error before the work runs is nothing", [seen(error)], "provisioning"],
    ["a child of another instance is nothing", [child(foreign)], "provisioning"],
    ["another resource is nothing", [child(pod(running)), child(sidecar)], "online"],
    ["another resource that vanishes is nothing", [child(pod(running)), gone(sidecar)], "online"],
    [
      "a child without the label of its resource counts",
      [child(pod(running, { labels: { "kro.run/instance-id": "i1" } }))],
      "online"
    ],
    ["the child vanishes", [child(pod(running)), gone(pod(running))], "lost Deleted"],
    ["the child comes again", [child(pod(running)), child(other)], "lost Deleted"],
    ["the child comes again before it ran", [child(pod({ phase: "Pending" })), child(other)], "lost Deleted"],
    ["the instance vanishes", [child(pod(running)), { _tag: "InstanceGone" }], "lost Deleted"],
    [
      "the instance is being deleted",
      [seen(instance(progressing, { deletionTimestamp: "2026-01-01T00:00:00Z" }))],
      "lost Deleted"
    ],
    ["another instance has its name", [seen(instance(progressing, { uid: "i2" }))], "lost Deleted"],
    [
      "another RGD runs it",
      [seen(instance(progressing, { labels: { "kro.run/resource-graph-definition-name": "h" } }))],
      "lost ProvisionFailed"
    ],
    [
      "its own RGD runs it",
      [seen(instance(progressing, { labels: { "kro.run/resource-graph-definition-name": "g" } }))],
      "provisioning"
    ],
    ["hosted: a pod that runs is not all", [seen(instance(progressing)), child(pod(running))], "provisioning", hosted],
    ["hosted: all is ready", [child(pod(running)), seen(loop)], "online", hosted],
    ["hosted: all is ready, and then the pod runs", [seen(loop), child(pod(running))], "online", hosted],
    ["hosted: ready without a pod is nothing", [seen(loop), [900, tick]], "provisioning", hosted],
    [
      "hosted: what is not ready any more is no loss",
      [child(pod(running)), seen(loop), seen(instance(progressing)), [5000, tick]],
      "online",
      hosted
    ],
    ["hosted: an end is a loss", [child(pod(running)), seen(loop), child(pod(terminated(0)))], "lost Unknown", hosted],
    [
      "hosted: a result field is none of it",
      [child(pod(running)), seen(instance({ ...ready, exitCode: 0 }))],
      "online",
      hosted
    ],
    ["hosted: the pod comes again", [child(pod(running)), seen(loop), child(other)], "lost Deleted", hosted],
    ["hosted: another pod than before", [child(other)], "lost Deleted", { ...hosted, expected: "p1" }],
    ["hosted: the pod of before", [child(pod(running)), seen(loop)], "online", { ...hosted, expected: "p1" }],
    ["nothing runs in time", [seen(instance(progressing)), [1000, tick]], "lost provision"],
    ["it runs in time", [child(pod(running)), [5000, tick]], "online"],
    [
      "all takes too long",
      [child(pod(running)), [5000, tick]],
      "lost total",
      { ...plan, limits: { ...plan.limits, total: 5000 } }
    ],
    [
      "an image cannot be pulled",
      [
        [1, child(pulling)],
        [100, tick]
      ],
      "provisioning"
    ],
    [
      "an image cannot be pulled for long",
      [
        [1, child(pulling)],
        [50, child(pulling)],
        [101, tick]
      ],
      "lost ImagePullFailed"
    ],
    [
      "an image is pulled after all",
      [
        [1, child(pulling)],
        [50, child(pod(running))],
        [500, tick]
      ],
      "online"
    ],
    [
      "an image has no valid name",
      [child(pod(containers({ waiting: { reason: "InvalidImageName" } })))],
      "lost ImagePullFailed"
    ],
    [
      "ready, and the child may still come",
      [
        [1, seen(instance(ready))],
        [50, tick]
      ],
      "provisioning"
    ],
    [
      "ready, and the child comes",
      [
        [1, seen(instance(ready))],
        [2, child(pod(running))],
        [500, tick]
      ],
      "online"
    ],
    [
      "ready, and there is no child",
      [
        [1, seen(instance(ready))],
        [51, tick]
      ],
      "finished 0 inferred"
    ],
    [
      "ready, and then not any more",
      [
        [1, seen(instance(ready))],
        [2, seen(instance(progressing))],
        [500, tick]
      ],
      "provisioning"
    ],
    ["ready is all that is known", [seen(instance(ready))], "finished 0 inferred", workless],
    [
      "ready is not enough for the strict",
      [seen(instance(ready))],
      "lost ProvisionFailed",
      { ...workless, strict: true }
    ],
    ["without a child work counts as online", [seen(instance(progressing)), [5000, tick]], "online", workless],
    ["without a child an error does not", [seen(error), [1000, tick]], "lost provision", workless],
    [
      "the same where children cannot be seen",
      [seen(instance(progressing)), [5000, tick]],
      "online",
      { ...plan, childrenVisible: false }
    ],
    [
      "a status field tells it",
      [seen(instance({ ...progressing, exitCode: 4 }))],
      "finished 4 reported",
      { ...plan, resultField: "exitCode" }
    ],
    [
      "a status field wins over the child",
      [child(pod(terminated(0))), seen(instance({ ...progressing, exitCode: 4 }))],
      "finished 4 reported",
      { ...plan, resultField: "exitCode" }
    ],
    [
      "the child is believed where the field does not come",
      [
        [1, child(pod(terminated(3)))],
        [51, tick]
      ],
      "finished 3 observed",
      { ...plan, resultField: "exitCode" }
    ],
    [
      "the field may still come",
      [
        [1, child(pod(terminated(3)))],
        [50, tick]
      ],
      "online",
      { ...plan, resultField: "exitCode" }
    ],
    [
      "the child vanishes after its end",
      [child(pod(terminated(3))), gone(pod(terminated(3)))],
      "finished 3 observed",
      { ...plan, resultField: "exitCode" }
    ],
    [
      "the child is made again after its end",
      [child(pod(terminated(3))), child(other)],
      "finished 3 observed",
      { ...plan, resultField: "exitCode" }
    ]
  ])("%s", (_, steps, expected, of = plan) => {
    assert.strictEqual(short(stateAfter(steps, of)), expected)
  })

  it("says what it waits for", () => {
    assert.match(stateAfter([seen(instance(progressing))]).waitingFor, /resources to become ready/)
    assert.match(stateAfter([seen(error)]).waitingFor, /get over an error/)
    assert.match(stateAfter([child(pulling)]).waitingFor, /ImagePullBackOff/)
    assert.strictEqual(stateAfter([child(pod(running)), seen(error)]).waitingFor, "the end of r-job")
    const { end } = stateAfter([child(pulling), [1000, tick]], { ...plan, limits: { ...plan.limits, stuck: infinite } })
    assert.match(
      end?._tag === "Lost" ? end.reason.message : "",
      /Out of time \(provision, after 1s\), waiting for .*ImagePullBackOff/
    )
  })

  const observations: ReadonlyArray<KroRun.Observation> = [
    tick,
    seen(instance(undefined)),
    seen(instance(progressing)),
    seen(instance(ready)),
    seen(error),
    seen(instance({ ...progressing, exitCode: 5 })),
    child(pod({ phase: "Pending" })),
    child(pulling),
    child(pod(running)),
    child(pod(terminated(0))),
    child(foreign),
    child(sidecar),
    gone(sidecar),
    gone(foreign)
  ]
  const fatal: ReadonlyArray<KroRun.Observation> = [
    child(other),
    gone(pod(running)),
    { _tag: "InstanceGone" },
    seen(instance(progressing, { uid: "i2" })),
    seen(instance(progressing, { deletionTimestamp: "2026-01-01T00:00:00Z" }))
  ]
  const pick = (from: ReadonlyArray<KroRun.Observation>) =>
    Arbitrary.map(Arbitrary.schema(Schema.Int), (n) => from[Math.abs(n % from.length)]!)
  const steps = Arbitrary.array(pick([...observations, ...fatal]), { maxLength: 30 })
  const plans = [
    plan,
    workless,
    { ...plan, resultField: "exitCode" },
    { ...plan, strict: true },
    { ...plan, childrenVisible: false }
  ]
  const anyPlan = Arbitrary.map(Arbitrary.schema(Schema.Int), (n) => plans[Math.abs(n % plans.length)]!)

  it.prop("never leaves the end, nor goes back from online", [steps, anyPlan], ([steps, of]) => {
    let state = KroRun.initial
    let now = 0
    for (const step of steps) {
      const before = state
      now += 7
      state = KroRun.advance(of, state, step, now)
      if (before.end !== undefined) assert.strictEqual(state, before)
      if (before.phase === "online") assert.notStrictEqual(state.phase, "provisioning")
      assert.strictEqual(state.phase === "ended", state.end !== undefined)
    }
  })

  it.prop("finishes only with what it saw", [steps, anyPlan], ([steps, of]) => {
    const { end } = stateAfter(steps, of)
    if (end?._tag !== "Finished") return
    const { completion } = end
    const has = (observation: KroRun.Observation) => steps.includes(observation)
    switch (completion.evidence) {
      case "observed":
        return assert.isTrue(has(observations[9]!) && completion.exitCode === 0)
      case "reported":
        return assert.isTrue(has(observations[5]!) && completion.exitCode === 5 && of.resultField !== undefined)
      case "inferred":
        return assert.isTrue(has(observations[3]!) && !of.strict)
    }
  })

  it.prop("counts a second start never as a success", [steps], ([steps]) => {
    const first = steps.findIndex((step) => step._tag === "Child" && step.child.metadata.uid === "p1")
    const again = steps.findIndex(
      (step, index) => index > first && first >= 0 && step._tag === "Child" && step.child.metadata.uid === "p2"
    )
    if (again < 0) return
    const before = stateAfter(steps.slice(0, again))
    const state = stateAfter(steps.slice(0, again + 1))
    if (before.end === undefined) assert.strictEqual(short(state), "lost Deleted")
  })

  it.prop("is over when its deadline has passed", [steps, anyPlan], ([steps, of]) => {
    const limited = { ...of, limits: { ...of.limits, total: 10_000 } }
    let state = stateAfter(steps, limited)
    for (let turns = 0; state.end === undefined; turns++) {
      assert.isBelow(turns, 5)
      state = KroRun.advance(limited, state, tick, KroRun.nextDeadline(limited, state))
    }
    assert.strictEqual(KroRun.nextDeadline(limited, state), infinite)
  })
})
