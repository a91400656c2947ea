/**
 * The node of a fake cluster, with its scheduler: makes pods run, says how they are, and ends them.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import * as Latch from "effect/Latch"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import type { FakeImages } from "../FakeImage.ts"
import { type RunnerOptions, runContainer, type Timings } from "./containerRunner.ts"
import { events, namespaces, pods } from "./kinds.ts"
import type { Change } from "./objectStore.ts"
import { asPod, containersOf, initContainersOf, isSidecar, type Pod } from "./pod.ts"
import { type ContainerRecord, newContainer, type PodRecord, statusOf } from "./podStatus.ts"
import { type NodeFacts, unschedulable } from "./scheduler.ts"
import { createEphemeralClaims, prepareVolumes, type VolumeOptions } from "./volumes.ts"

export interface KubeletOptions extends Omit<VolumeOptions, "directory" | "node"> {
  readonly clock: Clock.Clock
  /** Where pods have their directories. */
  readonly directory: string
  readonly node: NodeFacts
  readonly images: () => FakeImages
  readonly timings: Timings
}

/** Why a pod ends before its containers do. */
export type Stop =
  | { readonly _tag: "Deleted"; readonly graceSeconds: number }
  | { readonly _tag: "Failed"; readonly reason: string; readonly message: string; readonly killed?: string }

export interface Kubelet {
  /** Of a pod that is on the node. */
  readonly record: (uid: string) => PodRecord | undefined
  readonly stop: (uid: string, stop: Stop) => void
  /** Closed, nothing of the node reaches the API, nor the other way round. */
  readonly connected: Latch.Latch
  readonly isConnected: () => boolean
  readonly setConnected: (connected: boolean) => Effect.Effect<void>
  readonly publish: (uid: string) => Effect.Effect<void>
}

interface Machine {
  readonly record: PodRecord
  readonly stops: Queue.Queue<Stop>
  readonly publish: Effect.Effect<void>
}

export const makeKubelet = Effect.fnUntraced(function* (
  options: KubeletOptions
): Effect.fn.Return<Kubelet, never, Scope.Scope> {
  const { store } = options
  const machines = new Map<string, Machine>()
  const connected = yield* Latch.make(true)
  let isConnected = true
  const run = yield* FiberSet.makeRuntime<never, void, never>()

  const onChange = ({ kind, object, type }: Change) => {
    if (kind !== pods) return
    const { uid } = object.metadata
    if (type === "ADDED")
      run(
        Effect.tapCause(live(asPod(object)), (cause) => (Cause.hasDies(cause) ? Effect.logError(cause) : Effect.void))
      )
    const machine = machines.get(uid)
    if (machine === undefined) return
    const { deletionGracePeriodSeconds = 0, deletionTimestamp } = object.metadata
    if (type === "DELETED") Queue.offerUnsafe(machine.stops, { _tag: "Deleted", graceSeconds: 0 })
    else if (deletionTimestamp !== undefined) {
      Queue.offerUnsafe(machine.stops, { _tag: "Deleted", graceSeconds: deletionGracePeriodSeconds })
    }
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => store.subscribe(onChange)),
    (unsubscribe) => Effect.sync(unsubscribe)
  )

  const tell = (pod: Pod, type: "Normal" | "Warning", reason: string, message: string) => {
    const { name, namespace = "", uid } = pod.metadata
    if (!isConnected || store.get(namespaces, undefined, namespace)?.metadata.deletionTimestamp !== undefined) return
    const now = store.now()
    const eventName = `${name}.${store.version().toString(16)}`
    if (store.get(events, namespace, eventName) !== undefined) return
    store.create(events, namespace, eventName, {
      involvedObject: { kind: "Pod", namespace, name, uid, apiVersion: "v1" },
      reason,
      message,
      type,
      count: 1,
      firstTimestamp: now,
      lastTimestamp: now,
      source: { component: "kubelet", host: options.node.name }
    })
  }

  const live = (pod: Pod): Effect.Effect<void> =>
    Effect.scopedWith((scope) =>
      Effect.gen(function* () {
        const { uid } = pod.metadata
        const stops = yield* Queue.unbounded<Stop>()
        const record = newRecord(pod)
        const current = () => {
          const object = store.withUid(uid)
          return object === undefined ? pod : asPod(object)
        }
        const publish = Effect.sync(() => {
          const object = store.withUid(uid)
          if (object === undefined || !isConnected) return
          store.update(pods, object, { status: statusOf(record, object, store.now()) })
        })
        const machine: Machine = { record, stops, publish }
        machines.set(uid, machine)
        const directory = Path.join(options.directory, uid)
        let volumes: ReadonlyMap<string, string> = new Map()
        const volumeOptions: VolumeOptions = { ...options, directory, node: options.node.name }
        const runner: RunnerOptions = {
          ...volumeOptions,
          clock: options.clock,
          images: options.images,
          timings: options.timings,
          scope,
          pod: current,
          volumes: () => volumes,
          publish,
          tell: (type, reason, message) => tell(current(), type, reason, message)
        }
        const again = Effect.sleep(20)

        const schedule = Effect.fnUntraced(function* () {
          while (current().spec?.nodeName !== options.node.name) {
            const why = current().spec?.nodeName === undefined ? unschedulable(current(), options.node) : undefined
            if (current().spec?.nodeName === undefined && why === undefined) {
              store.update(pods, current(), { spec: { ...current().spec, nodeName: options.node.name } })
              tell(
                current(),
                "Normal",
                "Scheduled",
                `Successfully assigned ${pod.metadata.namespace}/${pod.metadata.name} to ${options.node.name}`
              )
            } else {
              if (why !== undefined && record.scheduled === undefined)
                tell(current(), "Warning", "FailedScheduling", why)
              if (why !== undefined) record.scheduled = { reason: "Unschedulable", message: why }
              yield* publish
              yield* again
            }
          }
          record.scheduled = "Yes"
          record.startTime = store.now()
          yield* publish
        })

        const prepare = Effect.fnUntraced(function* () {
          Fs.mkdirSync(directory, { recursive: true })
          createEphemeralClaims(store, pod)
          let told = ""
          while (true) {
            const found = prepareVolumes(volumeOptions, pod)
            if (!("why" in found)) {
              volumes = found
              break
            }
            if (told !== found.why) tell(pod, "Warning", "FailedMount", found.why)
            told = found.why
            yield* again
          }
          record.prepared = true
          yield* publish
        })

        /** Gives the phase that the containers' own ends make. */
        const work = Effect.fnUntraced(function* () {
          yield* schedule()
          yield* prepare()
          for (const container of record.containers.filter(({ role }) => role !== "main")) {
            if (container.role === "init") {
              const code = yield* runContainer(runner, container)
              if (code !== 0) return "Failed"
            } else {
              yield* Effect.forkIn(runContainer(runner, container), inner)
              // The next one starts when this one has.
              while (!container.started) yield* Effect.sleep(2)
            }
          }
          record.initialized = true
          for (const container of mains(record)) {
            container.state = { waiting: { reason: "ContainerCreating" } }
          }
          yield* publish
          const codes = yield* Effect.forEach(mains(record), (container) => runContainer(runner, container), {
            concurrency: "unbounded"
          })
          return codes.every((code) => code === 0) ? "Succeeded" : "Failed"
        })
        const deadline = pod.spec?.activeDeadlineSeconds
        const overdue: Effect.Effect<Stop> =
          deadline === undefined
            ? Effect.never
            : Effect.as(Effect.delay(Effect.void, Duration.seconds(deadline)), {
                _tag: "Failed",
                reason: "DeadlineExceeded",
                message: "Pod was active on the node longer than the specified deadline"
              })

        // Sidecars end with the work.
        const inner = yield* Scope.fork(scope)
        const first = yield* Effect.raceFirst(
          Effect.map(work(), (phase) => ({
            _tag: "Ended" as const,
            phase: phase === "Failed" ? "Failed" : ("Succeeded" as const)
          })),
          Effect.raceFirst(Queue.take(stops), overdue)
        )
        yield* Scope.close(inner, Exit.void)
        let stop: Stop | undefined
        if (first._tag === "Ended") {
          yield* terminate(record, pod.spec?.terminationGracePeriodSeconds ?? 30)
          yield* Effect.sleep(options.timings.phase)
          record.final = { phase: first.phase === "Failed" ? "Failed" : "Succeeded" }
          yield* publish
        } else stop = first
        while (stop?._tag !== "Deleted") {
          if (stop !== undefined) {
            for (const container of record.containers) container.killedAs = stop.killed
            yield* terminate(record, stop.killed === undefined ? (pod.spec?.terminationGracePeriodSeconds ?? 30) : 0)
            record.final = { phase: "Failed", reason: stop.reason, message: stop.message }
            yield* publish
          }
          stop = yield* Queue.take(stops)
        }
        yield* connected.await
        tell(current(), "Normal", "Killing", "Stopping containers")
        yield* terminateUntil(record, stops, stop.graceSeconds)
        yield* connected.await
        const object = store.withUid(uid)
        if (object !== undefined) store.drop(pods, object)
        machines.delete(uid)
        for (const { log, previousLog } of record.containers) {
          log?.close()
          previousLog?.close()
        }
        yield* remove(directory)
      }).pipe(Effect.onInterrupt(() => Effect.suspend(() => terminate(machines.get(pod.metadata.uid)?.record, 0))))
    )

  return {
    record: (uid) => machines.get(uid)?.record,
    stop: (uid, stop) => {
      const machine = machines.get(uid)
      if (machine !== undefined) Queue.offerUnsafe(machine.stops, stop)
    },
    connected,
    isConnected: () => isConnected,
    setConnected: Effect.fnUntraced(function* (now: boolean) {
      isConnected = now
      if (!now) return yield* connected.close
      yield* connected.open
      for (const { publish } of machines.values()) yield* publish
    }),
    publish: (uid) => machines.get(uid)?.publish ?? Effect.void
  }
})

const mains = ({ containers }: PodRecord) => containers.filter(({ role }) => role === "main")

const newRecord = (pod: Pod): PodRecord => {
  const first = initContainersOf(pod)
  const waiting = first.length > 0 ? "PodInitializing" : "ContainerCreating"
  return {
    uid: pod.metadata.uid,
    containers: [
      ...first.map((spec) => newContainer(spec, isSidecar(spec) ? "sidecar" : "init", "PodInitializing")),
      ...containersOf(pod).map((spec) => newContainer(spec, "main", waiting))
    ],
    startTime: undefined,
    scheduled: undefined,
    prepared: false,
    initialized: false,
    final: undefined,
    disruption: undefined
  }
}

/** Ends what runs: SIGTERM, the grace, SIGKILL. */
const terminate = Effect.fnUntraced(function* (record: PodRecord | undefined, graceSeconds: number) {
  yield* Effect.forEach(
    record?.containers ?? [],
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
