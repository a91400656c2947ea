/** Following the objects of a kind: a line of JSON for each change. */
import type { ServerResponse } from "node:http"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type { Action } from "../FakeFault.ts"
import type { ApiCall } from "./apiCall.ts"
import { isTrue } from "./apiCall.ts"
import { apiVersionOf } from "./kinds.ts"
import { selectorOf } from "./objectCalls.ts"
import type { Change, ObjectStore } from "./objectStore.ts"
import * as Status from "./Status.ts"

export interface WatchSettings {
  /** How often a quiet watch is told the version. */
  readonly bookmarks: Duration.Duration
}

/** Until the client has enough, or `timeoutSeconds` are over. */
export const serveWatch = Effect.fnUntraced(function* (
  store: ObjectStore,
  call: ApiCall,
  response: ServerResponse,
  settings: WatchSettings,
  refuse: (status: Status.Status) => void,
  fault?: Action
) {
  const select = selectorOf(call)
  if (typeof select === "string") return refuse(Status.badRequest(select))
  const asked = call.query.get("resourceVersion") ?? ""
  const write = (type: string, object: unknown) => response.write(`${JSON.stringify({ type, object })}\n`)
  const faulty = fault?._tag === "Watch" ? yield* tellFaultily(fault, store, write) : undefined
  const send = faulty?.send ?? write
  const tell = ({ before, kind, object, type }: Change) => {
    if (kind !== call.kind || (call.namespace !== undefined && object.metadata.namespace !== call.namespace)) return
    const was = before !== undefined && select(before)
    const is = type !== "DELETED" && select(object)
    if (is) send(was ? "MODIFIED" : "ADDED", object)
    // Who no longer sees it is told that it has gone.
    else if (was) send("DELETED", object)
  }
  const follow = Effect.acquireUseRelease(
    Effect.sync(() => {
      response.writeHead(200, { "content-type": "application/json" })
      response.flushHeaders()
      if (asked === "" || asked === "0") {
        for (const object of store.list(call.kind, call.namespace).filter(select)) send("ADDED", object)
        return store.subscribe(tell)
      }
      const missed = store.since(Number(asked))
      if (missed === "Expired") {
        send("ERROR", Status.expired(`too old resource version: ${asked} (${store.version()})`))
        return undefined
      }
      for (const change of missed) tell(change)
      return store.subscribe(tell)
    }),
    (unsubscribe) => (unsubscribe === undefined ? Effect.void : bookmarking),
    (unsubscribe) => Effect.sync(() => unsubscribe?.())
  )
  const bookmarking = Effect.forever(
    Effect.andThen(
      Effect.sleep(settings.bookmarks),
      Effect.sync(() => {
        if (!isTrue(call.query.get("allowWatchBookmarks"))) return
        send("BOOKMARK", {
          kind: call.kind.kind,
          apiVersion: apiVersionOf(call.kind),
          metadata: { resourceVersion: String(store.version()), creationTimestamp: null }
        })
      })
    )
  )
  const told = faulty === undefined ? follow : Effect.raceFirst(follow, faulty.end)
  yield* Effect.timeoutOption(told, Duration.seconds(Number(call.query.get("timeoutSeconds") ?? 1800)))
  response.end()
})

/** Events as a fault wants them; `end` completes when it wants the end. */
const tellFaultily = Effect.fnUntraced(function* (
  { delay = 0, endAfter = Number.POSITIVE_INFINITY, how, repeats = 1 }: Extract<Action, { readonly _tag: "Watch" }>,
  store: ObjectStore,
  write: (type: string, object: unknown) => void
) {
  const queue = yield* Queue.unbounded<readonly [type: string, object: unknown]>()
  const end = Effect.gen(function* () {
    for (let told = 0; told < endAfter; told++) {
      const [type, object] = yield* Queue.take(queue)
      yield* Effect.sleep(delay)
      for (let time = 0; time < repeats; time++) write(type, object)
    }
    if (how === "expired") write("ERROR", Status.expired(`too old resource version: 1 (${store.version()})`))
  })
  return { end, send: (type: string, object: unknown) => Queue.offerUnsafe(queue, [type, object]) }
})
