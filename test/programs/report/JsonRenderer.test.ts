import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import { JobEvent } from "../../../src/domain/JobEvent.ts"
import { JsonEvent } from "../../../src/programs/report/JsonEvent.ts"
import * as JsonRenderer from "../../../src/programs/report/JsonRenderer.ts"
import { everything, jobResult, out, timed } from "../console/story.ts"

const outcome = { exitCode: 1, results: [jobResult("build", "failure")], problems: ["Why it ended"] }
const decode = Schema.decodeUnknownSync(Schema.fromJsonString(JsonEvent), { onExcessProperty: "error" })

const linesOf = (events: ReadonlyArray<JobEvent>) => {
  const renderer = JsonRenderer.make()
  const text = events.map(renderer.event).join("") + renderer.end(outcome)
  assert.isTrue(text.endsWith("\n"))
  return text.slice(0, -1).split("\n")
}

describe("JsonRenderer", () => {
  it("writes everything that can happen as its schema says, a line each", () => {
    const events = linesOf(everything).map((line) => decode(line))
    const types = new Set(events.map(({ type }) => type))
    assert.deepStrictEqual(
      JsonEvent.members.map((member) => member.fields.type.literal).filter((type) => !types.has(type)),
      ["environment-handed-over", "annotation"]
    )
    assert.strictEqual(events[0]!.at, "2026-11-05T12:00:00.000Z")
    assert.isTrue(events.every(({ v }) => v === 1))
  })

  it("writes output in whole lines, in order, and what is left of it when the step ends", () => {
    const output = linesOf(everything)
      .map((line) => decode(line))
      .flatMap((event) => (event.type === "output" && event.step === "deps" ? [[event.stream, event.text]] : []))
    assert.deepStrictEqual(output, [
      ["stderr", "npm warn old"],
      ["stdout", "added 132 packages"],
      ["stdout", "no end"]
    ])
  })

  it("tells annotations apart from output", () => {
    const [event] = linesOf(timed([out("build", "lint", "##[error file=src/a.ts;line=3]no; such name%0Ahere\n")])).map(
      (line) => decode(line)
    )
    assert.deepInclude(event, {
      type: "annotation",
      level: "error",
      file: "src/a.ts",
      line: 3,
      message: "no; such name\nhere"
    })
  })

  it("ends with the exit code, and without one where nobody waited", () => {
    const last = decode(linesOf(everything).at(-1)!)
    assert.deepInclude(last, { type: "finished", exitCode: 1, problems: ["Why it ended"] })
    assert.strictEqual(JsonRenderer.make().end(), "")
  })

  it.prop(
    "any events make lines that the schema reads",
    [Arbitrary.array(Arbitrary.schema(JobEvent), { maxLength: 10 })],
    ([events]) => {
      for (const line of linesOf(events)) decode(line)
    },
    { arbitrary: { runs: 500 } }
  )
})
