import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import type { JobEvent } from "jobscope/domain/JobEvent"
import * as LiveRenderer from "jobscope/programs/console/LiveRenderer"
import * as PlainRenderer from "jobscope/programs/console/PlainRenderer"
import * as Screen from "./screen.ts"
import * as Story from "./story.ts"

const open = (options: { columns?: number; rows?: number; color?: boolean } = {}) => {
  const size = { columns: options.columns ?? 200, rows: options.rows ?? 40 }
  const screen = Screen.make(size.columns)
  const renderer = LiveRenderer.make({
    color: options.color ?? false,
    timestamps: "none",
    size: () => size
  })
  return { renderer, screen, show: (event: JobEvent) => screen.write(renderer.event(event)) }
}

const started = (job: string) => ({ _tag: "JobStarted", job, backend: "fake", steps: 1 }) as const
const step = (job: string, name: string, command = name) =>
  ({ _tag: "StepStarted", job, step: "s", name, command }) as const
const finished = (job: string) => ({ _tag: "JobFinished", job, result: Story.jobResult(job, "success") }) as const

describe("LiveRenderer", () => {
  it("shows finished lines above, and a line for each running job below", () => {
    const { renderer, screen, show } = open()
    const events = Story.timed([
      started("build"),
      step("build", "npm ci"),
      Story.out("build", "s", "added 132 packages\nhalf a li"),
      started("deploy"),
      { _tag: "PhaseStarted", job: "deploy", phase: "provision" },
      { _tag: "Waiting", job: "deploy", phase: "provision", reason: "a node" }
    ])
    for (const event of events) show(event)
    screen.write(renderer.tick(Story.epoch + 2500))
    assert.deepStrictEqual(screen.lines(), [
      "build | ▸ 1 step on fake",
      "build | s | ▸ npm ci",
      "build | s | added 132 packages",
      "deploy | ▸ 1 step on fake",
      "deploy | waiting for a node",
      "⠙ build   ▸ npm ci  2.4s  added 132 packages",
      "⠙ deploy  provisioning  2.1s  a node"
    ])
    assert.isFalse(screen.cursorVisible())
    assert.isTrue(renderer.moving())
    for (const event of Story.timed([finished("build"), finished("deploy")])) show(event)
    assert.deepStrictEqual(screen.lines(), [
      "build | ▸ 1 step on fake",
      "build | s | ▸ npm ci",
      "build | s | added 132 packages",
      "deploy | ▸ 1 step on fake",
      "deploy | waiting for a node",
      "build  | s | half a li",
      "build  | ✓ success after 3.4s",
      "deploy | ✓ success after 3.4s",
      ""
    ])
    assert.isTrue(screen.cursorVisible())
    assert.isFalse(renderer.moving())
    assert.deepStrictEqual(screen.unknown, [])
  })

  it("keeps two runs of one job apart", () => {
    const { screen, show, renderer } = open()
    const all = ["one", "two"].map((text) =>
      Story.ofRun(`run-${text}`, [
        started("job"),
        step("job", `Do ${text}`),
        Story.out("job", "s", `${text} begins `),
        Story.out("job", "s", "and goes on\n")
      ])
    )
    for (const event of Story.timed(Story.inTurns(all))) show(event)
    screen.write(renderer.tick(Story.epoch + 1000))
    const above = [
      "job | ▸ 1 step on fake",
      "job | ▸ 1 step on fake",
      "job | s | ▸ Do one",
      "job | s | ▸ Do two",
      "job | s | one begins and goes on",
      "job | s | two begins and goes on"
    ]
    assert.deepStrictEqual(screen.lines(), [
      ...above,
      "⠙ job  ▸ Do one  0.8s  one begins and goes on",
      "⠙ job  ▸ Do two  0.7s  two begins and goes on"
    ])
    for (const event of Story.timed(Story.ofRun("run-one", [finished("job")]))) show(event)
    screen.write(renderer.tick(Story.epoch + 1000))
    assert.deepStrictEqual(screen.lines(), [
      ...above,
      "job | ✓ success after 3.4s",
      "⠹ job  ▸ Do two  0.7s  two begins and goes on"
    ])
    for (const event of Story.timed(Story.ofRun("run-two", [finished("job")]))) show(event)
    assert.isFalse(renderer.moving())
  })

  it("shows an environment without a job for as long as there is one", () => {
    const { renderer, screen, show } = open()
    const all = ["one", "two"].map((job) =>
      Story.ofRun("", [
        { _tag: "PhaseStarted", job, phase: "provision" },
        { _tag: "EnvironmentRequested", job, environment: job, removal: `remove ${job}` },
        { _tag: "EnvironmentReleased", job, environment: job }
      ])
    )
    const [first, second, ...events] = Story.timed(Story.inTurns(all))
    // The backend may refuse it now, and nothing would tell.
    for (const event of [first!, second!]) show(event)
    assert.isFalse(renderer.moving())
    for (const event of events.slice(0, 3)) show(event)
    screen.write(renderer.tick(Story.epoch + 400))
    assert.strictEqual(screen.lines().at(-1), "⠙ two  provisioning  0.1s")
    for (const event of events.slice(3)) show(event)
    assert.isFalse(renderer.moving())
  })

  it("cuts the command of a step where the terminal ends", () => {
    const command = `npm run build -- ${"x".repeat(200)}`
    const lineIn = (columns: number) => {
      const { screen, show } = open({ columns })
      for (const event of Story.timed([step("build", "Build", command)])) show(event)
      return screen.lines()
    }
    assert.deepStrictEqual(lineIn(40), ["build | s | ▸ Build", `build | s | $ npm run build -- ${"x".repeat(7)}…`, ""])
    assert.isTrue(lineIn(100)[1]!.endsWith("x…"))
    assert.strictEqual(lineIn(100)[1]!.length, 99)
  })

  it("leaves the same lines on the screen as the plain renderer", () => {
    const { renderer, screen, show } = open({ columns: 60, color: true })
    const plain = PlainRenderer.make({ color: true, timestamps: "none", ansi: true })
    const expected = Screen.make(60)
    for (const event of Story.everything) {
      show(event)
      screen.write(renderer.tick(event.at + 50))
      expected.write(plain.event(event))
    }
    screen.write(renderer.end())
    assert.deepStrictEqual(screen.lines(), expected.lines())
    assert.isTrue(screen.cursorVisible())
  })

  it("counts the jobs that it has no room for", () => {
    const { renderer, screen, show } = open()
    for (const event of Story.timed(Array.from({ length: 11 }, (_, index) => started(`job-${index}`)))) show(event)
    screen.write(renderer.tick(Story.epoch + 1000))
    assert.deepStrictEqual(screen.lines().slice(11), [
      ...Array.from({ length: 8 }, (_, index) => `⠙ job-${index}  starting  ${((10 - index) / 10).toFixed(1)}s`),
      "… and 3 more"
    ])
    const small = open({ rows: 6 })
    for (const event of Story.timed(Array.from({ length: 11 }, (_, index) => started(`job-${index}`))))
      small.show(event)
    assert.deepStrictEqual(small.screen.lines().at(-1), "… and 8 more")
    assert.strictEqual(small.screen.lines().length, 11 + 4)
  })

  it("never lets a line below be broken, nor the user's output move it", () => {
    const { renderer, screen, show } = open({ columns: 40 })
    const noisy = "\u001b[2J\u001b[10Adownload 10%\rdownload 100%\u001b[K"
    const events = [started("build"), step("build", `漢 ${"long ".repeat(30)}`), Story.out("build", "s", `${noisy}\n`)]
    for (const event of Story.timed(events)) show(event)
    screen.write(renderer.tick(Story.epoch + 1000))
    assert.strictEqual(screen.lines().at(-2), "build | s | download 100%")
    assert.isBelow(screen.lines().at(-1)!.length, 40)
    assert.deepStrictEqual(screen.unknown, [])
  })

  it("takes all of its lines back in a terminal that became narrower", () => {
    const size = { columns: 100, rows: 40 }
    const renderer = LiveRenderer.make({ color: false, timestamps: "none", size: () => size })
    const [begin, output] = Story.timed([started("build"), Story.out("build", "s", `${"x".repeat(200)}\n`)])
    renderer.event(begin!)
    renderer.event(output!)
    // 99 columns wide now, three lines of a terminal with 40.
    renderer.tick(Story.epoch)
    size.columns = 40
    assert.isTrue(renderer.tick(Story.epoch).includes("\r\u001b[2A\u001b[J"))
  })

  it("puts the words of others above its lines, and goes away when it is asked to", () => {
    const { renderer, screen, show } = open()
    show(Story.timed([started("build")])[0]!)
    screen.write(renderer.above("SIGINT: cancelling", Story.epoch))
    assert.deepStrictEqual(screen.lines(), [
      "build | ▸ 1 step on fake",
      "SIGINT: cancelling",
      "⠋ build  starting  0.0s"
    ])
    screen.write(renderer.pause())
    assert.deepStrictEqual(screen.lines(), ["build | ▸ 1 step on fake", "SIGINT: cancelling", ""])
    assert.isTrue(screen.cursorVisible())
    screen.write(renderer.tick(Story.epoch))
    assert.strictEqual(screen.lines().at(-1), "⠙ build  starting  0.0s")
    screen.write(renderer.end())
    assert.isTrue(screen.cursorVisible())
    assert.strictEqual(renderer.end(), "")
  })

  it("does not draw everything anew for each line of output", () => {
    const { renderer } = open()
    const [begin, ...lines] = Story.timed([
      started("build"),
      ...Array.from({ length: 20_000 }, (_, index) => Story.out("build", "s", `line ${index}\n`))
    ])
    renderer.event(begin!)
    const before = performance.now()
    for (const line of lines) renderer.event(line)
    // Drawing anew took ten times as long as all of this.
    assert.isBelow(performance.now() - before, 1000)
  })

  const Happening = Schema.Struct({
    job: Schema.Literals(["one", "two", "three"]),
    run: Schema.Literals(["first", "second"]),
    what: Schema.Literals([
      "start",
      "step",
      "output",
      "long",
      "half",
      "environment",
      "released",
      "finish",
      "tick",
      "pause",
      "above"
    ])
  })

  it.prop(
    "leaves what the plain renderer would, whatever happens in which order",
    [Schema.Array(Happening)],
    ([happenings]) => {
      const { renderer, screen } = open({ columns: 50, rows: 10 })
      const plain = PlainRenderer.make({ color: false, timestamps: "none", ansi: true })
      const expected = Screen.make(50)
      for (const [index, { job, run, what }] of happenings.entries()) {
        const at = Story.epoch + index * 10
        const text = `line ${index} `
        if (what === "tick") screen.write(renderer.tick(at))
        else if (what === "pause") screen.write(renderer.pause())
        else if (what === "above") {
          screen.write(renderer.above(text, at))
          expected.write(`${text}\n`)
        } else {
          const event = { ...Story.timed([eventOf(job, what, text)])[0]!, run, at }
          screen.write(renderer.event(event))
          expected.write(plain.event(event))
        }
      }
      screen.write(renderer.end())
      expected.write(plain.end())
      assert.deepStrictEqual(screen.lines(), expected.lines())
      assert.isTrue(screen.cursorVisible())
    }
  )
})

const eventOf = (job: string, what: string, text: string): Story.Untimed => {
  switch (what) {
    case "start":
      return started(job)
    case "step":
      return step(job, "S")
    case "output":
      return Story.out(job, "s", `${text}\n`)
    case "long":
      return Story.out(job, "s", `${text.repeat(20)}\n`)
    case "half":
      return Story.out(job, "s", text)
    case "environment":
      return { _tag: "EnvironmentRequested", job, environment: job, removal: `remove ${job}` }
    case "released":
      return { _tag: "EnvironmentReleased", job, environment: job }
    default:
      return finished(job)
  }
}
