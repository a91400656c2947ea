/**
 * A cancel while the network is away: the runner waits 10 s and kills then, so the hook has ended by itself before, with a word, and what it could not
 * reach goes with `cleanup_job`.
 */
import { writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FakeImage from "../../../src/testing/kubernetes/FakeImage.ts"
import * as FakeKubernetes from "../../../src/testing/kubernetes/FakeKubernetes.ts"
import * as FakeRights from "../../../src/testing/kubernetes/FakeRights.ts"
import * as FaultProxy from "../../../src/testing/kubernetes/FaultProxy.ts"
import { FakeRunner, layer, podName } from "./support/FakeRunner.ts"

const commands = {
  prepare_job: ({ prepareArgs }: FakeRunner["Service"]) => prepareArgs({ image: "slow" }),
  run_script_step: ({ scriptArgs }: FakeRunner["Service"]) => scriptArgs("echo started; sleep 1000"),
  run_container_step: ({ stepMounts }: FakeRunner["Service"]) => ({
    image: "busybox",
    entryPoint: "sh",
    entryPointArgs: ["-c", '"echo', "started;", "sleep", '1000"'],
    environmentVariables: {},
    workingDirectory: "/github/workspace",
    systemMountVolumes: stepMounts
  })
}

const images = { slow: { ...FakeImage.machine, pull: "1 hour" as const } }

describe.skipIf(FakeKubernetes.unsupported() !== undefined).each(["claim", "copy"] as const)("%s", (mode) => {
  it.live(
    "a container step that is cancelled while its image is pulled is gone, and was no success",
    () =>
      Effect.gen(function* () {
        const runner = yield* FakeRunner
        const kubernetes = yield* FakeKubernetes.FakeKubernetes
        const { state } = yield* runner.prepare()
        const args = { ...commands.run_container_step(runner), image: "slow" }
        const env = { JOBSCOPE_LOG_LEVEL: "debug" }
        const calling = yield* runner.start("run_container_step", args, { state, env })
        yield* calling.says("Waiting for")
        calling.process.kill("SIGINT")
        const [took, { code, signal, stdout }] = yield* Effect.timed(calling.ended)
        assert.deepStrictEqual([code, signal], [130, null], stdout)
        assert.notInclude(stdout, "::error")
        assert.isBelow(Duration.toMillis(took), 10_000)
        assert.notInclude((yield* kubernetes.left).join(), "-step-")
      }).pipe(Effect.provide(layer(mode, { images }))),
    { timeout: 120_000, concurrent: true }
  )
})

describe.skipIf(FakeKubernetes.unsupported() !== undefined)("cancelled without a network", () => {
  for (const command of ["prepare_job", "run_script_step", "run_container_step"] as const) {
    it.live(
      command,
      () =>
        Effect.gen(function* () {
          const runner = yield* FakeRunner
          const kubernetes = yield* FakeKubernetes.FakeKubernetes
          const target = kubernetes.accessAs({ user: "runner", rules: FakeRights.actionsRunnerController })
          const proxy = yield* FaultProxy.make({ target })
          const kubeconfig = join(dirname(runner.work), "through-the-proxy")
          writeFileSync(kubeconfig, yield* kubernetes.kubeconfig(proxy.access))
          const state = command === "prepare_job" ? null : (yield* runner.prepare()).state
          const calling = yield* runner.start(command, commands[command](runner), {
            state,
            env: { KUBECONFIG: kubeconfig }
          })
          yield* calling.says(command === "prepare_job" ? "Waiting for" : "started")
          yield* proxy.vanish
          calling.process.kill("SIGINT")
          const [took, { code, signal, stdout }] = yield* Effect.timed(calling.ended)
          assert.deepStrictEqual([code, signal], [130, null], stdout)
          assert.isBelow(Duration.toMillis(took), 10_000)
          assert.match(stdout, /^::error title=Cancelled::.*cleanup_job/m)
          assert.strictEqual((yield* runner.call("cleanup_job", {}, { state })).code, 0)
          const left = (yield* kubernetes.left).filter((name) => !name.endsWith(`/${podName}`))
          assert.deepStrictEqual(left, [])
        }).pipe(Effect.scoped, Effect.provide(layer("copy", { images }))),
      { timeout: 120_000, concurrent: true }
    )
  }
})
