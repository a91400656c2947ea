import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import * as MemoryBackend from "../../src/backends/memory/MemoryBackend.ts"
import * as MemoryProgram from "../../src/backends/memory/MemoryProgram.ts"
import { Job } from "../../src/domain/Job.ts"
import type { JobEvent } from "../../src/domain/JobEvent.ts"
import { JobEvents } from "../../src/domain/JobEvent.ts"
import * as JobLifecycle from "../../src/domain/JobLifecycle.ts"
import type { Step } from "../../src/domain/Step.ts"
import { ScriptStep, StepFile } from "../../src/domain/Step.ts"
import type { NextStep, Situation, StepProgram } from "../../src/domain/StepProgram.ts"
import * as Workflow from "../../src/domain/Workflow.ts"
import * as WorkflowEngine from "../../src/domain/WorkflowEngine.ts"

const onMemory = Effect.provide(MemoryBackend.layerTest(), { local: true })
type Does = Parameters<typeof MemoryProgram.forStep>[0]

const script = (does: Does): Step =>
  new ScriptStep({
    script: "true",
    env: MemoryProgram.forStep(does),
    files: [new StepFile({ name: "out", collect: true })]
  })

const runs = (
  id: string,
  does: Does = {},
  more: Partial<Extract<NextStep, { readonly _tag: "Run" }>> = {}
): NextStep => ({
  _tag: "Run",
  id,
  name: id,
  command: id,
  run: script(does),
  continueOnError: false,
  settle: ({ files }) => Effect.succeed({ outputs: { out: files.get("out") ?? "" } }),
  ...more
})

/** A program of functions, one for each step in order. */
const programOf = (...steps: ReadonlyArray<(situation: Situation) => NextStep>): Effect.Effect<StepProgram> =>
  Effect.succeed({
    length: steps.length,
    next: (situation) => Effect.sync(() => steps[situation.results.length]?.(situation)),
    outputs: ({ results }) => Effect.succeed({ last: results.at(-1)?.outputs.out ?? "" })
  })

const finish = Effect.fnUntraced(function* (
  steps: Effect.Effect<StepProgram>,
  fields: { readonly total?: string } = {}
) {
  const events: Array<JobEvent> = []
  const timeouts =
    fields.total === undefined ? {} : { timeouts: { total: Duration.fromInputUnsafe(fields.total as Duration.Input) } }
  const job = new Job({ name: "job", steps: [], ...(timeouts as object) })
  const running = yield* Effect.provideService(JobLifecycle.startProgram(job, steps), JobEvents, {
    emit: (event) => Effect.sync(() => void events.push(event))
  })
  const fiber = yield* Effect.forkChild(running.result)
  for (let at = 0; at < 200 && fiber.pollUnsafe() === undefined; at++) yield* TestClock.adjust("1 second")
  return { result: yield* Fiber.join(fiber), events }
})

describe("a program of steps", () => {
  it.effect("decides by what came before, and hands over outputs", () =>
    Effect.gen(function* () {
      const { events, result } = yield* finish(
        programOf(
          () => runs("one", { do: [{ _tag: "AppendFile", name: "out", text: "1" }] }),
          ({ results }) => runs(`after-${results[0]?.outputs.out}`, { exit: 3 }, { continueOnError: true }),
          ({ failed, results }) =>
            failed || results[1]?.outcome !== "failure"
              ? runs("wrong")
              : { _tag: "Skip", id: "skipped", name: "skipped" },
          () => runs("last", { do: [{ _tag: "AppendFile", name: "out", text: "end" }] })
        )
      )
      assert.strictEqual(result.conclusion, "success")
      assert.deepStrictEqual(
        result.steps.map(({ conclusion, id, outcome }) => `${id} ${outcome} ${conclusion}`),
        ["one success success", "after-1 failure success", "skipped skipped skipped", "last success success"]
      )
      assert.deepStrictEqual(result.outputs, { last: "end" })
      const [started] = events
      assert.strictEqual(started?._tag === "JobStarted" ? started.steps : 0, 4)
    }).pipe(onMemory)
  )

  it.effect("fails by what it makes of a step, and by what cannot be tried", () =>
    Effect.gen(function* () {
      const meant = yield* finish(
        programOf(() => runs("one", {}, { settle: () => Effect.succeed({ outputs: { a: "b" }, failure: "not so" }) }))
      )
      assert.deepStrictEqual(
        meant.result.steps.map(({ conclusion, detail, exitCode, outputs }) => ({
          conclusion,
          detail,
          exitCode,
          outputs
        })),
        [{ conclusion: "failure", detail: "not so", exitCode: 0, outputs: { a: "b" } }]
      )
      const refused = yield* finish(
        programOf(() => ({ _tag: "Fail", id: "one", name: "one", detail: "no such thing", continueOnError: false }))
      )
      assert.strictEqual(refused.result.conclusion, "failure")
      assert.strictEqual(refused.result.failedStep?.detail, "no such thing")
      assert.deepStrictEqual(
        refused.events.flatMap((event) => (event._tag.startsWith("Step") ? [event._tag] : [])),
        ["StepStarted", "StepFinished"]
      )
    }).pipe(onMemory)
  )

  it.effect("changes what is written, before it is shown and remembered", () =>
    Effect.gen(function* () {
      const encoder = new TextEncoder()
      const { events, result } = yield* finish(
        programOf(() =>
          runs(
            "one",
            { do: [{ _tag: "Print", text: "secret\n" }] },
            {
              filter: {
                push: ({ bytes }) => encoder.encode(new TextDecoder().decode(bytes).toUpperCase()),
                flush: () => [{ stream: "stderr", bytes: encoder.encode("rest\n") }]
              }
            }
          )
        )
      )
      const shown = events.flatMap((event) =>
        event._tag === "StepOutput" ? [`${event.stream} ${new TextDecoder().decode(event.bytes)}`] : []
      )
      assert.deepStrictEqual(shown, ["stdout SECRET\n", "stderr rest\n"])
      assert.deepStrictEqual(result.steps[0]?.tail, ["SECRET", "rest"])
    }).pipe(onMemory)
  )

  it.effect("is asked to the end when the time is over, and what a stopped step has set counts", () =>
    Effect.gen(function* () {
      const seen: Array<boolean> = []
      const { result } = yield* finish(
        programOf(
          () =>
            runs(
              "slow",
              { do: [{ _tag: "AppendFile", name: "out", text: "so far" }], exit: "never" },
              { timeout: Duration.seconds(5) }
            ),
          (situation) => {
            seen.push(situation.failed)
            return runs("after", { exit: "never" })
          },
          ({ cancelled }) => {
            seen.push(cancelled)
            return runs("cleanup")
          }
        ),
        { total: "10 seconds" }
      )
      assert.strictEqual(result.conclusion, "timeout")
      assert.deepStrictEqual(seen, [true, true])
      assert.deepStrictEqual(
        result.steps.map(({ id, outcome, outputs }) => `${id} ${outcome} ${outputs.out}`),
        ["slow timeout so far", "after cancelled ", "cleanup success "]
      )
    }).pipe(onMemory)
  )
})

const workflowJob = (id: string, more: Partial<Workflow.WorkflowJob>): Workflow.WorkflowJob => ({
  ...Workflow.job(id, { job: () => ({ steps: [] }) }),
  ...more
})

const conduct = Effect.fnUntraced(function* (jobs: ReadonlyArray<Workflow.WorkflowJob>) {
  const fiber = yield* Effect.forkChild(WorkflowEngine.run(Workflow.make("ci", jobs), { parallel: 8 }))
  for (let at = 0; at < 500 && fiber.pollUnsafe() === undefined; at++) yield* TestClock.adjust("1 second")
  return yield* Fiber.join(fiber)
})

const sleeping = (id: string, seconds: number, exit = 0) =>
  programOf(() => runs(id, { do: [{ _tag: "Sleep", millis: seconds * 1000 }], exit }))

describe("workflows of programs", () => {
  it.effect("jobs are named, excused and cancelled by combination", () =>
    Effect.gen(function* () {
      const result = yield* conduct([
        workflowJob("test", {
          matrix: () => ({ values: { node: [1, 2, 3] }, include: [], exclude: [] }),
          name: ({ index, matrix, total }) => `node ${matrix.node} (${index + 1} of ${total})`,
          continueOnError: ({ matrix }) => matrix.node === 2,
          failFast: () => true,
          steps: ({ matrix }) => sleeping("one", Number(matrix.node), matrix.node === 2 ? 1 : 0)
        })
      ])
      assert.deepStrictEqual(
        result.runs.map(({ conclusion, job }) => `${job}: ${conclusion}`),
        ["node 1 (1 of 3): success", "node 2 (2 of 3): failure", "node 3 (3 of 3): success"]
      )
      assert.deepStrictEqual([result.jobs[0]?.outcome, result.jobs[0]?.conclusion], ["failure", "success"])
    }).pipe(onMemory)
  )

  it.effect("one of a concurrency group runs, one waits, and a newcomer takes the place of that", () =>
    Effect.gen(function* () {
      const group = (cancelInProgress: boolean, queue: "single" | "all") => () => ({
        group: "g",
        cancelInProgress,
        queue
      })
      const three = (cancelInProgress: boolean, queue: "single" | "all") =>
        conduct(
          ["a", "b", "c"].map((id) =>
            workflowJob(id, { concurrency: group(cancelInProgress, queue), steps: () => sleeping(id, 5) })
          )
        )
      const conclusions = (result: { readonly jobs: ReadonlyArray<{ readonly conclusion: string }> }) =>
        result.jobs.map(({ conclusion }) => conclusion)
      assert.deepStrictEqual(conclusions(yield* three(false, "single")), ["success", "cancelled", "success"])
      assert.deepStrictEqual(conclusions(yield* three(true, "single")), ["cancelled", "cancelled", "success"])
      const all = yield* three(false, "all")
      assert.deepStrictEqual(conclusions(all), ["success", "success", "success"])
      const spans = all.runs.map(({ duration, startedAt }) => [startedAt, startedAt + duration] as const)
      for (const [index, [start]] of spans.entries()) assert.isAtLeast(start, spans[index - 1]?.[1] ?? 0)
    }).pipe(onMemory)
  )
})
