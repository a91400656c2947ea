/** A network that breaks again and again, and an API server that is away: steps go on, and all of their output comes, once. */
import { assert, describe, it } from "@effect/vitest"
import { type Duration, Effect, Layer } from "effect"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeConfig from "jobscope/backends/kubernetes/KubeConfig"
import * as PodBackend from "jobscope/backends/pod/PodBackend"
import type { Options } from "jobscope/backends/pod/PodOptions"
import { JobContainer, JobSpec } from "jobscope/domain/Job"
import { ContainerStep, ScriptStep } from "jobscope/domain/Step"
import { FaultProxy } from "jobscope/testing"
import { nodeIsHere, sharedDirectory } from "../support/sharedDirectory.ts"
import { suiteNamespace } from "../support/suiteNamespace.ts"
import { listen, run } from "./support.ts"

const namespace = suiteNamespace()
const shared = nodeIsHere ? sharedDirectory(namespace, "work") : undefined

/** A backend behind a proxy of its own. */
const behind = Effect.fnUntraced(function* (options: Options = {}) {
  const target = yield* KubeConfig.load({ sources: ["kubeconfig"] })
  const proxy = yield* FaultProxy.make({ target })
  const client = Layer.effect(KubeClient.KubeClient, KubeClient.make(proxy.access))
  const backend = yield* Effect.provide(PodBackend.make({ namespace, ...options }), client)
  return { proxy, backend }
})

/** Breaks all connections again and again, as long as the scope is open. */
const breaking = (proxy: FaultProxy.FaultProxy, every: Duration.Input, how: "reset" | "close" = "reset") =>
  Effect.forkScoped(Effect.forever(Effect.delay(proxy.cut(how), every)))

const spec = new JobSpec({ name: "connection", container: new JobContainer({ image: "busybox:latest" }) })

const lines = 2000
/** 100 lines a second for 20 seconds. */
const printing = `i=0; while [ $i -lt ${lines} ]; do i=$((i+1)); echo "line $i"; if [ $((i % 10)) = 0 ]; then sleep 0.1; fi; done; exit 7`
const expected = Array.from({ length: lines }, (_, at) => `line ${at + 1}\n`).join("")

describe("a connection that breaks every two seconds", () => {
  for (const how of ["reset", "close"] as const) {
    it.live(`a script's lines come once and in order, and its exit code is true: ${how}`, () =>
      Effect.scoped(
        Effect.gen(function* () {
          const { backend, proxy } = yield* behind()
          const environment = yield* backend.provision(spec)
          yield* breaking(proxy, "2 seconds", how)
          const before = yield* proxy.connections
          const result = yield* run(environment, new ScriptStep({ script: printing }))
          assert.isTrue(result.stdout === expected, `${result.stdout.length} for ${expected.length}`)
          assert.strictEqual(result.exitCode, 7)
          assert.isAbove((yield* proxy.connections) - before, 5)
          // Whoever followed before is not left in the pod.
          const left = yield* run(
            environment,
            new ScriptStep({ script: "for f in /proc/[0-9]*/cmdline; do tr '\\0' ' ' <$f; echo; done 2>/dev/null" })
          )
          assert.isAtMost(left.stdout.split("\n").filter((line) => line.startsWith("sh -s")).length, 2, left.stdout)
        })
      )
    )
  }

  it.live("so does a container's log", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { backend, proxy } = yield* behind()
        const environment = yield* backend.provision(spec)
        yield* breaking(proxy, "2 seconds")
        const before = yield* proxy.connections
        const result = yield* run(
          environment,
          new ContainerStep({ image: "busybox:latest", entryPoint: ["sh", "-c", printing] })
        )
        assert.isTrue(result.stdout === expected, `${result.stdout.length} for ${expected.length}`)
        assert.strictEqual(result.exitCode, 7)
        assert.isAbove((yield* proxy.connections) - before, 5)
      })
    )
  )

  it.live("a step that says nothing is not given up, and leaves no followers behind", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { backend, proxy } = yield* behind()
        const environment = yield* backend.provision(spec)
        yield* breaking(proxy, "1 second")
        const result = yield* run(
          environment,
          new ScriptStep({
            script:
              'sleep 15; n=0; for f in /proc/[0-9]*/cmdline; do case "$(tr "\\0" " " <$f 2>/dev/null)" in "sh -s"*) n=$((n+1));; esac; done; echo "$n"; exit 3'
          })
        )
        assert.strictEqual(result.exitCode, 3)
        assert.isAtMost(Number(result.stdout), 3)
      })
    )
  )
})

describe.skipIf(shared === undefined)("an API server that is away", () => {
  it.live("a step through the volume runs to its end without it", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const root = shared ?? ""
        const { backend, proxy } = yield* behind({
          sharing: { _tag: "Claim", claim: "work", root },
          transport: "volume"
        })
        const environment = yield* backend.provision(spec)
        yield* proxy.stop
        yield* Effect.gen(function* () {
          for (const code of [0, 9]) {
            const result = yield* run(
              environment,
              new ScriptStep({ script: `for i in 1 2 3; do echo $i; sleep 1; done; exit ${code}` })
            )
            assert.strictEqual(result.stdout, "1\n2\n3\n")
            assert.strictEqual(result.exitCode, code)
          }
          // A step that is stopped is, too.
          yield* Effect.scoped(
            Effect.gen(function* () {
              const running = yield* environment.start(new ScriptStep({ script: "echo on; sleep 1000" }))
              yield* (yield* listen(running)).until("on")
            })
          )
        }).pipe(Effect.ensuring(proxy.start))
      })
    )
  )

  it.live("a step over exec goes on when it is back", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { backend, proxy } = yield* behind()
        const environment = yield* backend.provision(spec)
        const running = yield* environment.start(
          new ScriptStep({ script: "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 1; done; exit 5" })
        )
        const heard = yield* listen(running)
        yield* heard.until("2")
        yield* proxy.stop
        yield* Effect.sleep("4 seconds")
        yield* proxy.start
        yield* heard.end
        assert.strictEqual(heard.text, "1\n2\n3\n4\n5\n6\n7\n8\n")
        assert.strictEqual(yield* running.exitCode, 5)
      })
    )
  )
})
