/** `jobscope run` as people see it, on a terminal of its own. */
import { spawnSync } from "node:child_process"
import { assert, describe, it } from "@effect/vitest"
import * as Screen from "../console/screen.ts"
import { folder, run, runOnTerminal, useJobscope } from "./process.ts"

useJobscope()

const noTerminal = spawnSync("python3", ["-c", "import pty"]).status !== 0

const screenOf = (text: string, columns: number) => {
  const screen = Screen.make(columns)
  screen.write(text)
  assert.deepStrictEqual(screen.unknown, [])
  assert.isTrue(screen.cursorVisible())
  return screen.lines().join("\n")
}

const spinner = /[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]/

describe.skipIf(noTerminal)("jobscope run on a terminal", () => {
  const workflow = `on: push
jobs:
  build:
    runs-on: x
    steps:
      - name: Show
        run: |
          printf '\\033[1;31mred, and never closed\\n'
          for i in 1 2 3; do printf "progress $i\\r"; done; echo
          printf 'clear \\033[2J\\033[Hme \\033]0;title\\007\\n'
          echo "$(seq -s , 1 60)"
          sleep 0.3
  fail:
    runs-on: x
    steps: [{ name: Break, run: "echo 日本語 >&2; exit 3" }]
`

  it("shows what happens, and what failed", async () => {
    const ended = await runOnTerminal([], ["run", "ci.yml"], { cwd: folder({ "ci.yml": workflow }), columns: 60 })
    const text = screenOf(ended.stdout, 60)
    assert.strictEqual(ended.code, 1)
    assert.match(ended.stdout, spinner)
    assert.notMatch(text, spinner, "the lines below are gone")
    assert.match(text, /\n\d\d:\d\d\.\d build \| Show \| red, and never closed\n/)
    assert.match(text, /\| Show \| progress 3\n/)
    assert.match(text, /\| Show \| clear +me/, "a step does not clear the screen")
    assert.include(text.replaceAll("\n", ""), Array.from({ length: 60 }, (_, n) => n + 1).join(","))
    assert.include(ended.stdout, "never closed\u001b[0m")
    assert.match(text, /\n✓ success +\d+ms {2}build\n✗ failure +\d+ms {2}fail\n {2}2 jobs: 1 success, 1 failure\n/)
    assert.match(text, /\n✗ fail › Break: StepFailed, exit code 3\n {2}\| 日本語\n/)
  })

  it("has no colours where NO_COLOR says so", async () => {
    const where = { cwd: folder({ "ci.yml": workflow }), columns: 60, env: { NO_COLOR: "1" } }
    const { stdout } = await runOnTerminal([], ["run", "ci.yml", "-j", "fail"], where)
    const sequences = stdout.split("\u001b[").slice(1)
    assert.isNotEmpty(sequences)
    assert.deepStrictEqual(
      sequences.filter((sequence) => /^[\d;]*m/.test(sequence)),
      []
    )
  })

  it("follows the size of the window, and is cancelled by Ctrl-C", async () => {
    const cwd = folder({
      "ci.yml": `on: push
jobs:
  work:
    runs-on: x
    strategy: { matrix: { n: [1, 2, 3, 4, 5, 6, 7, 8] } }
    steps: [{ name: Wait, run: "echo up; sleep 600 & sleep 600" }]
`
    })
    const ended = await runOnTerminal(
      [
        ["work (8)\u001b[22m  ▸ Wait", 0, "WINDOW:44,12"],
        ["", 0.3, "\u0003"]
      ],
      ["run", "ci.yml", "--parallel", "8"],
      { cwd, columns: 100 }
    )
    assert.strictEqual(ended.code, 130)
    const text = screenOf(ended.stdout, 44)
    assert.notMatch(text, spinner)
    const said = text.replaceAll("\n", "")
    const cancelling = "SIGINT: cancelling, releasing 8 environments; again to stop waiting"
    assert.strictEqual(said.split(cancelling).length, 2, "once, and of all eight")
    assert.match(text, /\n■ cancelled +[\d.]+m?s {2}work \(1\)\n■ cancelled +[\d.]+m?s {2}work \(2\)\n/)
    assert.include(text, "8 jobs: 8 cancelled")
    const { stdout } = await run(["ps", "--backend", "local", "--output", "json"], { cwd })
    assert.deepStrictEqual(JSON.parse(stdout).resources, [])
  })
})
