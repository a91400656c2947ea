/** Files that others append to, read as they grow: like `tail -f` from the start, for several at once. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { BackendError, StorageFailed } from "../../../domain/JobError.ts"

export interface Growth {
  readonly name: string
  readonly bytes: Uint8Array
}

/** How long to rely on the file system's own notices, which some file systems do not give. */
const interval = 100

const atOnce = 128 * 1024

/** A look that finds little leaves the rest of its memory to the next one. */
const leastRoom = 16 * 1024

/**
 * Opens them; closed with the scope. `finish`: the output ends with what is there now, whoever still writes. `until` waits for something
 * that changes in the directory. `reuse`: bytes are valid until the next ones are asked for.
 */
export const makeGrowingFiles = Effect.fnUntraced(function* (
  directory: string,
  names: ReadonlyArray<string>,
  reuse = false
): Effect.fn.Return<
  {
    readonly output: Stream.Stream<Growth, BackendError>
    readonly finish: () => void
    readonly until: (condition: () => boolean) => Effect.Effect<void>
  },
  BackendError,
  Scope.Scope
> {
  const waiting = new Set<() => void>()
  const notify = () => {
    const woken = [...waiting]
    waiting.clear()
    for (const wake of woken) wake()
  }
  const changed = Effect.callback<void>((resume) => {
    const wake = () => resume(Effect.void)
    waiting.add(wake)
    return Effect.sync(() => {
      waiting.delete(wake)
    })
  }).pipe(Effect.timeoutOrElse({ duration: interval, orElse: () => Effect.void }))

  const files = yield* Effect.acquireRelease(
    Effect.try({
      try: () =>
        names.map((name) => ({
          name,
          descriptor: Fs.openSync(Path.join(directory, name), "r"),
          offset: 0,
          room: Buffer.alloc(0),
          end: Number.POSITIVE_INFINITY
        })),
      catch: readFailed
    }),
    (files) =>
      Effect.sync(() => {
        for (const { descriptor } of files) Fs.closeSync(descriptor)
      })
  )
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      try {
        return Fs.watch(directory, { persistent: false }, notify).on("error", () => {})
      } catch {
        // No notices (their number is limited): the interval does it.
        return undefined
      }
    }),
    (watcher) => Effect.sync(() => watcher?.close())
  )

  const available = (): Array<Growth> =>
    files.flatMap((file) => {
      if (file.room.length < leastRoom) file.room = Buffer.allocUnsafeSlow(atOnce)
      const wanted = Math.max(0, Math.min(file.room.length, file.end - file.offset))
      const count = Fs.readSync(file.descriptor, file.room, 0, wanted, file.offset)
      file.offset += count
      const bytes = file.room.subarray(0, count)
      if (!reuse) file.room = file.room.subarray(count)
      return count === 0 ? [] : [{ name: file.name, bytes }]
    })

  const pull: Effect.Effect<NonEmptyReadonlyArray<Growth>, BackendError | Cause.Done> = Effect.suspend(() => {
    // Before the look: what is written between the two is seen by the next look.
    const last = files.every(({ end }) => end !== Number.POSITIVE_INFINITY)
    return Effect.flatMap(Effect.try({ try: available, catch: readFailed }), ([first, ...rest]) => {
      if (first !== undefined) return Effect.succeed([first, ...rest] as const)
      return last ? Cause.done() : Effect.andThen(changed, pull)
    })
  })

  return {
    output: Stream.fromPull(Effect.succeed(pull)),
    finish: () => {
      for (const file of files) file.end = sizeOf(file.descriptor)
      notify()
    },
    until: (condition) => {
      const look: Effect.Effect<void> = Effect.suspend(() =>
        condition() ? Effect.void : Effect.andThen(changed, look)
      )
      return look
    }
  }
})

/** What cannot be said is read to its end. */
const sizeOf = (descriptor: number): number => {
  try {
    return Fs.fstatSync(descriptor).size
  } catch {
    return Number.MAX_SAFE_INTEGER
  }
}

const readFailed = (cause: unknown) =>
  new BackendError({
    reason: new StorageFailed({
      operation: "reading the step's output",
      detail: cause instanceof Error ? cause.message : String(cause),
      transient: false
    })
  })
