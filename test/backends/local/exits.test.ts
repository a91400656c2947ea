import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { collected, ended, environmentsOf, eventually, processesOf, reaper, start, stateDirectory } from "./support.ts"

const running = Effect.fnUntraced(function* (how: string) {
  const directory = yield* stateDirectory
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => start("fixtures/program.ts", [directory, how])),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  const text = collected(child)
  yield* eventually("the job runs", () => text.stdout.includes("running"))
  assert.isAtLeast(processesOf(directory).length, 6, "the tree is there")
  return { directory, child, text }
})

const assertNothingLeft = (directory: string) => {
  assert.deepStrictEqual(processesOf(directory), [])
  assert.deepStrictEqual(environmentsOf(directory), [])
}

describe("a program that is stopped in the middle of a job leaves nothing", () => {
  const cases = [
    { how: "JobMain", signal: "SIGINT", code: 130 },
    { how: "JobMain", signal: "SIGTERM", code: 143 },
    { how: "JobMain", signal: "SIGHUP", code: 129 },
    { how: "NodeRuntime", signal: "SIGINT", code: 130 },
    { how: "NodeRuntime", signal: "SIGTERM", code: 130 },
    // NodeRuntime.runMain 4.1 does not handle it: the backend's own guard does.
    { how: "NodeRuntime", signal: "SIGHUP", code: "SIGHUP" },
    { how: "runPromise", signal: "SIGINT", code: "SIGINT" },
    { how: "runPromise", signal: "SIGTERM", code: "SIGTERM" },
    { how: "runPromise", signal: "SIGHUP", code: "SIGHUP" }
  ] as const
  it.live.each(cases)("$how, $signal", ({ code, how, signal }) =>
    Effect.scoped(
      Effect.gen(function* () {
        const { child, directory } = yield* running(how)
        child.kill(signal)
        assert.strictEqual(yield* ended(child), code)
        assertNothingLeft(directory)
      })
    )
  )

  it.live.each([
    { how: "exit", code: 9 },
    { how: "throw", code: 1 }
  ])("$how", ({ code, how }) =>
    Effect.scoped(
      Effect.gen(function* () {
        const { child, directory } = yield* running(how)
        assert.strictEqual(yield* ended(child), code)
        assertNothingLeft(directory)
      })
    )
  )

  it.live("SIGKILL: the reaper shows it, and removes it", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { child, directory } = yield* running("JobMain")
        assert.include(reaper("--state-dir", directory).stdout, "0 removed, 1 kept", "a living program keeps its own")
        child.kill("SIGKILL")
        assert.strictEqual(yield* ended(child), "SIGKILL")
        assert.strictEqual(environmentsOf(directory).length, 1)
        assert.isAbove(processesOf(directory).length, 0)

        const dry = reaper("--state-dir", directory, "--dry-run")
        assert.include(dry.stdout, "would remove tree-")
        assert.include(dry.stdout, "orphaned")
        assert.strictEqual(environmentsOf(directory).length, 1)

        const real = reaper("--state-dir", directory)
        assert.strictEqual(real.status, 0, real.stderr)
        assert.include(real.stdout, "1 removed, 0 kept")
        assertNothingLeft(directory)
      })
    )
  )

  it.live("a second signal: the program goes at once, and its own guard still cleans up", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { child, directory, text } = yield* running("JobMain")
        child.kill("SIGINT")
        yield* Effect.sleep("350 millis")
        child.kill("SIGINT")
        assert.strictEqual(yield* ended(child), 130)
        assert.include(`${text.stdout}${text.stderr}`, "jobscope-reaper")
        assertNothingLeft(directory)
      })
    )
  )
})
