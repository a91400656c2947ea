import { Writable } from "node:stream"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Outlet from "../../../../src/programs/console/internal/Outlet.ts"

/** A stream whose reader takes a chunk when it is told to. */
const slow = () => {
  const taken: Array<string> = []
  let waiting: (() => void) | undefined
  const stream = new Writable({
    highWaterMark: 4,
    write: (chunk, _encoding, done) => {
      taken.push(String(chunk))
      waiting = done
    }
  })
  const take = Effect.callback<void>((resume) => {
    const done = waiting
    waiting = undefined
    done?.()
    setImmediate(() => resume(Effect.void))
  })
  // All that is used of a stdout is there in any stream.
  return { stream: stream as unknown as NodeJS.WriteStream, take, taken }
}

const settle = Effect.callback<void>((resume) => {
  setTimeout(() => resume(Effect.void), 20)
})

describe("Outlet", () => {
  it.live("says when bytes may change: once the reader has them, not once there is room for more", () =>
    Effect.gen(function* () {
      const { stream, take, taken } = slow()
      const outlet = Outlet.make(stream)
      const bytes = Buffer.from("1")
      const sending = yield* Effect.forkChild(outlet.send(bytes), { startImmediately: true })
      yield* settle
      assert.isFalse(outlet.full())
      assert.isUndefined(sending.pollUnsafe())
      yield* take
      yield* Fiber.join(sending)
      assert.deepStrictEqual(taken, ["1"])
      yield* outlet.send(Buffer.alloc(0))
    })
  )

  it.live("lets a writer go on only as fast as its reader", () =>
    Effect.gen(function* () {
      const { stream, take } = slow()
      const outlet = Outlet.make(stream)
      let written = 0
      const writer = yield* Effect.forkChild(
        Effect.forever(
          Effect.suspend(() => {
            written++
            outlet.write("12345")
            return outlet.ready
          })
        )
      )
      yield* settle
      for (let round = 1; round < 5; round++) {
        assert.strictEqual(written, round)
        assert.isTrue(outlet.full())
        yield* take
        yield* settle
      }
      yield* Fiber.interrupt(writer)
    })
  )

  it.live("lets writers go when nobody is to be waited for, but not what waits for the end", () =>
    Effect.gen(function* () {
      const { stream, take } = slow()
      const outlet = Outlet.make(stream)
      outlet.write("12345")
      const ready = yield* Effect.forkChild(outlet.ready)
      const flushed = yield* Effect.forkChild(outlet.flushed)
      yield* settle
      outlet.letGo()
      yield* settle
      assert.isDefined(ready.pollUnsafe())
      assert.isUndefined(flushed.pollUnsafe())
      yield* take
      yield* take
      yield* settle
      assert.isDefined(flushed.pollUnsafe())
    })
  )

  it.live("outlives its reader", () =>
    Effect.gen(function* () {
      const { stream, taken } = slow()
      let closed = 0
      const outlet = Outlet.make(stream, () => {
        closed++
      })
      outlet.write("12345")
      const waiting = yield* Effect.forkChild(Effect.all([outlet.ready, outlet.flushed], { concurrency: 2 }))
      yield* settle
      stream.destroy(new Error("EPIPE"))
      yield* settle
      assert.isDefined(waiting.pollUnsafe())
      outlet.write("more")
      yield* Effect.all([outlet.ready, outlet.flushed])
      assert.deepStrictEqual([closed, outlet.closed(), outlet.full(), taken], [1, true, false, ["12345"]])
    })
  )
})
