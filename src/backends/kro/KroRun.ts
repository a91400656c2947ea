/**
 * The life of an instance that is the work itself, as a state machine: provisioning, online, ended. Pure: `advance` takes one observation after
 * the other, in any order in which watches may bring them, and never leaves the end.
 *
 * **Details**
 *
 * The result comes from the strongest of what is there: the status field that the RGD declares for it, the end of the child that is the work,
 * and, only where there is no such child, the instance's readiness. `ERROR` and `IN_PROGRESS` are reasons to wait. A child that vanished or
 * came back under another UID is a loss: KRO starts the work a second time then.
 */

import * as Duration from "effect/Duration"
import type { Completion } from "../../domain/JobEnvironment.ts"
import * as JobError from "../../domain/JobError.ts"
import type { Child, ChildView } from "./ChildView.ts"
import * as KroChild from "./KroChild.ts"
import * as KroInstance from "./KroInstance.ts"
import * as KroNames from "./KroNames.ts"
import type { Work } from "./ResourceGraphDefinition.ts"

/**
 * What is followed, and how long.
 *
 * @category models
 */
export interface Plan {
  readonly rgd: string
  readonly instance: { readonly name: string; readonly uid: string }
  /** Left out: no resource of the RGD can tell how the work ended. */
  readonly work?: Work
  /** Whether children can be seen at all. */
  readonly childrenVisible: boolean
  readonly resultField?: string
  /** Readiness is no result: fail instead. */
  readonly strict: boolean
  /** The work only holds the pod for what others run in it: its end is no result, and it is online when all of the instance is ready. */
  readonly hosted?: boolean
  /** UID of the child, where it was seen before: another one is a loss. */
  readonly expected?: string
  /** Milliseconds since 1970; the deadlines count from it. */
  readonly startedAt: number
  /** In milliseconds; infinite is none. */
  readonly limits: {
    readonly provision: number
    readonly total: number
    /** How long what hardly goes on by itself (a wrong image) may stand. */
    readonly stuck: number
    /** How long a stronger word about the result is waited for, when a weaker one is there. */
    readonly settle: number
  }
}

/** @category models */
export type Observation =
  | { readonly _tag: "Instance"; readonly instance: KroInstance.KroInstance }
  | { readonly _tag: "InstanceGone" }
  | { readonly _tag: "Child"; readonly child: Child }
  | { readonly _tag: "ChildGone"; readonly child: Child }
  /** Nothing but time has passed. */
  | { readonly _tag: "Tick" }

/** @category models */
export type End =
  | {
      readonly _tag: "Finished"
      readonly completion: Completion
      /** Where the result is from, for people. */
      readonly detail: string
    }
  | { readonly _tag: "Lost"; readonly reason: JobError.Reason }

/** @category models */
export interface RunState {
  readonly phase: "provisioning" | "online" | "ended"
  readonly instance?: KroInstance.KroInstance
  /** The work, once it was seen. */
  readonly child?: { readonly uid: string; readonly name: string; readonly view: ChildView; readonly hasRun: boolean }
  /** Completes "waiting for". */
  readonly waitingFor: string
  /** Since when the child hardly goes on. */
  readonly stuckSince?: number
  /** A result that a stronger one may still replace. */
  readonly settling?: { readonly since: number; readonly end: End }
  readonly end?: End
}

/** @category constructors */
export const initial: RunState = { phase: "provisioning", waitingFor: "KRO to take the instance up" }

/**
 * The state after an observation.
 *
 * @category combinators
 */
export const advance = (plan: Plan, state: RunState, observation: Observation, now: number): RunState => {
  if (state.end !== undefined) return state
  const seen = observe(plan, state, observation, now)
  return overdue(plan, seen, now)
}

/**
 * When to look again even if nothing happens; infinite is never.
 *
 * @category getters
 */
export const nextDeadline = ({ limits, startedAt }: Plan, state: RunState): number =>
  state.end !== undefined
    ? Number.POSITIVE_INFINITY
    : Math.min(
        state.phase === "provisioning" ? startedAt + limits.provision : Number.POSITIVE_INFINITY,
        startedAt + limits.total,
        state.stuckSince === undefined ? Number.POSITIVE_INFINITY : state.stuckSince + limits.stuck,
        state.settling === undefined ? Number.POSITIVE_INFINITY : state.settling.since + limits.settle
      )

const observe = (plan: Plan, state: RunState, observation: Observation, now: number): RunState => {
  switch (observation._tag) {
    case "Instance":
      return onInstance(plan, state, observation.instance, now)
    case "InstanceGone":
      return lost(state, "Deleted", `the instance ${plan.instance.name} was deleted by somebody else`)
    case "Child":
      return isWork(plan, observation.child) ? onChild(plan, state, observation.child, now) : state
    case "ChildGone":
      return state.child !== undefined && state.child.uid === observation.child.metadata.uid
        ? onChildGone(state, state.child)
        : state
    case "Tick":
      return state
  }
}

const onInstance = (plan: Plan, state: RunState, instance: KroInstance.KroInstance, now: number): RunState => {
  const { name, uid } = plan.instance
  const { metadata } = instance
  if (metadata.uid !== uid) {
    return lost(state, "Deleted", `the instance ${name} was deleted by somebody else, and another one has its name`)
  }
  if (metadata.deletionTimestamp !== undefined) {
    return lost(state, "Deleted", `the instance ${name} is being deleted by somebody else`)
  }
  const rgd = metadata.labels?.[KroNames.rgdNameLabel]
  if (rgd !== undefined && rgd !== plan.rgd) {
    const detail = `the instance ${name} is run by the ResourceGraphDefinition ${rgd}, not by ${plan.rgd}: both have its kind`
    return ended(state, { _tag: "Lost", reason: new JobError.ProvisionFailed({ detail, transient: false }) })
  }
  const known = takenUp(plan, { ...state, instance }, instance)
  if (plan.hosted === true) return described(readyToHost(known))
  const reported = plan.resultField === undefined ? undefined : KroInstance.resultIn(instance, plan.resultField)
  if (reported !== undefined) {
    return ended(known, {
      _tag: "Finished",
      completion: { exitCode: reported, evidence: "reported" },
      detail: `status.${plan.resultField} of the instance tells ${reported}`
    })
  }
  if (known.child !== undefined) return described(known)
  if (KroInstance.isReady(instance)) return onReady(plan, known, now)
  const { settling: _, ...unsettled } = known
  return described(unsettled)
}

/** Everything is there: what runs in the child may start. */
const readyToHost = (state: RunState): RunState =>
  state.phase === "provisioning" &&
  state.child?.view._tag === "Running" &&
  state.instance !== undefined &&
  KroInstance.isReady(state.instance)
    ? { ...state, phase: "online" }
    : state

/** Where no child tells whether the work runs, an instance that KRO works on counts as online: a job may take any time. */
const takenUp = (plan: Plan, state: RunState, { status }: KroInstance.KroInstance): RunState =>
  state.phase === "provisioning" &&
  !(plan.work !== undefined && plan.childrenVisible) &&
  /^(?:IN_PROGRESS|ACTIVE)$/.test(status?.state ?? "")
    ? { ...state, phase: "online" }
    : state

/** Nothing but readiness tells an end, so far. */
const onReady = (plan: Plan, state: RunState, now: number): RunState => {
  const end: End = plan.strict
    ? {
        _tag: "Lost",
        reason: new JobError.ProvisionFailed({
          detail: `the instance ${plan.instance.name} is ready, but nothing tells how its work ended`,
          transient: false
        })
      }
    : {
        _tag: "Finished",
        completion: { exitCode: 0, evidence: "inferred" },
        detail: "the instance is ready; nothing else tells how its work ended"
      }
  // Where a child is to be expected, its watch may only be later than the instance's.
  return plan.work !== undefined && plan.childrenVisible ? settle(state, end, now) : ended(state, end)
}

const onChild = (plan: Plan, state: RunState, child: Child, now: number): RunState => {
  const work = plan.work
  if (work === undefined) return state
  const { name, uid } = child.metadata
  const before = state.child?.uid ?? plan.expected
  if (before !== undefined && before !== uid) {
    const detail = `the ${work.kind.kind} ${name} was deleted by somebody else, and KRO has made it again`
    return state.settling !== undefined && state.child?.view._tag === "Ended"
      ? ended(state, state.settling.end)
      : lost(state, "Deleted", detail)
  }
  const hasRun = state.child?.hasRun ?? false
  const view = KroChild.view(work, child, hasRun)
  const { settling: _, stuckSince: __, ...rest } = state
  const known: RunState = {
    ...rest,
    // From here on only the child tells; what readiness told is void.
    ...(state.child !== undefined && state.settling !== undefined ? { settling: state.settling } : {}),
    child: { uid, name, view, hasRun: hasRun || view._tag === "Running" || view._tag === "Ended" }
  }
  switch (view._tag) {
    case "Waiting": {
      if (view.stuck?.hopeless === true) return ended(known, { _tag: "Lost", reason: view.stuck.reason })
      const stuckSince = view.stuck === undefined ? undefined : (state.stuckSince ?? now)
      return described({ ...known, ...(stuckSince === undefined ? {} : { stuckSince }) })
    }
    case "Running":
      return described(plan.hosted === true ? readyToHost(known) : { ...known, phase: "online" })
    case "Ended": {
      if (plan.hosted === true) return lost(known, "Unknown", view.detail)
      const end: End = { _tag: "Finished", completion: view.completion, detail: view.detail }
      return plan.resultField === undefined ? ended(known, end) : settle({ ...known, phase: "online" }, end, now)
    }
    case "Lost":
      return ended(known, { _tag: "Lost", reason: view.reason })
  }
}

const onChildGone = (state: RunState, child: NonNullable<RunState["child"]>): RunState =>
  state.settling !== undefined && child.view._tag === "Ended"
    ? ended(state, state.settling.end)
    : lost(state, "Deleted", `${child.name} was deleted by somebody else`)

/** The child is this instance's, and the resource that is the work. Versions of KRO that do not label the resource cannot be asked. */
const isWork = ({ instance, work }: Plan, { metadata }: Child): boolean => {
  const node = metadata.labels?.[KroNames.nodeIdLabel]
  return (
    work !== undefined &&
    metadata.labels?.[KroNames.instanceIdLabel] === instance.uid &&
    (node === undefined || node === work.node)
  )
}

const settle = (state: RunState, end: End, now: number): RunState => ({
  ...state,
  waitingFor: "a stronger word about the result",
  settling: state.settling ?? { since: now, end }
})

const described = (state: RunState): RunState => {
  const { child, instance, phase } = state
  if (phase === "online" && child !== undefined) return { ...state, waitingFor: `the end of ${child.name}` }
  if (child?.view._tag === "Waiting") return { ...state, waitingFor: child.view.for }
  return instance === undefined ? state : { ...state, waitingFor: KroInstance.waitingFor(instance) }
}

const overdue = ({ limits, startedAt }: Plan, state: RunState, now: number): RunState => {
  if (state.end !== undefined) return state
  if (state.settling !== undefined && now >= state.settling.since + limits.settle)
    return ended(state, state.settling.end)
  const view = state.child?.view
  if (state.stuckSince !== undefined && view?._tag === "Waiting" && view.stuck !== undefined) {
    if (now >= state.stuckSince + limits.stuck) return ended(state, { _tag: "Lost", reason: view.stuck.reason })
  }
  const timedOut = (phase: "provision" | "total", after: number) =>
    ended(state, {
      _tag: "Lost",
      reason: new JobError.TimedOut({ phase, after: Duration.millis(after), waitingFor: state.waitingFor })
    })
  if (now >= startedAt + limits.total) return timedOut("total", limits.total)
  if (state.phase === "provisioning" && now >= startedAt + limits.provision) {
    return timedOut("provision", limits.provision)
  }
  return state
}

const ended = (state: RunState, end: End): RunState => ({ ...state, phase: "ended", end, waitingFor: "nothing" })

const lost = (state: RunState, cause: JobError.EnvironmentLost["cause"], detail: string): RunState =>
  ended(state, { _tag: "Lost", reason: new JobError.EnvironmentLost({ cause, detail }) })
