import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as MemoryBackend from "../../src/backends/memory/MemoryBackend.ts"
import type { JobEvent } from "../../src/domain/JobEvent.ts"
import * as JobLifecycle from "../../src/domain/JobLifecycle.ts"
import { drive, existing, is, job, pass, print, resultOf, settle, sleep, step, story } from "./support.ts"

const onMemory = Effect.provide(MemoryBackend.layerTest(), { local: true })

/** Writes more than the queue of events and the pipe of the step hold together. */
const chatty = { do: Array.from({ length: 500 }, (_, index) => print(`line ${index}\n`)) }

describe("JobLifecycle.events", () => {
  it.effect("are those of the run, and end with JobFinished", () =>
    Effect.gen(function* () {
      const events = yield* drive(
        yield* Effect.forkChild(Stream.runCollect(JobLifecycle.events(job([step("one", { do: [sleep(2000)] })]))))
      )
      assert.deepStrictEqual(
        events.map(({ _tag }) => _tag),
        [
          "JobStarted",
          "PhaseStarted",
          "EnvironmentRequested",
          "EnvironmentReady",
          "PhaseStarted",
          "StepStarted",
          "StepFinished",
          "PhaseStarted",
          "EnvironmentReleased",
          "JobFinished"
        ]
      )
      assert.strictEqual(resultOf(events).conclusion, "success")
      assert.deepStrictEqual(yield* existing, [])
    }).pipe(onMemory)
  )

  it.effect("tell a refused job too", () =>
    Effect.gen(function* () {
      const events = yield* Stream.runCollect(JobLifecycle.events(job([step("one"), step("one")])))
      assert.deepStrictEqual(
        events.map(({ _tag }) => _tag),
        ["JobStarted", "JobFinished"]
      )
    }).pipe(onMemory)
  )

  it.effect("come while things happen", () =>
    Effect.gen(function* () {
      const seen: Array<JobEvent> = []
      const fiber = yield* Effect.forkChild(
        Stream.runForEach(JobLifecycle.events(job([step("one", { do: [sleep(10_000)] })])), (event) =>
          Effect.sync(() => void seen.push(event))
        )
      )
      yield* pass("5 seconds")
      assert.strictEqual(seen.at(-1)?._tag, "StepStarted")
      yield* drive(fiber)
      assert.strictEqual(seen.at(-1)?._tag, "JobFinished")
    }).pipe(onMemory)
  )

  it.effect("reach a slow reader all and in order; the job waits for it", () =>
    Effect.gen(function* () {
      const seen: Array<JobEvent> = []
      const fiber = yield* Effect.forkChild(
        Stream.runForEach(JobLifecycle.events(job([step("one", chatty)])), (event) =>
          Effect.andThen(
            Effect.sleep("100 millis"),
            Effect.sync(() => void seen.push(event))
          )
        )
      )
      yield* pass("5 seconds")
      assert.notInclude(yield* story, "Released", "the job is not through before its reader is")
      yield* drive(fiber)
      const lines = seen.filter(is("StepOutput")).map(({ bytes }) => new TextDecoder().decode(bytes))
      assert.deepStrictEqual(
        lines,
        chatty.do.map(({ text }) => text)
      )
      assert.strictEqual(resultOf(seen).conclusion, "success")
    }).pipe(onMemory)
  )

  it.effect.each([
    { when: "JobStarted", steps: [step("one", { exit: "never" })] },
    { when: "EnvironmentRequested", steps: [step("one", { exit: "never" })] },
    { when: "StepStarted", steps: [step("one", { exit: "never" })] },
    { when: "StepOutput", steps: [step("one", chatty)] },
    { when: "StepFinished", steps: [step("one"), step("two", { exit: "never" })] },
    { when: "EnvironmentReleased", steps: [step("one")] }
  ] as const)("that are left at $when cancel the job, and wait until it is released", ({ steps, when }) =>
    Effect.gen(function* () {
      const left = JobLifecycle.events(job(steps, {}, { provisionDelay: 1000, releaseDelay: 5000 })).pipe(
        Stream.takeUntil(({ _tag }) => _tag === when),
        Stream.runCollect,
        Effect.tap(() => Effect.flatMap(existing, (names) => Effect.sync(() => assert.deepStrictEqual(names, []))))
      )
      const events = yield* drive(yield* Effect.forkChild(left))
      assert.strictEqual(events.at(-1)?._tag, when)
    }).pipe(onMemory)
  )

  it.effect("that nobody reads any more, with a full queue, do not hold the release up", () =>
    Effect.gen(function* () {
      const reached = yield* Deferred.make<void>()
      const reading = yield* Effect.forkChild(
        Stream.runForEach(JobLifecycle.events(job([step("one", chatty), step("two", { exit: "never" })])), (event) =>
          event._tag === "StepOutput" ? Effect.andThen(Deferred.succeed(reached, undefined), Effect.never) : Effect.void
        )
      )
      yield* Deferred.await(reached)
      yield* settle
      assert.strictEqual((yield* existing).length, 1)
      yield* drive(yield* Effect.forkChild(Fiber.interrupt(reading)))
      assert.deepStrictEqual(yield* existing, [])
      assert.include(yield* story, "Released")
    }).pipe(onMemory)
  )

  it.effect("that fail their reader cancel the job", () =>
    Effect.gen(function* () {
      const reading = Stream.runForEach(JobLifecycle.events(job([step("one", { exit: "never" })])), (event) =>
        event._tag === "StepStarted" ? Effect.fail("enough") : Effect.void
      )
      const error = yield* drive(yield* Effect.forkChild(Effect.flip(reading)))
      assert.strictEqual(error, "enough")
      assert.deepStrictEqual(yield* existing, [])
    }).pipe(onMemory)
  )

  it.effect("run the job anew each time they are read", () =>
    Effect.gen(function* () {
      const events = JobLifecycle.events(job([step("one")]))
      yield* Stream.runDrain(events)
      yield* Stream.runDrain(events)
      assert.strictEqual((yield* story).filter((record) => record === "Released").length, 2)
    }).pipe(onMemory)
  )
})
