/** The life of one pod on the node: scheduled, prepared, run, told, ended, removed. */
import * as Fs from "node:fs"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import { type RunnerOptions, runContainer } from "./containerRunner.ts"
import { pods } from "./kinds.ts"
import type { Pod } from "./pod.ts"
import type { ContainerRecord, PodRecord } from "./podStatus.ts"
import { type NodeFacts, unschedulable } from "./scheduler.ts"
import { createEphemeralClaims, prepareVolumes } from "./volumes.ts"

/** Why a pod ends before its containers do. */
export type Stop =
  | { readonly _tag: "Deleted"; readonly graceSeconds: number }
  | { readonly _tag: "Failed"; readonly reason: string; readonly message: string; readonly killed?: string }

export interface PodLifeOptions extends Omit<RunnerOptions, "scope" | "volumes" | "node"> {
  readonly node: NodeFacts
  readonly record: PodRecord
  readonly stops: Queue.Queue<Stop>
  /** Waits while the node has no connection. */
  readonly connected: Effect.Effect<void>
}

/** Until the pod is gone. Interrupted, it kills what runs. */
export const live = (options: PodLifeOptions): Effect.Effect<void> =>
  Effect.scopedWith((scope) => Effect.onInterrupt(liveIn(options, scope), () => terminate(options.record, 0)))

const liveIn = Effect.fnUntraced(function* (options: PodLifeOptions, scope: Scope.Scope) {
  const { record, stops } = options
  const grace = options.pod().spec?.terminationGracePeriodSeconds ?? 30
  // Sidecars end with the work.
  const working = yield* Scope.fork(scope)
  const first = yield* Effect.raceFirst(
    work(options, scope, working),
    Effect.raceFirst(Queue.take(stops), overdue(options.pod()))
  )
  yield* Scope.close(working, Exit.void)
  let stop: Stop | undefined
  if (typeof first === "string") {
    yield* terminate(record, grace)
    yield* Effect.sleep(options.timings.phase)
    record.final = { phase: first }
    yield* options.publish
  } else stop = first
  while (stop?._tag !== "Deleted") {
    if (stop !== undefined) {
      for (const container of record.containers) container.killedAs = stop.killed
      yield* terminate(record, stop.killed === undefined ? grace : 0)
      record.final = { phase: "Failed", reason: stop.reason, message: stop.message }
      yield* options.publish
    }
    stop = yield* Queue.take(stops)
  }
  yield* options.connected
  options.tell("Normal", "Killing", "Stopping containers")
  yield* terminateUntil(record, stops, stop.graceSeconds)
  yield* options.connected
  const object = options.store.withUid(record.uid)
  if (object !== undefined) options.store.drop(pods, object)
  for (const { log, previousLog } of record.containers) {
    log?.close()
    previousLog?.close()
  }
  yield* remove(options.directory)
})

/** Gives the phase that the containers' own ends make. */
const work = Effect.fnUntraced(function* (
  options: PodLifeOptions,
  scope: Scope.Scope,
  working: Scope.Scope
): Effect.fn.Return<"Succeeded" | "Failed"> {
  const { record } = options
  yield* schedule(options)
  const volumes = yield* prepare(options)
  const runner: RunnerOptions = { ...options, node: options.node.name, scope, volumes: () => volumes }
  for (const container of record.containers.filter(({ role }) => role !== "main")) {
    if (container.role === "init") {
      if ((yield* runContainer(runner, container)) !== 0) return "Failed"
      continue
    }
    yield* Effect.forkIn(runContainer(runner, container), working)
    // The next one starts when this one has.
    while (!container.started) yield* Effect.sleep(2)
  }
  record.initialized = true
  const mains = record.containers.filter(({ role }) => role === "main")
  for (const container of mains) container.state = { waiting: { reason: "ContainerCreating" } }
  yield* options.publish
  const codes = yield* Effect.forEach(mains, (container) => runContainer(runner, container), {
    concurrency: "unbounded"
  })
  return codes.every((code) => code === 0) ? "Succeeded" : "Failed"
})

/** How often the world is asked whether it has changed. */
const again = Effect.sleep(20)

const schedule = Effect.fnUntraced(function* (options: PodLifeOptions) {
  const { node, pod, record, store, tell } = options
  while (pod().spec?.nodeName !== node.name) {
    // A node that is named, and is not this one, runs it or does not exist.
    const why = pod().spec?.nodeName === undefined ? unschedulable(pod(), node) : "another node"
    if (why === undefined) {
      const { name, namespace } = pod().metadata
      store.update(pods, pod(), { spec: { ...pod().spec, nodeName: node.name } })
      tell("Normal", "Scheduled", `Successfully assigned ${namespace}/${name} to ${node.name}`)
      continue
    }
    if (pod().spec?.nodeName === undefined) {
      if (record.scheduled === undefined) tell("Warning", "FailedScheduling", why)
      record.scheduled = { reason: "Unschedulable", message: why }
      yield* options.publish
    }
    yield* again
  }
  record.scheduled = "Yes"
  record.startTime = store.now()
  yield* options.publish
})

const prepare = Effect.fnUntraced(function* (options: PodLifeOptions) {
  const { directory, pod, record, store, tell } = options
  Fs.mkdirSync(directory, { recursive: true })
  createEphemeralClaims(store, pod())
  let told = ""
  while (true) {
    const found = prepareVolumes({ ...options, node: options.node.name }, pod())
    if (!("why" in found)) {
      record.prepared = true
      yield* options.publish
      return found
    }
    if (told !== found.why) tell("Warning", "FailedMount", found.why)
    told = found.why
    yield* again
  }
})

const overdue = (pod: Pod): Effect.Effect<Stop> => {
  const deadline = pod.spec?.activeDeadlineSeconds
  if (deadline === undefined) return Effect.never
  return Effect.as(Effect.sleep(Duration.seconds(deadline)), {
    _tag: "Failed",
    reason: "DeadlineExceeded",
    message: "Pod was active on the node longer than the specified deadline"
  })
}

/** Ends what runs: SIGTERM, the grace, SIGKILL. */
const terminate = Effect.fnUntraced(function* (record: PodRecord, graceSeconds: number) {
  yield* Effect.forEach(
    record.containers,
    Effect.fnUntraced(function* ({ process }: ContainerRecord) {
      if (process === undefined) return
      if (graceSeconds > 0) {
        yield* process.signal("SIGTERM")
        yield* Effect.timeoutOption(Deferred.await(process.exit), Duration.seconds(graceSeconds))
      }
      yield* process.signal("SIGKILL")
      yield* Deferred.await(process.exit)
    }),
    { concurrency: "unbounded", discard: true }
  )
})

/** As `terminate`, but who asks again with less grace is heard. */
const terminateUntil = Effect.fnUntraced(function* (record: PodRecord, stops: Queue.Queue<Stop>, graceSeconds: number) {
  let grace = graceSeconds
  while (true) {
    const sooner = yield* Effect.raceFirst(Effect.as(terminate(record, grace), undefined), Queue.take(stops))
    if (sooner === undefined) return
    if (sooner._tag === "Deleted") grace = Math.min(grace, sooner.graceSeconds)
  }
})

const remove = (directory: string) =>
  Effect.callback<void>((resume) => {
    Fs.rm(directory, { recursive: true, force: true }, () => resume(Effect.void))
  })
