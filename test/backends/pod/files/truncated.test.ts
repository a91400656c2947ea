/** Servers that drop the end of an output, and say that all went well. */
import { assert, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { pack } from "../../../../src/backends/pod/internal/files/Archive.ts"
import * as PodFiles from "../../../../src/backends/pod/internal/files/PodFiles.ts"
import { exited, FakeApi, frame, layer } from "../../kubernetes/support/FakeApi.ts"

const to = { pod: "job", directory: "/w" }

it.live("what a server has dropped is asked for again, and at last an error", () =>
  Effect.gen(function* () {
    const files = yield* PodFiles.make({ retries: 2 })
    const archive = Buffer.concat(yield* Stream.runCollect(pack([])))
    const { seen } = yield* FakeApi
    const pull = files.pull({ from: to, select: { _tag: "All" }, into: Stream.runDrain })
    const error = yield* Effect.flip(pull)
    assert.include(error.message, "not everything has arrived")
    assert.lengthOf(seen, 3)
    const pushed = yield* Effect.flip(files.push({ to, archive: Stream.make(archive) }))
    assert.include(pushed.message, "not everything has arrived")
    assert.lengthOf(seen, 6)
  }).pipe(
    Effect.provide(
      layer({
        exec: (socket) => {
          // All of an archive, but not the word that it is all.
          socket.send(frame(1, "gnu\n"))
          socket.send(frame(1, Buffer.alloc(10_240)))
          socket.send(exited(0))
          socket.close()
        }
      })
    )
  )
)
