import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Xml from "effect/encoding/Xml"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { JobEvent } from "../../../src/domain/JobEvent.ts"
import * as JunitRenderer from "../../../src/programs/report/JunitRenderer.ts"
import { bytes, everything, jobResult, lost, out, stepResult, timed } from "../console/story.ts"

const textOf = (events: ReadonlyArray<JobEvent>, options?: JunitRenderer.Options) => {
  const renderer = JunitRenderer.make(options)
  for (const event of events) assert.strictEqual(renderer.event(event), "")
  return renderer.end()
}

const read = (text: string) =>
  Stream.make(text).pipe(
    Stream.pipeThroughChannel(Xml.decodeString()),
    Stream.pipeThroughChannel(Xml.elements(["testsuites"])),
    Stream.runCollect,
    Effect.map(([root]) => root!)
  )

const children = (element: Xml.Element, name: string) =>
  element.children.flatMap((child) => (typeof child === "string" || child.name !== name ? [] : [child]))
const content = (element: Xml.Element | undefined) =>
  element?.children.map((child) => (typeof child === "string" ? child : "<>")).join("")
const counts = ({ errors, failures, skipped, tests }: Readonly<Record<string, string>>) => ({
  tests,
  failures,
  errors,
  skipped
})

/** A job with one step, which writes and ends. */
const job = (name: string, output: string | Uint8Array, more: Parameters<typeof stepResult>[3] = {}) => {
  const result = stepResult("it", "It runs", "failure", { tail: ["the end"], ...more })
  return timed([
    { _tag: "JobStarted", job: name, backend: "fake", steps: 1 },
    { _tag: "StepStarted", job: name, step: "it", name: "It runs", command: "it" },
    out(name, "it", output),
    { _tag: "StepFinished", job: name, step: "it", result },
    { _tag: "JobFinished", job: name, result: jobResult(name, "failure", { steps: [result] }) }
  ])
}

describe("JunitRenderer", () => {
  it.effect("has a suite for each job, and a case for each step", () =>
    Effect.gen(function* () {
      const steps = [
        stepResult("a", "Compile", "success"),
        stepResult("b", "Test", "failure", { tail: ["expected <1>", "\u001b[31mgot 2\u001b[0m"] }),
        stepResult("c", "Lint", "failure", { conclusion: "success" }),
        stepResult("d", "Publish", "skipped"),
        stepResult("e", "Clean", "error", { error: lost })
      ]
      const root = yield* read(
        textOf(timed([{ _tag: "JobFinished", job: "build", result: jobResult("build", "failure", { steps }) }]), {
          name: "ci"
        })
      )
      assert.deepStrictEqual(root.attributes, {
        name: "ci",
        tests: "5",
        failures: "1",
        errors: "1",
        skipped: "1",
        time: "3.400"
      })
      const [suite] = children(root, "testsuite")
      assert.deepStrictEqual(suite!.attributes, {
        name: "build",
        tests: "5",
        failures: "1",
        errors: "1",
        skipped: "1",
        time: "3.400",
        timestamp: "2026-11-05T12:00:00"
      })
      const cases = children(suite!, "testcase")
      assert.deepStrictEqual(
        cases.map(({ attributes }) => attributes),
        steps.map(({ name }) => ({ classname: "build", name, time: "1.200" }))
      )
      const [failure] = children(cases[1]!, "failure")
      assert.deepStrictEqual(failure!.attributes, { message: "exit code 3", type: "StepFailed" })
      assert.strictEqual(content(failure), "expected <1>\ngot 2")
      const [error] = children(cases[4]!, "error")
      assert.deepStrictEqual(error!.attributes, { message: lost.message, type: "EnvironmentLost" })
      assert.include(content(error), lost.anchor)
    })
  )

  it.effect("has a case for a job that never ran a step", () =>
    Effect.gen(function* () {
      const root = yield* read(
        textOf(
          timed([
            { _tag: "JobFinished", job: "lost", result: jobResult("lost", "error", { error: lost }) },
            { _tag: "JobFinished", job: "later", result: jobResult("later", "skipped") }
          ])
        )
      )
      assert.deepStrictEqual(counts(root.attributes), { tests: "2", failures: "0", errors: "1", skipped: "1" })
    })
  )

  it.effect("has an error once, where a step tells it", () =>
    Effect.gen(function* () {
      const steps = [stepResult("e", "Clean", "error", { error: lost })]
      const result = jobResult("build", "error", { steps, error: lost })
      const root = yield* read(textOf(timed([{ _tag: "JobFinished", job: "build", result }])))
      assert.deepStrictEqual(counts(root.attributes), { tests: "1", failures: "0", errors: "1", skipped: "0" })
    })
  )

  it.effect("keeps output, whatever bytes it is", () =>
    Effect.gen(function* () {
      const strange = "a\u0000b\u0007c ]]> <x> & \"q\" 'q' \ud800 \ufffe é 😀\ttab\r\nnext"
      const root = yield* read(textOf(job('<"job"> &\n\u0001', strange)))
      const [suite] = children(root, "testsuite")
      assert.strictEqual(suite!.attributes.name, '<"job"> &\n\ufffd')
      const [output] = children(children(suite!, "testcase")[0]!, "system-out")
      assert.strictEqual(content(output), "a\ufffdb\ufffdc ]]> <x> & \"q\" 'q' \ufffd \ufffd é 😀\ttab\nnext")
    })
  )

  it.effect("keeps the end of long output, within its bound", () =>
    Effect.gen(function* () {
      const output = Array.from({ length: 20_000 }, (_, index) => `line ${index}`).join("\n")
      for (const outcome of ["failure", "success"] as const) {
        const more = { outcome, conclusion: outcome }
        const root = yield* read(textOf(job("build", `${output}\n`, more), { maxOutput: 1000 }))
        const kept = content(children(children(children(root, "testsuite")[0]!, "testcase")[0]!, "system-out")[0])!
        assert.isTrue(kept.startsWith("…\nline "), kept)
        assert.isTrue(kept.endsWith("\nline 19999"))
        assert.isBelow(kept.length, outcome === "failure" ? 2010 : 260)
      }
    })
  )

  it.effect("is a document without jobs, and in the middle of everything", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(counts((yield* read(textOf([]))).attributes), {
        tests: "0",
        failures: "0",
        errors: "0",
        skipped: "0"
      })
      for (let length = 1; length <= everything.length; length++) yield* read(textOf(everything.slice(0, length)))
    })
  )

  it.effect.prop(
    "any events and any output make a document that is well-formed",
    [Arbitrary.array(Arbitrary.schema(JobEvent), { maxLength: 10 }), Schema.Uint8Array, Schema.String],
    ([events, output, name]) =>
      Effect.gen(function* () {
        const root = yield* read(textOf([...events, ...job("one", output), ...job("two", bytes(name))], { name }))
        const cases = children(root, "testsuite").flatMap((suite) => children(suite, "testcase"))
        assert.strictEqual(root.attributes.tests, String(cases.length))
      }),
    { arbitrary: { runs: 300 } }
  )
})
