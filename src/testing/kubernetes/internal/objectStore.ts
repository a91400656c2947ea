/**
 * The objects of the fake, every change with a version of its own, and who wants to know. Synchronous: between two turns of the event loop
 * everything agrees.
 */
import type * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import { at, type Json, type KubeObject, type Metadata } from "./KubeObject.ts"
import { apiVersionOf, type Kind, namespaces, pods } from "./kinds.ts"

export interface Change {
  readonly version: number
  readonly type: "ADDED" | "MODIFIED" | "DELETED"
  readonly kind: Kind
  readonly object: KubeObject
  readonly before: KubeObject | undefined
}

export interface ObjectStore {
  readonly kinds: ReadonlyArray<Kind>
  readonly version: () => number
  /** Seconds, as the API has it. */
  readonly now: () => string
  readonly get: (kind: Kind, namespace: string | undefined, name: string) => KubeObject | undefined
  /** By namespace and name. */
  readonly list: (kind: Kind, namespace: string | undefined) => ReadonlyArray<KubeObject>
  readonly withUid: (uid: string) => KubeObject | undefined
  /** Of a body that was validated. */
  readonly create: (kind: Kind, namespace: string | undefined, name: string, body: Json) => KubeObject
  /** Gives what is stored afterwards; nothing changes, and no version is used, if it is what was there. */
  readonly update: (kind: Kind, object: KubeObject, change: Json) => KubeObject
  /** Gone, at once, unless a finalizer keeps it: then with the last of them. */
  readonly drop: (kind: Kind, object: KubeObject) => void
  /**
   * Asks for the end of an object, as a delete call does: pods on a node, and namespaces, end in their own time; all else is gone at once,
   * or with its last finalizer.
   */
  readonly destroy: (kind: Kind, object: KubeObject, graceSeconds?: number) => KubeObject
  readonly since: (version: number) => ReadonlyArray<Change> | "Expired"
  readonly subscribe: (listener: (change: Change) => void) => () => void
  /** Forgets the changes so far: who wants to continue from an old version is told that it has expired. */
  readonly compact: () => void
}

/** As many changes as are kept; a real server keeps some minutes. */
const kept = 5000

export const makeObjectStore = (clock: Clock.Clock, uidPrefix: string, kinds: ReadonlyArray<Kind>): ObjectStore => {
  const objects = new Map<string, Map<string, KubeObject>>(kinds.map((kind) => [keyOfKind(kind), new Map()]))
  const uids = new Map<string, KubeObject>()
  const listeners = new Set<(change: Change) => void>()
  let changes: Array<Change> = []
  let compacted = 0
  let version = 100
  let created = 0

  const tableOf = (kind: Kind) => objects.get(keyOfKind(kind)) ?? new Map<string, KubeObject>()
  const secondsFrom = (millis: number) =>
    DateTime.formatIso(DateTime.makeUnsafe(clock.currentTimeMillisUnsafe() + millis)).replace(/\.\d+Z$/, "Z")
  const now = () => secondsFrom(0)
  const ending = (grace: number) => ({ deletionTimestamp: secondsFrom(grace * 1000) })

  const tell = (type: Change["type"], kind: Kind, object: KubeObject, before: KubeObject | undefined) => {
    const change = { version, type, kind, object, before }
    changes.push(change)
    if (changes.length > kept) {
      compacted = changes[kept / 10]?.version ?? version
      changes = changes.slice(kept / 10 + 1)
    }
    for (const listener of [...listeners]) listener(change)
  }

  const put = (type: "ADDED" | "MODIFIED", kind: Kind, object: KubeObject, before: KubeObject | undefined) => {
    tableOf(kind).set(keyOf(object.metadata.namespace, object.metadata.name), object)
    uids.set(object.metadata.uid, object)
    tell(type, kind, object, before)
    return object
  }

  const store: ObjectStore = {
    kinds,
    version: () => version,
    now,
    get: (kind, namespace, name) => tableOf(kind).get(keyOf(kind.namespaced ? namespace : undefined, name)),
    list: (kind, namespace) =>
      [...tableOf(kind)]
        .filter(([, { metadata }]) => namespace === undefined || metadata.namespace === namespace)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([, object]) => object),
    withUid: (uid) => uids.get(uid),
    create: (kind, namespace, name, body) => {
      const given = (at(body, "metadata") ?? {}) as Partial<Metadata>
      const { deletionTimestamp: _, ...rest } = given
      const metadata: Metadata = {
        ...rest,
        name,
        ...(kind.namespaced && namespace !== undefined ? { namespace } : {}),
        uid: `${uidPrefix}-${String(++created).padStart(12, "0")}`,
        resourceVersion: String(++version),
        creationTimestamp: now()
      }
      return put("ADDED", kind, { ...body, apiVersion: apiVersionOf(kind), kind: kind.kind, metadata }, undefined)
    },
    update: (kind, object, change) => {
      const changed = { ...object, ...change }
      if (JSON.stringify(changed) === JSON.stringify(object)) return object
      const metadata: Metadata = { ...changed.metadata, resourceVersion: String(++version) }
      const stored = put("MODIFIED", kind, { ...changed, metadata }, object)
      if (isKept(object) && !isKept(stored) && isOver(kind, stored)) store.drop(kind, stored)
      return stored
    },
    drop: (kind, object) => {
      const { name, namespace, uid } = object.metadata
      const stored = tableOf(kind).get(keyOf(namespace, name))
      if (stored?.metadata.uid !== uid) return
      if (isKept(stored)) {
        store.update(kind, stored, { metadata: { ...stored.metadata, ...ending(0), deletionGracePeriodSeconds: 0 } })
        return
      }
      tableOf(kind).delete(keyOf(namespace, name))
      uids.delete(uid)
      const metadata: Metadata = { ...stored.metadata, resourceVersion: String(++version) }
      tell("DELETED", kind, { ...stored, metadata }, stored)
    },
    destroy: (kind, object, graceSeconds) => {
      const lingers = kind === namespaces || (kind === pods && at(object, "spec", "nodeName") !== undefined)
      const grace = graceSeconds ?? Number(at(object, "spec", "terminationGracePeriodSeconds") ?? 0)
      if (!lingers || (kind === pods && grace === 0)) {
        store.drop(kind, object)
        return store.withUid(object.metadata.uid) ?? object
      }
      const { deletionGracePeriodSeconds: before = Number.POSITIVE_INFINITY, deletionTimestamp } = object.metadata
      if (deletionTimestamp !== undefined && before <= grace) return object
      return store.update(kind, object, {
        metadata: {
          ...object.metadata,
          ...ending(grace),
          deletionGracePeriodSeconds: grace
        },
        ...(kind === namespaces ? { status: { phase: "Terminating" } } : {})
      })
    },
    since: (from) => (from < compacted ? "Expired" : changes.filter((change) => change.version > from)),
    subscribe: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    compact: () => {
      compacted = version
      changes = []
    }
  }
  return store
}

const isKept = ({ metadata }: KubeObject) => (metadata.finalizers ?? []).length > 0

/** Nothing but a finalizer has kept it: no containers that end in their own time, no content. */
const isOver = (kind: Kind, { metadata }: KubeObject) =>
  metadata.deletionTimestamp !== undefined && (kind !== pods || metadata.deletionGracePeriodSeconds === 0)

const keyOfKind = ({ group, plural }: Kind) => `${group}/${plural}`

const keyOf = (namespace: string | undefined, name: string) => `${namespace ?? ""}/${name}`
