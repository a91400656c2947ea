import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { makeGrowingFiles } from "../../../src/backends/pod/internal/growingFiles.ts"

const directory = Effect.acquireRelease(
  Effect.sync(() => {
    const made = mkdtempSync(join(tmpdir(), "jobscope-growing-"))
    writeFileSync(join(made, "out"), "")
    writeFileSync(join(made, "err"), "")
    return made
  }),
  (made) => Effect.sync(() => rmSync(made, { recursive: true, force: true }))
)

/** More than is read at once, and every byte tells where it belongs. */
const large = Buffer.from(Uint32Array.from({ length: 200_000 }, (_, at) => at).buffer)

describe("makeGrowingFiles", () => {
  it.live("gives all that was written, in memory that stays as it is", () =>
    Effect.gen(function* () {
      const made = yield* directory
      const files = yield* makeGrowingFiles(made, ["out", "err"])
      appendFileSync(join(made, "out"), large)
      appendFileSync(join(made, "err"), "few")
      files.finish()
      const chunks = yield* Stream.runCollect(files.output)
      const of = (name: string) =>
        Buffer.concat(chunks.filter((chunk) => chunk.name === name).map(({ bytes }) => bytes))
      assert.isTrue(of("out").equals(large))
      assert.strictEqual(of("err").toString(), "few")
    }).pipe(Effect.scoped)
  )

  it.live("reads again and again into the same memory, if asked to", () =>
    Effect.gen(function* () {
      const made = yield* directory
      const files = yield* makeGrowingFiles(made, ["out", "err"], true)
      appendFileSync(join(made, "out"), large)
      appendFileSync(join(made, "err"), "few")
      files.finish()
      const copies: Array<Buffer> = []
      const memories = new Set<ArrayBufferLike>()
      yield* Stream.runForEach(files.output, ({ bytes, name }) =>
        Effect.sync(() => {
          memories.add(bytes.buffer)
          if (name === "out") copies.push(Buffer.from(bytes))
          else assert.strictEqual(Buffer.from(bytes).toString(), "few")
        })
      )
      assert.isTrue(Buffer.concat(copies).equals(large))
      // One for each file.
      assert.strictEqual(memories.size, 2)
      assert.isAbove(copies.length, 2)
    }).pipe(Effect.scoped)
  )
})
