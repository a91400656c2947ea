/** What a cluster does by itself: it removes what lost its owner, and empties namespaces that end. */

import type { KubeObject } from "./KubeObject.ts"
import { type Kind, namespaces } from "./kinds.ts"
import type { Change, ObjectStore } from "./objectStore.ts"

/** Reacts to one change; changes that this makes come back as changes of their own. */
export const reconcile = (store: ObjectStore, { kind, object, type }: Change): void => {
  if (type === "ADDED" && isOrphan(store, object)) store.destroy(kind, object)
  if (type === "DELETED") {
    for (const [dependentKind, dependent] of everything(store)) {
      if (dependent.metadata.ownerReferences?.some(({ uid }) => uid === object.metadata.uid) !== true) continue
      if (isOrphan(store, dependent)) store.destroy(dependentKind, dependent)
    }
  }
  if (kind === namespaces && type === "MODIFIED" && object.metadata.deletionTimestamp !== undefined) {
    for (const [heldKind, held] of within(store, object.metadata.name)) store.destroy(heldKind, held)
    finish(store, object.metadata.name)
  }
  if (kind.namespaced && type === "DELETED") finish(store, object.metadata.namespace ?? "")
}

/** It had owners, and none of them is there (any more). */
const isOrphan = (store: ObjectStore, { metadata }: KubeObject): boolean => {
  const owners = metadata.ownerReferences ?? []
  return owners.length > 0 && owners.every(({ uid }) => store.withUid(uid) === undefined)
}

const finish = (store: ObjectStore, name: string): void => {
  const namespace = store.get(namespaces, undefined, name)
  if (namespace?.metadata.deletionTimestamp === undefined || within(store, name).length > 0) return
  store.drop(namespaces, namespace)
}

const everything = (store: ObjectStore): ReadonlyArray<readonly [Kind, KubeObject]> =>
  store.kinds.flatMap((kind) => store.list(kind, undefined).map((object) => [kind, object] as const))

const within = (store: ObjectStore, namespace: string) =>
  everything(store).filter(([, { metadata }]) => metadata.namespace === namespace)
