/**
 * Writing to a stream of this process without losing anything, holding too much, or dying of a reader that has gone.
 */
import * as Effect from "effect/Effect"

/** @category models */
export interface Outlet {
  /** Writes at once, or not at all when the stream is closed. Wait for `ready` before the next one, else memory is the bound. */
  readonly write: (text: string) => void
  /** Whether the reader is behind. */
  readonly full: () => boolean
  /** Waits until the reader has caught up, is gone, or is not waited for any more (`letGo`). */
  readonly ready: Effect.Effect<void>
  /** Ends all that wait for `ready` now. */
  readonly letGo: () => void
  /** Waits until everything that was written has left the process, or the reader is gone. */
  readonly flushed: Effect.Effect<void>
  /** Nobody reads: a closed pipe, a terminal that has hung up, a full disk. */
  readonly closed: () => boolean
}

/**
 * Takes over the errors of a stream; `onClosed` is called once, when the reader is gone.
 *
 * @category constructors
 */
export const make = (stream: NodeJS.WriteStream, onClosed: () => void = () => {}): Outlet => {
  const waiting = new Set<() => void>()
  let closed = false
  const letGo = () => {
    for (const wake of waiting) wake()
    waiting.clear()
  }
  stream.on("drain", letGo)
  // Without a listener, EPIPE ends the process at once, with everything that it has left as it is.
  stream.on("error", () => {
    if (closed) return
    closed = true
    letGo()
    onClosed()
  })
  const when = (register: (wake: () => void) => void) =>
    Effect.callback<void>((resume) => {
      const wake = () => resume(Effect.void)
      waiting.add(wake)
      register(wake)
      return Effect.sync(() => waiting.delete(wake))
    })
  return {
    write: (text) => {
      if (!closed && text !== "") stream.write(text)
    },
    full: () => !closed && stream.writableNeedDrain,
    ready: Effect.suspend(() => (!closed && stream.writableNeedDrain ? when(() => {}) : Effect.void)),
    letGo,
    flushed: Effect.suspend(() =>
      closed || stream.writableLength === 0 ? Effect.void : when((wake) => stream.write("", wake))
    ),
    closed: () => closed
  }
}
