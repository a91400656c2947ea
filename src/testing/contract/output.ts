import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { type ContractCapabilities, type Registrar, runToEnd, within } from "./setting.ts"
import * as steps from "./vocabulary.ts"

/** Every byte, once, in order, whatever it is and however slowly it is read. */
export const output = <R, E>(promise: Registrar<R>, capabilities: ContractCapabilities<R, E>): void => {
  const lines = capabilities.lines ?? 100_000
  const expected = (count: number) => Array.from({ length: count }, (_, index) => `line ${index + 1}\n`).join("")

  promise(`${lines} lines come complete and in order`, (setting) =>
    within(setting, (environment) =>
      Effect.gen(function* () {
        const { stderr, stdout } = yield* runToEnd(environment, steps.printLines(lines))
        assert.isTrue(stdout === expected(lines), `${stdout.length} characters`)
        assert.strictEqual(stderr, "")
      })
    )
  )

  promise("both streams keep their own order", (setting) =>
    within(setting, (environment) =>
      Effect.gen(function* () {
        const { stderr, stdout } = yield* runToEnd(environment, steps.printBoth(2000))
        assert.isTrue(stdout === expected(2000))
        assert.isTrue(stderr === expected(2000))
        assert.strictEqual((yield* runToEnd(environment, steps.print("only", "stderr"))).stderr, "only")
      })
    )
  )

  promise("bytes come as they are: all 256 values, no line end, cut characters, nothing", (setting) =>
    within(setting, (environment) =>
      Effect.scoped(
        Effect.gen(function* () {
          const bytes = Uint8Array.from({ length: 256 }, (_, index) => (index * 7) % 256)
          const step = yield* environment.start(steps.printBytes(bytes))
          const chunks = yield* Stream.runCollect(step.output)
          assert.deepStrictEqual([...Buffer.concat(chunks.map((chunk) => chunk.bytes))], [...bytes])
          assert.strictEqual((yield* runToEnd(environment, steps.print("no line end"))).stdout, "no line end")
          const emoji = "🎉ü".repeat(20_000)
          assert.isTrue((yield* runToEnd(environment, steps.print(emoji))).stdout === emoji)
          assert.strictEqual((yield* runToEnd(environment, steps.exit(0))).stdout, "")
        })
      )
    )
  )

  promise(
    "a slow reader gets everything, and the memory stays flat",
    (setting) =>
      within(setting, (environment) =>
        Effect.scoped(
          Effect.gen(function* () {
            const mebibytes = 256
            const step = yield* environment.start(steps.printMebibytes(mebibytes))
            yield* Effect.sleep("500 millis")
            const before = heldBytes()
            let most = 0
            let looked = 0
            const total = yield* Stream.runFold(
              step.output,
              () => 0,
              (sum, { bytes }) => {
                if (sum - looked > 32 * 1024 * 1024) {
                  looked = sum
                  most = Math.max(most, heldBytes() - before)
                }
                return sum + bytes.length
              }
            )
            assert.isAbove(looked, 0)
            assert.strictEqual(total, mebibytes * 1024 * 1024)
            assert.strictEqual(yield* step.exitCode, 0)
            assert.isBelow(most, 32 * 1024 * 1024, "bytes held in memory")
          })
        )
      ),
    { alone: true }
  )

  promise(
    "output ends with the step, although something in the background still holds the pipe",
    (setting) =>
      within(setting, (environment) =>
        Effect.gen(function* () {
          const { stdout } = yield* Effect.timeout(
            runToEnd(environment, steps.shell("(while :; do sleep 0.1; done) & echo done")),
            "10 seconds"
          )
          assert.strictEqual(stdout, "done\n")
        })
      ),
    { skip: capabilities.processes === false }
  )
}

const collectGarbage: () => void = (() => {
  setFlagsFromString("--expose-gc")
  return runInNewContext("gc")
})()

/** What is held, without garbage: how much of that lies around is the collector's choice, not the backend's. */
const heldBytes = (): number => {
  // Twice: buffers that the first one found are given back while the second one runs.
  collectGarbage()
  collectGarbage()
  const { external, heapUsed } = process.memoryUsage()
  return external + heapUsed
}
