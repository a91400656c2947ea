import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { type ProcessEntry, type ProcessTable, readProcessTable } from "./processTable.ts"

/**
 * By what a job's processes are known. A process that fits none of it has left its session, lost its parent, and cleared its
 * environment: only a cgroup could find it.
 */
export interface TreeSeed {
  /** Fits the marker that processes were started with. */
  readonly marked: (marker: string) => boolean
  /** Leader of a group and session that still runs: its pid cannot have been given to another process. */
  readonly leader?: number | undefined
  /** Processes that were seen to belong to it before: pid to start time. Grows with every look. */
  readonly seen: Map<number, string>
}

/**
 * The processes of a tree: those that fit the seed, and all their descendants. Never this process itself. Pure but for `seen`.
 */
export const membersOf = (
  table: ProcessTable,
  seed: TreeSeed,
  self: number = process.pid
): ReadonlyArray<ProcessEntry> => {
  const members = new Map<number, ProcessEntry>()
  for (const entry of table.values()) {
    if (
      (entry.marker !== undefined && seed.marked(entry.marker)) ||
      (seed.leader !== undefined && (entry.group === seed.leader || entry.session === seed.leader)) ||
      seed.seen.get(entry.pid) === entry.startedAt
    ) {
      members.set(entry.pid, entry)
    }
  }
  members.delete(self)
  const children = new Map<number, Array<ProcessEntry>>()
  for (const entry of table.values()) {
    const siblings = children.get(entry.parent)
    if (siblings === undefined) children.set(entry.parent, [entry])
    else siblings.push(entry)
  }
  // A Map's iteration reaches what is added on the way.
  for (const { pid } of members.values()) {
    for (const child of children.get(pid) ?? []) if (child.pid !== self) members.set(child.pid, child)
  }
  for (const { pid, startedAt } of members.values()) seed.seen.set(pid, startedAt)
  return [...members.values()]
}

/** Sends a signal to each; one that has ended meanwhile, or belongs to somebody else, is passed over. */
export const signalAll = (members: ReadonlyArray<ProcessEntry>, signal: NodeJS.Signals): void => {
  for (const { pid } of members) {
    try {
      process.kill(pid, signal)
    } catch {
      // ESRCH: gone. EPERM: another user's; it shows among what is left.
    }
  }
}

let pending: Deferred.Deferred<ProcessTable> | undefined

/**
 * The processes that run now. Callers that ask at the same time share one look: a hundred jobs that end together cost one scan.
 */
export const snapshot: Effect.Effect<ProcessTable> = Effect.suspend(() => {
  if (pending !== undefined) return Deferred.await(pending)
  const asked = Deferred.makeUnsafe<ProcessTable>()
  pending = asked
  return Effect.andThen(
    Effect.forkDetach(
      Effect.andThen(
        Effect.yieldNow,
        Effect.suspend(() => {
          pending = undefined
          return Deferred.complete(asked, Effect.sync(readProcessTable))
        })
      ),
      { uninterruptible: true }
    ),
    Deferred.await(asked)
  )
})

const members = (seed: TreeSeed) => Effect.map(snapshot, (table) => membersOf(table, seed))

/** How long SIGKILL may take; a process that outlives it hangs in the kernel, or is not ours to kill. */
const killPatience = Duration.seconds(5)

/**
 * Ends a tree: SIGTERM, the grace, SIGKILL until none is left. Gives what could not be killed.
 */
export const terminate = Effect.fnUntraced(function* (
  seed: TreeSeed,
  grace: Duration.Duration
): Effect.fn.Return<ReadonlyArray<ProcessEntry>> {
  const first = yield* members(seed)
  if (first.length === 0) return first
  signalAll(first, "SIGTERM")
  const left = yield* awaitEnd(seed, grace, undefined)
  return left.length === 0 ? left : yield* awaitEnd(seed, killPatience, "SIGKILL")
})

/** Looks again and again, less often as time goes by, and signals what it finds. */
const awaitEnd = Effect.fnUntraced(function* (
  seed: TreeSeed,
  patience: Duration.Duration,
  signal: NodeJS.Signals | undefined
): Effect.fn.Return<ReadonlyArray<ProcessEntry>> {
  const deadline = (yield* Clock.currentTimeMillis) + Duration.toMillis(patience)
  for (let pause = 5; ; pause = Math.min(pause * 2, 200)) {
    const left = yield* members(seed)
    const remaining = deadline - (yield* Clock.currentTimeMillis)
    if (left.length === 0 || remaining <= 0) return left
    if (signal !== undefined) signalAll(left, signal)
    yield* Effect.sleep(Math.min(pause, remaining))
  }
})

/** `terminate` without waiting, for a program that exits now. */
export const killNow = (seed: TreeSeed): void => {
  for (let round = 0; round < 5; round++) {
    const left = membersOf(readProcessTable(), seed)
    if (left.length === 0) return
    signalAll(left, "SIGKILL")
  }
}
