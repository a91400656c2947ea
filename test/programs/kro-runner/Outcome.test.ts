import { assert, describe, it } from "@effect/vitest"
import { Cause, Exit } from "effect"
import type { Completion } from "jobscope/domain/JobEnvironment"
import { BackendError, EnvironmentLost } from "jobscope/domain/JobError"
import * as Outcome from "../../../src/programs/kro-runner/Outcome.ts"

const lost = new BackendError({ reason: new EnvironmentLost({ cause: "Evicted", detail: "gone" }) })
const done = (exitCode: number, evidence: Completion["evidence"] = "observed") => Exit.succeed({ exitCode, evidence })

describe("Outcome", () => {
  it.each<[string, Exit.Exit<Completion, BackendError>, Outcome.StopSignal | undefined, boolean, number, string]>([
    ["finished", done(0), undefined, false, 0, "RunnerFinished"],
    ["taken to have finished", done(0, "inferred"), undefined, false, 0, "RunnerFinished"],
    ["ended otherwise", done(3), undefined, false, 1, "RunnerFailed"],
    ["too old, and ARC asked", done(7), undefined, true, 7, "RunnerDeprecated"],
    ["too old, and nobody asked", done(7), undefined, false, 1, "RunnerFailed"],
    ["lost", Exit.fail(lost), undefined, false, 1, "EnvironmentLost"],
    ["a defect", Exit.die(new Error("x")), undefined, false, 1, "Defect"],
    ["stopped", Exit.interrupt(1), "SIGTERM", false, 143, "Stopped"],
    ["stopped by a key", Exit.interrupt(1), "SIGINT", false, 130, "Stopped"],
    ["finished, and a signal came during the release", done(0), "SIGTERM", false, 0, "RunnerFinished"],
    ["lost while it was stopped", Exit.fail(lost), "SIGTERM", false, 143, "Stopped"],
    [
      "several failures",
      Exit.failCause(Cause.combine(Cause.interrupt(1), Cause.fail(lost))),
      undefined,
      false,
      1,
      "EnvironmentLost"
    ]
  ])("%s", (_, exit, signal, returnVersionDeprecated, exitCode, reason) => {
    assert.deepInclude(Outcome.of(exit, signal, { returnVersionDeprecated }), { exitCode, reason })
  })

  it("says what to do", () => {
    const { message } = Outcome.of(Exit.fail(lost), undefined, { returnVersionDeprecated: false })
    assert.match(message, /Evicted.*gone.*docs\/errors\.md#environment-lost/)
  })
})
