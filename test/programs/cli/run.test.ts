import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { JsonEvent } from "../../../src/programs/report/JsonEvent.ts"
import { folder, run, start, useJobscope } from "./process.ts"

useJobscope()

const workflow = (jobs: string, on = "push") => `on: ${on}\njobs:\n${jobs.replaceAll(/^(?=.)/gm, "  ")}`
const job = (id: string, steps: ReadonlyArray<string>, more = "") =>
  `${id}:\n  runs-on: x\n${more.replaceAll(/^(?=.)/gm, "  ")}  steps:\n${steps.map((step) => `    - run: |\n${step.replaceAll(/^(?=.)/gm, "        ")}\n`).join("")}`

const inRepository = (text: string, more: Readonly<Record<string, string>> = {}) =>
  folder({ ".github/workflows/ci.yml": text, ".git/HEAD": "ref: refs/heads/main\n", ...more })

/** Everything that a process said, JSON read. */
const eventsOf = (stdout: string) =>
  stdout
    .trimEnd()
    .split("\n")
    .map((line) => Schema.decodeSync(Schema.fromJsonString(JsonEvent), { onExcessProperty: "error" })(line))
const outputOf = (stdout: string) => eventsOf(stdout).flatMap((event) => (event.type === "output" ? [event.text] : []))

const environments = async (cwd: string) =>
  JSON.parse((await run(["ps", "--backend", "local", "--output", "json"], { cwd })).stdout).resources

describe("jobscope run", () => {
  it("runs the only workflow of a repository, and says what came of it", async () => {
    const cwd = inRepository(workflow(job("build", ["echo built"]) + job("test", ["echo tested"], "needs: build\n")))
    const { code, stderr, stdout } = await run(["run"], { cwd })
    assert.deepStrictEqual([code, stderr], [0, ""])
    assert.include(stdout, "| built\n")
    assert.isBelow(stdout.indexOf("| built\n"), stdout.indexOf("| tested\n"))
    assert.match(stdout, /✓ success +\d+ms {2}build\n✓ success +\d+ms {2}test\n {2}2 jobs: 2 success\n$/)
    assert.deepStrictEqual(await environments(cwd), [])
  })

  it("asks which, where there are several", async () => {
    const cwd = inRepository(workflow(job("a", ["true"])), { ".github/workflows/cd.yml": "" })
    const { code, stderr, stdout } = await run(["run"], { cwd })
    assert.deepStrictEqual([code, stdout], [2, ""])
    assert.include(stderr, "name one of them: cd.yml, ci.yml")
  })

  it("fails with a step, and with its code where that is asked for", async () => {
    const cwd = inRepository(workflow(job("build", ["echo on the way\nexit 7"])))
    const failed = await run(["run"], { cwd })
    assert.strictEqual(failed.code, 1)
    assert.match(failed.stdout, /✗ build › .*: StepFailed, exit code 7\n {2}\| on the way\n/)
    assert.strictEqual((await run(["run", "--passthrough"], { cwd })).code, 7)
    assert.strictEqual((await run(["run"], { cwd, env: { JOBSCOPE_PASSTHROUGH: "1" } })).code, 7)
  })

  it("runs some jobs, with or without what they need", async () => {
    const cwd = inRepository(
      workflow(
        job("build", ["echo v=1 >> $GITHUB_OUTPUT"], `outputs:\n  v: \${{ steps.__run.outputs.v }}\n`) +
          job(
            "test",
            [`echo test \${{ matrix.n }}\${{ matrix.os }}`],
            "needs: build\nstrategy:\n  matrix: { n: [1, 2], os: [a, b] }\n"
          ) +
          job("other", ["echo other"])
      )
    )
    const shown = async (...args: ReadonlyArray<string>) => {
      const { code, stdout } = await run(["run", "-o", "json", ...args], { cwd })
      assert.strictEqual(code, 0)
      return eventsOf(stdout)
        .flatMap((event) => (event.type === "job-finished" ? [event.job] : []))
        .sort()
    }
    assert.deepStrictEqual(await shown("-j", "test", "--matrix", "n:2"), ["build", "test (2, a)", "test (2, b)"])
    assert.deepStrictEqual(await shown("-j", "t*", "--no-needs", "--matrix", "n:2", "--matrix", "os:b"), [
      "test (2, b)"
    ])
    assert.deepStrictEqual(await shown("-j", "other", "-j", "build"), ["build", "other"])
  })

  it("gives jobs variables, inputs and the event", async () => {
    const text = workflow(
      job("show", [
        `echo "$A $B \${{ vars.V }}"`,
        `echo "\${{ inputs.who }} \${{ github.event.number }} \${{ github.event_name }}"`
      ]),
      "\n  workflow_dispatch:\n    inputs:\n      who: { type: string }\n"
    )
    const cwd = inRepository(text, { ".env": "A=from a file\nB=too", "event.json": '{"number": 42}' })
    const args = ["--env-file", ".env", "-e", "B=flag", "--var", "V=v", "--input", "who=me", "--event", "event.json"]
    const { code, stdout } = await run(["run", "-o", "json", ...args], { cwd })
    assert.deepStrictEqual([code, outputOf(stdout)], [0, ["from a file flag v", "me 42 workflow_dispatch"]])
  })

  it.each(["plain", "github", "json", "junit"])("shows no secret as %s, wherever it is", async (output) => {
    const secret = 'hunter22"& <secret>'
    const steps = [
      `: '\${{ secrets.TOKEN }}'`,
      'printf "%s\\n" "$TOKEN"; printf "%s" "$TOKEN" | base64; printf "x%s" "$TOKEN" | base64; echo "::error::no $TOKEN"',
      'echo "::add-mask::made-here-$((2 - 1))"; echo "so made-here-$((2 - 1))"; echo "$TOKEN" >&2; exit 3'
    ]
    const text = workflow(job("show", steps, `env:\n  TOKEN: \${{ secrets.TOKEN }}\n`))
    const cwd = inRepository(text)
    const { code, stderr, stdout } = await run(["run", "-o", output, "--secret", "TOKEN"], {
      cwd,
      env: { TOKEN: secret }
    })
    assert.strictEqual(code, 1)
    for (const form of [
      secret,
      "hunter22",
      "made-here-1",
      Buffer.from(secret).toString("base64").slice(0, 12),
      Buffer.from(`x${secret}`).toString("base64").slice(4, 16)
    ]) {
      assert.notInclude(stdout + stderr, form)
    }
    assert.include(stdout, "***")
  })

  it("writes what steps summarise", async () => {
    const cwd = inRepository(
      workflow(job("a", ["echo '# One' >> $GITHUB_STEP_SUMMARY", "echo two >> $GITHUB_STEP_SUMMARY"]))
    )
    assert.strictEqual((await run(["run", "--summary-file", "out.md"], { cwd })).code, 0)
    assert.strictEqual(readFileSync(join(cwd, "out.md"), "utf8"), "# One\ntwo\n")
  })

  it("shows times where they are asked for", async () => {
    const cwd = inRepository(workflow(job("a", ["true"])))
    assert.match((await run(["run", "--timestamps", "elapsed"], { cwd })).stdout, /^00:00\.0 a/)
    assert.match((await run(["run", "--timestamps", "utc"], { cwd })).stdout, /^\d{4}-\d\d-\d\dT.*Z a/)
  })

  it("keeps what failed, to be looked into and removed", async () => {
    const cwd = inRepository(workflow(job("bad", ["echo here > file; exit 1"]) + job("good", ["true"])))
    const { code, stdout } = await run(["run", "--on-failure", "keep"], { cwd })
    assert.strictEqual(code, 1)
    const name = /The environment (bad-\w+) is kept/.exec(stdout)?.[1] ?? assert.fail(stdout)
    assert.include((await run(["ps", "--backend", "local"], { cwd })).stdout, `${name}  local`)
    const kept: ReadonlyArray<{ readonly environment: string; readonly custody: string }> = await environments(cwd)
    assert.deepStrictEqual(
      kept.map(({ custody, environment }) => [environment, custody]),
      [[name, "handed-over"]]
    )
    const reaped = await run(["reap", "--backend", "local", "--environment", name], { cwd })
    assert.include(reaped.stdout, `removed ${name}`)
    assert.deepStrictEqual(await environments(cwd), [])
  })

  it("runs no more jobs at a time than it may", async () => {
    const counting = "echo start; sleep 0.2; echo end"
    const cwd = inRepository(workflow(["a", "b", "c", "d"].map((id) => job(id, [counting])).join("")))
    const { stdout } = await run(["run", "-p", "2", "-o", "json"], { cwd })
    let running = 0
    let most = 0
    for (const text of outputOf(stdout)) {
      running += text === "start" ? 1 : -1
      most = Math.max(most, running)
    }
    assert.deepStrictEqual([running, most], [0, 2])
  })
})

describe("jobscope run, asked to stop", () => {
  it("says in one line what it releases, and leaves nothing of eight jobs", async () => {
    const ids = ["a", "b", "c", "d", "e", "f", "g", "h"]
    const cwd = inRepository(workflow(ids.map((id) => job(id, [`echo ${id} runs; sleep 600 & sleep 600`])).join("")))
    const running = start(["run", "--parallel", "8"], { cwd })
    for (const id of ids) await running.says(`| ${id} runs\n`)
    running.kill("SIGINT")
    const { code, stderr, stdout } = await running.ended
    assert.strictEqual(code, 130)
    assert.strictEqual(stderr, "SIGINT: cancelling, releasing 8 environments; again to stop waiting\n")
    assert.include(stdout, "8 jobs: 8 cancelled")
    assert.deepStrictEqual(await environments(cwd), [])
  })
})

describe("jobscope run, given something else than a workflow", () => {
  const alias = `a: &a [x]\n${Array.from({ length: 30 }, (_, n) => `b${n}: &b${n} [*${n === 0 ? "a" : `b${n - 1}`}, *${n === 0 ? "a" : `b${n - 1}`}]`).join("\n")}\n`
  const good = workflow(job("a", ["touch started"]))
  const hostile: ReadonlyArray<{
    readonly title: string
    readonly content?: string | Uint8Array
    readonly says: RegExp
  }> = [
    { title: "bad YAML", content: "on: push\njobs:\n  a: [\n", says: /ci\.yml:\d+:\d+: error: / },
    { title: "an unknown key", content: good.replace("runs-on", "run-on"), says: /ci\.yml:4:5: error: .*run-on/ },
    {
      title: "a circle of needs",
      content: workflow(job("a", ["touch started"], "needs: b\n") + job("b", ["true"], "needs: a\n")),
      says: /ci\.yml:\d+:\d+: error: .*/
    },
    {
      title: "an unknown function",
      content: good.replace("touch started", `echo \${{ shout('x') }}`),
      says: /ci\.yml:7:\d+: error: .*shout/
    },
    { title: "an alias bomb", content: alias, says: /ci\.yml:\d+:\d+: error: / },
    { title: "10 MB", content: `# ${"x".repeat(10_000_000)}\n${good}`, says: /ci\.yml:1:1: error: / },
    {
      title: "10 MB of jobs",
      content: good + Array.from({ length: 60_000 }, (_, n) => job(`j${n}`, ["touch started"])).join(""),
      says: /error: /
    },
    {
      title: "a binary file",
      content: new Uint8Array(100_000).map((_, n) => (n * 7919) % 256),
      says: /ci\.yml:1:1: error: /
    },
    { title: "an empty file", content: "", says: /ci\.yml:1:1: error: / },
    { title: "no file", says: /none\.yml:1:1: error: / },
    { title: "a directory", says: /\.github:1:1: error: / }
  ]
  it.each(hostile)(
    "refuses $title, at its place, in a screen, and starts nothing",
    async ({ content, says, title }) => {
      const cwd = folder({ "ci.yml": content ?? good, ".github/x": "" })
      const name = title === "no file" ? "none.yml" : title === "a directory" ? ".github" : "ci.yml"
      const { code, stderr, stdout } = await run(["run", "--in-place", name], { cwd })
      assert.deepStrictEqual([code, stdout], [2, ""])
      assert.match(stderr, says)
      assert.isAtMost(stderr.split("\n").length, 42)
      assert.isAtMost(Math.max(...stderr.split("\n").map((line) => line.length)), 400)
      assert.isFalse(existsSync(join(cwd, ".state")))
      assert.isFalse(existsSync(join(cwd, "started")))
    }
  )

  it.each([
    { args: ["-j", "nobody"], says: 'no job "nobody"' },
    { args: ["--matrix", "x"], says: "expected KEY:VALUE" },
    { args: ["--event", "none.json"], says: "none.json" },
    { args: ["--event", "list.json"], says: "expected a JSON object" },
    { args: ["--secret", "NO_SUCH_VARIABLE"], says: "--secret NO_SUCH_VARIABLE" },
    { args: ["--backend", "pod"], says: "" },
    { args: ["--backend", "kro"], says: "--rgd" },
    { args: ["--parallel", "none"], says: "a whole number" },
    { args: ["--config", "broken.yml"], says: "broken.yml" }
  ])("refuses $args", async ({ args, says }) => {
    const cwd = inRepository(good, { "list.json": "[1]" })
    writeFileSync(join(cwd, "broken.yml"), "parallel: [")
    const { code, stderr, stdout } = await run(["run", "--in-place", ...args], { cwd })
    assert.deepStrictEqual([code, stdout], [2, ""])
    assert.include(stderr, says)
    assert.isAtMost(stderr.split("\n").length, 42)
    assert.isFalse(existsSync(join(cwd, "started")))
  })
})
