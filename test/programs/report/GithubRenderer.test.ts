import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import { JobEvent } from "../../../src/domain/JobEvent.ts"
import * as WorkflowCommands from "../../../src/programs/commands/WorkflowCommands.ts"
import * as GithubRenderer from "../../../src/programs/report/GithubRenderer.ts"
import { everything, inTurns, jobResult, lost, out, stepResult, timed, type Untimed } from "../console/story.ts"

const textOf = (events: ReadonlyArray<JobEvent>, options: Partial<GithubRenderer.Options> = {}) => {
  const renderer = GithubRenderer.make({ stopToken: "T0k3n", ...options })
  return events.map(renderer.event).join("") + renderer.end()
}
const linesOf = (events: ReadonlyArray<JobEvent>, options?: Partial<GithubRenderer.Options>) =>
  textOf(events, options).split("\n").slice(0, -1)

const step = (
  job: string,
  id: string,
  outputs: ReadonlyArray<string>,
  result = stepResult(id, id, "success")
): ReadonlyArray<Untimed> => [
  { _tag: "StepStarted", job, step: id, name: id, command: `run ${id}` },
  ...outputs.map((text) => out(job, id, text)),
  { _tag: "StepFinished", job, step: id, result }
]

/** As GitHub's runner reads the log; groups must neither nest nor stay open. */
const asRead = (text: string) => {
  const reader = WorkflowCommands.make()
  let open: string | undefined
  const lines: Array<string> = []
  const annotations: Array<WorkflowCommands.Annotation> = []
  for (const line of text.split("\n").slice(0, -1)) {
    const { instruction } = reader.read(line)
    switch (instruction?._tag) {
      case "Group":
        assert.isUndefined(open, text)
        open = instruction.name
        break
      case "EndGroup":
        assert.isDefined(open, text)
        open = undefined
        break
      case "Annotate":
        annotations.push(instruction.annotation)
        break
      case "Stop":
      case "Resume":
      case "Debug":
        break
      case undefined:
        lines.push(`${open ?? ""}| ${line}`)
        break
      default:
        assert.fail(`obeyed ${instruction?._tag}: ${line}`)
    }
  }
  assert.isUndefined(open, text)
  return { lines, annotations }
}

describe("GithubRenderer", () => {
  it("has a group for each step, and what came of it outside", () => {
    const events = timed([
      ...step("build", "deps", ["added 132 ", "packages\n"]),
      ...step("build", "test", ["one\ntwo\n"], stepResult("test", "test", "failure", { tail: ["one", "two"] })),
      { _tag: "JobFinished", job: "build", result: jobResult("build", "failure") }
    ])
    assert.deepStrictEqual(linesOf(events), [
      "::group::build › deps",
      "$ run deps",
      "added 132 packages",
      "::endgroup::",
      "✓ build › deps, 1.2s",
      "::group::build › test",
      "$ run test",
      "one",
      "two",
      "::endgroup::",
      "✗ build › test: failure, 1.2s",
      "  | one",
      "  | two",
      "::error title=build › test::exit code 3",
      "✗ build: failure after 3.4s"
    ])
  })

  it("never mixes steps that run at the same time", () => {
    const { lines } = asRead(
      textOf(
        timed(
          inTurns(["one", "two", "three"].map((name) => step(name, "s", [`${name} a\n`, `${name} b\n`, `${name} c`])))
        )
      )
    )
    for (const name of ["one", "two", "three"]) {
      const own = lines.filter((line) => line.startsWith(`${name} › s|`))
      assert.deepStrictEqual(
        own,
        ["$ run s", `${name} a`, `${name} b`, `${name} c`].map((text) => `${name} › s| ${text}`)
      )
      const at = lines.indexOf(own[0]!)
      assert.deepStrictEqual(lines.slice(at, at + 4), own)
    }
  })

  it("keeps no more than its bound of a step that is not shown", () => {
    const long = step(
      "two",
      "s",
      Array.from({ length: 50 }, (_, index) => `line ${index}\n`)
    )
    const events = timed([
      ...step("one", "s", ["first\n"]).slice(0, 2),
      ...long.slice(0, -1),
      ...step("one", "s", ["last\n"]).slice(1),
      ...long.slice(-1)
    ])
    const { lines } = asRead(textOf(events, { maxKept: 100 }))
    assert.includeMembers(lines, ["one › s| first", "one › s (continued)| last", "two › s| line 0", "two › s| line 49"])
    assert.deepStrictEqual(
      lines.filter((line) => line.includes("two › s")).map((line) => line.replace(/.*\| /, "")),
      ["$ run s", ...Array.from({ length: 50 }, (_, index) => `line ${index}`), "✓ two › s, 1.2s"]
    )
  })

  it("passes annotations of steps on, and names the step where they have no title", () => {
    const { annotations, lines } = asRead(
      textOf(
        timed(
          step("lint", "eslint", [
            "##[error file=a.ts;line=3]broken\n##[warning title=old]w\n##[debug]x\n##[group]Files\nin it\n##[endgroup]\n"
          ])
        )
      )
    )
    assert.deepInclude(annotations[0], {
      level: "error",
      file: "a.ts",
      line: 3,
      message: "broken",
      title: "lint › eslint"
    })
    assert.deepInclude(annotations[1], { level: "warning", message: "w", title: "old" })
    assert.includeMembers(lines, ["lint › eslint| ▸ Files", "lint › eslint| in it"])
  })

  it("has text stay text, however much it looks like a command", () => {
    const texts = [
      "::error::x",
      " ::set-env name=A::1",
      "a ##[stop-commands]x",
      "::stop-commands::mine",
      "::endgroup::"
    ]
    const failed = stepResult("s", "::error::name", "failure", { tail: texts })
    const { annotations, lines } = asRead(
      textOf(timed(step("job", "s", [texts.map((text) => `${text}\n`).join("")], failed)))
    )
    assert.deepStrictEqual(
      annotations.map(({ message }) => message),
      ["exit code 3"]
    )
    for (const text of texts) {
      assert.include(lines, `job › s| ${text}`)
      assert.include(lines, `|   | ${text}`)
    }
  })

  it("says why a job failed without a step, what was not released, and what is only allowed", () => {
    const { annotations } = asRead(
      textOf([
        ...timed([{ _tag: "JobFinished", job: "build", result: jobResult("build", "error", { error: lost }) }]),
        ...timed(step("build", "lint", [], stepResult("lint", "lint", "failure", { conclusion: "success" })))
      ])
    )
    assert.deepStrictEqual(
      annotations.map(({ level, title }) => [level, title]),
      [
        ["error", "build: EnvironmentLost"],
        ["warning", "build › lint"]
      ]
    )
    assert.include(annotations[0]!.message, lost.advice)
  })

  it("shows everything that can happen", () => {
    const { annotations } = asRead(textOf(everything))
    assert.deepStrictEqual(
      annotations.map(({ level }) => level),
      ["warning", "error", "warning", "warning", "error", "error", "warning", "error"]
    )
  })

  it.prop(
    "any events make a log whose groups are in order, and in which nothing but ours is obeyed",
    [Arbitrary.array(Arbitrary.schema(JobEvent), { maxLength: 12 }), Schema.String],
    ([events, text]) => {
      const own = timed(inTurns([step("one", "s", [text, `::set-env name=a::b\n${text}\n`]), step("two", "s", [text])]))
      asRead(textOf([...events, ...own]))
    },
    { arbitrary: { runs: 500 } }
  )
})
