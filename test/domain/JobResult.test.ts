import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import * as MemoryBackend from "../../src/backends/memory/MemoryBackend.ts"
import { BackendError, EnvironmentLost, TimedOut, Unavailable } from "../../src/domain/JobError.ts"
import { JobResult, orFail, StepResult } from "../../src/domain/JobResult.ts"
import { finish, job, output, step } from "./support.ts"

const stepResult = (id: string, fields: Partial<ConstructorParameters<typeof StepResult>[0]> = {}) =>
  new StepResult({
    id,
    name: `the ${id}`,
    outcome: "success",
    conclusion: "success",
    outputs: {},
    tail: [],
    startedAt: 0,
    duration: 0,
    ...fields
  })

const result = (fields: Partial<ConstructorParameters<typeof JobResult>[0]>) =>
  new JobResult({ job: "build", conclusion: "success", steps: [], leaks: [], startedAt: 0, duration: 0, ...fields })

const timedOut = new BackendError({
  reason: new TimedOut({ phase: "total", after: Duration.hours(1), waitingFor: "the steps of build" })
})
const lost = new BackendError({ reason: new EnvironmentLost({ cause: "NodeLost", detail: "gone" }) })

describe("orFail", () => {
  it.effect("a success is the result, whatever leaked", () =>
    Effect.gen(function* () {
      const success = result({ leaks: [new BackendError({ reason: new Unavailable({ service: "", detail: "" }) })] })
      assert.strictEqual(yield* orFail(success), success)
    })
  )

  it.effect.each([
    {
      title: "failure",
      result: result({
        conclusion: "failure",
        steps: [
          stepResult("flaky", { outcome: "failure", exitCode: 9 }),
          stepResult("test", { outcome: "failure", conclusion: "failure", exitCode: 3, tail: ["boom"] }),
          stepResult("tidy", { outcome: "failure", conclusion: "failure", exitCode: 4 })
        ]
      }),
      tag: "StepFailed",
      says: 'The step "the test" of the job "build" failed with exit code 3',
      exitCode: 1
    },
    {
      title: "error",
      result: result({ conclusion: "error", error: lost }),
      tag: "BackendError",
      says: lost.message,
      exitCode: 3
    },
    {
      title: "timeout",
      result: result({ conclusion: "timeout", error: timedOut }),
      tag: "BackendError",
      says: timedOut.message,
      exitCode: 4
    },
    {
      title: "cancelled",
      result: result({ conclusion: "cancelled" }),
      tag: "JobCancelled",
      says: "build",
      exitCode: 130
    }
  ])("$title", ({ exitCode, result, says, tag }) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(orFail(result))
      assert.deepStrictEqual([error._tag, Runtime.getErrorExitCode(error)], [tag, exitCode])
      assert.include(error.message, says)
      if (error._tag === "StepFailed") assert.deepStrictEqual(error.tail, ["boom"])
    })
  )
})

describe("a result", () => {
  it("tells outputs by step, and nothing for what is not there", () => {
    const steps = [stepResult("one", { outputs: { a: "1" } })]
    assert.deepStrictEqual({ ...result({ steps }).outputsOf("one") }, { a: "1" })
    assert.deepStrictEqual(result({ steps }).outputsOf("two"), {})
  })

  it("tells the step that decided a failure, not one that was continued on", () => {
    const steps = [
      stepResult("flaky", { outcome: "failure" }),
      stepResult("first", { outcome: "failure", conclusion: "failure" }),
      stepResult("second", { outcome: "failure", conclusion: "failure" })
    ]
    assert.strictEqual(result({ steps }).failedStep?.id, "first")
    assert.isUndefined(result({ steps: steps.slice(0, 1) }).failedStep)
  })
})

describe("a step whose outputs cannot be read", () => {
  it.effect("does not say of a step with malformed outputs that it failed with exit code 0", () =>
    Effect.gen(function* () {
      const { result } = yield* finish(job([step("one", { do: [output("nonsense\n")] })]))
      const error = yield* Effect.flip(orFail(result))
      assert.strictEqual(Runtime.getErrorExitCode(error), 1)
      assert.notInclude(error.message, "exit code 0")
    }).pipe(Effect.provide(MemoryBackend.layerTest(), { local: true }))
  )
})
