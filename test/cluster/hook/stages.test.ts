/**
 * The hook is interrupted and killed in a runner's pod on a real cluster, at stages spread over every command; `cleanup_job`, with the job's state and
 * without, then leaves no object, no file and no process. All stages are tried on the fake cluster (test/programs/hook).
 */
import { randomUUID } from "node:crypto"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, layer } from "@effect/vitest"
import { Duration, Effect } from "effect"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import { podName, RunnerPod, layer as runnerPod } from "./support/RunnerPod.ts"

const fixture = readFileSync(join(import.meta.dirname, "../../programs/hook/fixtures/stages.cjs"), "utf8")

/** Of a command's stages. */
const places = [0.4, 0.8]

describe.each(["claim", "copy"] as const)("%s", (mode) => {
  layer(runnerPod(mode), { timeout: 240_000, excludeTestServices: true })((it) => {
    it.effect(
      "interrupted and killed at stages of every command, then cleaned up",
      () =>
        Effect.gen(function* () {
          const runner = yield* RunnerPod
          const kube = yield* KubeClient.KubeClient
          const world = `TEST_WORLD=${randomUUID()}`
          const environmentVariables = { TEST_WORLD: world.slice("TEST_WORLD=".length) }
          yield* runner.sh("cat > /tmp/stages.cjs", fixture)
          yield* runner.sh("cat > /home/runner/_work/_temp/long.sh", "echo a; sleep 1; echo b")

          const commands = {
            prepare_job: runner.prepareArgs({}),
            run_script_step: {
              entryPoint: "sh",
              entryPointArgs: ["-e", "/__w/_temp/long.sh"],
              prependPath: [],
              workingDirectory: "/__w/repo/repo",
              environmentVariables
            },
            run_container_step: {
              image: "docker.io/library/alpine:latest",
              entryPoint: "sh",
              entryPointArgs: ["-c", '"echo', "a;", "sleep", "1;", "echo", 'b"'],
              environmentVariables,
              workingDirectory: "/github/workspace",
              systemMountVolumes: runner.stepMounts
            },
            cleanup_job: {}
          }
          const strike = Effect.fnUntraced(function* (
            command: keyof typeof commands,
            state: unknown,
            stage: number,
            signal: "SIGINT" | "SIGKILL" = "SIGKILL"
          ) {
            yield* runner.sh("rm -f /tmp/stages")
            const [took, called] = yield* Effect.timed(
              runner.call(command, commands[command], {
                state,
                env: {
                  ...environmentVariables,
                  NODE_OPTIONS: "--require=/tmp/stages.cjs",
                  STAGE: String(stage),
                  STAGE_SIGNAL: signal,
                  STAGE_LOG: "/tmp/stages"
                }
              })
            )
            const stages = (yield* runner.sh("cat /tmp/stages")).stdout.trim().split("\n")
            const struck = stages.find((name) => name.endsWith("!"))
            const at = `${command}, ${signal} ${stage}: ${struck}: ${called.stdout}${called.stderr}`
            if (struck === undefined) assert.strictEqual(called.code, 0, at)
            else if (signal === "SIGKILL") assert.strictEqual(called.code, 137, at)
            else {
              assert.include([1, 130], called.code, at)
              // All of it, with the way there.
              assert.isBelow(Duration.toMillis(took), 12_000, at)
            }
            return {
              stages: stages.length,
              at,
              state: (called.response as { readonly state?: unknown } | undefined)?.state
            }
          })

          /** Where the node is this machine. */
          const processes = () =>
            readdirSync("/proc").filter((pid) => {
              try {
                return readFileSync(`/proc/${pid}/environ`, "utf8").includes(world)
              } catch {
                return false
              }
            })
          const cleanUp = Effect.fnUntraced(function* (state: unknown, at: string) {
            const { code, stdout } = yield* runner.call("cleanup_job", {}, { state })
            assert.strictEqual(code, 0, `${stdout}, ${at}`)
            // Kubelet takes a pod's object away when its containers have ended.
            const pods = yield* kube.list({ resource: KubeResource.pods, namespace: runner.namespace })
            assert.deepStrictEqual(
              pods.items.map(({ metadata }) => metadata?.name),
              [podName],
              at
            )
            const secrets = yield* kube.list({ resource: KubeResource.secrets, namespace: runner.namespace })
            assert.deepStrictEqual(secrets.items, [], at)
            const left = yield* runner.sh(
              `cd /home/runner/_work && find . -name '*jobscope*' ! -path './externals/.node*.jobscope'; ls -d externals/.node*.[0-9]* 2>/dev/null; grep -l "${world}" /proc/[0-9]*/environ 2>/dev/null`
            )
            assert.strictEqual(left.stdout, "", at)
            assert.deepStrictEqual(processes(), [], at)
          })

          // How many stages there are.
          const whole = new Map<string, number>()
          const prepared = yield* strike("prepare_job", null, 0)
          whole.set("prepare_job", prepared.stages)
          for (const command of ["run_script_step", "run_container_step", "cleanup_job"] as const) {
            whole.set(command, (yield* strike(command, prepared.state, 0)).stages)
          }
          yield* cleanUp(prepared.state, "undisturbed")
          const stagesOf = (command: string) => places.map((place) => Math.ceil((whole.get(command) ?? 0) * place))

          for (const [index, stage] of stagesOf("prepare_job").entries()) {
            for (const signal of ["SIGKILL", "SIGINT"] as const) {
              const { at, state } = yield* strike("prepare_job", null, signal === "SIGINT" ? index + 1 : stage, signal)
              yield* cleanUp(state ?? null, at)
            }
          }
          for (const signal of ["SIGKILL", "SIGINT"] as const) {
            const { state } = yield* strike("prepare_job", null, 0)
            let last = ""
            for (const command of ["run_script_step", "run_container_step"] as const) {
              for (const [index, stage] of stagesOf(command).entries()) {
                // What is handled has fewer stages: what is done without a wait is one.
                last = (yield* strike(command, state, signal === "SIGINT" ? index + 1 : stage, signal)).at
              }
            }
            yield* cleanUp(signal === "SIGINT" ? state : null, last)
          }
          for (const [index, stage] of stagesOf("cleanup_job").entries()) {
            const { state } = yield* strike("prepare_job", null, 0)
            const { at } = yield* strike("cleanup_job", index === 0 ? state : null, stage)
            yield* cleanUp(index === 1 ? state : null, at)
          }
        }),
      400_000
    )
  })
})
