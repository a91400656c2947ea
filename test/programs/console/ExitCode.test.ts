import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import * as Runtime from "effect/Runtime"
import { InvalidInput, JobCancelled, StepFailed, TimedOut, Unsupported } from "jobscope/domain/JobError"
import { WorkflowJobResult, WorkflowResult } from "jobscope/domain/WorkflowResult"
import * as ExitCode from "jobscope/programs/console/ExitCode"
import * as Story from "./story.ts"

const timedOut = Story.errorOf(new TimedOut({ phase: "step", after: Duration.seconds(1), waitingFor: "it" }))
const unsupported = Story.errorOf(new Unsupported({ backend: "b", feature: "f", hint: "h" }))
const invalid = Story.errorOf(new InvalidInput({ input: "i", detail: "d" }))
const stepFailed = new StepFailed({ job: "j", step: "s", exitCode: 7, tail: [] })

class Own extends Data.TaggedError("Own") {
  override readonly [Runtime.errorExitCode] = 42
}

const success = Story.jobResult("a", "success")
const failure = Story.jobResult("b", "failure")
const timeout = Story.jobResult("c", "timeout", { error: timedOut })
const lost = Story.jobResult("d", "error", { error: Story.lost })
const refused = Story.jobResult("e", "error", { error: unsupported })
const cancelled = Story.jobResult("f", "cancelled")

/** A workflow of one job with these runs. */
const workflow = (
  conclusion: WorkflowResult["conclusion"],
  runs: ReadonlyArray<typeof success>,
  error?: typeof timedOut
) =>
  new WorkflowResult({
    workflow: "w",
    conclusion,
    jobs:
      error === undefined
        ? [new WorkflowJobResult({ id: "j", outcome: conclusion, conclusion, outputs: {}, runs })]
        : [],
    ...(error === undefined ? {} : { error }),
    startedAt: 0,
    duration: 0
  })

describe("ExitCode", () => {
  it.each([
    ["a success with an excused failure", workflow("success", [success, failure]), 0],
    ["a failure whose siblings were cancelled", workflow("failure", [failure, cancelled]), 1],
    ["a time-out", workflow("timeout", [timeout]), 4],
    ["a cancel", workflow("cancelled", [cancelled, failure]), 130],
    ["a lost environment", workflow("error", [lost, failure, cancelled]), 3],
    ["one that was refused", workflow("error", [], Story.errorOf(new InvalidInput({ input: "i", detail: "d" }))), 2]
  ] as const)("of a workflow: %s", (_, result, code) => {
    assert.strictEqual(ExitCode.ofExit(Exit.succeed(result)), code)
    assert.isAbove(ExitCode.resultsOf(result).length, 0)
  })

  it.each([
    ["a success", Exit.succeed(success), 0],
    ["nothing", Exit.succeed([]), 0],
    ["a skipped job", Exit.succeed(Story.jobResult("g", "skipped")), 0],
    ["a success that leaks", Exit.succeed(Story.jobResult("g", "success", { leaks: [Story.leak] })), 0],
    ["a failure", Exit.succeed(failure), 1],
    ["what the backend cannot do", Exit.succeed(refused), 2],
    ["a lost environment", Exit.succeed(lost), 3],
    ["an error without a reason", Exit.succeed(Story.jobResult("g", "error")), 3],
    ["a time-out", Exit.succeed(timeout), 4],
    ["a cancelled job", Exit.succeed(cancelled), 130],
    ["success and failure", Exit.succeed([success, failure]), 1],
    ["failure and time-out", Exit.succeed([failure, timeout]), 4],
    ["time-out and infrastructure", Exit.succeed([timeout, lost, failure]), 3],
    ["infrastructure and invalid", Exit.succeed([lost, refused, timeout]), 2],
    ["cancelled and everything else", Exit.succeed([refused, cancelled, lost]), 130],
    ["StepFailed", Exit.fail(stepFailed), 1],
    ["JobCancelled", Exit.fail(new JobCancelled({ job: "j" })), 130],
    ["InvalidInput", Exit.fail(invalid), 2],
    ["TimedOut", Exit.fail(timedOut), 4],
    ["EnvironmentLost", Exit.fail(Story.lost), 3],
    ["an error with a code of its own", Exit.fail(new Own()), 42],
    ["an error without a code", Exit.fail("no"), 1],
    ["a defect", Exit.die(new Error("bug")), 3],
    ["a defect that looks like a failed step", Exit.die(stepFailed), 3],
    ["an interruption", Exit.interrupt(), 130],
    ["no reason at all", Exit.failCause(Cause.empty), 130],
    ["a failure that interrupted others", Exit.failCause(Cause.combine(Cause.interrupt(), Cause.fail(stepFailed))), 1],
    ["several failures", Exit.failCause(Cause.combine(Cause.fail(stepFailed), Cause.fail(timedOut))), 4],
    ["a failure and a defect", Exit.failCause(Cause.combine(Cause.fail(stepFailed), Cause.die("bug"))), 3]
  ] as const)("%s", (_, exit, code) => {
    assert.strictEqual(ExitCode.ofExit(exit), code)
  })

  it("has a documented order", () => {
    const fromWorst = [130, 2, 3, 4, 42, 1, 0]
    for (const [index, worse] of fromWorst.entries()) {
      for (const better of fromWorst.slice(index)) {
        assert.strictEqual(ExitCode.worst([better, worse]), worse)
        assert.strictEqual(ExitCode.worst([worse, better]), worse)
      }
    }
    assert.strictEqual(ExitCode.worst([43, 42]), 43)
    assert.strictEqual(ExitCode.worst([]), 0)
  })

  it("knows the signals", () => {
    assert.deepStrictEqual((["SIGHUP", "SIGINT", "SIGTERM"] as const).map(ExitCode.ofSignal), [129, 130, 143])
  })
})
