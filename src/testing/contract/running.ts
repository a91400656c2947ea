import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as EnvVars from "../../domain/EnvVars.ts"
import type { JobEnvironment } from "../../domain/JobEnvironment.ts"
import { ScriptStep, StepFile } from "../../domain/Step.ts"
import { type ContractCapabilities, type Registrar, reasonOf, runToEnd, within } from "./setting.ts"
import * as steps from "./vocabulary.ts"

/** Exit codes, signals, variables, files: what steps are given and what they give. */
export const running = <R, E>(promise: Registrar<R>, capabilities: ContractCapabilities<R, E>): void => {
  const playsProcesses = capabilities.processes === false
  const sessions = capabilities.sessions ?? true

  promise(
    "every exit code from 0 to 255 is told as it is",
    (setting) =>
      within(setting, (environment) =>
        Effect.gen(function* () {
          const codes = Array.from({ length: 256 }, (_, code) => code)
          const told = yield* Effect.forEach(
            codes,
            (code) => Effect.map(runToEnd(environment, steps.exit(code)), ({ exitCode }) => exitCode),
            { concurrency: 8 }
          )
          assert.deepStrictEqual(told, codes)
        })
      ),
    // 256 steps, and others at the same time.
    { timeout: 180_000 }
  )

  promise("a step that dies by a signal ends with 128 + its number", (setting) =>
    within(setting, (environment) =>
      Effect.gen(function* () {
        assert.strictEqual((yield* runToEnd(environment, steps.dieBy("TERM", 15))).exitCode, 143)
        assert.strictEqual((yield* runToEnd(environment, steps.dieBy("KILL", 9))).exitCode, 137)
        assert.strictEqual((yield* runToEnd(environment, steps.dieBy("INT", 2))).exitCode, 130)
      })
    )
  )

  promise("a signal reaches the step, and one after its end does nothing", (setting) =>
    within(setting, (environment) =>
      Effect.scoped(
        Effect.gen(function* () {
          const step = yield* environment.start(steps.hangIgnoring("INT"))
          yield* Stream.runHead(step.output)
          yield* step.signal("SIGINT")
          assert.isTrue((yield* Effect.timeoutOption(step.exitCode, "200 millis"))._tag === "None")
          yield* step.signal("SIGTERM")
          assert.strictEqual(yield* step.exitCode, 143)
          assert.strictEqual(yield* step.exitCode, 143)
          yield* step.signal("SIGTERM")
        })
      )
    )
  )

  promise("closing a step's scope ends it, also when it ignores SIGTERM, and the next one starts", (setting) =>
    within(setting, (environment) =>
      Effect.gen(function* () {
        for (const step of [steps.hang, steps.hangIgnoring("TERM")]) {
          const scope = yield* Scope.make()
          const started = yield* Scope.provide(environment.start(step), scope)
          yield* Stream.runHead(started.output)
          yield* Effect.timeout(Scope.close(scope, yield* Effect.exit(Effect.void)), "10 seconds")
          assert.isAbove(yield* started.exitCode, 128)
        }
        assert.strictEqual((yield* runToEnd(environment, steps.exit(0))).exitCode, 0)
      })
    )
  )

  promise(
    `closing a step's scope ends its whole tree: children, grandchildren${sessions ? ", and who changed session" : ""}`,
    (setting) =>
      within(setting, (environment) =>
        Effect.gen(function* () {
          yield* Effect.scoped(
            Effect.gen(function* () {
              const step = yield* environment.start(steps.shell(familyOf("old", sessions, "; wait")))
              yield* Stream.runHead(step.output)
              yield* heartbeats(environment, "old", 3)
            })
          )
          yield* assertStill(environment, "old")
        })
      ),
    { skip: playsProcesses }
  )

  promise(
    "what a finished step left in the background lives on, and ends with the environment",
    (setting) =>
      Effect.gen(function* () {
        const survivors = yield* within(setting, (environment) =>
          Effect.gen(function* () {
            const left = yield* runToEnd(environment, steps.shell(familyOf("young", sessions, "")))
            assert.strictEqual(left.exitCode, 0)
            yield* heartbeats(environment, "young", 3)
            const before = yield* countOf(environment, "young-child")
            yield* Effect.sleep("300 millis")
            return (yield* countOf(environment, "young-child")) - before
          })
        )
        assert.isAbove(survivors, 0)
      }),
    { skip: playsProcesses }
  )

  promise("steps run at the same time, each with its own output and exit code", (setting) =>
    within(setting, (environment) =>
      Effect.gen(function* () {
        const met = yield* Effect.all(
          [runToEnd(environment, steps.meet("one", "two")), runToEnd(environment, steps.meet("two", "one"))],
          { concurrency: 2 }
        )
        assert.deepStrictEqual(
          met.map(({ stdout }) => stdout),
          ["met one\n", "met two\n"]
        )
        const many = yield* Effect.forEach(
          Array.from({ length: 16 }, (_, index) => index),
          (index) => runToEnd(environment, steps.print(`step ${index}`)),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(
          many.map(({ stdout }) => stdout),
          many.map((_, index) => `step ${index}`)
        )
      })
    )
  )

  promise("steps share the workspace", (setting) =>
    within(setting, (environment) =>
      Effect.gen(function* () {
        yield* runToEnd(environment, steps.writeWorkspace("shared.txt", "hello"))
        assert.strictEqual((yield* runToEnd(environment, steps.printWorkspace("shared.txt"))).stdout, "hello")
      })
    )
  )

  promise("variables come as they are: the job's, the step's over them, and awkward ones", (setting) =>
    within(
      setting,
      (environment) =>
        Effect.gen(function* () {
          const value = (name: string, env?: Readonly<Record<string, string>>) =>
            Effect.map(runToEnd(environment, steps.printEnv(name, env)), ({ stdout }) => stdout.slice(0, -1))
          assert.strictEqual(yield* value("OF_JOB"), "job")
          assert.strictEqual(yield* value("OF_JOB", { OF_JOB: "step" }), "step")
          assert.strictEqual(yield* value("NOT_THERE"), "")
          for (const text of ["", " a  b ", "$HOME `id` $(id)", "'\"\\", "a\nb", "ünï🎉", "a=b"]) {
            assert.strictEqual(yield* value("AWKWARD", { AWKWARD: text }), text)
          }
        }),
      { env: EnvVars.fromRecord({ OF_JOB: "job" }) }
    )
  )

  promise(
    "prependPath, shell and the script's own path",
    (setting) =>
      within(setting, (environment) =>
        Effect.gen(function* () {
          const script = (fields: ConstructorParameters<typeof ScriptStep>[0]) =>
            runToEnd(environment, new ScriptStep(fields))
          const { stdout: path } = yield* script({ script: 'printf %s "$PATH"', prependPath: ["/first", "/second"] })
          assert.isTrue(path.startsWith("/first:/second:"), path)
          assert.strictEqual((yield* script({ script: "exit 3\n", shell: "cat {0}" })).stdout, "exit 3\n")
          assert.strictEqual((yield* script({ script: "echo x", shell: "cat" })).stdout, "echo x")
          assert.strictEqual((yield* script({ script: "false\necho on", shell: "sh -e {0}" })).exitCode, 1)
          assert.strictEqual((yield* script({ script: "false\necho on", shell: "sh {0}" })).stdout, "on\n")
          assert.strictEqual((yield* script({ script: "", shell: "no-such-shell {0}" })).exitCode, 127)
          assert.strictEqual((yield* script({ script: "" })).exitCode, 0)
        })
      ),
    { skip: playsProcesses }
  )

  promise("a step works in the workspace, unless it says otherwise", (setting) =>
    within(setting, (environment) =>
      Effect.gen(function* () {
        const where = (workingDirectory?: string) =>
          Effect.map(
            runToEnd(
              environment,
              steps.printWorkingDirectory(workingDirectory === undefined ? {} : { workingDirectory })
            ),
            ({ stdout }) => stdout.trim()
          )
        assert.strictEqual(yield* where(), environment.facts.workspace)
        assert.strictEqual(yield* where("/"), "/")
      })
    )
  )

  promise(
    "a working directory: relative to the workspace; a missing one means that nothing started",
    (setting) =>
      within(setting, (environment) =>
        Effect.gen(function* () {
          yield* runToEnd(environment, steps.shell("mkdir -p sub/dir"))
          const { stdout } = yield* runToEnd(environment, steps.shell("pwd -P", { workingDirectory: "sub/dir" }))
          assert.strictEqual(stdout.trim(), `${environment.facts.workspace}/sub/dir`)
          const missing = environment.start(steps.shell("echo never", { workingDirectory: "not/there" }))
          assert.strictEqual(yield* reasonOf(Effect.scoped(missing)), "StepStartFailed")
          assert.strictEqual((yield* runToEnd(environment, steps.exit(0))).exitCode, 0)
        })
      ),
    { skip: playsProcesses }
  )

  promise("step files come in and are collected, after a failure too, and each step has its own", (setting) =>
    within(setting, (environment) =>
      Effect.gen(function* () {
        const file = new StepFile({ name: "out", content: "in ✓\n", variable: "OUT", collect: true })
        for (const exitCode of [0, 5]) {
          const ended = yield* runToEnd(environment, steps.useFile(file, `more ${exitCode}`, exitCode))
          assert.strictEqual(ended.exitCode, exitCode)
          assert.strictEqual(ended.stdout, "in ✓\n")
          assert.deepStrictEqual([...ended.files], [["out", `in ✓\nmore ${exitCode}`]])
        }
      })
    )
  )
}

/** A parent, a child, a grandchild and one in a session of its own, each with a heartbeat in the workspace; it prints when all run. */
const familyOf = (name: string, sessions: boolean, then: string) => `
beat() { while :; do echo . >> ${name}-$1; sleep 0.05; done; }
beat child >/dev/null 2>&1 &
( beat grandchild >/dev/null 2>&1 & wait ) &
if ${sessions} && command -v setsid >/dev/null; then
  setsid sh -c 'trap "" TERM HUP; while :; do echo . >> ${name}-session; sleep 0.05; done' >/dev/null 2>&1 &
else beat session >/dev/null 2>&1 & fi
while [ ! -s ${name}-child ] || [ ! -s ${name}-grandchild ] || [ ! -s ${name}-session ]; do sleep 0.02; done
echo running${then}`

const countOf = (environment: JobEnvironment, file: string) =>
  Effect.map(runToEnd(environment, steps.shell(`cat ${file} 2>/dev/null | wc -l`)), ({ stdout }) => Number(stdout))

const relatives = ["child", "grandchild", "session"]

const heartbeats = (environment: JobEnvironment, name: string, atLeast: number) =>
  Effect.forEach(relatives, (relative) =>
    Effect.repeat(countOf(environment, `${name}-${relative}`), { until: (count) => count >= atLeast })
  )

const assertStill = (environment: JobEnvironment, name: string) =>
  Effect.gen(function* () {
    const counts = () => Effect.forEach(relatives, (relative) => countOf(environment, `${name}-${relative}`))
    const before = yield* counts()
    yield* Effect.sleep("300 millis")
    assert.deepStrictEqual(yield* counts(), before, "a process of the step still runs")
  })
