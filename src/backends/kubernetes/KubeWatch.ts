/**
 * Following the objects of a kind: a list, then its changes, for as long as the stream is read.
 *
 * **Details**
 *
 * Connections end all the time. The stream goes on after the last version that it saw, so nothing is missed and nothing comes twice; if the
 * server no longer keeps that version (410), it lists again and emits the difference. It fails for what repeating does not heal (no right, no
 * such kind), or when nothing worked for `patience`.
 */
import type * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { backoff } from "./internal/backoff.ts"
import { fromStatus, KubeError, type Status, type Target, TimedOut, Unexpected } from "./KubeError.ts"
import type { KubeResource } from "./KubeResource.ts"

/** @category models */
export type WatchEvent<A> =
  | { readonly _tag: "Added"; readonly object: A }
  | { readonly _tag: "Modified"; readonly object: A }
  | { readonly _tag: "Deleted"; readonly object: A }
  /** All objects of the list have been emitted. Comes again after a list that became necessary later. */
  | { readonly _tag: "Synced"; readonly resourceVersion: string }

/** @category options */
export interface WatchOptions<A> {
  readonly resource: KubeResource<A>
  readonly namespace?: string | undefined
  readonly labelSelector?: string | undefined
  readonly fieldSelector?: string | undefined
  /** Only what comes after it, without a list. */
  readonly resourceVersion?: string | undefined
  /**
   * A connection that is silent for so long counts as broken. Default 90 seconds: servers send bookmarks about every minute.
   */
  readonly idleTimeout?: Duration.Input | undefined
  /** How long to go on trying while nothing works. Default 10 minutes. */
  readonly patience?: Duration.Input | undefined
}

/** A page of objects. */
export interface KubeList<A> {
  readonly metadata: {
    readonly resourceVersion?: string
    readonly continue?: string
    readonly remainingItemCount?: number
  }
  readonly items: ReadonlyArray<A>
}

/** What watching needs of the client. */
export interface WatchCalls<A> {
  readonly target: Target
  readonly endpoint: string
  readonly list: Effect.Effect<KubeList<A>, KubeError>
  readonly open: (
    query: Readonly<Record<string, string>>
  ) => Effect.Effect<Stream.Stream<Uint8Array, KubeError>, KubeError, Scope.Scope>
}

/** @internal */
export const watch = <A>(calls: WatchCalls<A>, options: WatchOptions<A>): Stream.Stream<WatchEvent<A>, KubeError> =>
  Stream.callback<WatchEvent<A>, KubeError>(
    // What changes faster than it is read waits in the connection.
    (queue) => Effect.catch(follow(calls, options, queue), (error) => Queue.fail(queue, error)),
    { bufferSize: 64 }
  )

const follow = Effect.fnUntraced(function* <A>(
  { endpoint, list, open, target }: WatchCalls<A>,
  options: WatchOptions<A>,
  queue: Queue.Queue<WatchEvent<A>, KubeError | Cause.Done>
): Effect.fn.Return<never, KubeError> {
  const idleTimeout = Duration.fromInputUnsafe(options.idleTimeout ?? "90 seconds")
  const patience = Duration.toMillis(Duration.fromInputUnsafe(options.patience ?? "10 minutes"))
  const known = new Map<string, A>()
  let listed = false
  let version = options.resourceVersion
  let failures = 0
  let workedAt = yield* Clock.currentTimeMillis
  let stoodSince: number | undefined

  const relist = Effect.fnUntraced(function* () {
    const { items, metadata } = yield* list
    const gone = new Map(known)
    for (const object of items) {
      const key = keyOf(object)
      const before = known.get(key)
      gone.delete(key)
      known.set(key, object)
      if (before === undefined) yield* Queue.offer(queue, { _tag: "Added", object })
      else if (versionOf(before) !== versionOf(object)) yield* Queue.offer(queue, { _tag: "Modified", object })
    }
    for (const [key, object] of gone) {
      known.delete(key)
      yield* Queue.offer(queue, { _tag: "Deleted", object })
    }
    version = metadata.resourceVersion ?? ""
    listed = true
    yield* Queue.offer(queue, { _tag: "Synced", resourceVersion: version })
  })

  const accept = Effect.fnUntraced(function* (line: string) {
    const event = yield* Effect.try({
      try: (): WireEvent<A> => JSON.parse(line),
      catch: () =>
        new KubeError({ reason: new Unexpected({ target, detail: `a line that is not JSON: ${line.slice(0, 100)}` }) })
    })
    if (event.type === "ERROR") {
      const status = event.object as Status
      return yield* fromStatus({ target, endpoint, code: status.code ?? 500, status })
    }
    const { object } = event
    const seen = versionOf(object)
    if (event.type === "BOOKMARK") {
      version = seen
      return
    }
    const key = keyOf(object)
    const before = known.get(key)
    // Some proxies, and servers after a restart, tell again what was told.
    if (isOld(seen, version) || (before !== undefined && versionOf(before) === seen)) return
    version = seen
    if (event.type === "DELETED") {
      known.delete(key)
      if (before !== undefined || !listed) yield* Queue.offer(queue, { _tag: "Deleted", object })
      return
    }
    known.set(key, object)
    const isNew = before === undefined && (listed || event.type === "ADDED")
    yield* Queue.offer(queue, { _tag: isNew ? "Added" : "Modified", object })
  })

  /** One connection, until it ends. */
  const session = Effect.fnUntraced(function* () {
    if (version === undefined) {
      yield* relist()
      yield* worked
    }
    const bytes = yield* open({
      watch: "true",
      allowWatchBookmarks: "true",
      resourceVersion: version ?? "",
      timeoutSeconds: "290"
    })
    // Nothing need ever happen: a server that accepts the watch works.
    workedAt = yield* Clock.currentTimeMillis
    stoodSince = workedAt
    const pull = yield* Stream.toPull(bytes)
    const lines = makeLines()
    const next = pull.pipe(
      Effect.timeoutOrElse({
        duration: idleTimeout,
        orElse: () =>
          Effect.fail(
            new KubeError({
              reason: new TimedOut({ target, endpoint, detail: `nothing came for ${Duration.format(idleTimeout)}` })
            })
          )
      }),
      Effect.map((chunks) => chunks.flatMap(lines)),
      Pull.catchDone(() => Effect.undefined)
    )
    for (let batch = yield* next; batch !== undefined; batch = yield* next) {
      for (const line of batch) {
        yield* accept(line)
        yield* worked
      }
    }
  })
  const worked = Effect.map(Clock.currentTimeMillis, (now) => {
    failures = 0
    workedAt = now
  })

  while (true) {
    stoodSince = undefined
    const error = yield* Effect.scoped(session()).pipe(
      Effect.as(undefined),
      Effect.catch((error) => Effect.succeed(error))
    )
    const now = yield* Clock.currentTimeMillis
    if (error !== undefined) {
      const expired = error.reason._tag === "Expired"
      if (!expired && !error.retryable) return yield* error
      if (stoodSince === undefined && now - workedAt > patience) return yield* error
      yield* Effect.logDebug(`Watching again: ${error.message}`)
      if (expired) version = undefined
    }
    // At once after a connection that stood: servers end watches as a matter of course. One that only ends them is not hammered.
    if (stoodSince !== undefined && now - stoodSince > settled) failures = 0
    if (failures > 0) yield* backoff(failures, 15_000, error)
    failures++
  }
})

/** A connection that stood for so long, in milliseconds, was a good one. */
const settled = 10_000

interface WireEvent<A> {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR"
  readonly object: A
}

interface Meta {
  readonly metadata?: { readonly namespace?: string; readonly name?: string; readonly resourceVersion?: string }
}

/** Every object of the API has it, whatever its type says. */
const metaOf = (object: unknown) => (object as Meta).metadata ?? {}

const keyOf = (object: unknown): string => {
  const { name = "", namespace = "" } = metaOf(object)
  return `${namespace}/${name}`
}

const versionOf = (object: unknown): string => metaOf(object).resourceVersion ?? ""

/** Versions are to be compared as numbers (promised since Kubernetes 1.35, and so before); other servers' are not. */
const isOld = (seen: string, last: string | undefined): boolean => {
  if (last === undefined || !/^\d+$/.test(seen) || !/^\d+$/.test(last)) return false
  return seen.length === last.length ? seen <= last : seen.length < last.length
}

/** Cuts bytes into lines; what follows the last line end waits for the next call. */
const makeLines = () => {
  let rest: Array<Uint8Array> = []
  return (chunk: Uint8Array): Array<string> => {
    const lines: Array<string> = []
    let start = 0
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      const line = Buffer.concat([...rest, chunk.subarray(start, end)]).toString("utf8")
      if (line.trim() !== "") lines.push(line)
      rest = []
      start = end + 1
    }
    if (start < chunk.length) rest.push(chunk.subarray(start))
    return lines
  }
}
