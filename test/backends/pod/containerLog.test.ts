import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import type { KubeClient } from "../../../src/backends/kubernetes/KubeClient.ts"
import { containerLog, makeLogReader } from "../../../src/backends/pod/internal/containerLog.ts"

interface Line {
  readonly time: string
  readonly text: string
}

/** What the server sends for a log: lines from the second of `since` on, as long as their file has not been rotated away. */
const served = (lines: ReadonlyArray<Line>, since: string | undefined): Buffer =>
  Buffer.from(
    lines
      .filter(({ time }) => since === undefined || time >= since.slice(0, 19))
      .map(({ text, time }) => `${time} ${text}`)
      .join("")
  )

const timeOf = (milliseconds: number) =>
  new Date(Date.UTC(2026, 0, 1) + milliseconds).toISOString().replace("Z", "000000Z")

const textOf = (parts: ReadonlyArray<Uint8Array>) => Buffer.concat(parts).toString("latin1")

/** Reads a log over connections that break after so many bytes each, in chunks of a size. */
const readOver = (lines: ReadonlyArray<Line>, breaks: ReadonlyArray<number>, chunk: number): string => {
  const reader = makeLogReader()
  const out: Array<Uint8Array> = []
  for (const length of [...breaks, Number.POSITIVE_INFINITY]) {
    reader.reconnect()
    const bytes = served(lines, reader.since).subarray(0, length)
    for (let at = 0; at < bytes.length; at += chunk)
      out.push(Uint8Array.from(reader.push(bytes.subarray(at, at + chunk))))
  }
  return textOf(out)
}

const step = Schema.Int.check(Schema.isBetween({ minimum: -40, maximum: 700 }))
const small = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 40 }))
const cut = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 900 }))
const text = Schema.Union([
  Schema.String.check(Schema.isPattern(/^[ -~]{0,30}$/)),
  Schema.Literals(["", " ", "2026-01-01T00:00:00.000000000Z ", "x".repeat(200)])
])

/** Times mostly grow, sometimes stand still, and sometimes neighbours are the other way round. */
const logOf = (entries: ReadonlyArray<readonly [number, string]>): ReadonlyArray<Line> => {
  let at = 0
  return entries.map(([by, text], index) => {
    const time = timeOf(Math.max(0, at + by))
    at = Math.max(at, at + by)
    // The last line of a container may have no end.
    return { time, text: index === entries.length - 1 && text !== "" ? text : `${text}\n` }
  })
}

describe("makeLogReader", () => {
  it.prop(
    "gives every byte once, however the connections break, whatever the times",
    [Schema.Array(Schema.Tuple([step, text])), Schema.Array(cut), small],
    ([entries, breaks, chunk]) => {
      const lines = logOf(entries)
      assert.strictEqual(readOver(lines, breaks, chunk), lines.map(({ text }) => text).join(""))
    },
    { arbitrary: { runs: 400 } }
  )

  const all = (lines: ReadonlyArray<Line>) => lines.map(({ text }) => text).join("")

  it("lines of one time are told apart by their number", () => {
    const lines = Array.from({ length: 50 }, (_, index) => ({ time: timeOf(0), text: `${index % 3}\n` }))
    for (let at = 0; at < served(lines, undefined).length; at++)
      assert.strictEqual(readOver(lines, [at], 7), all(lines))
  })

  it("a line that came after a later one is neither lost nor doubled", () => {
    const lines = [
      { time: timeOf(1000), text: "one\n" },
      { time: timeOf(1200), text: "three\n" },
      { time: timeOf(1100), text: "two\n" },
      { time: timeOf(1300), text: "four\n" }
    ]
    for (let at = 0; at < served(lines, undefined).length; at++)
      assert.strictEqual(readOver(lines, [at], 1000), all(lines))
  })

  it("what was rotated away meanwhile takes nothing with it", () => {
    const before = Array.from({ length: 10 }, (_, index) => ({ time: timeOf(index), text: `${index}\n` }))
    const after = [before.at(-1) as Line, { time: timeOf(20), text: "new\n" }]
    const reader = makeLogReader()
    assert.strictEqual(textOf([reader.push(served(before, undefined))]), all(before))
    reader.reconnect()
    assert.strictEqual(textOf([reader.push(served(after, reader.since))]), "new\n")
  })

  it("a long line that was cut goes on where it was cut, though a second has passed", () => {
    const long = { time: timeOf(900), text: `${"abcdefgh".repeat(5000)}\n` }
    const lines = [{ time: timeOf(0), text: "first\n" }, long, { time: timeOf(5000), text: "last\n" }]
    for (const at of [40, 60, 1000, 39_000]) assert.strictEqual(readOver(lines, [at, at + 10], 512), all(lines))
  })

  it("asks from no later than what it may still have to give", () => {
    const reader = makeLogReader()
    assert.isUndefined(reader.since)
    reader.push(served([{ time: timeOf(0), text: "a\n" }], undefined))
    assert.strictEqual(reader.since, timeOf(0))
    reader.push(
      served(
        [
          { time: timeOf(5000), text: "b\n" },
          { time: timeOf(9000), text: "c\n" }
        ],
        undefined
      )
    )
    assert.strictEqual(reader.since, timeOf(5000))
  })
})

describe("containerLog", () => {
  const time = timeOf(0)
  const whole = `${time} one\n${time} ${"y".repeat(40)}\n`
  const cut = whole.slice(0, -20)
  const read = Effect.fnUntraced(function* (connections: ReadonlyArray<string>) {
    let asked = 0
    const kube = {
      logs: () => Stream.succeed(Buffer.from(connections[Math.min(asked++, connections.length - 1)] ?? ""))
    } as unknown as KubeClient["Service"]
    const reading = yield* containerLog(kube, { namespace: "n", pod: "p", container: "c" }, Effect.succeed(true)).pipe(
      Stream.map((bytes) => Uint8Array.from(bytes)),
      Stream.runCollect,
      Effect.forkChild
    )
    yield* TestClock.adjust("1 minute")
    return { asked, text: textOf(yield* Fiber.join(reading)) }
  })

  it.effect("is looked at once more when the container has ended", () =>
    Effect.gen(function* () {
      const first = `${time} one\n`
      assert.deepStrictEqual(yield* read([first, whole]), { asked: 3, text: `one\n${"y".repeat(40)}\n` })
      assert.deepStrictEqual(yield* read([first]), { asked: 2, text: "one\n" })
    })
  )

  it.effect("is looked at some times more while its last line has no end", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* read([cut, cut, cut, cut, whole])).text, `one\n${"y".repeat(40)}\n`)
      assert.deepStrictEqual(yield* read([cut]), { asked: 6, text: `one\n${"y".repeat(21)}` })
    })
  )
})
