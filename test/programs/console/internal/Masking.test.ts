import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import { BackendError } from "../../../../src/domain/JobError.ts"
import { JobEvent } from "../../../../src/domain/JobEvent.ts"
import { JobResult } from "../../../../src/domain/JobResult.ts"
import * as Masking from "../../../../src/programs/console/internal/Masking.ts"
import { everything, jobResult, lost, stepResult } from "../story.ts"

const stars = Masking.make(() => "***")

describe("Masking", () => {
  it.prop(
    "leaves an event an event, whatever is masked in it",
    [Arbitrary.schema(JobEvent)],
    ([event]) => {
      const shown = stars.event(event)
      assert.isTrue(Schema.is(JobEvent)(shown))
      assert.deepStrictEqual([shown._tag, shown.at, shown.run], [event._tag, event.at, event.run])
    },
    { arbitrary: { runs: 2000 } }
  )

  it.prop(
    "leaves a result a result",
    [Arbitrary.schema(JobResult)],
    ([result]) => {
      const shown = stars.result(result)
      assert.isTrue(shown instanceof JobResult)
      assert.deepStrictEqual([shown.conclusion, shown.duration], [result.conclusion, result.duration])
    },
    { arbitrary: { runs: 500 } }
  )

  it("masks names, outputs, last lines and errors", () => {
    const masking = Masking.make((text) => text.replaceAll("hunter22", "***"))
    const step = stepResult("a", "login hunter22", "failure", {
      outputs: { p: "hunter22" },
      tail: ["hunter22"],
      error: lost
    })
    const shown = masking.result(jobResult("build hunter22", "failure", { steps: [step] }))
    assert.notInclude(JSON.stringify(shown), "hunter22")
    assert.isTrue(shown.steps[0]!.error instanceof BackendError)
    assert.strictEqual(shown.steps[0]!.exitCode, 3)
  })

  it("without a mask changes nothing", () => {
    const masking = Masking.make(undefined)
    for (const event of everything) assert.strictEqual(masking.event(event), event)
  })
})
