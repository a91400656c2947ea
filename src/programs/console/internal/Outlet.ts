/**
 * Writing to a stream of this process without losing anything, holding too much, or dying of a reader that has gone.
 */
import * as Effect from "effect/Effect"

/** @category models */
export interface Outlet {
  /** Writes at once, or not at all when the stream is closed. Wait for `ready` before the next one, else memory is the bound. */
  readonly write: (text: string | Uint8Array) => void
  /** Writes, and waits until the bytes have left the process or the reader is gone: then they may change. */
  readonly send: (bytes: Uint8Array) => Effect.Effect<void>
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
  const ready = makeWaiting()
  const flushed = makeWaiting()
  let closed = false
  stream.on("drain", ready.wake)
  // Without a listener, EPIPE ends the process at once, with everything that it has left as it is.
  stream.on("error", () => {
    if (closed) return
    closed = true
    ready.wake()
    flushed.wake()
    onClosed()
  })
  return {
    write: (text) => {
      if (!closed && text.length > 0) stream.write(text)
    },
    send: (bytes) =>
      Effect.callback((resume) => {
        if (closed || bytes.length === 0) resume(Effect.void)
        else stream.write(bytes, () => resume(Effect.void))
      }),
    full: () => !closed && stream.writableNeedDrain,
    ready: Effect.suspend(() => (!closed && stream.writableNeedDrain ? ready.wait : Effect.void)),
    letGo: ready.wake,
    flushed: Effect.suspend(() => {
      if (closed || stream.writableLength === 0) return Effect.void
      // Called when all that was written before it is out.
      stream.write("", flushed.wake)
      return flushed.wait
    }),
    closed: () => closed
  }
}

/** Any number of fibers that wait for the same. */
const makeWaiting = () => {
  const waiting = new Set<() => void>()
  return {
    wake: () => {
      // One that goes on at once may wait again at once: that is for the next time.
      const woken = [...waiting]
      waiting.clear()
      for (const resume of woken) resume()
    },
    wait: Effect.callback<void>((resume) => {
      const wake = () => resume(Effect.void)
      waiting.add(wake)
      return Effect.sync(() => waiting.delete(wake))
    })
  }
}
