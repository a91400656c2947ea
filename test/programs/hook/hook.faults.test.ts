/**
 * A whole job by the bundled hook as a process, through a network and an API server that misbehave, by seeds: each command gives the right result, or
 * fails and says why; it never succeeds by accident, and always ends. What is left is gone after a `cleanup_job` that gets through.
 *
 * `JOBSCOPE_SEEDS=20` tries more.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FakeFault from "../../../src/testing/kubernetes/FakeFault.ts"
import * as FakeKubernetes from "../../../src/testing/kubernetes/FakeKubernetes.ts"
import * as FakeRights from "../../../src/testing/kubernetes/FakeRights.ts"
import * as FaultProxy from "../../../src/testing/kubernetes/FaultProxy.ts"
import { type Called, FakeRunner, layer, podName, type Response } from "./support/FakeRunner.ts"

const seeds = Array.from({ length: Number(process.env.JOBSCOPE_SEEDS ?? 1) }, (_, index) => index + 1)

/** A network, an API server, or both. `harmless`: nothing may come of it. */
interface Weather {
  readonly network?: FaultProxy.Faults
  readonly server?: ReadonlyArray<FakeFault.Fault>
  readonly harmless?: boolean
}

const weathers: Readonly<Record<string, Weather>> = {
  "resets after some bytes": { network: { afterBytes: { between: [1, 8000] }, probability: 0.5 } },
  "closes after some bytes": { network: { afterBytes: { between: [1, 8000] }, probability: 0.5, how: "close" } },
  "resets after some time": { network: { after: { between: [1, 800] }, probability: 0.5 } },
  "closes after some time": { network: { after: { between: [1, 800] }, probability: 0.5, how: "close" } },
  "half-open connections": { network: { after: { between: [1, 800] }, times: 1, how: "silent" } },
  delays: { network: { delay: { between: [20, 500] } }, harmless: true },
  "a thin line": { network: { bytesPerSecond: 50_000 }, harmless: true },
  "429 and 500": {
    server: [
      { probability: 0.3, action: FakeFault.answer(429, { retryAfter: 1 }) },
      { probability: 0.2, action: FakeFault.answer(500) }
    ]
  },
  "503, hang-ups and slow answers": {
    server: [
      { probability: 0.2, action: FakeFault.answer(503) },
      { probability: 0.2, action: FakeFault.hangUp },
      { probability: 0.2, action: FakeFault.delay("300 millis") }
    ]
  }
}

const lines = Array.from({ length: 10 }, (_, index) => `line ${index}\n`).join("")

const patience = "150 seconds"

const job = Effect.fnUntraced(function* (weather: Weather, seed: number) {
  const runner = yield* FakeRunner
  const kubernetes = yield* FakeKubernetes.FakeKubernetes
  const target = kubernetes.accessAs({ user: "runner", rules: FakeRights.actionsRunnerController })
  const proxy = yield* FaultProxy.make({ target, seed, faults: weather.network })
  const kubeconfig = join(dirname(runner.work), "through-the-proxy")
  writeFileSync(kubeconfig, yield* kubernetes.kubeconfig(proxy.access))
  const env = { KUBECONFIG: kubeconfig, JOBSCOPE_TRANSPORT: "exec" }
  const results: Array<string> = []

  const storm = Effect.forEach(weather.server ?? [], (fault) =>
    kubernetes.inject({ ...fault, match: { ...fault.match, user: "runner" } })
  )
  const calm = Effect.andThen(proxy.setFaults({}), kubernetes.clearFaults)

  /** `right` looks at a result that does not say that it is none. */
  const judge = (command: string, called: Called, right: (called: Called) => void) => {
    const { code, response, signal, stderr, stdout } = called
    const failed = code === 1 && /^::error title=.+::.+$/m.test(stdout)
    results.push(`${command}: ${failed ? stdout.split("\n").find((line) => line.startsWith("::error")) : code}`)
    if (failed && weather.harmless !== true) assert.isUndefined(response)
    else right(called)
    assert.isNull(signal, `${command}: ${stdout}${stderr}`)
    return failed
  }
  const call = Effect.fnUntraced(function* (command: string, args: object, state: unknown = null) {
    const calling = yield* runner.start(command, args, { state, env })
    return yield* Effect.timeoutOrElse(calling.ended, {
      duration: patience,
      orElse: () => {
        calling.process.kill("SIGKILL")
        return Effect.map(calling.ended, ({ stdout }) => assert.fail(`${command} does not end: ${stdout}`))
      }
    })
  })

  yield* storm
  const prepared = yield* call("prepare_job", runner.prepareArgs({}))
  const unusable = judge("prepare_job", prepared, ({ code, response, stdout }) => {
    assert.strictEqual(code, 0, stdout)
    assert.isDefined((response as Response).state)
  })
  const state = (prepared.response as Response | undefined)?.state
  if (!unusable) {
    const outputs = join(runner.temp, "_runner_file_commands/set_output_faults")
    writeFileSync(outputs, "")
    const script = yield* call(
      "run_script_step",
      runner.scriptArgs(
        "for i in 0 1 2 3 4 5 6 7 8 9; do echo line $i; sleep 0.1; done; echo o=1 >> $GITHUB_OUTPUT; exit 7",
        { environmentVariables: { GITHUB_OUTPUT: "/__w/_temp/_runner_file_commands/set_output_faults" } }
      ),
      state
    )
    const told = judge("run_script_step", script, ({ code, stdout }) => {
      assert.strictEqual(stdout, lines)
      assert.strictEqual(code, 7)
      assert.strictEqual(readFileSync(outputs, "utf8"), "o=1\n")
    })
    // Whatever it came to, it was no other output.
    if (told) assert.isTrue(lines.startsWith(script.stdout.replace(/(^|\n)::[\s\S]*$/, "$1")), script.stdout)
    const step = yield* call(
      "run_container_step",
      {
        image: "busybox",
        entryPoint: "sh",
        entryPointArgs: ["-c", '"cat', "README;", "sleep", "0.3;", "echo", "made", ">", "action.yml;", "exit", '3"'],
        environmentVariables: {},
        workingDirectory: "/github/workspace",
        systemMountVolumes: runner.stepMounts
      },
      state
    )
    judge("run_container_step", step, ({ code, stdout }) => {
      // What a long wait is for is said.
      assert.strictEqual(stdout.replace(/^Waiting for .*\n/gm, ""), "hello\n")
      assert.strictEqual(code, 3)
    })
  }
  const cleaned = yield* call("cleanup_job", {}, state)
  const nothingLeft = Effect.map(kubernetes.left, (left) =>
    assert.deepStrictEqual(
      left.filter((name) => !name.endsWith(`/${podName}`) && !name.endsWith(`/${podName}-work`)),
      []
    )
  )
  const failed = judge("cleanup_job", cleaned, ({ code, stdout }) => {
    assert.strictEqual(code, 0, stdout)
  })
  if (!failed) yield* nothingLeft
  yield* calm
  const { code, stdout } = yield* call("cleanup_job", {}, null)
  assert.strictEqual(code, 0, stdout)
  yield* nothingLeft
  if (process.env.JOBSCOPE_SEEDS !== undefined) console.log(`seed ${seed}`, results)
}, Effect.scoped)

describe.skipIf(FakeKubernetes.unsupported() !== undefined)("a job through", () => {
  for (const mode of ["claim", "copy"] as const) {
    for (const [name, weather] of Object.entries(weathers)) {
      for (const seed of seeds) {
        it.live(
          `${name}, ${mode}, seed ${seed}`,
          () =>
            Effect.gen(function* () {
              const runner = yield* FakeRunner
              writeFileSync(join(runner.workspace, "README"), "hello\n")
              yield* job(weather, seed)
            }).pipe(Effect.provide(layer(mode, { seed }))),
          { timeout: 600_000, concurrent: true }
        )
      }
    }
  }
})
