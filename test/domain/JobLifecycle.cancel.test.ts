import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as MemoryBackend from "../../src/backends/memory/MemoryBackend.ts"
import { Retry, Timeouts } from "../../src/domain/Job.ts"
import { StepStartFailed, Unavailable } from "../../src/domain/JobError.ts"
import { JobEvents } from "../../src/domain/JobEvent.ts"
import * as JobLifecycle from "../../src/domain/JobLifecycle.ts"
import {
  cancel,
  drive,
  driveToExit,
  existing,
  is,
  job,
  makeListener,
  outcomes,
  output,
  pass,
  print,
  reasonOfTag,
  resultOf,
  sleep,
  start,
  step,
  stepFinished,
  stepStarted,
  story
} from "./support.ts"

const onMemory = Effect.provide(MemoryBackend.layerTest(), { local: true })

describe("a cancelled job", () => {
  it.effect("while its environment is provisioned: that is undone, no step runs", () =>
    Effect.gen(function* () {
      const running = yield* start(
        job([step("one"), step("tidy", {}, { if: "always" })], {}, { provisionDelay: 60_000 })
      )
      yield* running.until(is("EnvironmentRequested"))
      yield* pass("5 seconds")
      const result = yield* cancel(running)
      assert.deepStrictEqual([result.conclusion, result.error, result.leaks], ["cancelled", undefined, []])
      assert.strictEqual(result.duration, 5000)
      assert.deepStrictEqual(yield* story, ["Provisioning", "Released"])
      assert.deepStrictEqual(yield* existing, [])
    }).pipe(onMemory)
  )

  it.effect("between two tries to provision", () =>
    Effect.gen(function* () {
      const running = yield* start(
        job(
          [step("one")],
          { retry: new Retry({ delay: Duration.seconds(100) }) },
          {
            provisionFailure: new Unavailable({ service: "the API", detail: "503" })
          }
        )
      )
      yield* running.until(is("Retrying"))
      yield* pass("10 seconds")
      const result = yield* cancel(running)
      assert.deepStrictEqual([result.conclusion, result.duration], ["cancelled", 10_000])
      assert.deepStrictEqual(yield* story, ["Provisioning", "Released"])
    }).pipe(onMemory)
  )

  it.effect("before anything has happened", () =>
    Effect.gen(function* () {
      const listener = makeListener()
      const fiber = yield* Effect.forkChild(
        Effect.provideService(JobLifecycle.run(job([step("one", { exit: "never" })])), JobEvents, listener)
      )
      yield* drive(yield* Effect.forkChild(Fiber.interrupt(fiber)))
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
      assert.deepStrictEqual(yield* existing, [])
    }).pipe(onMemory)
  )

  it.effect("during a step that obeys SIGTERM: it ends at once, its output is read", () =>
    Effect.gen(function* () {
      const running = yield* start(
        job([
          step("one", { do: [print("working\n")], exit: "never" }),
          step("two"),
          step("notify", {}, { if: "failure" }),
          step("tidy", { do: [sleep(2000)] }, { if: "always" }),
          step("stopped", {}, { if: "cancelled" })
        ])
      )
      yield* running.until(stepStarted("one"))
      yield* pass("10 seconds")
      const result = yield* cancel(running)
      assert.deepStrictEqual([result.conclusion, result.error, result.duration], ["cancelled", undefined, 12_000])
      assert.deepStrictEqual(outcomes(result), [
        "one:cancelled",
        "two:skipped",
        "notify:skipped",
        "tidy:success",
        "stopped:success"
      ])
      assert.deepStrictEqual(
        [result.steps[0]?.tail, result.steps[0]?.exitCode, result.steps[0]?.error],
        [["working"], undefined, undefined]
      )
      assert.deepStrictEqual(yield* story, [
        "Provisioning",
        "Ready",
        "StepStarted one",
        "StepSignalled one SIGTERM",
        "StepEnded one 143",
        "StepStarted tidy",
        "StepEnded tidy 0",
        "StepStarted stopped",
        "StepEnded stopped 0",
        "Released"
      ])
      assert.deepStrictEqual(
        running.of("Stopping").map(({ at, why }) => ({ at, why })),
        [{ at: 10_000, why: "cancelled" }]
      )
    }).pipe(onMemory)
  )

  it.effect("during a step that ignores SIGTERM: SIGKILL after stopGrace, not before", () =>
    Effect.gen(function* () {
      const running = yield* start(
        job([step("one", { exit: "never", ignores: ["SIGTERM"] })], {
          timeouts: new Timeouts({ stopGrace: Duration.seconds(8) })
        })
      )
      yield* running.until(stepStarted("one"))
      yield* pass(0)
      const cancelling = yield* Effect.forkChild(Fiber.interrupt(running.fiber), { startImmediately: true })
      yield* pass("7999 millis")
      assert.deepStrictEqual((yield* story).slice(-1), ["StepSignalled one SIGTERM"])
      yield* pass("1 millis")
      assert.deepStrictEqual((yield* story).slice(-3), ["StepSignalled one SIGKILL", "StepEnded one 137", "Released"])
      yield* Fiber.join(cancelling)
      const result = resultOf(running.events)
      assert.deepStrictEqual([result.conclusion, result.duration], ["cancelled", 8000])
      assert.deepStrictEqual(outcomes(result), ["one:cancelled"])
    }).pipe(onMemory)
  )

  it.effect("during a step that writes while it is stopped: nobody waits for it in vain", () =>
    Effect.gen(function* () {
      const running = yield* start(
        job([
          step("one", {
            do: [{ _tag: "PrintLines", count: 50, stream: "stdout" }],
            exit: "never",
            ignores: ["SIGTERM"]
          })
        ])
      )
      yield* running.until(is("StepOutput"))
      const result = yield* cancel(running)
      assert.strictEqual(result.steps[0]?.tail.at(-1), "line 50")
    }).pipe(onMemory)
  )

  it.effect("while a step waits for its next try to start", () =>
    Effect.gen(function* () {
      const running = yield* start(
        job(
          [
            step("one", { startFailure: new StepStartFailed({ detail: "refused", transient: true }) }),
            step("tidy", {}, { if: "always" })
          ],
          { retry: new Retry({ delay: Duration.seconds(100) }) }
        )
      )
      yield* running.until(is("Retrying"))
      yield* pass("10 seconds")
      const result = yield* cancel(running)
      assert.deepStrictEqual([result.conclusion, result.duration], ["cancelled", 10_000])
      assert.deepStrictEqual(outcomes(result), ["one:cancelled", "tidy:success"])
      assert.deepStrictEqual(yield* story, [
        "Provisioning",
        "Ready",
        "StepStarted tidy",
        "StepEnded tidy 0",
        "Released"
      ])
    }).pipe(onMemory)
  )

  it.effect("between two steps: the next one does not start", () =>
    Effect.gen(function* () {
      const goOn = yield* Deferred.make<void>()
      const running = yield* start(
        job([step("one"), step("two"), step("tidy", {}, { if: "always" })]),
        makeListener((event) => (stepFinished("one")(event) ? Deferred.await(goOn) : undefined))
      )
      yield* running.until(stepFinished("one"))
      const cancelling = yield* Effect.forkChild(cancel(running), { startImmediately: true })
      yield* pass(0)
      yield* Deferred.succeed(goOn, undefined)
      const result = yield* Fiber.join(cancelling)
      assert.strictEqual(result.conclusion, "cancelled")
      assert.deepStrictEqual(outcomes(result), ["one:success", "two:skipped", "tidy:success"])
    }).pipe(onMemory)
  )

  it.effect("in the step of a job whose earlier step failed is cancelled, not failed", () =>
    Effect.gen(function* () {
      const running = yield* start(job([step("one", { exit: 1 }), step("tidy", { exit: "never" }, { if: "always" })]))
      yield* running.until(stepStarted("tidy"))
      yield* pass(0)
      const result = yield* cancel(running)
      assert.strictEqual(result.conclusion, "cancelled")
      assert.deepStrictEqual(outcomes(result), ["one:failure", "tidy:cancelled"])
    }).pipe(onMemory)
  )

  it.effect("during its release: it keeps its result, and the release is awaited", () =>
    Effect.gen(function* () {
      const running = yield* start(job([step("one")], {}, { releaseDelay: 20_000 }))
      yield* running.until((event) => event._tag === "PhaseStarted" && event.phase === "release")
      yield* pass("5 seconds")
      assert.strictEqual((yield* existing).length, 1)
      const result = yield* cancel(running)
      assert.deepStrictEqual([result.conclusion, result.duration, result.leaks], ["success", 20_000, []])
      assert.deepStrictEqual(outcomes(result), ["one:success"])
      assert.deepStrictEqual(yield* existing, [])
      assert.deepStrictEqual(running.of("Stopping"), [], "nothing is left to be stopped")
    }).pipe(onMemory)
  )

  it.effect("after its last step has succeeded is a success", () =>
    Effect.gen(function* () {
      const goOn = yield* Deferred.make<void>()
      const running = yield* start(
        job([step("one", { do: [output("a=1\n")] })]),
        makeListener((event) => (stepFinished("one")(event) ? Deferred.await(goOn) : undefined))
      )
      yield* running.until(stepFinished("one"))
      const cancelling = yield* Effect.forkChild(Fiber.interrupt(running.fiber), { startImmediately: true })
      yield* pass(0)
      yield* Deferred.succeed(goOn, undefined)
      yield* drive(cancelling)
      const result = resultOf(running.events)
      assert.strictEqual(result.conclusion, "success")
      assert.deepStrictEqual(outcomes(result), ["one:success"])
    }).pipe(onMemory)
  )

  it.effect("twice is cancelled once, and both wait for the release", () =>
    Effect.gen(function* () {
      const running = yield* start(
        job(
          [step("one", { exit: "never", ignores: ["SIGTERM"] }), step("tidy", {}, { if: "always" })],
          {},
          {
            releaseDelay: 3000
          }
        )
      )
      yield* running.until(stepStarted("one"))
      yield* pass(0)
      const first = yield* Effect.forkChild(Fiber.interrupt(running.fiber), { startImmediately: true })
      yield* pass("1 second")
      const second = yield* Effect.forkChild(Fiber.interrupt(running.fiber), { startImmediately: true })
      yield* pass("6999 millis")
      assert.deepStrictEqual([first.pollUnsafe(), second.pollUnsafe()], [undefined, undefined])
      assert.strictEqual((yield* existing).length, 1)
      yield* pass("1 millis")
      yield* Fiber.join(first)
      yield* Fiber.join(second)
      const result = resultOf(running.events)
      assert.deepStrictEqual([result.conclusion, result.duration], ["cancelled", 8000])
      assert.deepStrictEqual(outcomes(result), ["one:cancelled", "tidy:success"])
      assert.strictEqual(running.of("Stopping").length, 1)
      assert.deepStrictEqual(yield* existing, [])
    }).pipe(onMemory)
  )

  it.effect("does not wait longer than timeouts.conclude for its last steps", () =>
    Effect.gen(function* () {
      const running = yield* start(
        job(
          [
            step("one", { exit: "never" }),
            step("tidy", { exit: "never" }, { if: "always" }),
            step("more", {}, { if: "cancelled" })
          ],
          { timeouts: new Timeouts({ conclude: Duration.seconds(30) }) }
        )
      )
      yield* running.until(stepStarted("one"))
      yield* pass(0)
      const result = yield* cancel(running)
      assert.deepStrictEqual([result.conclusion, result.duration], ["cancelled", 30_000])
      assert.deepStrictEqual(outcomes(result), ["one:cancelled", "tidy:cancelled", "more:skipped"])
    }).pipe(onMemory)
  )

  it.effect("keeps the time-outs of its last steps", () =>
    Effect.gen(function* () {
      const running = yield* start(
        job([
          step("one", { exit: "never" }),
          step("tidy", { exit: "never" }, { if: "always", timeout: Duration.seconds(4) }),
          step("more", {}, { if: "cancelled" })
        ])
      )
      yield* running.until(stepStarted("one"))
      yield* pass(0)
      const result = yield* cancel(running)
      assert.deepStrictEqual([result.conclusion, result.duration], ["cancelled", 4000])
      assert.deepStrictEqual(outcomes(result), ["one:cancelled", "tidy:timeout", "more:success"])
    }).pipe(onMemory)
  )

  it.effect("after its total time is over is still told as a time-out", () =>
    Effect.gen(function* () {
      const running = yield* start(
        job([step("one", { exit: "never" }), step("tidy", { do: [sleep(20_000)] }, { if: "always" })], {
          timeouts: new Timeouts({ total: Duration.seconds(10) })
        })
      )
      yield* running.until(stepStarted("one"))
      yield* pass("15 seconds")
      const result = yield* cancel(running)
      assert.deepStrictEqual([result.conclusion, result.duration], ["timeout", 30_000])
      assert.strictEqual(reasonOfTag(result.error, "TimedOut").phase, "total")
    }).pipe(onMemory)
  )

  it.effect("with a release that fails tells both", () =>
    Effect.gen(function* () {
      const running = yield* start(
        job(
          [step("one", { exit: "never" })],
          {},
          {
            releaseFailure: new Unavailable({ service: "the API", detail: "503" })
          }
        )
      )
      yield* running.until(stepStarted("one"))
      yield* pass(0)
      const result = yield* cancel(running)
      assert.deepStrictEqual([result.conclusion, result.leaks.length], ["cancelled", 1])
    }).pipe(onMemory)
  )

  it.effect("by a time-out or a race around it is released before these go on", () =>
    Effect.gen(function* () {
      const listener = makeListener()
      const fiber = yield* Effect.forkChild(
        JobLifecycle.run(job([step("one", { exit: "never" })], {}, { releaseDelay: 3000 })).pipe(
          Effect.timeoutOption("10 seconds"),
          Effect.andThen(existing),
          Effect.provideService(JobEvents, listener)
        )
      )
      assert.deepStrictEqual(yield* driveToExit(fiber), Exit.succeed([]))
      assert.strictEqual(resultOf(listener.events).conclusion, "cancelled")
    }).pipe(onMemory)
  )

  it.effect("leaves the jobs beside it alone", () =>
    Effect.gen(function* () {
      const running = yield* start(job([step("one", { exit: "never" })]))
      const other = yield* start(job([step("two", { do: [sleep(60_000)] })]))
      yield* running.until(stepStarted("one"))
      yield* other.until(stepStarted("two"))
      yield* pass(0)
      yield* cancel(running)
      assert.strictEqual((yield* existing).length, 1)
      assert.strictEqual((yield* drive(other.fiber)).conclusion, "success")
    }).pipe(onMemory)
  )
})
