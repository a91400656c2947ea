/** An interruption at every single operation: whatever it hits, nothing is left, and a job that has started finishes. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as MemoryBackend from "../../src/backends/memory/MemoryBackend.ts"
import type { JobBackend } from "../../src/domain/JobBackend.ts"
import { Unavailable } from "../../src/domain/JobError.ts"
import { type JobEvent, JobEvents } from "../../src/domain/JobEvent.ts"
import * as JobLifecycle from "../../src/domain/JobLifecycle.ts"
import { interruptEverywhere } from "../../src/testing/contract/interrupting.ts"
import { existing, is, job, print, scriptStep, spec, step } from "./support.ts"

const onMemory = Effect.provide(MemoryBackend.layerTest(), { local: true })

const tested = job([
  step("one", { do: [print("text\n")] }),
  step("two", { exit: 1 }, { continueOnError: true }),
  step("three", {}, { if: "always" })
])

/** Interrupts it everywhere; `events` are those of the last run. */
const everywhere = <A, E>(
  program: Effect.Effect<A, E, JobBackend>,
  check: (events: ReadonlyArray<JobEvent>, operation: number) => void = () => {}
) =>
  Effect.gen(function* () {
    let events: Array<JobEvent> = []
    const { interrupted, tried } = yield* interruptEverywhere(
      Effect.suspend(() => {
        events = []
        return Effect.provideService(program, JobEvents, {
          emit: (event) => Effect.sync(() => void events.push(event))
        })
      }),
      Effect.fnUntraced(function* (operation) {
        assert.deepStrictEqual(yield* existing, [], `left after an interruption at operation ${operation}`)
        check(events, operation)
      }),
      Number.POSITIVE_INFINITY
    )
    assert.isAbove(tried, 200)
    assert.isAbove(interrupted, tried / 2)
  }).pipe(onMemory)

describe("interrupted at every operation", () => {
  it.effect("run: a job that has started finishes, once, and as the last thing", () =>
    everywhere(JobLifecycle.run(tested), (events, operation) => {
      if (events.length === 0) return
      assert.strictEqual(events.filter(is("JobStarted")).length, 1)
      const finished = events.filter(is("JobFinished"))
      assert.strictEqual(finished.length, 1, `operation ${operation}`)
      assert.strictEqual(events.at(-1), finished[0])
      assert.include(["success", "cancelled"], finished[0]!.result.conclusion)
      assert.deepStrictEqual(finished[0]!.result.leaks, [])
      const requested = events.filter(is("EnvironmentRequested")).length
      assert.strictEqual(events.filter(is("EnvironmentReleased")).length, requested)
      const [started, ended] = [events.filter(is("StepStarted")), events.filter(is("StepFinished"))]
      for (const { step } of started) assert.isTrue(ended.some((event) => event.step === step))
    })
  )

  it.effect("withEnvironment", () =>
    everywhere(
      JobLifecycle.withEnvironment(spec())((environment) =>
        JobLifecycle.execute(environment, scriptStep({ do: [print("text\n")] }))
      )
    )
  )

  it.effect("withEnvironment whose provision fails", () =>
    everywhere(
      JobLifecycle.withEnvironment(
        spec({}, { provisionFailure: new Unavailable({ service: "the API", detail: "503" }), provisionFailures: 0 })
      )((environment) => JobLifecycle.execute(environment, scriptStep()))
    )
  )

  it.effect("events, read to their end", () => everywhere(Stream.runDrain(JobLifecycle.events(tested))))

  it.effect("events, left early", () => everywhere(Stream.runDrain(Stream.take(JobLifecycle.events(tested), 8))))
})
