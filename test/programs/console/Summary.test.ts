import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Runtime from "effect/Runtime"
import { JobCancelled, ServiceUnhealthy, StepFailed, TimedOut } from "jobscope/domain/JobError"
import * as Summary from "jobscope/programs/console/Summary"
import * as Story from "./story.ts"

const plain = { color: false, ansi: true }
const timedOut = Story.errorOf(
  new TimedOut({ phase: "total", after: Duration.minutes(5), waitingFor: "the steps of e2e" })
)

class Quiet extends Data.TaggedError("Quiet") {
  override readonly [Runtime.errorReported] = false
}

describe("Summary", () => {
  it("is one line for a job that succeeded", () => {
    assert.deepStrictEqual(Summary.lines([Story.jobResult("build", "success")], plain), ["✓ success  3.4s  build"])
    assert.deepStrictEqual(Summary.lines([], plain), [])
  })

  it("says what failed, why, and what to do", () => {
    const results = [
      Story.jobResult("build", "success", { leaks: [Story.leak], duration: 62_000 }),
      Story.jobResult("test", "failure", {
        steps: [
          Story.stepResult("deps", "npm ci", "success"),
          Story.stepResult("lint", "Lint", "failure", { conclusion: "success", tail: ["not shown"] }),
          Story.stepResult("test", "npm test", "failure", { tail: ["FAIL a.test.ts", "  expected 1"] }),
          Story.stepResult("pack", "npm pack", "skipped")
        ]
      }),
      Story.jobResult("deploy", "error", {
        error: Story.lost,
        steps: [Story.stepResult("apply", "Apply", "error", { error: Story.lost, tail: ["applying"] })]
      }),
      Story.jobResult("e2e", "timeout", {
        error: timedOut,
        steps: [Story.stepResult("run", "Run", "cancelled", { error: timedOut, tail: ["still running"] })]
      }),
      Story.jobResult("db", "error", {
        error: Story.errorOf(new ServiceUnhealthy({ service: "pg", detail: "no answer", log: ["FATAL"] }))
      }),
      Story.jobResult("docs", "cancelled", { steps: [Story.stepResult("s", "S", "cancelled")] })
    ]
    assert.deepStrictEqual(Summary.lines(results, plain), [
      "✓ success    1m 02s  build",
      "✗ failure      3.4s  test",
      "✗ error        3.4s  deploy",
      "✗ timeout      3.4s  e2e",
      "✗ error        3.4s  db",
      "■ cancelled    3.4s  docs",
      "  6 jobs: 1 success, 1 failure, 2 error, 1 timeout, 1 cancelled",
      "",
      "! build: not everything could be released",
      "  The environment build-1 could not be released: the API does not answer; left: Pod build-1-pod",
      "  → Remove it with: kubectl delete pod build-1-pod",
      "  docs/errors.md#release-failed",
      "",
      "! test › Lint: StepFailed, exit code 3 (allowed: continueOnError)",
      "",
      "✗ test › npm test: StepFailed, exit code 3",
      "  | FAIL a.test.ts",
      "  |   expected 1",
      "  docs/errors.md#step-failed",
      "",
      "✗ deploy › Apply: EnvironmentLost",
      "  | applying",
      "  The environment was lost (OOMKilled): the node took it back",
      "  → Raise the memory limit of the job.",
      "  docs/errors.md#environment-lost",
      "",
      "✗ e2e › Run: TimedOut",
      "  | still running",
      "  Out of time (total, after 5m), waiting for the steps of e2e",
      "  → If it only needs longer, raise the job's time-out (`timeouts.total`).",
      "  docs/errors.md#timed-out",
      "",
      "✗ db: ServiceUnhealthy",
      "  The service pg did not become ready: no answer",
      "    pg | FATAL",
      "  → Look at the service's own output, its command, and its health check.",
      "  docs/errors.md#service-unhealthy"
    ])
  })

  it("treats colours of steps as the output does", () => {
    const results = [
      Story.jobResult("a", "failure", {
        steps: [Story.stepResult("s", "S", "failure", { tail: ["1%\r\u001b[31mred"] })]
      })
    ]
    const tailOf = (options: Summary.Options) => Summary.lines(results, options).find((line) => line.includes("red"))
    assert.strictEqual(tailOf(plain), "  | \u001b[31mred")
    assert.strictEqual(tailOf({ ...plain, ansi: false }), "  | red")
    assert.isTrue(tailOf({ color: true, ansi: true })?.endsWith("\u001b[31mred\u001b[0m"))
  })

  it("shows what ended the program, unless the results say it already", () => {
    const failed = Story.jobResult("test", "failure")
    const broken = Story.jobResult("deploy", "error", { error: Story.lost })
    const stepFailed = new StepFailed({ job: "test", step: "npm test", exitCode: 3, tail: ["FAIL"] })
    const of = (cause: Cause.Cause<unknown>, results: Parameters<typeof Summary.ofCause>[1] = []) =>
      Summary.ofCause(cause, results, plain)
    assert.deepStrictEqual(of(Cause.fail(stepFailed), [failed]), [])
    assert.deepStrictEqual(of(Cause.fail(Story.lost), [broken]), [])
    assert.deepStrictEqual(
      of(Cause.fail(new JobCancelled({ job: "test" })), [Story.jobResult("test", "cancelled")]),
      []
    )
    assert.deepStrictEqual(of(Cause.fail(new Quiet())), [])
    assert.deepStrictEqual(of(Cause.interrupt()), [])
    assert.deepStrictEqual(of(Cause.fail(stepFailed), [Story.jobResult("test", "success")]), [
      "✗ StepFailed",
      '  The step "npm test" of the job "test" failed with exit code 3',
      "  | FAIL",
      "  docs/errors.md#step-failed"
    ])
    assert.deepStrictEqual(of(Cause.fail(Story.lost)), [
      "✗ EnvironmentLost",
      "  The environment was lost (OOMKilled): the node took it back",
      "  → Raise the memory limit of the job.",
      "  docs/errors.md#environment-lost"
    ])
    assert.deepStrictEqual(of(Cause.fail(new JobCancelled({ job: "x" }))), ['■ The job "x" was cancelled'])
    assert.match(of(Cause.fail("no such thing")).join("\n"), /^✗ The program failed\n {2}.*no such thing/)
    assert.match(of(Cause.die(new Error("a bug"))).join("\n"), /^✗ The program has a defect\n {2}Error: a bug/)
  })
})
