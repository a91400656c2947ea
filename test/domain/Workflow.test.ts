import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import * as MemoryBackend from "../../src/backends/memory/MemoryBackend.ts"
import * as MemoryProgram from "../../src/backends/memory/MemoryProgram.ts"
import { MemoryWorld } from "../../src/backends/memory/MemoryWorld.ts"
import * as EnvVars from "../../src/domain/EnvVars.ts"
import { JobStep, Timeouts } from "../../src/domain/Job.ts"
import { type JobEvent, JobEvents } from "../../src/domain/JobEvent.ts"
import { Matrix } from "../../src/domain/Matrix.ts"
import { ScriptStep } from "../../src/domain/Step.ts"
import * as Workflow from "../../src/domain/Workflow.ts"
import * as WorkflowEngine from "../../src/domain/WorkflowEngine.ts"

const onMemory = Effect.provide(MemoryBackend.layerTest(), { local: true })

type Program = Parameters<typeof MemoryProgram.forStep>[0]

const steps = (program: Program = {}, id = "only") => [
  new JobStep({ id, run: new ScriptStep({ script: id, env: MemoryProgram.forStep(program) }) })
]
const sleep = (millis: number, exit = 0): Program => ({ do: [{ _tag: "Sleep", millis }], exit })
const output = (text: string): Program => ({ do: [{ _tag: "AppendFile", name: "jobscope_output", text }] })

/** Runs to the end while time passes. */
const finish = Effect.fnUntraced(function* (workflow: Workflow.Workflow, options?: WorkflowEngine.Options) {
  const fiber = yield* Effect.forkChild(WorkflowEngine.run(workflow, options))
  for (let at = 0; at < 2000 && fiber.pollUnsafe() === undefined; at++) yield* TestClock.adjust("50 millis")
  return yield* Fiber.join(fiber)
})

const conclusions = (result: { readonly jobs: ReadonlyArray<{ readonly id: string; readonly conclusion: string }> }) =>
  Object.fromEntries(result.jobs.map(({ conclusion, id }) => [id, conclusion]))

/** How many environments were open at most, by what the world recorded. */
const mostAtATime = Effect.gen(function* () {
  let open = 0
  let most = 0
  for (const { _tag } of yield* (yield* MemoryWorld).records) {
    if (_tag === "Provisioning") most = Math.max(most, ++open)
    if (_tag === "Released") open--
  }
  assert.strictEqual(open, 0, "everything is released")
  return most
})

describe("needs", () => {
  it.effect("a job sees the outputs and the conclusions of what it needs", () =>
    Effect.gen(function* () {
      const build = Workflow.job("build", {
        outputs: { version: { step: "only", output: "v" }, never: { step: "nowhere", output: "x" } },
        job: () => ({ steps: steps(output("v=1.2.3\n")) })
      })
      const seen: Array<string> = []
      const test = Workflow.job("test", {
        needs: [build],
        job: ({ needs }) => {
          seen.push(needs.build.outputs.version, needs.build.outputs.never, needs.build.conclusion)
          // @ts-expect-error an output that the job does not declare
          needs.build.outputs.nope
          // @ts-expect-error a job that is not needed
          needs.deploy
          return { steps: steps() }
        }
      })
      const result = yield* finish(Workflow.make("ci", [test, build]))
      assert.strictEqual(result.conclusion, "success")
      assert.deepStrictEqual(seen, ["1.2.3", "", "success"])
      assert.deepStrictEqual(result.job("build")?.outputs, { version: "1.2.3", never: "" })
      assert.deepStrictEqual(
        result.jobs.map(({ id }) => id),
        ["test", "build"],
        "in the order of the workflow"
      )
    }).pipe(onMemory)
  )

  it.effect("jobs run side by side, those that need others after them, never more than the limit", () =>
    Effect.gen(function* () {
      const roots = ["a", "b", "c", "d", "e", "f"].map((id) =>
        Workflow.job(id, { job: () => ({ steps: steps(sleep(1000)) }) })
      )
      const last = Workflow.job("last", { needs: roots, job: () => ({ steps: steps() }) })
      const result = yield* finish(Workflow.make("ci", [last, ...roots]), { parallel: 3 })
      assert.strictEqual(result.conclusion, "success")
      assert.strictEqual(yield* mostAtATime, 3)
      const ends = roots
        .map(({ id }) => result.job(id)?.runs[0])
        .map((run) => (run?.startedAt ?? 0) + (run?.duration ?? 0))
      assert.isAtLeast(result.job("last")?.runs[0]?.startedAt ?? 0, Math.max(...ends))
      assert.isBelow(result.duration, 3000, "two rounds of a second")
    }).pipe(onMemory)
  )

  it.effect("a failure skips what needs it, but not who asked for that", () =>
    Effect.gen(function* () {
      const fails = Workflow.job("fails", { job: () => ({ steps: steps({ exit: 1 }) }) })
      const after = Workflow.job("after", { needs: [fails], job: () => ({ steps: steps() }) })
      const last = { needs: [after], job: () => ({ steps: steps() }) }
      const result = yield* finish(
        Workflow.make("ci", [
          fails,
          after,
          Workflow.job("default", last),
          Workflow.job("always", { ...last, if: "always" }),
          Workflow.job("failure", { ...last, if: "failure" }),
          Workflow.job("cancelled", { ...last, if: "cancelled" }),
          Workflow.job("custom", {
            ...last,
            if: ({ failed }, { needs }) => failed && needs.after.conclusion === "skipped"
          }),
          Workflow.job("apart", { job: () => ({ steps: steps() }) })
        ])
      )
      assert.deepStrictEqual(conclusions(result), {
        fails: "failure",
        after: "skipped",
        default: "skipped",
        always: "success",
        failure: "success",
        cancelled: "skipped",
        custom: "success",
        apart: "success"
      })
      assert.strictEqual(result.conclusion, "failure")
    }).pipe(onMemory)
  )

  it.effect("continueOnError shows a failure, and counts as success", () =>
    Effect.gen(function* () {
      const flaky = Workflow.job("flaky", { continueOnError: true, job: () => ({ steps: steps({ exit: 1 }) }) })
      const next = Workflow.job("next", { needs: [flaky], job: () => ({ steps: steps() }) })
      const result = yield* finish(Workflow.make("ci", [flaky, next]))
      assert.strictEqual(result.conclusion, "success")
      assert.strictEqual(result.job("flaky")?.outcome, "failure")
      assert.deepStrictEqual(conclusions(result), { flaky: "success", next: "success" })
    }).pipe(onMemory)
  )

  it.effect("variables of the workflow reach every job, whose own win", () =>
    Effect.gen(function* () {
      const printing: Program = {
        do: ["A", "B"].map((variable) => ({ _tag: "PrintEnv" as const, variable }))
      }
      const job = Workflow.job("env", {
        job: () => ({ env: EnvVars.fromRecord({ B: "job" }), steps: steps(printing) })
      })
      const result = yield* finish(
        Workflow.make("ci", [job], { env: EnvVars.fromRecord({ A: "workflow", B: "workflow" }) })
      )
      assert.deepStrictEqual(result.runs[0]?.steps[0]?.tail, ["workflow", "job"])
    }).pipe(onMemory)
  )
})

describe("matrix", () => {
  it.effect("a run for each combination, named by its values, which the job sees", () =>
    Effect.gen(function* () {
      const job = Workflow.job("test", {
        matrix: { values: { os: ["linux"], node: [20, 22] } },
        outputs: { node: { step: "only", output: "node" } },
        job: ({ matrix }) => ({ steps: steps(output(`node=${matrix.node + 0}\n`)) })
      })
      const result = yield* finish(Workflow.make("ci", [job]))
      assert.deepStrictEqual(
        result.runs.map(({ job, conclusion }) => `${job}: ${conclusion}`),
        ["test (linux, 20): success", "test (linux, 22): success"]
      )
      assert.strictEqual(result.job("test")?.outputs.node, "22", "the last combination's")
    }).pipe(onMemory)
  )

  it.effect("computed from the outputs of another job", () =>
    Effect.gen(function* () {
      const plan = Workflow.job("plan", {
        outputs: { nodes: { step: "only", output: "nodes" } },
        job: () => ({ steps: steps(output("nodes=[18,20]\n")) })
      })
      const test = Workflow.job("test", {
        needs: [plan],
        matrix: ({ needs }) => new Matrix({ values: { node: JSON.parse(needs.plan.outputs.nodes) } }),
        job: () => ({ steps: steps() })
      })
      const result = yield* finish(Workflow.make("ci", [plan, test]))
      assert.deepStrictEqual(
        result.job("test")?.runs.map(({ job }) => job),
        ["test (18)", "test (20)"]
      )
    }).pipe(onMemory)
  )

  const mixed = (options: {
    readonly failFast?: boolean
    readonly maxParallel?: number
    readonly continueOnError?: boolean
  }) =>
    Workflow.make("ci", [
      Workflow.job("test", {
        ...options,
        matrix: { values: { n: [1, 2, 3, 4] } },
        job: ({ matrix }) => ({
          timeouts: new Timeouts({ stopGrace: Duration.millis(10) }),
          steps: steps(matrix.n === 2 ? sleep(500, 1) : sleep(2000))
        })
      })
    ])
  const ofRuns = (result: { readonly runs: ReadonlyArray<{ readonly conclusion: string }> }) =>
    result.runs.map(({ conclusion }) => conclusion)

  it.effect("fail-fast: the first failure cancels those that run and those that wait; the job failed", () =>
    Effect.gen(function* () {
      const result = yield* finish(mixed({}), { parallel: 3 })
      assert.deepStrictEqual(ofRuns(result), ["cancelled", "failure", "cancelled", "cancelled"])
      assert.strictEqual(result.conclusion, "failure")
      assert.isBelow(result.duration, 1500)
      assert.strictEqual(yield* mostAtATime, 3)
    }).pipe(onMemory)
  )

  it.effect("without fail-fast, and where failures are excused, all run to their end", () =>
    Effect.gen(function* () {
      const without = yield* finish(mixed({ failFast: false }))
      assert.deepStrictEqual(ofRuns(without), ["success", "failure", "success", "success"])
      const excused = yield* finish(mixed({ continueOnError: true }))
      assert.deepStrictEqual(ofRuns(excused), ["success", "failure", "success", "success"])
      assert.strictEqual(excused.conclusion, "success")
    }).pipe(onMemory)
  )

  it.effect("maxParallel bounds the combinations of one job", () =>
    Effect.gen(function* () {
      yield* finish(mixed({ failFast: false, maxParallel: 2 }))
      assert.strictEqual(yield* mostAtATime, 2)
    }).pipe(onMemory)
  )
})

describe("cancel", () => {
  const workflow = () => {
    const slow = (id: string) =>
      Workflow.job(id, {
        job: () => ({
          timeouts: new Timeouts({ stopGrace: Duration.millis(10) }),
          steps: [
            ...steps({ exit: "never" }, "hang"),
            new JobStep({ id: "tidy", if: "always", run: new ScriptStep({ script: "tidy" }) })
          ]
        })
      })
    const first = slow("first")
    const second = slow("second")
    return Workflow.make("ci", [
      first,
      second,
      slow("waiting"),
      Workflow.job("after", { needs: [first], job: () => ({ steps: steps() }) }),
      Workflow.job("report", { needs: [first, second], if: "always", job: () => ({ steps: steps() }) })
    ])
  }
  const expected = {
    first: "cancelled",
    second: "cancelled",
    waiting: "cancelled",
    after: "skipped",
    report: "success"
  }

  it.effect("running jobs are cancelled in order, waiting ones do not start, `always` ones run; all is released", () =>
    Effect.gen(function* () {
      const running = yield* WorkflowEngine.start(workflow(), { parallel: 2 })
      const fiber = yield* Effect.forkChild(running.result)
      yield* TestClock.adjust("1 second")
      yield* running.cancel
      for (let at = 0; at < 100; at++) yield* TestClock.adjust("50 millis")
      const result = yield* Fiber.join(fiber)
      assert.deepStrictEqual(conclusions(result), expected)
      assert.strictEqual(result.conclusion, "cancelled")
      assert.deepStrictEqual(
        result.job("first")?.runs[0]?.steps.map(({ outcome }) => outcome),
        ["cancelled", "success"]
      )
      assert.strictEqual(yield* mostAtATime, 2)
    }).pipe(onMemory)
  )

  it.effect("interrupting run cancels, and is done when all is released", () =>
    Effect.gen(function* () {
      const finished: Array<JobEvent> = []
      const fiber = yield* Effect.forkChild(
        Effect.provideService(WorkflowEngine.run(workflow(), { parallel: 2 }), JobEvents, {
          emit: (event) => Effect.sync(() => void (event._tag === "JobFinished" && finished.push(event)))
        })
      )
      yield* TestClock.adjust("1 second")
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber))
      for (let at = 0; at < 100; at++) yield* TestClock.adjust("50 millis")
      yield* Fiber.join(interrupting)
      assert.strictEqual((yield* MemoryWorld).environments.size, 0)
      assert.deepStrictEqual<Record<string, unknown>>(
        Object.fromEntries(
          finished.map((event) => [event.job, event._tag === "JobFinished" && event.result.conclusion])
        ),
        expected
      )
    }).pipe(onMemory)
  )

  it.effect("an `always` job that never ends is stopped when the patience is over", () =>
    Effect.gen(function* () {
      const stubborn = Workflow.job("stubborn", {
        if: "always",
        needs: [Workflow.job("first", { job: () => ({ steps: steps({ exit: "never" }) }) })],
        job: () => ({ steps: steps({ exit: "never" }) })
      })
      const first = Workflow.job("first", { job: () => ({ steps: steps({ exit: "never" }) }) })
      const running = yield* WorkflowEngine.start(Workflow.make("ci", [first, stubborn]), { conclude: "1 minute" })
      const fiber = yield* Effect.forkChild(running.result)
      yield* TestClock.adjust("1 second")
      yield* running.cancel
      yield* TestClock.adjust("30 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 minute")
      for (let at = 0; at < 20; at++) yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(conclusions(yield* Fiber.join(fiber)), { first: "cancelled", stubborn: "cancelled" })
    }).pipe(onMemory)
  )
})

describe("what cannot be run is refused before anything starts", () => {
  const job = (id: string, needs: ReadonlyArray<string> = []): Workflow.WorkflowJob => ({
    ...Workflow.job(id, { job: () => ({ steps: steps() }) }),
    needs
  })
  const cases = [
    { title: "an id twice", jobs: [job("a"), job("a")], says: "jobs.a is not valid: another job" },
    { title: "a need that is not there", jobs: [job("a", ["b"])], says: 'there is no job "b"' },
    { title: "a job that needs itself", jobs: [job("a", ["a"])], says: "a needs a" },
    {
      title: "a circle",
      jobs: [job("x", ["a"]), job("a", ["b"]), job("b", ["c"]), job("c", ["a"])],
      says: "a needs b needs c needs a"
    }
  ]
  it.effect.each(cases)("$title", ({ jobs, says }) =>
    Effect.gen(function* () {
      const result = yield* finish(Workflow.make("ci", jobs))
      assert.strictEqual(result.conclusion, "error")
      assert.include(result.error?.message ?? "", says)
      assert.deepStrictEqual(yield* (yield* MemoryWorld).records, [])
    }).pipe(onMemory)
  )

  it.effect.each([
    { title: "parallel", options: { parallel: 0 }, maxParallel: 1 },
    { title: "parallel that is no number", options: { parallel: Number.NaN }, maxParallel: 1 },
    { title: "maxParallel", options: {}, maxParallel: 0 }
  ])("a limit that lets nothing run: $title", ({ maxParallel, options }) =>
    Effect.gen(function* () {
      const job = Workflow.job("a", { maxParallel, job: () => ({ steps: steps() }) })
      const result = yield* finish(Workflow.make("ci", [job]), options)
      assert.strictEqual(result.error?.reason._tag, "InvalidInput")
      assert.include(result.error?.message ?? "", "nothing would ever run")
    }).pipe(onMemory)
  )

  it.effect("a listener with a defect ends the workflow, and running jobs are released all the same", () =>
    Effect.gen(function* () {
      const workflow = Workflow.make("ci", [
        Workflow.job("hangs", { job: () => ({ steps: steps({ exit: "never" }) }) }),
        Workflow.job("first", { job: () => ({ steps: steps(sleep(100, 1)) }) }),
        Workflow.job("skipped", {
          needs: [Workflow.job("first", { job: () => ({ steps: [] }) })],
          job: () => ({ steps: steps() })
        })
      ])
      const fiber = yield* Effect.forkChild(
        Effect.exit(
          Effect.provideService(WorkflowEngine.run(workflow), JobEvents, {
            emit: (event) =>
              event._tag === "JobFinished" && event.job === "skipped" ? Effect.die("a defect") : Effect.void
          })
        )
      )
      for (let at = 0; at < 200 && fiber.pollUnsafe() === undefined; at++) yield* TestClock.adjust("50 millis")
      const exit = yield* Fiber.join(fiber)
      assert.strictEqual(exit._tag, "Failure")
      assert.strictEqual((yield* MemoryWorld).environments.size, 0)
    }).pipe(onMemory)
  )

  it.effect("a mistake in one job is that job's error, and says where", () =>
    Effect.gen(function* () {
      const oops = () => {
        throw new Error("oops")
      }
      const fine = { job: () => ({ steps: steps() }) }
      const result = yield* finish(
        Workflow.make("ci", [
          Workflow.job("job", { job: oops }),
          Workflow.job("condition", { ...fine, if: oops }),
          Workflow.job("matrix", { ...fine, matrix: oops }),
          Workflow.job("empty", { ...fine, matrix: { values: { n: [] } } }),
          Workflow.job("fine", fine)
        ])
      )
      assert.deepStrictEqual(
        result.runs.map(({ error }) => error?.message),
        [
          "jobs.job.job is not valid: oops",
          "jobs.condition.if is not valid: oops",
          "jobs.matrix.matrix is not valid: oops",
          'jobs.empty.matrix is not valid: the matrix has no value for "n"',
          undefined
        ]
      )
      assert.strictEqual(result.conclusion, "error")
    }).pipe(onMemory)
  )
})
