import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import type { JobEvent } from "jobscope/domain/JobEvent"
import * as PlainRenderer from "jobscope/programs/console/PlainRenderer"
import * as Story from "./story.ts"

const render = (events: ReadonlyArray<JobEvent>, options: Partial<PlainRenderer.Options> = {}): string => {
  const renderer = PlainRenderer.make({ color: false, timestamps: "none", ansi: true, ...options })
  return events.map(renderer.event).join("") + renderer.end()
}

describe("PlainRenderer", () => {
  it("shows everything that can happen", () => {
    assert.deepStrictEqual(render(Story.everything).split("\n"), [
      "build | ▸ 4 steps on fake",
      "build | waiting for a node",
      "build | waiting for the image alpine",
      "build | ↻ provision: try 2 of 3, after: The environment was lost (OOMKilled): the node took it back",
      "build | environment build-1 is ready",
      "deploy to staging | ▸ 1 step on fake",
      "build             | deps | ▸ Install the dependencies",
      "build             | deps | $ npm ci",
      "build             | deps | npm warn old",
      "build             | deps | added 132 packages",
      "build             | deps | no end",
      "build             | deps | ✓ 1.2s",
      "build             | npm test | ▸ npm test",
      "build             | npm test | \u001b[31mred\u001b[0m",
      "build             | npm test | ",
      "build             | npm test | ✗ exit code 3 after 1.2s",
      "build             | lint | ! exit code 3 after 1.2s, and that is allowed",
      "build             | publish | - publish: skipped",
      "build             | ! the disk is",
      "build             | nearly full",
      "build             | ■ stopping: cancelled",
      "build             | e2e | ■ stopped after 1.2s",
      "build             | slow | ✗ out of time after 1.2s",
      "build             | gone | ✗ EnvironmentLost: The environment was lost (OOMKilled): the node took it back",
      "build             | ! The environment build-1 could not be released: the API does not answer; left: Pod build-1-pod",
      "build             | Remove it with: kubectl delete pod build-1-pod",
      "build             | ✗ failure after 3.4s",
      "deploy to staging | environment deploy-2 is released",
      "deploy to staging | ✗ error after 3.4s: The environment was lost (OOMKilled): the node took it back",
      ""
    ])
  })

  it("puts times before the lines", () => {
    const events = Story.everything.slice(0, 6)
    assert.deepStrictEqual(render(events, { timestamps: "elapsed" }).split("\n").slice(0, 2), [
      "00:00.0 build | ▸ 4 steps on fake",
      "00:00.3 build | waiting for a node"
    ])
    assert.strictEqual(
      render(events, { timestamps: "utc" }).split("\n")[1],
      "2026-11-05T12:00:00.300Z build | waiting for a node"
    )
  })

  it("keeps what the user wrote, to the byte, or takes its colours away", () => {
    const line =
      "\u001b[1;31mred\u001b[0m \u001b]8;;http://x\u0007link\u001b]8;;\u0007 a | b\ttab\u0007 \u00e9 \ud83d\ude80  "
    const events = Story.timed([Story.out("job", "s", `${line}\n`)])
    assert.strictEqual(render(events), `job | s | ${line}\n`)
    assert.strictEqual(render(events, { ansi: false }), "job | s | red link a | b\ttab\u0007 \u00e9 \ud83d\ude80  \n")
  })

  it("ends colours that a step leaves switched on, where it has colours itself", () => {
    const events = Story.timed([Story.out("job", "s", "\u001b[31mred\n")])
    assert.isTrue(render(events, { color: true }).endsWith("\u001b[31mred\u001b[0m\n"))
  })

  it("pads names to a bound, and never cuts them", () => {
    const long = "test (ubuntu-24.04, node 24, postgres 18)"
    const events = Story.timed([Story.out(long, "s", "a\n"), Story.out("b", "s", "b\n")])
    assert.strictEqual(render(events), `${long} | s | a\n${"b".padEnd(20)} | s | b\n`)
  })

  it("announces an environment that no job of ours is around", () => {
    const events = Story.timed([
      { _tag: "PhaseStarted", job: "tool", phase: "provision" },
      { _tag: "EnvironmentRequested", job: "tool", environment: "tool-1", removal: "remove tool-1" },
      { _tag: "EnvironmentReady", job: "tool", environment: "tool-1" },
      { _tag: "EnvironmentHandedOver", job: "tool", environment: "tool-1" },
      { _tag: "EnvironmentRequested", job: "tool", environment: "tool-2", removal: "remove tool-2" }
    ])
    assert.deepStrictEqual(render(events).split("\n"), [
      "tool | ▸ environment",
      "tool | environment tool-1 is ready",
      "tool | environment tool-1 is handed over",
      "tool | ▸ environment",
      ""
    ])
  })

  it("does not mix the lines of a job that is started over with those of its first try", () => {
    const start = { _tag: "StepStarted", job: "job", step: "s", name: "S", command: "S" } as const
    const lost = Story.stepResult("s", "S", "error", { error: Story.lost })
    const events = Story.timed([
      start,
      Story.out("job", "s", "half"),
      { _tag: "StepFinished", job: "job", step: "s", result: lost },
      start,
      Story.out("job", "s", "whole\n")
    ])
    assert.deepStrictEqual(render(events).split("\n"), [
      "job | s | ▸ S",
      "job | s | half",
      "job | s | ✗ EnvironmentLost: The environment was lost (OOMKilled): the node took it back",
      "job | s | ▸ S",
      "job | s | whole",
      ""
    ])
  })

  it("keeps two runs of one job apart", () => {
    const all = ["one", "two"].map((text) =>
      Story.ofRun(`run-${text}`, [
        { _tag: "JobStarted", job: "job", backend: "fake", steps: 1 },
        { _tag: "Waiting", job: "job", phase: "provision", reason: "a node" },
        { _tag: "StepStarted", job: "job", step: "s", name: "S", command: "S" },
        Story.out("job", "s", `${text} begins `),
        Story.out("job", "s", `and goes on\n${text} has no end`),
        ...(text === "one"
          ? [{ _tag: "StepFinished", job: "job", step: "s", result: Story.stepResult("s", "S", "success") } as const]
          : []),
        { _tag: "JobFinished", job: "job", result: Story.jobResult("job", text === "one" ? "success" : "error") }
      ])
    )
    assert.deepStrictEqual(render(Story.timed(Story.inTurns(all))).split("\n"), [
      "job | ▸ 1 step on fake",
      "job | ▸ 1 step on fake",
      "job | waiting for a node",
      "job | waiting for a node",
      "job | s | ▸ S",
      "job | s | ▸ S",
      "job | s | one begins and goes on",
      "job | s | two begins and goes on",
      "job | s | one has no end",
      "job | s | ✓ 1.2s",
      "job | s | two has no end",
      "job | ✗ error after 3.4s",
      "job | ✓ success after 3.4s",
      ""
    ])
  })

  it("keeps environments apart that were opened outside of a run", () => {
    const all = ["one", "two"].map((job) =>
      Story.ofRun("", [
        { _tag: "EnvironmentRequested", job, environment: job, removal: `remove ${job}` },
        { _tag: "EnvironmentReleased", job, environment: job }
      ])
    )
    assert.deepStrictEqual(render(Story.timed(Story.inTurns(all))).split("\n"), [
      "one | ▸ environment",
      "two | ▸ environment",
      "one | environment one is released",
      "two | environment two is released",
      ""
    ])
  })

  it("shows the command of a step in one line, dimmed, where its name does not tell it", () => {
    const start = (name: string, command: string) =>
      Story.timed([{ _tag: "StepStarted", job: "job", step: "s", name, command }])
    assert.strictEqual(render(start("npm ci", "npm ci")), "job | s | ▸ npm ci\n")
    assert.strictEqual(
      render(start("Install", `npm ci  --long ${"x".repeat(200)}`)),
      `job | s | ▸ Install\njob | s | $ npm ci  --long ${"x".repeat(200)}\n`
    )
    const noisy = "alpine sh -c \u001b[31mone\n\ttwo"
    assert.strictEqual(render(start("Run", noisy)), "job | s | ▸ Run\njob | s | $ alpine sh -c one  two\n")
    assert.include(render(start("Install", "npm ci"), { color: true }), "\u001b[2m$ npm ci\u001b[22m\n")
  })

  it("gives what is left when the events just end", () => {
    assert.strictEqual(render(Story.timed([Story.out("job", "s", "no end")])), "job | s | no end\n")
  })

  it("shows what steps say by commands, and no more than that", () => {
    const said =
      "##[error file=src/a.ts;line=3;col=5]broken%0Areally\n##[warning title=Old]w\n##[group]Files\n##[endgroup]\n##[debug]d\n##[x]y\n"
    assert.deepStrictEqual(render(Story.timed([Story.out("build", "lint", said)])).split("\n"), [
      "build | lint | error: src/a.ts:3:5: broken",
      "build | lint | really",
      "build | lint | warning: Old: w",
      "build | lint | ▸ Files",
      "build | lint | debug: d",
      "build | lint | ##[x]y",
      ""
    ])
  })

  const Text = Schema.Array(
    Schema.Literals(["a", "é", "漢", "🚀", "\n", "\r\n", "\r", "\u001b[31m", " ", "12345678901234567890"])
  )
  const Cuts = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 200 })))

  it.prop("gives the same lines wherever the output of two steps is cut", [Text, Text, Cuts], ([one, two, cuts]) => {
    const whole = [one, two].map((parts) => Story.bytes(parts.join("")))
    const pieces = whole.map((all) => {
      const edges = [0, ...cuts.filter((cut) => cut < all.length).sort((a, b) => a - b), all.length]
      return edges.slice(1).map((edge, index) => all.subarray(edges[index]!, edge))
    })
    const jobs = ["one", "two"]
    // In turns, so that a line of one stands in the middle of a line of the other.
    const cut = Story.inTurns(pieces.map((all, job) => all.map((piece) => Story.out(jobs[job]!, "s", piece))))
    const finish = jobs.map((job) => ({ _tag: "JobFinished", job, result: Story.jobResult(job, "success") }) as const)
    const linesOf = (events: ReadonlyArray<Story.Untimed>) => {
      const lines = render(Story.timed([...events, ...finish])).split("\n")
      return jobs.map((job) => lines.filter((line) => line.startsWith(`${job} | `)))
    }
    const uncut = linesOf(whole.map((all, job) => Story.out(jobs[job]!, "s", all)))
    assert.deepStrictEqual(linesOf(cut), uncut)
    for (const [job, parts] of [one, two].entries()) {
      const expected = parts.join("").split("\n")
      const last = expected.pop()!
      assert.deepStrictEqual(uncut[job]!.slice(0, -1), [
        ...expected.map((line) => `${jobs[job]} | s | ${line.replace(/\r$/, "")}`),
        ...(last === "" ? [] : [`${jobs[job]} | s | ${last}`])
      ])
    }
  })

  it("needs no more memory for more lines", () => {
    const renderer = PlainRenderer.make({ color: false, timestamps: "elapsed", ansi: true })
    const chunk = Story.bytes("0123456789012345678901234567890123456789\n".repeat(500))
    let longest = 0
    const run = (lines: number) => {
      for (let done = 0; done < lines; done += 500) {
        const [event] = Story.timed([Story.out("job", "s", chunk)])
        longest = Math.max(longest, renderer.event(event!).length)
      }
    }
    run(100_000)
    const before = process.memoryUsage().heapUsed
    run(1_000_000)
    // Not one of the million lines of 58 bytes is kept, whatever garbage is still there.
    assert.isBelow(process.memoryUsage().heapUsed - before, 32 * 1024 * 1024)
    assert.isBelow(longest, 40_000)
  })
})
