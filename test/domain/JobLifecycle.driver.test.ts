/** How jobs run on backends that do what the memory backend does not: they wait, lie, or break. */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { JobStep, Timeouts } from "../../src/domain/Job.ts"
import { fromDriver, JobBackend } from "../../src/domain/JobBackend.ts"
import type { RunningStep } from "../../src/domain/JobEnvironment.ts"
import {
  BackendError,
  ConnectionLost,
  EnvironmentLost,
  fail,
  StorageFailed,
  Unavailable
} from "../../src/domain/JobError.ts"
import { emit } from "../../src/domain/JobEvent.ts"
import { ContainerStep, type Step, StepFile } from "../../src/domain/Step.ts"
import {
  cancel,
  driveToExit,
  endedStep,
  finish,
  is,
  job,
  makeDriver,
  makeListener,
  outcomes,
  pass,
  reasonOfTag,
  start,
  step,
  stepStarted
} from "./support.ts"

const on = ({ driver }: ReturnType<typeof makeDriver>) => Effect.provideService(JobBackend, fromDriver(driver))
const waiting = (reason: string) => emit({ _tag: "Waiting", job: "build", phase: "provision", reason })
const evicted = new BackendError({ reason: new EnvironmentLost({ cause: "Evicted", detail: "drained" }) })
const unavailable = new BackendError({ reason: new Unavailable({ service: "the API", detail: "503" }) })

describe("a time-out to provision", () => {
  it.effect("names what the driver said last that it waits for", () => {
    const fake = makeDriver({
      create: () =>
        Effect.gen(function* () {
          yield* waiting("a node")
          yield* Effect.sleep("4 seconds")
          yield* waiting("the image app:1")
          return yield* Effect.never
        })
    })
    return Effect.gen(function* () {
      const { of, result } = yield* finish(
        job([step("one")], { timeouts: new Timeouts({ provision: Duration.seconds(10) }) })
      )
      assert.strictEqual(result.conclusion, "timeout")
      assert.strictEqual(reasonOfTag(result.error, "TimedOut").waitingFor, "the image app:1")
      assert.include(result.error!.message, "the image app:1")
      assert.deepStrictEqual(
        of("Waiting").map(({ at, reason }) => ({ at, reason })),
        [
          { at: 0, reason: "a node" },
          { at: 4000, reason: "the image app:1" }
        ]
      )
      assert.deepStrictEqual(fake.calls, ["create env-1", "destroy environment env-1"])
    }).pipe(on(fake))
  })

  it.effect(
    "ends although the driver cannot be interrupted for a while, and what it made meanwhile is released",
    () => {
      const fake = makeDriver()
      const slow = makeDriver({
        create: (spec, environment) =>
          Effect.uninterruptible(Effect.andThen(Effect.sleep("30 seconds"), fake.driver.create(spec, environment)))
      })
      return Effect.gen(function* () {
        const { result } = yield* finish(
          job([step("one")], { timeouts: new Timeouts({ provision: Duration.seconds(10) }) })
        )
        assert.strictEqual(result.conclusion, "timeout")
        assert.deepStrictEqual(slow.calls, ["create env-1", "destroy environment env-1"])
      }).pipe(on(slow))
    }
  )
})

/** A step that never ends, whatever it is told. */
const endless: RunningStep = { ...endedStep, output: Stream.never, exitCode: Effect.never }

describe("an environment that is lost", () => {
  it.effect(
    "in the middle of a step ends it with the reason, though the driver's step goes on; and it is released",
    () => {
      const fake = makeDriver({
        made: {
          start: () => Effect.succeed(endless),
          completion: Effect.andThen(Effect.sleep("5 seconds"), evicted)
        }
      })
      return Effect.gen(function* () {
        const { of, result } = yield* finish(job([step("one"), step("tidy", {}, { if: "always" })]))
        assert.deepStrictEqual([result.conclusion, result.duration], ["error", 5000])
        assert.deepStrictEqual(outcomes(result), ["one:error", "tidy:skipped"])
        assert.strictEqual(reasonOfTag(result.error, "EnvironmentLost").cause, "Evicted")
        assert.strictEqual(of("EnvironmentReleased").length, 1)
        assert.deepStrictEqual(fake.calls, ["create env-1", "destroy environment env-1"])
      }).pipe(on(fake))
    }
  )

  it.effect("while a step starts is told at once, and not tried again in vain", () => {
    const fake = makeDriver({
      made: { start: () => Effect.never, completion: Effect.andThen(Effect.sleep("5 seconds"), evicted) }
    })
    return Effect.gen(function* () {
      const { of, result } = yield* finish(job([step("one"), step("tidy", {}, { if: "always" })]))
      assert.deepStrictEqual(outcomes(result), ["one:error", "tidy:skipped"])
      assert.strictEqual(reasonOfTag(result.error, "EnvironmentLost").cause, "Evicted")
      assert.deepStrictEqual(of("Retrying"), [])
      assert.strictEqual(result.duration, 5000)
    }).pipe(on(fake))
  })

  it.effect("by a defect of the driver is told as one", () => {
    const fake = makeDriver({
      made: {
        start: () => Effect.succeed(endless),
        completion: Effect.andThen(Effect.sleep("5 seconds"), Effect.die(new Error("a bug")))
      }
    })
    return Effect.gen(function* () {
      const { result } = yield* finish(job([step("one")]))
      assert.strictEqual(result.conclusion, "error")
      assert.include(reasonOfTag(result.error, "BackendDefect").detail, "a bug")
    }).pipe(on(fake))
  })
})

describe("never a success by accident", () => {
  it.effect("a step without a readable exit code is an error, and is not started again", () => {
    let starts = 0
    const fake = makeDriver({
      made: {
        start: () =>
          Effect.sync(() => {
            starts++
            return { ...endedStep, exitCode: unavailable }
          })
      }
    })
    return Effect.gen(function* () {
      const { of, result } = yield* finish(job([step("one"), step("two")]))
      assert.deepStrictEqual([result.conclusion, result.steps[0]?.exitCode], ["error", undefined])
      assert.deepStrictEqual(outcomes(result), ["one:error", "two:skipped"])
      reasonOfTag(result.error, "Unavailable")
      assert.deepStrictEqual([starts, of("Retrying")], [1, []])
    }).pipe(on(fake))
  })

  it.effect("a step whose output broke off is an error though its exit code is 0", () => {
    const output = Stream.concat(
      Stream.make({ stream: "stdout", bytes: new TextEncoder().encode("half\n") } as const),
      Stream.fail(new BackendError({ reason: new ConnectionLost({ endpoint: "the API", detail: "reset" }) }))
    )
    const fake = makeDriver({ made: { start: () => Effect.succeed({ ...endedStep, output }) } })
    return Effect.gen(function* () {
      const { result } = yield* finish(job([step("one")]))
      assert.strictEqual(result.conclusion, "error")
      reasonOfTag(result.error, "ConnectionLost")
      assert.deepStrictEqual(result.steps[0]?.tail, ["half"])
    }).pipe(on(fake))
  })

  it.effect("a step whose outputs cannot be read is an error, and shows its exit code", () => {
    const storage = new StorageFailed({ operation: "reading outputs", detail: "EIO", transient: false })
    const fake = makeDriver({ made: { start: () => Effect.succeed({ ...endedStep, files: fail(storage) }) } })
    return Effect.gen(function* () {
      const { result } = yield* finish(job([step("one")]))
      assert.deepStrictEqual([result.conclusion, result.steps[0]?.exitCode], ["error", 0])
      reasonOfTag(result.error, "StorageFailed")
    }).pipe(on(fake))
  })
})

describe("a step that cannot be stopped", () => {
  it.effect("is given up two seconds after SIGKILL", () => {
    const signals: Array<string> = []
    const fake = makeDriver({
      made: {
        start: () => Effect.succeed({ ...endless, signal: (signal) => Effect.sync(() => void signals.push(signal)) })
      }
    })
    return Effect.gen(function* () {
      const running = yield* start(job([step("one")], { timeouts: new Timeouts({ stopGrace: Duration.seconds(5) }) }))
      yield* running.until(stepStarted("one"))
      yield* pass(0)
      const result = yield* cancel(running)
      assert.deepStrictEqual([result.conclusion, result.duration], ["cancelled", 7000])
      assert.deepStrictEqual(signals, ["SIGTERM", "SIGKILL"])
    }).pipe(on(fake))
  })

  it.effect("because signals do not reach it is given up too", () => {
    const fake = makeDriver({
      made: { start: () => Effect.succeed({ ...endless, signal: () => unavailable }) }
    })
    return Effect.gen(function* () {
      const { result } = yield* finish(
        job([step("one", {}, { timeout: Duration.seconds(10) })], {
          timeouts: new Timeouts({ stopGrace: Duration.seconds(5) })
        })
      )
      assert.deepStrictEqual([result.conclusion, result.duration], ["timeout", 17_000])
      assert.strictEqual(reasonOfTag(result.error, "TimedOut").phase, "step")
    }).pipe(on(fake))
  })
})

describe("a listener", () => {
  it.effect("that is slow holds the job up, and loses nothing", () => {
    const fake = makeDriver()
    return Effect.gen(function* () {
      const { events, result } = yield* finish(
        job([step("one")]),
        makeListener(() => Effect.sleep("1 second"))
      )
      assert.strictEqual(result.conclusion, "success")
      assert.deepStrictEqual(
        events.map(({ at }) => at / 1000),
        events.map((_, index) => index)
      )
    }).pipe(on(fake))
  })

  it.effect.each(["PhaseStarted", "EnvironmentRequested", "EnvironmentReady", "StepStarted", "StepFinished"] as const)(
    "with a defect at %s does not keep the environment from its release",
    (tag) => {
      const fake = makeDriver()
      let broken = false
      return Effect.gen(function* () {
        const listener = makeListener((event) => {
          if (event._tag !== tag || broken) return undefined
          broken = true
          return Effect.die(new Error("a bug of the listener"))
        })
        const running = yield* start(job([step("one")]), listener)
        yield* driveToExit(running.fiber)
        assert.isTrue(broken)
        const made = fake.calls.includes("create env-1")
        assert.deepStrictEqual(fake.calls.includes("destroy environment env-1"), made || tag === "EnvironmentRequested")
      }).pipe(on(fake))
    }
  )

  it.effect("with a defect when the release begins does not keep the environment from it", () => {
    const fake = makeDriver()
    return Effect.gen(function* () {
      const running = yield* start(
        job([step("one")]),
        makeListener((event) =>
          event._tag === "PhaseStarted" && event.phase === "release"
            ? Effect.die(new Error("a bug of the listener"))
            : undefined
        )
      )
      yield* driveToExit(running.fiber)
      assert.deepStrictEqual(fake.calls, ["create env-1", "destroy environment env-1"])
    }).pipe(on(fake))
  })
})

describe("a cancel", () => {
  it.effect("while the driver makes the environment undoes what there is of it", () => {
    const fake = makeDriver({ create: () => Effect.never })
    return Effect.gen(function* () {
      const running = yield* start(job([step("one")]))
      yield* running.until(is("EnvironmentRequested"))
      yield* pass(0)
      const result = yield* cancel(running)
      assert.strictEqual(result.conclusion, "cancelled")
      assert.deepStrictEqual(fake.calls, ["create env-1", "destroy environment env-1"])
    }).pipe(on(fake))
  })

  it.effect("while a step starts stops that", () => {
    const stopped: Array<string> = []
    const fake = makeDriver({
      made: { start: () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => void stopped.push("start"))) }
    })
    return Effect.gen(function* () {
      const running = yield* start(job([step("one")]))
      yield* running.until(stepStarted("one"))
      yield* pass(0)
      const result = yield* cancel(running)
      assert.deepStrictEqual(outcomes(result), ["one:cancelled"])
      assert.deepStrictEqual(stopped, ["start"])
    }).pipe(on(fake))
  })
})

describe("what a step is given", () => {
  it.effect("is a file for its outputs beside its own, and only what it asked for", () => {
    const seen: Array<Step> = []
    const fake = makeDriver({
      made: {
        start: (value) =>
          Effect.sync(() => {
            seen.push(value)
            return { ...endedStep, files: Effect.succeed(new Map([["jobscope_output", "a=1\n"]])) }
          })
      }
    })
    const container = new ContainerStep({ image: "app:1", args: ["test"], files: [new StepFile({ name: "own" })] })
    return Effect.gen(function* () {
      const { result } = yield* finish(job([new JobStep({ id: "one", run: container })]))
      assert.deepStrictEqual({ ...result.outputsOf("one") }, { a: "1" })
      assert.deepStrictEqual(seen, [
        new ContainerStep({
          ...container,
          files: [
            new StepFile({ name: "own" }),
            new StepFile({ name: "jobscope_output", variable: "JOBSCOPE_OUTPUT", collect: true })
          ]
        })
      ])
    }).pipe(on(fake))
  })
})
