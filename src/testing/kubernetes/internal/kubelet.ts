/**
 * The node of a fake cluster: starts a life for every pod, and passes on what the API and tests want of it.
 */
import * as Path from "node:path"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Latch from "effect/Latch"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import type { FakeImages } from "../FakeImage.ts"
import type { Timings } from "./containerRunner.ts"
import { reportingDefects } from "./defects.ts"
import type { KubeObject } from "./KubeObject.ts"
import { events, namespaces, pods } from "./kinds.ts"
import type { Change } from "./objectStore.ts"
import { asPod, containersOf, initContainersOf, isSidecar, type Pod } from "./pod.ts"
import { live, type Stop } from "./podLife.ts"
import { newContainer, type PodRecord, statusOf } from "./podStatus.ts"
import type { NodeFacts } from "./scheduler.ts"
import type { VolumeOptions } from "./volumes.ts"

export interface KubeletOptions extends Omit<VolumeOptions, "node"> {
  readonly clock: Clock.Clock
  readonly node: NodeFacts
  readonly images: () => FakeImages
  readonly timings: Timings
  /** Variables of every container. */
  readonly variables: () => Readonly<Record<string, string>>
}

export interface Kubelet {
  /** Of a pod that is on the node. */
  readonly record: (uid: string) => PodRecord | undefined
  readonly stop: (uid: string, stop: Stop) => void
  /** Tells the API what the kubelet knows. */
  readonly publish: (uid: string) => Effect.Effect<void>
  /** Without a connection nothing of the node reaches the API, nor the other way round. */
  readonly isConnected: () => boolean
  readonly setConnected: (connected: boolean) => Effect.Effect<void>
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
  const connection = yield* Latch.make(true)
  let isConnected = true
  const run = yield* FiberSet.makeRuntime<never, void, never>()

  const tell = (pod: Pod, type: "Normal" | "Warning", reason: string, message: string) => {
    const { name, namespace = "", uid } = pod.metadata
    const holder = store.get(namespaces, undefined, namespace)
    if (!isConnected || holder === undefined || holder.metadata.deletionTimestamp !== undefined) return
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

  /** What a change of a pod means for its life. */
  const stopOf = (object: KubeObject | undefined): Stop | undefined => {
    if (object === undefined) return { _tag: "Deleted", graceSeconds: 0 }
    const { deletionGracePeriodSeconds = 0, deletionTimestamp } = object.metadata
    return deletionTimestamp === undefined ? undefined : { _tag: "Deleted", graceSeconds: deletionGracePeriodSeconds }
  }

  const lifeOf = Effect.fnUntraced(function* (pod: Pod) {
    const { uid } = pod.metadata
    const record = newRecord(pod)
    const stops = yield* Queue.unbounded<Stop>()
    const current = () => {
      const object = store.withUid(uid)
      return object === undefined ? pod : asPod(object)
    }
    const publish = Effect.sync(() => {
      const object = store.withUid(uid)
      if (object === undefined || !isConnected) return
      store.update(pods, object, { status: statusOf(record, object, store.now()) })
    })
    machines.set(uid, { record, stops, publish })
    // What happened before anybody listened.
    const stopped = stopOf(store.withUid(uid))
    if (stopped !== undefined) yield* Queue.offer(stops, stopped)
    yield* live({
      ...options,
      directory: Path.join(options.directory, uid),
      record,
      stops,
      publish,
      pod: current,
      connected: connection.await,
      tell: (type, reason, message) => tell(current(), type, reason, message)
    })
    machines.delete(uid)
  })

  const onChange = ({ kind, object, type }: Change) => {
    if (kind !== pods) return
    if (type === "ADDED") {
      // As on any cluster, nothing happens to a pod of a scheduler that is not there.
      if ((asPod(object).spec?.schedulerName ?? "default-scheduler") !== "default-scheduler") return
      run(reportingDefects(lifeOf(asPod(object))))
      return
    }
    const stop = stopOf(type === "DELETED" ? undefined : object)
    const machine = machines.get(object.metadata.uid)
    if (machine !== undefined && stop !== undefined) Queue.offerUnsafe(machine.stops, stop)
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => store.subscribe(onChange)),
    (unsubscribe) => Effect.sync(unsubscribe)
  )

  return {
    record: (uid) => machines.get(uid)?.record,
    stop: (uid, stop) => {
      const machine = machines.get(uid)
      if (machine !== undefined) Queue.offerUnsafe(machine.stops, stop)
    },
    publish: (uid) => machines.get(uid)?.publish ?? Effect.void,
    isConnected: () => isConnected,
    setConnected: Effect.fnUntraced(function* (now: boolean) {
      isConnected = now
      if (!now) return yield* connection.close
      yield* connection.open
      for (const { publish } of machines.values()) yield* publish
    })
  }
})

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
