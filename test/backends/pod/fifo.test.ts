import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { stockFifos, takeFifos } from "../../../src/backends/pod/internal/fifo.ts"

const folder = Effect.acquireRelease(
  Effect.sync(() => {
    const path = mkdtempSync(join(tmpdir(), "jobscope-fifo-"))
    mkdirSync(join(path, "stock"))
    return path
  }),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

describe("FIFOs in stock", () => {
  it.live("each is given once, to all who take at the same time, and more are made when there are none", () =>
    Effect.gen(function* () {
      const path = yield* folder
      const stock = join(path, "stock")
      yield* stockFifos(stock)
      const had = readdirSync(stock).length
      const takers = Array.from({ length: had + 3 }, (_, at) => [join(path, `a${at}`), join(path, `b${at}`)])
      yield* Effect.forEach(takers, (paths) => takeFifos(stock, paths), { concurrency: "unbounded" })
      const inodes = new Set(takers.flat().map((taken) => statSync(taken).ino))
      assert.strictEqual(inodes.size, takers.length * 2)
      for (const taken of takers.flat()) {
        assert.isTrue(statSync(taken).isFIFO())
        assert.strictEqual(statSync(taken).mode & 0o777, 0o666)
      }
      assert.deepStrictEqual(readdirSync(stock), [])
    })
  )

  it.live("where there is no stock they are made", () =>
    Effect.gen(function* () {
      const path = yield* folder
      yield* takeFifos(join(path, "none"), [join(path, "one")])
      assert.isTrue(statSync(join(path, "one")).isFIFO())
    })
  )
})
