import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as MemoryBackend from "../../src/backends/memory/MemoryBackend.ts"
import * as MemoryProgram from "../../src/backends/memory/MemoryProgram.ts"
import { MemoryWorld } from "../../src/backends/memory/MemoryWorld.ts"
import * as EnvVars from "../../src/domain/EnvVars.ts"
import {
  type Condition,
  Job,
  JobContainer,
  JobStep,
  OutputReference,
  Retry,
  Service,
  Timeouts,
  Workspace
} from "../../src/domain/Job.ts"
import {
  BackendError,
  EnvironmentLost,
  ImagePullFailed,
  ProvisionFailed,
  type Reason,
  StepStartFailed,
  Unavailable,
  Unschedulable
} from "../../src/domain/JobError.ts"
import * as JobLifecycle from "../../src/domain/JobLifecycle.ts"
import { ScriptStep, StepFile } from "../../src/domain/Step.ts"
import {
  cancel,
  existing,
  finish,
  is,
  job,
  makeListener,
  outcomes,
  output,
  pass,
  print,
  reasonOfTag,
  records,
  resultOf,
  scriptStep,
  sleep,
  start,
  step,
  stepStarted,
  story
} from "./support.ts"

const onMemory = Effect.provide(MemoryBackend.layerTest(), { local: true })
const evicted = new EnvironmentLost({ cause: "Evicted", detail: "the node is drained" })

describe("a job that runs to its end", () => {
  it.effect("succeeds when all of its steps do, and is released", () =>
    Effect.gen(function* () {
      const { result } = yield* finish(job([step("one"), step("two", { do: [sleep(1500)] })]))
      assert.strictEqual(result.job, "build")
      assert.strictEqual(result.conclusion, "success")
      assert.deepStrictEqual(outcomes(result), ["one:success", "two:success"])
      assert.deepStrictEqual(
        result.steps.map(({ conclusion, duration, exitCode, startedAt }) => ({
          conclusion,
          duration,
          exitCode,
          startedAt
        })),
        [
          { conclusion: "success", duration: 0, exitCode: 0, startedAt: 0 },
          { conclusion: "success", duration: 1500, exitCode: 0, startedAt: 0 }
        ]
      )
      assert.deepStrictEqual(
        [result.leaks, result.error, result.failedStep, result.startedAt, result.duration],
        [[], undefined, undefined, 0, 1500]
      )
      assert.deepStrictEqual(yield* story, [
        "Provisioning",
        "Ready",
        "StepStarted one",
        "StepEnded one 0",
        "StepStarted two",
        "StepEnded two 0",
        "Released"
      ])
      assert.deepStrictEqual(yield* existing, [])
    }).pipe(onMemory)
  )

  it.effect("may have no steps", () =>
    Effect.gen(function* () {
      const { result } = yield* finish(job([]))
      assert.deepStrictEqual([result.conclusion, result.steps], ["success", []])
      assert.deepStrictEqual(yield* story, ["Provisioning", "Ready", "Released"])
    }).pipe(onMemory)
  )

  it.effect("fails with its first failing step; the steps for success are skipped, those for failure run", () =>
    Effect.gen(function* () {
      const { result } = yield* finish(
        job([
          step("one", { exit: 3, do: [print("no such file\n", "stderr")] }),
          step("two"),
          step("notify", {}, { if: "failure" }),
          step("tidy", { exit: 4 }, { if: "always" }),
          step("stopped", {}, { if: "cancelled" })
        ])
      )
      assert.strictEqual(result.conclusion, "failure")
      assert.deepStrictEqual(outcomes(result), [
        "one:failure",
        "two:skipped",
        "notify:success",
        "tidy:failure",
        "stopped:skipped"
      ])
      assert.deepStrictEqual(
        [result.failedStep?.id, result.failedStep?.exitCode, result.failedStep?.tail, result.error],
        ["one", 3, ["no such file"], undefined]
      )
    }).pipe(onMemory)
  )

  it.effect("shows a failure that it continues on, and does not count it", () =>
    Effect.gen(function* () {
      const { result } = yield* finish(
        job([
          step("flaky", { exit: 9 }, { continueOnError: true }),
          step("slow", { exit: "never" }, { continueOnError: true, timeout: Duration.seconds(5) }),
          step("next"),
          step("notify", {}, { if: "failure" })
        ])
      )
      assert.strictEqual(result.conclusion, "success")
      assert.strictEqual(result.error, undefined)
      assert.deepStrictEqual(outcomes(result), ["flaky:failure", "slow:timeout", "next:success", "notify:skipped"])
      assert.deepStrictEqual(
        result.steps.map(({ conclusion }) => conclusion),
        ["success", "success", "success", "skipped"]
      )
      assert.strictEqual(result.steps[0]?.exitCode, 9)
      reasonOfTag(result.steps[1]?.error, "TimedOut")
    }).pipe(onMemory)
  )

  it.effect("does not continue on a failure of the infrastructure", () =>
    Effect.gen(function* () {
      const startFailure = new StepStartFailed({ detail: "no shell", transient: false })
      const { result } = yield* finish(job([step("one", { startFailure }, { continueOnError: true }), step("two")]))
      assert.strictEqual(result.conclusion, "error")
      assert.deepStrictEqual(outcomes(result), ["one:error", "two:skipped"])
      assert.strictEqual(reasonOfTag(result.error, "StepStartFailed").detail, "no shell")
    }).pipe(onMemory)
  )

  it.effect("ends all the same when the driver has a defect", () =>
    Effect.gen(function* () {
      const { result } = yield* finish(job([step("one")]))
      assert.strictEqual(result.conclusion, "error")
      assert.include(reasonOfTag(result.error, "BackendDefect").detail, "a bug of the backend")
      assert.deepStrictEqual(yield* existing, [])
    }).pipe(
      Effect.provide(
        MemoryBackend.layerTest({
          step: () => {
            throw new Error("a bug of the backend")
          }
        }),
        { local: true }
      )
    )
  )
})

describe("conditions", () => {
  const conditions = ["success", "failure", "cancelled", "always"] as const
  const statuses: ReadonlyArray<{
    readonly status: string
    readonly before: ReadonlyArray<JobStep>
    readonly stop?: "cancel"
    readonly total?: Duration.Duration
    readonly run: ReadonlyArray<Condition>
  }> = [
    { status: "nothing came before", before: [], run: ["success", "always"] },
    { status: "all succeeded", before: [step("a"), step("b")], run: ["success", "always"] },
    { status: "all were skipped", before: [step("a", {}, { if: "cancelled" })], run: ["success", "always"] },
    { status: "a step failed", before: [step("a", { exit: 1 })], run: ["failure", "always"] },
    {
      status: "a step failed, and a later one succeeded",
      before: [step("a", { exit: 1 }), step("b", {}, { if: "always" })],
      run: ["failure", "always"]
    },
    {
      status: "a failure was continued on",
      before: [step("a", { exit: 1 }, { continueOnError: true })],
      run: ["success", "always"]
    },
    {
      status: "a step ran out of time",
      before: [step("a", { exit: "never" }, { timeout: Duration.seconds(1) })],
      run: ["failure", "always"]
    },
    {
      status: "a step could not be started",
      before: [step("a", { startFailure: new StepStartFailed({ detail: "no", transient: false }) })],
      run: ["failure", "always"]
    },
    {
      status: "the job is being cancelled",
      before: [step("a", { exit: "never" })],
      stop: "cancel",
      run: ["cancelled", "always"]
    },
    {
      status: "a step failed, then the job was cancelled",
      before: [step("z", { exit: 1 }), step("a", { exit: "never" }, { if: "always" })],
      stop: "cancel",
      run: ["cancelled", "always"]
    },
    {
      status: "the job's time is over",
      before: [step("a", { exit: "never" })],
      total: Duration.seconds(30),
      run: ["cancelled", "always"]
    },
    { status: "the environment is lost", before: [step("a", { lose: evicted })], run: [] }
  ]

  it.effect.each(statuses)("$status", ({ before, run, stop, total }) =>
    Effect.gen(function* () {
      const tested = job(
        // Each of these leaves the status as it found it.
        [...before, ...conditions.map((condition) => step(`if-${condition}`, {}, { if: condition }))],
        total === undefined ? {} : { timeouts: new Timeouts({ total }) }
      )
      const running = yield* start(tested)
      if (stop === "cancel") {
        yield* running.until(stepStarted("a"))
        yield* pass(0)
        yield* cancel(running)
      } else {
        while (!running.events.some(is("JobFinished"))) yield* pass("1 second")
      }
      const expected = conditions.map(
        (condition) => `if-${condition}:${run.includes(condition) ? "success" : "skipped"}`
      )
      assert.deepStrictEqual(outcomes(resultOf(running.events)).slice(before.length), expected)
      const started = (yield* story).filter((record) => record.startsWith("StepStarted if-"))
      assert.deepStrictEqual(
        started,
        conditions.filter((condition) => run.includes(condition)).map((condition) => `StepStarted if-${condition}`)
      )
    }).pipe(onMemory)
  )
})

describe("time-outs", () => {
  it.effect("of a step: it is stopped, and the job concludes with timeout", () =>
    Effect.gen(function* () {
      const { result } = yield* finish(
        job([
          step("build", { exit: "never", do: [print("half\n")] }, { timeout: Duration.seconds(90), name: "Build it" }),
          step("test"),
          step("notify", {}, { if: "failure" })
        ])
      )
      assert.strictEqual(result.conclusion, "timeout")
      assert.deepStrictEqual(outcomes(result), ["build:timeout", "test:skipped", "notify:success"])
      const reason = reasonOfTag(result.error, "TimedOut")
      assert.deepStrictEqual(
        [reason.phase, Duration.toSeconds(reason.after), reason.waitingFor],
        ["step", 90, 'the end of "Build it"']
      )
      assert.deepStrictEqual(
        [result.steps[0]?.duration, result.steps[0]?.exitCode, result.steps[0]?.tail],
        [90_000, undefined, ["half"]]
      )
      assert.include(yield* story, "StepSignalled build SIGTERM")
      assert.notInclude(yield* story, "StepSignalled build SIGKILL")
    }).pipe(onMemory)
  )

  it.effect("of all steps, and a step's own is stronger", () =>
    Effect.gen(function* () {
      const { result } = yield* finish(
        job(
          [
            step("slow", { do: [sleep(20_000)] }, { timeout: Duration.seconds(30) }),
            step("stuck", { exit: "never" }),
            step("tidy", { exit: "never" }, { if: "always" })
          ],
          { timeouts: new Timeouts({ step: Duration.seconds(10) }) }
        )
      )
      assert.strictEqual(result.conclusion, "timeout")
      assert.deepStrictEqual(outcomes(result), ["slow:success", "stuck:timeout", "tidy:timeout"])
      assert.deepStrictEqual(
        result.steps.map(({ duration }) => duration),
        [20_000, 10_000, 10_000]
      )
    }).pipe(onMemory)
  )

  it.effect("of a step also bounds its start with all retries", () =>
    Effect.gen(function* () {
      const startFailure = new Unavailable({ service: "the API", detail: "503" })
      const { result } = yield* finish(
        job([step("one", { startFailure }, { timeout: Duration.seconds(20) })], {
          retry: new Retry({ attempts: 100, delay: Duration.seconds(8) })
        })
      )
      assert.strictEqual(result.conclusion, "timeout")
      assert.strictEqual(result.steps[0]?.duration, 20_000)
    }).pipe(onMemory)
  )

  it.effect("in total: steps for a cancelled job still run", () =>
    Effect.gen(function* () {
      const { result, of } = yield* finish(
        job(
          [
            step("quick"),
            step("stuck", { exit: "never", ignores: ["SIGTERM"] }),
            step("next"),
            step("tidy", { do: [sleep(2000)] }, { if: "always" }),
            step("stopped", {}, { if: "cancelled" })
          ],
          { timeouts: new Timeouts({ total: Duration.seconds(60), stopGrace: Duration.seconds(3) }) }
        )
      )
      assert.strictEqual(result.conclusion, "timeout")
      assert.deepStrictEqual(outcomes(result), [
        "quick:success",
        "stuck:cancelled",
        "next:skipped",
        "tidy:success",
        "stopped:success"
      ])
      const reason = reasonOfTag(result.error, "TimedOut")
      assert.deepStrictEqual(
        [reason.phase, Duration.toSeconds(reason.after), reason.waitingFor],
        ["total", 60, "the steps of build"]
      )
      assert.strictEqual(result.duration, 65_000)
      assert.deepStrictEqual(
        of("Stopping").map(({ at, why }) => ({ at, why })),
        [{ at: 60_000, why: result.error!.message }]
      )
    }).pipe(onMemory)
  )

  it.effect("in total: what still runs after timeouts.conclude is ended, the rest is skipped", () =>
    Effect.gen(function* () {
      const { result } = yield* finish(
        job(
          [
            step("stuck", { exit: "never" }),
            step("tidy", { exit: "never", ignores: ["SIGTERM"] }, { if: "always" }),
            step("more", {}, { if: "always" })
          ],
          {
            timeouts: new Timeouts({
              total: Duration.seconds(10),
              conclude: Duration.seconds(20),
              stopGrace: Duration.seconds(5)
            })
          }
        )
      )
      assert.strictEqual(result.conclusion, "timeout")
      assert.deepStrictEqual(outcomes(result), ["stuck:cancelled", "tidy:cancelled", "more:skipped"])
      assert.strictEqual(result.duration, 35_000)
      assert.include(yield* story, "StepSignalled tidy SIGKILL")
      assert.deepStrictEqual(yield* existing, [])
    }).pipe(onMemory)
  )

  it.effect("in total, while the environment is provisioned", () =>
    Effect.gen(function* () {
      const { result } = yield* finish(
        job(
          [step("one"), step("tidy", {}, { if: "always" })],
          { timeouts: new Timeouts({ total: Duration.seconds(5) }) },
          {
            provisionDelay: 60_000
          }
        )
      )
      assert.deepStrictEqual([result.conclusion, result.duration], ["timeout", 5000])
      assert.strictEqual(reasonOfTag(result.error, "TimedOut").phase, "total")
      assert.deepStrictEqual(yield* story, ["Provisioning", "Released"])
    }).pipe(onMemory)
  )

  it.effect("in total does not count the release", () =>
    Effect.gen(function* () {
      const { of, result } = yield* finish(
        job(
          [step("one", { do: [sleep(9000)] })],
          { timeouts: new Timeouts({ total: Duration.seconds(10) }) },
          {
            releaseDelay: 30_000
          }
        )
      )
      assert.deepStrictEqual([result.conclusion, result.duration, result.leaks], ["success", 39_000, []])
      assert.deepStrictEqual(of("Stopping"), [], "nothing was stopped")
    }).pipe(onMemory)
  )

  it.effect("of provisioning, retries included: the environment is released, nothing has run", () =>
    Effect.gen(function* () {
      const { of, result } = yield* finish(
        job(
          [step("one"), step("tidy", {}, { if: "always" })],
          { timeouts: new Timeouts({ provision: Duration.seconds(30) }), retry: new Retry({ attempts: 50 }) },
          { provisionDelay: 8000, provisionFailure: new Unavailable({ service: "the API", detail: "503" }) }
        )
      )
      assert.deepStrictEqual([result.conclusion, result.duration, result.steps], ["timeout", 30_000, []])
      const reason = reasonOfTag(result.error, "TimedOut")
      assert.deepStrictEqual(
        [reason.phase, Duration.toSeconds(reason.after), reason.waitingFor],
        ["provision", 30, "the memory backend"]
      )
      assert.isAtLeast(of("Retrying").length, 2)
      assert.deepStrictEqual(yield* existing, [])
    }).pipe(onMemory)
  )
})

describe("a lost environment", () => {
  it.effect("ends the job as an error with the reason; the rest is skipped; release is still called", () =>
    Effect.gen(function* () {
      const { result } = yield* finish(
        job([
          step("one", { do: [print("working\n"), sleep(1000)], lose: evicted, exit: 0 }),
          step("two"),
          step("tidy", {}, { if: "always" }),
          step("notify", {}, { if: "failure" })
        ])
      )
      assert.strictEqual(result.conclusion, "error")
      assert.deepStrictEqual(outcomes(result), ["one:error", "two:skipped", "tidy:skipped", "notify:skipped"])
      assert.strictEqual(reasonOfTag(result.error, "EnvironmentLost").cause, "Evicted")
      assert.deepStrictEqual([result.steps[0]?.exitCode, result.steps[0]?.tail], [undefined, ["working"]])
    }).pipe(onMemory)
  )

  it.effect("between two steps: the next one tells it, and is not tried again in vain", () =>
    Effect.gen(function* () {
      const world = yield* MemoryWorld
      const listener = makeListener((event) =>
        event._tag === "StepFinished" && event.step === "one"
          ? Effect.flatMap(existing, ([name]) => world.lose(name!, new BackendError({ reason: evicted }))).pipe(
              Effect.provideService(MemoryWorld, world)
            )
          : undefined
      )
      const { result, of } = yield* finish(
        job([step("one"), step("two"), step("tidy", {}, { if: "always" })]),
        listener
      )
      assert.strictEqual(result.conclusion, "error")
      assert.deepStrictEqual(outcomes(result), ["one:success", "two:error", "tidy:skipped"])
      assert.strictEqual(reasonOfTag(result.error, "EnvironmentLost").cause, "Evicted")
      assert.deepStrictEqual(of("Retrying"), [])
    }).pipe(onMemory)
  )
})

describe("retries", () => {
  const pull = new ImagePullFailed({ image: "app:1", detail: "429 Too Many Requests" })
  const provisions = Effect.map(story, (all) => all.filter((record) => record === "Provisioning").length)

  it.effect("provision is tried again after a growing delay, and says so", () =>
    Effect.gen(function* () {
      const running = yield* start(
        job(
          [step("one")],
          { retry: new Retry({ attempts: 4, delay: Duration.seconds(10) }) },
          {
            provisionFailure: pull,
            provisionFailures: 3
          }
        )
      )
      const attemptsAt: Array<number> = []
      for (let seconds = 0; !running.events.some(is("JobFinished")); seconds++) {
        yield* pass(seconds === 0 ? 0 : "1 second")
        while (attemptsAt.length < (yield* provisions)) attemptsAt.push(seconds)
      }
      assert.strictEqual(resultOf(running.events).conclusion, "success")
      assert.strictEqual(attemptsAt.length, 4)
      // Doubled each time from 10 s on, and jitter takes or adds a fifth.
      const delays = attemptsAt.slice(1).map((at, index) => at - attemptsAt[index]!)
      for (const [index, expected] of [10, 20, 40].entries()) {
        assert.isAtLeast(delays[index]!, expected * 0.8 - 1)
        assert.isAtMost(delays[index]!, expected * 1.2 + 1)
      }
      assert.deepStrictEqual(
        running
          .of("Retrying")
          .map(({ attempt, error, of, what }) => ({ attempt, of, what, reason: error.reason._tag })),
        [2, 3, 4].map((attempt) => ({ attempt, of: 4, what: "provision", reason: "ImagePullFailed" }))
      )
      const names = (yield* records).filter(({ _tag }) => _tag === "Provisioning").map(({ environment }) => environment)
      assert.strictEqual(new Set(names).size, 4, "each try makes an environment of its own")
      assert.deepStrictEqual(
        yield* story,
        ["Provisioning", "Released", "Provisioning", "Released", "Provisioning", "Released"].concat([
          "Provisioning",
          "Ready",
          "StepStarted one",
          "StepEnded one 0",
          "Released"
        ]),
        "what a failed try left is gone before the next"
      )
    }).pipe(onMemory)
  )

  it.effect("provision is tried no more often than the job says", () =>
    Effect.gen(function* () {
      const { of, result } = yield* finish(
        job([step("one")], { retry: new Retry({ attempts: 3 }) }, { provisionFailure: pull })
      )
      assert.strictEqual(result.conclusion, "error")
      assert.strictEqual(reasonOfTag(result.error, "ImagePullFailed").image, "app:1")
      assert.strictEqual(yield* provisions, 3)
      assert.strictEqual(of("Retrying").length, 2)
    }).pipe(onMemory)
  )

  it.effect.each<{ readonly title: string; readonly reason: Reason; readonly attempts: number }>([
    { title: "an error that lasts", reason: new Unschedulable({ detail: "no node" }), attempts: 3 },
    {
      title: "an error that lasts, by its field",
      reason: new ProvisionFailed({ detail: "no", transient: false }),
      attempts: 3
    },
    { title: "a job without retries", reason: pull, attempts: 1 }
  ])("provision is not tried again: $title", ({ attempts, reason }) =>
    Effect.gen(function* () {
      const { of, result } = yield* finish(
        job([step("one")], { retry: new Retry({ attempts }) }, { provisionFailure: reason })
      )
      assert.deepStrictEqual([result.conclusion, result.error?.reason._tag], ["error", reason._tag])
      assert.strictEqual(result.duration, 0)
      assert.strictEqual(yield* provisions, 1)
      assert.deepStrictEqual(of("Retrying"), [])
    }).pipe(onMemory)
  )

  it.effect("a step is started again as long as its script has not started", () =>
    Effect.gen(function* () {
      const startFailure = new StepStartFailed({ detail: "the connection was refused", transient: true })
      const { of, result } = yield* finish(
        job([step("one", { startFailure, startFailures: 2 }, { name: "Build" }), step("two")])
      )
      assert.strictEqual(result.conclusion, "success")
      assert.deepStrictEqual(
        of("Retrying").map(({ attempt, of, what }) => ({ attempt, of, what })),
        [
          { attempt: 2, of: 3, what: "step Build" },
          { attempt: 3, of: 3, what: "step Build" }
        ]
      )
      assert.strictEqual(of("StepStarted").filter(stepStarted("one")).length, 1)
      assert.deepStrictEqual(yield* story, [
        "Provisioning",
        "Ready",
        "StepStarted one",
        "StepEnded one 0",
        "StepStarted two",
        "StepEnded two 0",
        "Released"
      ])
      assert.isAtLeast(result.steps[0]!.duration, 2000)
    }).pipe(onMemory)
  )

  it.effect("a step is started no more often than the job says", () =>
    Effect.gen(function* () {
      const startFailure = new StepStartFailed({ detail: "refused", transient: true })
      const { of, result } = yield* finish(job([step("one", { startFailure })], { retry: new Retry({ attempts: 2 }) }))
      assert.deepStrictEqual([result.conclusion, of("Retrying").length], ["error", 1])
      const world = yield* MemoryWorld
      assert.deepStrictEqual(
        [...world.attempts].filter(([key]) => key.startsWith("start ")),
        [["start one in build", 2]]
      )
    }).pipe(onMemory)
  )

  it.effect.each<{ readonly title: string; readonly program: Parameters<typeof step>[1] }>([
    { title: "it failed", program: { exit: 1 } },
    { title: "the environment was lost", program: { lose: evicted } },
    {
      title: "the connection was lost",
      program: { lose: new Unavailable({ service: "the API", detail: "gone" }) }
    }
  ])("a script that has started is never started again: $title", ({ program }) =>
    Effect.gen(function* () {
      const { of } = yield* finish(job([step("one", program)], { retry: new Retry({ attempts: 5 }) }))
      assert.strictEqual((yield* records).filter(({ _tag }) => _tag === "StepStarted").length, 1)
      assert.deepStrictEqual(of("Retrying"), [])
    }).pipe(onMemory)
  )

  describe("retry.rerun", () => {
    /** Loses its environment so many times. */
    const losingLayer = (losses: number, reason: Reason = evicted) => {
      let count = 0
      return MemoryBackend.layerTest({
        step: (value) =>
          value._tag === "ScriptStep" && value.script === "two" && count++ < losses
            ? new MemoryProgram.StepProgram({ lose: reason })
            : undefined
      })
    }

    it.effect("runs the whole job again in a new environment", () =>
      Effect.gen(function* () {
        const { of, result } = yield* finish(
          job([step("one"), step("two"), step("three")], { retry: new Retry({ rerun: true }) })
        )
        assert.strictEqual(result.conclusion, "success")
        assert.strictEqual(result.error, undefined)
        assert.deepStrictEqual(outcomes(result), ["one:success", "two:success", "three:success"])
        assert.deepStrictEqual(
          of("Retrying").map(({ attempt, error, of, what }) => ({ attempt, of, what, reason: error.reason._tag })),
          [{ attempt: 2, of: 3, what: "job", reason: "EnvironmentLost" }]
        )
        const started = (yield* records).filter(({ _tag }) => _tag === "StepStarted")
        assert.strictEqual(started.length, 5)
        assert.strictEqual(new Set(started.slice(2).map(({ environment }) => environment)).size, 1)
        assert.notStrictEqual(started[0]!.environment, started[2]!.environment)
        assert.deepStrictEqual(yield* existing, [])
      }).pipe(Effect.provide(losingLayer(1), { local: true }))
    )

    it.effect("not more often than the job says", () =>
      Effect.gen(function* () {
        const { of, result } = yield* finish(job([step("two")], { retry: new Retry({ rerun: true, attempts: 2 }) }))
        assert.deepStrictEqual([result.conclusion, of("Retrying").length], ["error", 1])
        assert.strictEqual((yield* records).filter(({ _tag }) => _tag === "StepStarted").length, 2)
      }).pipe(Effect.provide(losingLayer(100), { local: true }))
    )

    it.effect("does not multiply the tries to provision", () =>
      Effect.gen(function* () {
        const { result } = yield* finish(
          job([step("one")], { retry: new Retry({ rerun: true, attempts: 3 }) }, { provisionFailure: pull })
        )
        assert.strictEqual(result.conclusion, "error")
        assert.strictEqual(yield* provisions, 3)
      }).pipe(onMemory)
    )

    it.effect("never after the user's own failure, nor a time-out", () =>
      Effect.gen(function* () {
        const fields = { retry: new Retry({ rerun: true }) }
        const failed = yield* finish(job([step("one", { exit: 1 })], fields))
        assert.deepStrictEqual([failed.result.conclusion, failed.of("Retrying")], ["failure", []])
        const late = yield* finish(job([step("one", { exit: "never" }, { timeout: Duration.seconds(1) })], fields))
        assert.deepStrictEqual([late.result.conclusion, late.of("Retrying")], ["timeout", []])
        assert.strictEqual((yield* records).filter(({ _tag }) => _tag === "StepStarted").length, 2)
      }).pipe(onMemory)
    )

    it.effect("not when the job is cancelled meanwhile", () =>
      Effect.gen(function* () {
        const cancelled = yield* Deferred.make<void>()
        const running = yield* start(
          job([step("two")], { retry: new Retry({ rerun: true }) }),
          makeListener((event) => (event._tag === "Retrying" ? Deferred.await(cancelled) : undefined))
        )
        yield* running.until(is("Retrying"))
        const cancelling = yield* Effect.forkChild(cancel(running), { startImmediately: true })
        yield* pass(0)
        yield* Deferred.succeed(cancelled, undefined)
        const result = yield* Fiber.join(cancelling)
        assert.strictEqual(result.conclusion, "cancelled")
        assert.strictEqual((yield* records).filter(({ _tag }) => _tag === "StepStarted").length, 1)
      }).pipe(Effect.provide(losingLayer(1), { local: true }))
    )
  })
})

describe("outputs", () => {
  it.effect("are read after a step, also after a failed one", () =>
    Effect.gen(function* () {
      const { result } = yield* finish(
        job([
          step("one", { do: [output("version=1.2\n"), output("notes<<END\na\nb\nEND\n")] }),
          step("two", { do: [output("why=flaky\n")], exit: 1 })
        ])
      )
      assert.deepStrictEqual({ ...result.outputsOf("one") }, { version: "1.2", notes: "a\nb" })
      assert.deepStrictEqual({ ...result.outputsOf("two") }, { why: "flaky" })
      assert.deepStrictEqual({ ...result.outputsOf("three") }, {})
    }).pipe(onMemory)
  )

  it.effect("reach later steps as variables, stronger than the step's own; what was never set is empty", () =>
    Effect.gen(function* () {
      const shown = ["VERSION", "MISSING", "SKIPPED", "OWN"].map(
        (variable) => ({ _tag: "PrintEnv", variable }) as const
      )
      const { result } = yield* finish(
        job([
          step("one", { do: [output("version=1.2\n")] }),
          step("skipped", { do: [output("a=b\n")] }, { if: "failure" }),
          new JobStep({
            id: "two",
            run: new ScriptStep({
              script: "two",
              env: { ...EnvVars.fromRecord({ VERSION: "0", OWN: "mine" }), ...MemoryProgram.forStep({ do: shown }) }
            }),
            envFrom: {
              VERSION: new OutputReference({ step: "one", output: "version" }),
              MISSING: new OutputReference({ step: "one", output: "never-set" }),
              SKIPPED: new OutputReference({ step: "skipped", output: "a" })
            }
          })
        ])
      )
      assert.strictEqual(result.conclusion, "success")
      assert.deepStrictEqual(result.steps[2]?.tail, ["1.2", "", "", "mine"])
    }).pipe(onMemory)
  )

  it.effect("that were never set are empty whatever they are called", () =>
    Effect.gen(function* () {
      const { result } = yield* finish(
        job([
          step("one"),
          new JobStep({
            id: "two",
            run: scriptStep({ do: [{ _tag: "PrintEnv", variable: "X" }] }, "two"),
            envFrom: { X: new OutputReference({ step: "one", output: "constructor" }) }
          })
        ])
      )
      assert.deepStrictEqual(outcomes(result), ["one:success", "two:success"])
      assert.deepStrictEqual(result.steps[1]?.tail, [""])
    }).pipe(onMemory)
  )

  it.effect("in a malformed file fail the step, with a warning that says where", () =>
    Effect.gen(function* () {
      const { of, result } = yield* finish(
        job([step("one", { do: [output("fine=1\n"), output("not an output\n")] }), step("two")])
      )
      assert.strictEqual(result.conclusion, "failure")
      assert.deepStrictEqual(outcomes(result), ["one:failure", "two:skipped"])
      assert.deepStrictEqual([result.steps[0]?.exitCode, { ...result.steps[0]?.outputs }], [0, {}])
      const warnings = of("Warning")
      assert.strictEqual(warnings.length, 1)
      assert.include(warnings[0]!.message, "JOBSCOPE_OUTPUT")
      assert.include(warnings[0]!.message, "line 2")
    }).pipe(onMemory)
  )

  it.effect("leave the step's own files alone", () =>
    Effect.gen(function* () {
      const { result } = yield* finish(
        job([
          new JobStep({
            id: "one",
            run: new ScriptStep({
              script: "one",
              files: [new StepFile({ name: "settings", content: "fast\n" })],
              env: MemoryProgram.forStep({ do: [{ _tag: "PrintFile", name: "settings" }, output("a=1\n")] })
            })
          })
        ])
      )
      assert.deepStrictEqual([result.steps[0]?.tail, { ...result.outputsOf("one") }], [["fast"], { a: "1" }])
    }).pipe(onMemory)
  )
})

describe("release", () => {
  const releaseFailure = new Unavailable({ service: "the API", detail: "503" })

  it.effect.each([
    { conclusion: "success", exit: 0 },
    { conclusion: "failure", exit: 5 }
  ])("that fails is a leak, and the job still ends as $conclusion", ({ conclusion, exit }) =>
    Effect.gen(function* () {
      const { of, result } = yield* finish(job([step("one", { exit })], { owner: "team-a" }, { releaseFailure }))
      const [name] = yield* existing
      assert.strictEqual(result.conclusion, conclusion)
      assert.strictEqual(result.error, undefined)
      assert.strictEqual(result.leaks.length, 1)
      const leak = reasonOfTag(result.leaks[0], "ReleaseFailed")
      assert.strictEqual(leak.environment, name)
      assert.include(leak.detail, "503")
      assert.include(leak.removal, name!)
      assert.deepStrictEqual(
        leak.left.map(({ environment, kind, owner }) => ({ environment, kind, owner })),
        ["Environment", "Workspace"].map((kind) => ({ environment: name, kind, owner: "team-a" }))
      )
      assert.include(result.leaks[0]!.advice, leak.removal)
      assert.strictEqual(of("Leaked").length, 1)
      assert.deepStrictEqual(of("EnvironmentReleased"), [])
    }).pipe(onMemory)
  )

  it.effect("that takes longer than timeouts.release is a leak", () =>
    Effect.gen(function* () {
      const { result } = yield* finish(
        job([step("one")], { timeouts: new Timeouts({ release: Duration.seconds(20) }) }, { releaseDelay: 600_000 })
      )
      assert.deepStrictEqual([result.conclusion, result.duration], ["success", 20_000])
      const leak = reasonOfTag(result.leaks[0], "ReleaseFailed")
      assert.include(leak.detail, "release, after 20s")
      assert.isAtLeast(leak.left.length, 1)
    }).pipe(onMemory)
  )

  it.effect("that takes its time, but not too long, is none", () =>
    Effect.gen(function* () {
      const { of, result } = yield* finish(
        job([step("one")], { timeouts: new Timeouts({ release: Duration.seconds(20) }) }, { releaseDelay: 19_000 })
      )
      assert.deepStrictEqual([result.conclusion, result.duration, result.leaks], ["success", 19_000, []])
      assert.strictEqual(of("EnvironmentReleased").length, 1)
    }).pipe(onMemory)
  )

  it.effect("of failed tries is told too", () =>
    Effect.gen(function* () {
      const { result } = yield* finish(
        job(
          [step("one")],
          { retry: new Retry({ attempts: 2 }) },
          {
            provisionFailure: new Unavailable({ service: "the API", detail: "503" }),
            releaseFailure
          }
        )
      )
      assert.strictEqual(result.conclusion, "error")
      assert.deepStrictEqual(
        result.leaks.map(({ reason }) => reason._tag),
        ["ReleaseFailed", "ReleaseFailed"]
      )
      assert.strictEqual(new Set(result.leaks.map((leak) => reasonOfTag(leak, "ReleaseFailed").environment)).size, 2)
    }).pipe(onMemory)
  )
})

describe("refused before anything is provisioned", () => {
  const container = new JobContainer({ image: "app:1" })
  const reference = new OutputReference({ step: "later", output: "a" })
  const jobs: ReadonlyArray<{ readonly title: string; readonly job: Job; readonly names: string }> = [
    { title: "what the backend lacks", job: job([step("one")], { container }), names: "job containers" },
    {
      title: "two steps with one id",
      job: job([step("one"), step("one")]),
      names: "steps[1].id"
    },
    {
      title: "an id that another step has by its position",
      job: job([new JobStep({ run: scriptStep() }), step("step-1")]),
      names: "steps[1].id"
    },
    {
      title: "an output of a later step",
      job: job([step("one", {}, { envFrom: { A: reference } }), step("later")]),
      names: "steps[0].envFrom.A"
    },
    {
      title: "an output of the step itself",
      job: job([step("later", {}, { envFrom: { A: reference } })]),
      names: "steps[0].envFrom.A"
    },
    {
      title: "two files with one name",
      job: job([
        new JobStep({
          run: new ScriptStep({ script: "", files: [new StepFile({ name: "a" }), new StepFile({ name: "a" })] })
        })
      ]),
      names: "steps[0].run.files"
    },
    {
      title: "a file with the name of the output file",
      job: job([
        new JobStep({ run: new ScriptStep({ script: "", files: [new StepFile({ name: "jobscope_output" })] }) })
      ]),
      names: "steps[0].run.files"
    },
    {
      title: "two services with one name",
      job: job([], {
        services: [new Service({ name: "db", command: ["db"] }), new Service({ name: "db", command: ["db"] })]
      }),
      names: "services[1].name"
    }
  ]

  it.effect.each(jobs)("$title", ({ job, names }) =>
    Effect.gen(function* () {
      const { events, result } = yield* finish(job)
      assert.strictEqual(result.conclusion, "error")
      assert.include(["Unsupported", "InvalidInput"], result.error?.reason._tag)
      assert.include(result.error!.message, names)
      assert.deepStrictEqual([result.steps, result.duration], [[], 0])
      assert.deepStrictEqual(yield* records, [])
      assert.isFalse(events.some(is("EnvironmentRequested")))
    }).pipe(Effect.provide(MemoryBackend.layerTest({ capabilities: { containerJobs: false } }), { local: true }))
  )
})

describe("the tail of a step", () => {
  const lines = (from: number, to: number) =>
    Array.from({ length: to - from + 1 }, (_, index) => `line ${from + index}`)

  it.effect("has its last 20 lines", () =>
    Effect.gen(function* () {
      const { result } = yield* finish(
        job([
          step("many", { do: [{ _tag: "PrintLines", count: 5000, stream: "stdout" }] }),
          step("few", { do: [{ _tag: "PrintLines", count: 3, stream: "stderr" }, print("no line end")] }),
          step("twenty-one", { do: [{ _tag: "PrintLines", count: 20, stream: "stdout" }, print("end")] }),
          step("none")
        ])
      )
      assert.deepStrictEqual(
        result.steps.map(({ tail }) => tail),
        [lines(4981, 5000), [...lines(1, 3), "no line end"], [...lines(2, 20), "end"], []]
      )
    }).pipe(onMemory)
  )

  it.effect("keeps the order of both streams, puts cut characters together, and cuts long lines", () =>
    Effect.gen(function* () {
      const bytes = new TextEncoder().encode("größer\n")
      const cut = bytes.indexOf(0xc3) + 1
      const { result } = yield* finish(
        job([
          step("one", {
            do: [
              print("out 1\nou"),
              print("err 1\r\n", "stderr"),
              print("t 2\n"),
              { _tag: "PrintBytes", bytes: bytes.slice(0, cut), stream: "stderr" },
              { _tag: "PrintBytes", bytes: bytes.slice(cut), stream: "stderr" },
              print(`${"x".repeat(5000)}\n`)
            ]
          })
        ])
      )
      const tail = result.steps[0]!.tail
      assert.deepStrictEqual(tail.slice(0, 4), ["out 1", "err 1", "out 2", "größer"])
      assert.strictEqual(tail[4]?.length, 2000)
      assert.isTrue(tail[4]?.endsWith("x…"))
    }).pipe(onMemory)
  )
})

describe("events", () => {
  it.effect("come in the order in which things happen", () =>
    Effect.gen(function* () {
      const { events, result } = yield* finish(
        job(
          [
            step(
              "one",
              { do: [print("hi\n"), sleep(1000), print("!\n", "stderr"), output("a=1\n")] },
              { name: "First" }
            ),
            step("two", { exit: 1 }, { continueOnError: true }),
            step("three", {}, { if: "failure" })
          ],
          {},
          { provisionDelay: 500 }
        )
      )
      const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
      const golden = events.map((event) => {
        switch (event._tag) {
          case "JobStarted":
            return `${event.at} JobStarted ${event.backend} ${event.steps}`
          case "PhaseStarted":
            return `${event.at} PhaseStarted ${event.phase}`
          case "StepStarted":
            return `${event.at} StepStarted ${event.step} ${event.name}`
          case "StepOutput":
            return `${event.at} StepOutput ${event.step} ${event.stream} ${text(event.bytes).trim()}`
          case "StepFinished":
            return `${event.at} StepFinished ${event.step} ${event.result.outcome}/${event.result.conclusion}`
          case "JobFinished":
            return `${event.at} JobFinished ${event.result.conclusion}`
          default:
            return `${event.at} ${event._tag}`
        }
      })
      assert.deepStrictEqual(golden, [
        "0 JobStarted memory 3",
        "0 PhaseStarted provision",
        "0 EnvironmentRequested",
        "500 EnvironmentReady",
        "500 PhaseStarted steps",
        "500 StepStarted one First",
        "500 StepOutput one stdout hi",
        "1500 StepOutput one stderr !",
        "1500 StepFinished one success/success",
        "1500 StepStarted two two",
        "1500 StepFinished two failure/success",
        "1500 StepFinished three skipped/skipped",
        "1500 PhaseStarted release",
        "1500 EnvironmentReleased",
        "1500 JobFinished success"
      ])
      assert.isTrue(events.every(({ job }) => job === "build"))
      const environments = events.flatMap((event) => ("environment" in event ? [event.environment] : []))
      assert.strictEqual(new Set(environments).size, 1)
      assert.match(environments[0]!, /^build-[0-9a-f]{8}$/)
      assert.deepStrictEqual(
        events.filter(is("StepFinished")).map((event) => event.result),
        result.steps
      )
    }).pipe(onMemory)
  )

  it.effect("name their run: all of one have the same, two of one job have different ones", () =>
    Effect.gen(function* () {
      const tested = job([step("one", { do: [print("x")] })])
      const runs = yield* Effect.forEach([1, 2], () =>
        Effect.map(finish(tested), ({ events }) => new Set(events.map(({ run }) => run)))
      )
      assert.deepStrictEqual(
        runs.map(({ size }) => size),
        [1, 1]
      )
      assert.strictEqual(new Set(runs.flatMap((run) => [...run])).size, 2)
    }).pipe(onMemory)
  )

  it.effect("tell what a step runs", () =>
    Effect.gen(function* () {
      const { of } = yield* finish(
        job([new JobStep({ name: "Build", run: new ScriptStep({ script: "# all\nmake\nmake test" }) })])
      )
      assert.deepStrictEqual(
        of("StepStarted").map(({ command, name }) => [name, command]),
        [["Build", "make"]]
      )
    }).pipe(onMemory)
  )

  it.effect("all of a step's output comes before its end, and no byte is lost or twice", () =>
    Effect.gen(function* () {
      const { events } = yield* finish(
        job([step("one", { do: [{ _tag: "PrintLines", count: 100_000, stream: "stdout" }] })])
      )
      const bytes = events.filter(is("StepOutput")).map((event) => new TextDecoder().decode(event.bytes))
      const lines = bytes.join("").split("\n")
      assert.strictEqual(lines.length, 100_001)
      assert.deepStrictEqual(
        [lines[0], lines[49_999], lines[99_999], lines[100_000]],
        ["line 1", "line 50000", "line 100000", ""]
      )
      const last = events.findLastIndex(is("StepOutput"))
      assert.isBelow(last, events.findIndex(is("StepFinished")))
    }).pipe(onMemory)
  )

  it.effect("without a listener warnings and leaks are not lost, and the job runs all the same", () =>
    Effect.gen(function* () {
      const result = yield* JobLifecycle.run(job([step("one", { do: [print("x\n")] })]))
      assert.strictEqual(result.conclusion, "success")
    }).pipe(onMemory)
  )
})

describe("what is asked of the backend", () => {
  it.effect("many jobs at the same time, each in an environment of its own", () =>
    Effect.gen(function* () {
      const jobs = Array.from({ length: 50 }, (_, index) => job([step("one", { exit: index % 2 })]))
      const results = yield* Effect.forEach(jobs, JobLifecycle.run, { concurrency: "unbounded" })
      assert.deepStrictEqual(
        results.map(({ conclusion }) => conclusion),
        jobs.map((_, index) => (index % 2 === 0 ? "success" : "failure"))
      )
      assert.strictEqual(new Set((yield* records).map(({ environment }) => environment)).size, 50)
      assert.deepStrictEqual(yield* existing, [])
    }).pipe(onMemory)
  )

  it.effect("the job as it is: working directory, workspace, variables", () =>
    Effect.gen(function* () {
      const { result } = yield* finish(
        new Job({
          name: "Build & Test",
          env: EnvVars.fromRecord({ CI: "true", MODE: "job" }),
          workingDirectory: "sub",
          workspace: new Workspace({ path: "/src" }),
          steps: [
            new JobStep({
              run: new ScriptStep({
                script: "\n  make all  \nmake test",
                env: {
                  ...EnvVars.fromRecord({ MODE: "step" }),
                  ...MemoryProgram.forStep({
                    do: [
                      { _tag: "PrintEnv", variable: "CI" },
                      { _tag: "PrintEnv", variable: "MODE" },
                      { _tag: "PrintWorkingDirectory" }
                    ]
                  })
                }
              })
            })
          ]
        })
      )
      assert.deepStrictEqual(result.steps[0]?.tail, ["true", "step", "sub"])
      assert.deepStrictEqual([result.steps[0]?.id, result.steps[0]?.name], ["step-1", "make all"])
      const [record] = yield* records
      assert.match(record!.environment, /^build-test-[0-9a-f]{8}$/)
    }).pipe(onMemory)
  )
})
