/**
 * The hook is interrupted and killed at every stage of every command: each change of a file, each request, each process, each line. Whatever it was
 * doing, `cleanup_job` finds and removes what it has left, with the job's state and without.
 */
import { randomUUID } from "node:crypto"
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { dirname, join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FakeKubernetes from "../../../src/testing/kubernetes/FakeKubernetes.ts"
import { FakeRunner, layer, podName, type Response } from "./support/FakeRunner.ts"

type Signal = "SIGINT" | "SIGKILL"

/** Every process of a world carries it: the hook's children, and steps in pods. */
const variable = "TEST_WORLD"

/** Steps at which the hook is struck in one job, before that is cleaned up. */
const batch = 8

/** There are not so many stages. */
const tooMany = 200

/** A runner with a look at what is left of its jobs. */
const makeWorld = Effect.fnUntraced(function* (signal: Signal) {
  const runner = yield* FakeRunner
  const kubernetes = yield* FakeKubernetes.FakeKubernetes
  const home = dirname(runner.work)
  const world = `${variable}=${randomUUID()}`
  const log = join(home, "stages")
  const env = {
    [variable]: world.slice(variable.length + 1),
    TMPDIR: join(home, "tmp"),
    JOBSCOPE_CODE_CACHE: join(home, "cache")
  }
  for (const path of [env.TMPDIR, env.JOBSCOPE_CODE_CACHE]) mkdirSync(path, { mode: 0o700 })

  /** Those of the job, not of the runner. */
  const files = () =>
    readdirSync(home, { recursive: true, encoding: "utf8" }).filter(
      (path) =>
        !/^(cache|stages)/.test(path) &&
        !/^_work\/_temp\/(script-|_runner_file_commands\/|_runner_hook_responses\/\d+\.json$)/.test(path)
    )
  const processes = () =>
    readdirSync("/proc").filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, "utf8").includes(world)
      } catch {
        return false
      }
    })
  const commandLine = (pid: string) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ")
    } catch {
      return "gone"
    }
  }
  // The end of a process that was killed is the kernel's.
  const noProcess = Effect.fnUntraced(function* (at: string) {
    for (let turn = 0; turn < 200 && processes().length > 0; turn++) yield* Effect.sleep("20 millis")
    assert.deepStrictEqual(processes().map(commandLine), [], `processes, ${at}`)
  })
  const pods = Effect.map(kubernetes.left, (left) =>
    left.filter((name) => !name.endsWith(`/${podName}`) && !name.endsWith(`/${podName}-work`))
  )
  // One whose container has ended is deleted, and nobody waits for it.
  const noStepPod = Effect.fnUntraced(function* (at: string) {
    const left = Effect.map(pods, (all) => all.filter((name) => name.includes("-step-")))
    for (let turn = 0; turn < 200 && (yield* left).length > 0; turn++) yield* Effect.sleep("20 millis")
    assert.deepStrictEqual(yield* left, [], `pods, ${at}`)
  })

  const jobEnv = { HOME: "/github/home" }
  const commands = {
    prepare_job: () => runner.prepareArgs({ environmentVariables: jobEnv }),
    // One that would go on: in the background, after a kill; itself, after an interruption.
    run_script_step: () =>
      runner.scriptArgs(
        `${signal === "SIGKILL" ? "sleep 1000 & sleep" : "sleep 0; sleep"} 0.1; echo a; echo lock > package-lock.json
sleep ${signal === "SIGKILL" ? 0.1 : 1}; echo b`,
        { environmentVariables: env }
      ),
    run_container_step: () => ({
      image: "busybox",
      entryPoint: "sh",
      entryPointArgs: ["-c", '"echo', "a;", "echo", "lock", ">", "package-lock.json;", "sleep", "0.3;", "echo", 'b"'],
      environmentVariables: env,
      workingDirectory: "/github/workspace",
      systemMountVolumes: runner.stepMounts
    }),
    cleanup_job: () => ({})
  }

  /** Calls the hook, and strikes it. `struck`: at which stage; nothing if it has fewer. */
  const strike = Effect.fnUntraced(function* (
    stage: number,
    command: keyof typeof commands,
    state: unknown,
    args: object = commands[command]()
  ) {
    rmSync(log, { force: true })
    const calling = yield* runner.start(command, args, {
      state,
      env: {
        ...env,
        NODE_OPTIONS: `--require ${join(import.meta.dirname, "fixtures/stages.cjs")}`,
        STAGE: String(stage),
        STAGE_SIGNAL: signal,
        STAGE_LOG: log
      }
    })
    const [took, called] = yield* Effect.timed(calling.ended)
    const struck = /^(.*)!$/m.exec(readFileSync(log, "utf8"))?.[1]
    const at = `${command}, ${signal} ${stage}: ${struck ?? "whole"}: ${called.stdout}${called.stderr}`
    if (struck === undefined) assert.deepStrictEqual([called.code, called.signal], [0, null], at)
    else if (signal === "SIGKILL") assert.strictEqual(called.signal, "SIGKILL", at)
    else {
      assert.strictEqual(called.signal, null, at)
      assert.notStrictEqual(called.code, 0, at)
      // All of it, with the start of Node.
      assert.isBelow(Duration.toMillis(took), 10_000, at)
    }
    return { struck, at, response: called.response as Response | undefined }
  })

  const cleanup = Effect.fnUntraced(function* (state: unknown, at: string) {
    const { code, stdout } = yield* runner.call("cleanup_job", {}, { state, env })
    assert.strictEqual(code, 0, `${stdout}, ${at}`)
    assert.deepStrictEqual(yield* pods, [], at)
    yield* noProcess(at)
    const there = new Set(whole)
    assert.deepStrictEqual(
      files().filter((path) => !there.has(path)),
      [],
      `files, ${at}`
    )
  })

  // What is there after a job that nobody has disturbed is there after every job.
  const { state } = yield* runner.prepare({}, { env })
  for (const command of ["run_script_step", "run_container_step"] as const) {
    const { code, stdout } = yield* runner.call(command, commands[command](), { state, env })
    // On a busy machine a pod may take so long that the wait is told.
    assert.deepStrictEqual([code, stdout.replace(/^Waiting for .*\n/gm, "")], [0, "a\nb\n"])
  }
  let whole: ReadonlyArray<string> = []
  assert.strictEqual((yield* runner.call("cleanup_job", {}, { state, env })).code, 0)
  whole = files()
  yield* cleanup(state, "undisturbed")

  return { runner, env, strike, cleanup, noProcess, noStepPod }
})

/** Runs it for each stage, until there is none. */
const everyStage = Effect.fnUntraced(function* <E, R>(
  body: (stage: number) => Effect.Effect<string | undefined, E, R>,
  from = 1
) {
  for (let stage = from; stage < tooMany; stage++) {
    if ((yield* body(stage)) === undefined) return assert.isAbove(stage, 2)
  }
  assert.fail("the stages have no end")
})

const slow = { timeout: 600_000, concurrent: true }

describe.skipIf(FakeKubernetes.unsupported() !== undefined)("every stage", () => {
  for (const mode of ["claim", "copy"] as const) {
    for (const signal of ["SIGKILL", "SIGINT"] as const) {
      const named = (command: string) => `${mode}: ${signal} in ${command}, then cleanup_job`

      it.live(
        named("prepare_job"),
        () =>
          Effect.gen(function* () {
            const { cleanup, runner, strike } = yield* makeWorld(signal)
            yield* everyStage((stage) =>
              Effect.gen(function* () {
                rmSync(join(runner.work, "externals"), { recursive: true, force: true })
                const { at, response, struck } = yield* strike(stage, "prepare_job", null)
                yield* cleanup(stage % 2 === 0 ? null : (response?.state ?? null), at)
                return struck
              })
            )
          }).pipe(Effect.provide(layer(mode))),
        slow
      )

      for (const command of ["run_script_step", "run_container_step"] as const) {
        it.live(
          named(command),
          () =>
            Effect.gen(function* () {
              const { cleanup, env, noProcess, noStepPod, runner, strike } = yield* makeWorld(signal)
              let state: unknown
              yield* everyStage((stage) =>
                Effect.gen(function* () {
                  if (stage % batch === 1) state = (yield* runner.prepare({}, { env })).state
                  const { at, struck } = yield* strike(stage, command, state)
                  if (signal === "SIGINT") {
                    yield* noProcess(at)
                    yield* noStepPod(at)
                  }
                  if (stage % batch === 0 || struck === undefined) {
                    yield* cleanup((stage / batch) % 2 === 0 ? null : state, at)
                  }
                  return struck
                })
              )
            }).pipe(Effect.provide(layer(mode))),
          slow
        )
      }

      if (mode === "copy") {
        it.live(
          named("prepare_job with services alone"),
          () =>
            Effect.gen(function* () {
              const { cleanup, strike } = yield* makeWorld(signal)
              const service = {
                image: "redis",
                entryPoint: "sleep",
                entryPointArgs: ["1000"],
                createOptions: "--health-cmd true",
                portMappings: ["8000"]
              }
              yield* everyStage((stage) =>
                Effect.gen(function* () {
                  const args = { container: null, services: [service] }
                  const { at, response, struck } = yield* strike(stage, "prepare_job", null, args)
                  yield* cleanup(stage % 2 === 0 ? null : (response?.state ?? null), at)
                  return struck
                })
              )
            }).pipe(Effect.provide(layer(mode, { probeSecond: "100 millis" }))),
          slow
        )
      }

      it.live(
        named("cleanup_job"),
        () =>
          Effect.gen(function* () {
            const { cleanup, env, runner, strike } = yield* makeWorld(signal)
            yield* everyStage((stage) =>
              Effect.gen(function* () {
                const { state } = yield* runner.prepare({}, { env })
                const { at, struck } = yield* strike(stage, "cleanup_job", (stage & 1) === 0 ? state : null)
                yield* cleanup((stage & 2) === 0 ? state : null, at)
                return struck
              })
            )
          }).pipe(Effect.provide(layer(mode))),
        slow
      )
    }
  }
})
