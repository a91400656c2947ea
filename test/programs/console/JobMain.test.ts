import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, assert, describe, it } from "@effect/vitest"
import { command, killAll, onTerminal, run, sleep, start } from "./process.ts"
import * as Screen from "./screen.ts"

afterEach(killAll)

const hanging = { jobs: [["build", "print:hello hang"]] }
const two = {
  jobs: [
    ["build", "hang"],
    ["deploy", "hang"]
  ]
}
/** On the screen once the step of `hanging` runs. */
const hangs = " hello\r\n"

const bothHang = async (running: ReturnType<typeof start>) => {
  await running.says("build  | hang | ▸ hang")
  await running.says("deploy | hang | ▸ hang")
}

describe("JobMain: how it ends", () => {
  it.each([
    ["success", "run", { jobs: [["a", "print:x"]] }, 0],
    ["no jobs", "run", { jobs: [] }, 0],
    [
      "a failed step",
      "run",
      {
        jobs: [
          ["a", "exit:7"],
          ["b", "print:x"]
        ]
      },
      1
    ],
    ["a time-out", "run", { jobs: [["a", "hang"]], stepTimeout: 50 }, 4],
    [
      "infrastructure",
      "run",
      {
        jobs: [
          ["a", "print:x"],
          ["b", "exit:1"]
        ],
        create: "fails"
      },
      3
    ],
    ["a leak is no failure", "run", { jobs: [["a", "print:x"]], release: "fails" }, 0],
    ["an error", "or-fail", { jobs: [["a", "exit:7"]] }, 1],
    ["an error that is none of ours", "unknown-error", { jobs: [["a", "print:x"]] }, 1],
    ["a defect", "defect", { jobs: [["a", "print:x"]] }, 3]
  ])("%s", async (_, mode, scenario, code) => {
    assert.strictEqual((await run(mode, scenario)).code, code)
  })

  it("shows a job, its end, and what to do", async () => {
    const { stderr, stdout } = await run("run", { jobs: [["build", "print:hello", "print:no_such_file exit:2"]] })
    const lines = stdout.replace(/\d+ms/g, "1ms").split("\n")
    assert.deepStrictEqual(lines, [
      "build | ▸ 2 steps on fake",
      "build | environment build-1 is ready",
      "build | print:hello | ▸ print:hello",
      "build | print:hello | hello",
      "build | print:hello | ✓ 1ms",
      "build | print:no_such_file exit… | ▸ print:no_such_file exit:2",
      "build | print:no_such_file exit… | no such file",
      "build | print:no_such_file exit… | ✗ exit code 2 after 1ms",
      "build | environment build-1 is released",
      "build | ✗ failure after 1ms",
      "",
      lines[11]!,
      "",
      "✗ build › print:no_such_file exit:2: StepFailed, exit code 2",
      "  | no such file",
      "  docs/errors.md#step-failed",
      ""
    ])
    assert.match(lines[11]!, /^✗ failure +1ms {2}build$/)
    assert.strictEqual(stderr, "")
  })

  it("tells on stderr what ended the program, and once only", async () => {
    const defect = await run("defect", { jobs: [["a", "print:x"]] })
    assert.match(defect.stderr, /^✗ The program has a defect\n {2}Error: a bug of the program\n/)
    assert.include(defect.stdout, "✓ success")
    assert.match((await run("unknown-error", { jobs: [] })).stderr, /^✗ The program failed\n {2}.*no such thing/)
    const failed = await run("or-fail", { jobs: [["a", "exit:7"]] })
    assert.strictEqual(failed.stderr, "")
    assert.include(failed.stdout, "✗ a › exit:7: StepFailed, exit code 7")
  })

  it("says nothing when asked to be silent", async () => {
    const ended = await run("run", { jobs: [["a", "print:x exit:1"]], options: { renderer: "silent" } })
    assert.deepStrictEqual([ended.code, ended.stdout, ended.stderr], [1, "", ""])
    const asked = await run("run", { jobs: [["a", "exit:1"]], options: { renderer: "silent", summary: true } })
    assert.match(asked.stdout, /^\n✗ failure/)
    const plain = await run("run", { jobs: [["a", "exit:1"]], options: { summary: false } })
    assert.notInclude(plain.stdout, "docs/errors.md")
  })

  it("does not wait for timers that nobody needs", async () => {
    const ended = await run("timer", { jobs: [["a", "print:x"]] })
    assert.strictEqual(ended.code, 0)
    assert.isBelow(ended.millis, 20_000)
  })

  it("ends a program that waits for nothing, in order", async () => {
    const ended = await run("stuck", { jobs: [["a", "print:x"]] })
    assert.strictEqual(ended.code, 1)
    assert.include(ended.stderr, "The program waits for something that cannot happen any more")
    assert.include(ended.stdout, "✓ success")
  })

  it("says what may be left when the process crashes", async () => {
    const ended = await run("throw", hanging)
    assert.notStrictEqual(ended.code, 0)
    assert.include(ended.stderr, "outside of Effect")
    assert.include(
      ended.stderr,
      "The process ends before the program; 1 environment may be left, remove with:\n  fake remove build-1\n"
    )
  })
})

describe("JobMain: signals", () => {
  it.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129]
  ] as const)("%s cancels in order", async (signal, code) => {
    const running = start(command("run", two))
    await bothHang(running)
    running.kill(signal)
    const ended = await running.ended
    assert.strictEqual(ended.code, code)
    assert.strictEqual(ended.stderr, `${signal}: cancelling, releasing 2 environments; again to stop waiting\n`)
    for (const line of [
      "build  | ■ stopping: cancelled",
      "build  | environment build-1 is released",
      "deploy | environment deploy-2 is released",
      "build  | ■ cancelled after"
    ]) {
      assert.include(ended.stdout, line)
    }
    assert.match(ended.stdout, /\n\n■ cancelled +\d+ms {2}build\n■ cancelled +\d+ms {2}deploy\n/)
  })

  it("counts two jobs of one name as two", async () => {
    const jobs = [
      ["build", "print:one hang"],
      ["build", "print:two hang"]
    ]
    const running = start(command("run", { jobs }))
    await running.says("| one\n")
    await running.says("| two\n")
    running.kill("SIGINT")
    const ended = await running.ended
    assert.strictEqual(ended.stderr, "SIGINT: cancelling, releasing 2 environments; again to stop waiting\n")
    assert.match(
      ended.stdout,
      /\n\n■ cancelled +\d+ms {2}build\n■ cancelled +\d+ms {2}build\n {2}2 jobs: 2 cancelled\n/
    )
  })

  it("takes the same signal twice at once for one key press", async () => {
    const running = start(command("run", { ...two, release: "500 millis" }))
    await bothHang(running)
    running.kill("SIGINT")
    await sleep(30)
    running.kill("SIGINT")
    const ended = await running.ended
    assert.strictEqual(ended.code, 130)
    assert.strictEqual(ended.stderr, "SIGINT: cancelling, releasing 2 environments; again to stop waiting\n")
    assert.include(ended.stdout, "environment deploy-2 is released")
  })

  it("stops waiting at the second one, and says how to remove what may be left", async () => {
    const running = start(command("run", { ...two, release: "never" }))
    await bothHang(running)
    running.kill("SIGINT")
    await running.says("again to stop waiting")
    await sleep(400)
    running.kill("SIGINT")
    const ended = await running.ended
    assert.strictEqual(ended.code, 130)
    assert.strictEqual(
      ended.stderr,
      [
        "SIGINT: cancelling, releasing 2 environments; again to stop waiting",
        "SIGINT: not waiting any more; 2 environments may be left, remove with:",
        "  fake remove build-1",
        "  fake remove deploy-2",
        ""
      ].join("\n")
    )
  })

  it("names only what is not released yet, and exits with the code of the last signal", async () => {
    const jobs = [
      ["build", "print:x"],
      ["deploy", "stubborn"]
    ]
    const running = start(command("run", { jobs, release: "500 millis" }))
    await running.says("environment build-1 is released")
    running.kill("SIGINT")
    await running.says("again to stop waiting")
    running.kill("SIGTERM")
    const ended = await running.ended
    assert.strictEqual(ended.code, 143)
    assert.include(ended.stderr, "SIGINT: cancelling, releasing 1 environment;")
    assert.include(ended.stderr, "1 environment may be left, remove with:\n  fake remove deploy-2\n")
  })

  it("shows what a cancelled job leaks", async () => {
    const running = start(command("run", { ...hanging, release: "fails" }))
    await running.says("build | print:hello hang | hello")
    running.kill("SIGTERM")
    const ended = await running.ended
    assert.strictEqual(ended.code, 143)
    assert.include(ended.stdout, "  → Remove it with: fake remove build-1\n")
  })
})

describe("JobMain: readers", () => {
  const shell = (pipeline: string, scenario: object, mode = "run") =>
    start(["sh", "-c", pipeline, "sh", ...command(mode, scenario)]).ended

  it("cancels, and does not crash, when nobody reads any more", async () => {
    const scenario = { jobs: [["build", "lines:1000 sleep:300 lines:1000 sleep:300 lines:1000 hang"]] }
    const ended = await shell('{ "$@"; echo "code $?" >&2; } | head -n 1', scenario)
    assert.strictEqual(ended.stdout, "build | ▸ 1 step on fake\n")
    assert.strictEqual(ended.stderr, "stdout is closed: cancelling, releasing 1 environment\ncode 141\n")
  })

  it("keeps the result of a program whose reader left at the end", async () => {
    const ended = await shell('{ "$@"; echo "code $?" >&2; } | head -n 1', { jobs: [["build", "exit:1"]] })
    assert.match(ended.stderr, /code 1\n$|code 141\n$/)
  })

  it("survives that stderr is closed too", async () => {
    const scenario = { jobs: [["build", "lines:1000 sleep:300 lines:1000 hang"]] }
    const directory = mkdtempSync(join(tmpdir(), "jobscope-console-"))
    const code = join(directory, "code")
    await start(["sh", "-c", `{ "$@"; echo "code $?" >${code}; } 2>&1 | head -n 1`, "sh", ...command("run", scenario)])
      .ended
    assert.strictEqual(readFileSync(code, "utf8"), "code 141\n")
    rmSync(directory, { recursive: true })
  })

  it("writes everything before it exits, into a pipe as into a file", async () => {
    const scenario = { jobs: [["build", "lines:50000"]] }
    const counted = await shell('"$@" | { sleep 1; grep -c "| line "; }', scenario)
    assert.strictEqual(counted.stdout, "50000\n")
    const directory = mkdtempSync(join(tmpdir(), "jobscope-console-"))
    const file = join(directory, "log")
    await shell(`"$@" > ${file}`, scenario)
    const lines = readFileSync(file, "utf8").split("\n")
    assert.strictEqual(lines.filter((line) => line.includes("| line ")).length, 50_000)
    assert.match(lines.at(-2)!, /^✓ success/)
    rmSync(directory, { recursive: true })
  })

  it("keeps memory flat when the reader is slow", async () => {
    // 130 MB in all.
    const running = start(command("memory", { jobs: [["build", "lines:1000000"]] }), { deaf: true })
    const stdout = running.child.stdout!
    let read = 0
    let last = ""
    stdout.setEncoding("utf8").on("data", (text: string) => {
      read += text.length
      last = (last + text).slice(-100)
      // A little at a time, then as it comes.
      if (read < 30_000_000) {
        stdout.pause()
        setTimeout(() => stdout.resume(), 5)
      }
    })
    const ended = await running.ended
    await sleep(50)
    assert.isAbove(read, 110_000_000)
    assert.match(last, /✓ success +[\dms. ]+ {2}build\n$/)
    const samples = Array.from(ended.stderr.matchAll(/held (\d+)/g), ([, held]) => Number(held))
    assert.isAbove(samples.length, 5)
    assert.isBelow(Math.max(...samples), 80_000_000, `${samples.length} samples`)
  })

  it("releases in order although a pager has stopped reading", async () => {
    const running = start(command("memory", { jobs: [["build", "lines:1000000"]] }), { deaf: true })
    await running.says("held")
    // The pipe is full by now, and the job waits for its reader.
    await sleep(1000)
    running.kill("SIGINT")
    await running.says("releasing 1 environment")
    await sleep(2500)
    running.kill("SIGINT")
    const ended = await running.ended
    assert.strictEqual(ended.code, 130)
    // Nothing may be left: only the last words had no reader.
    assert.include(ended.stderr, "SIGINT: not waiting any more\n")
    assert.notInclude(ended.stderr, "may be left")
  })
})

const noTerminal = spawnSync("python3", ["-c", "import pty"]).status === 0 ? false : "python3 with pty is needed"

describe.skipIf(noTerminal !== false)("JobMain: on a terminal", () => {
  const shown = (text: string, columns = 100) => {
    const screen = Screen.make(columns)
    screen.write(text)
    return screen
  }

  it("is live: the lines below are gone at the end, and the cursor is back", async () => {
    const jobs = [
      ["build", "print:hello sleep:400"],
      ["deploy", "sleep:300 exit:2"]
    ]
    const ended = await onTerminal([], command("run", { jobs }))
    const screen = shown(ended.stdout)
    assert.strictEqual(ended.code, 1)
    assert.deepStrictEqual(screen.unknown, [])
    assert.isTrue(screen.cursorVisible())
    assert.match(ended.stdout, /⠋.*build/)
    assert.notMatch(screen.lines().join("\n"), /[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]/)
    const [first = ""] = screen.lines()
    assert.match(first, /^00:00\.0 build \| ▸ 1 step on fake$/)
    const text = screen.lines().join("\n")
    assert.match(text, /\n✓ success +\d+ms {2}build\n✗ failure +\d+ms {2}deploy\n/, "in the order in which they began")
    assert.include(text, "\n✗ deploy › sleep:300 exit:2: StepFailed, exit code 2\n")
  })

  it("is plain in CI", async () => {
    const ended = await onTerminal([], command("run", { jobs: [["build", "print:hello"]] }), {
      env: { CI: "1", NO_COLOR: "1" }
    })
    assert.notInclude(ended.stdout, "\u001b")
    assert.match(ended.stdout, /^00:00\.0 build \| ▸ 1 step on fake\r\n/)
  })

  it("cancels by Ctrl-C, once, and gives the cursor back", async () => {
    const ended = await onTerminal([[hangs, 0.3, "\u0003"]], command("run", hanging))
    const screen = shown(ended.stdout)
    assert.strictEqual(ended.code, 130)
    assert.isTrue(screen.cursorVisible())
    const text = screen.lines().join("\n")
    assert.match(text, /SIGINT: cancelling, releasing 1 environment; again to stop waiting\n/)
    assert.match(text, /environment build-1 is released\n/)
    assert.match(text, /\n■ cancelled +[\d.]+m?s {2}build\n/)
  })

  it("stops waiting by a second Ctrl-C, with the cursor back", async () => {
    const ended = await onTerminal(
      [
        [hangs, 0.3, "\u0003"],
        ["cancelling", 0.5, "\u0003"]
      ],
      command("run", { ...hanging, release: "never" })
    )
    const screen = shown(ended.stdout)
    assert.strictEqual(ended.code, 130)
    assert.isTrue(screen.cursorVisible())
    assert.include(screen.lines().join("\n"), "1 environment may be left, remove with:\n  fake remove build-1\n")
  })

  it("releases when the terminal is closed", async () => {
    const directory = mkdtempSync(join(tmpdir(), "jobscope-console-"))
    const log = join(directory, "log")
    const args = ["sh", "-c", `trap "" HUP; exec "$@" 2> ${log}`, "sh", ...command("run", hanging)]
    // `trap "" HUP` is not for the program: Node sets its own handler. It shows that an ignored signal is no excuse either.
    const ended = await onTerminal([[hangs, 0.3, "HUP"]], args)
    // Not killed by the signal: it exited by itself, and after the release.
    assert.strictEqual(ended.code, 129)
    assert.notInclude(readFileSync(log, "utf8"), "may be left")
    rmSync(directory, { recursive: true })
  })

  it("gives the cursor back when the process crashes", async () => {
    const ended = await onTerminal([], command("throw", hanging))
    const screen = shown(ended.stdout)
    assert.notStrictEqual(ended.code, 0)
    assert.isTrue(screen.cursorVisible())
    assert.include(screen.lines().join("\n"), "fake remove build-1")
  })

  it("gives the terminal back by Ctrl-Z, and draws again after fg", async () => {
    const ended = await onTerminal(
      [
        [hangs, 0.3, "SIG:SIGTSTP"],
        ["\u001b[?25h", 0.3, "SIG:SIGCONT"],
        ["", 0.5, "\u0003"]
      ],
      command("run", hanging)
    )
    assert.strictEqual(ended.code, 130)
    assert.isAbove(ended.stdout.split("\u001b[?25l").length, 2)
    assert.isTrue(shown(ended.stdout).cursorVisible())
  })

  it("keeps the program's own logs above the live lines", async () => {
    const ended = await onTerminal([], command("logs", { jobs: [["build", "print:hello"]] }))
    assert.match(shown(ended.stdout).lines().join("\n"), /\n\[.*\] INFO \(#\d+\): a log of the program\n/)
  })
})
