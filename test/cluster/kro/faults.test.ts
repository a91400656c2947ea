import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as Yaml from "effect/encoding/Yaml"
import * as KubeConfig from "jobscope/backends/kubernetes/KubeConfig"
import { FaultProxy } from "jobscope/testing"
import { layer as testNamespace } from "../support/testNamespace.ts"
import { pod } from "./support/rgds.ts"
import { nothingLeft, scene, startRunner, startsOf } from "./support/runner.ts"

/** A proxy before the API server, and a kubeconfig that goes through it. */
const throughProxy = Effect.fnUntraced(function* (options: Omit<FaultProxy.Options, "target">) {
  const target = yield* KubeConfig.load({ sources: ["kubeconfig"] })
  const proxy = yield* FaultProxy.make({ target, ...options })
  const directory = mkdtempSync(join(tmpdir(), "kro-faults-"))
  yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(directory, { recursive: true, force: true })))
  const own = Yaml.parse(readFileSync(process.env.KUBECONFIG ?? "", "utf8")) as {
    readonly clusters: ReadonlyArray<{ readonly name: string; readonly cluster: object }>
  }
  const clusters = own.clusters.map(({ cluster, name }) => ({
    name,
    cluster: { ...cluster, server: proxy.access.server, "tls-server-name": new URL(target.server).hostname }
  }))
  const file = join(directory, "kubeconfig")
  writeFileSync(file, JSON.stringify({ ...own, clusters }), { mode: 0o600 })
  return { proxy, kubeconfig: file }
})

/** CPU seconds of a process so far. */
const cpu = (pid: number): number => {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /s, "")
    .split(" ")
  return (Number(fields[11]) + Number(fields[12])) / 100
}

layer(testNamespace, { excludeTestServices: true, timeout: "3 minutes" })("kro-runner on a bad network", (it) => {
  it.effect("comes to the right end though every connection is cut again and again", () =>
    Effect.gen(function* () {
      const { kind } = yield* scene("cut", { resources: [pod("sleep 60; exit 0")] })
      const { kubeconfig, proxy } = yield* throughProxy({ every: "3 seconds", seed: 1 })
      const starts = yield* startsOf("cut")
      const runner = yield* startRunner("cut", { kubeconfig })
      yield* runner.says("ended with exit code 0")
      assert.isBelow(cpu(runner.process.child.pid ?? 0), 2, "CPU seconds, those for reading the sources among them")
      const ended = yield* runner.ended
      assert.strictEqual(ended.code, 0, ended.stderr)
      assert.isAbove(yield* proxy.connections, 20)
      assert.strictEqual(starts.size, 1)
      yield* nothingLeft(kind, "cut")
    })
  )

  for (const seed of [1, 2, 3]) {
    it.effect(`comes to the right end whatever bytes connections break after (seed ${seed})`, () =>
      Effect.gen(function* () {
        const name = `bytes-${seed}`
        const { kind } = yield* scene(name, { resources: [pod("sleep 2; exit 5")] })
        const faults = { afterBytes: { between: [1500, 20_000] }, probability: 0.7 } as const
        const { kubeconfig } = yield* throughProxy({ faults, seed })
        const starts = yield* startsOf(name)
        const runner = yield* startRunner(name, { kubeconfig })
        const ended = yield* runner.ended
        assert.strictEqual(ended.code, 1, ended.stderr)
        assert.match(ended.termination, /^RunnerFailed: .*exit code 5/)
        assert.strictEqual(starts.size, 1)
        yield* nothingLeft(kind, name)
      })
    )
  }

  it.effect("waits for an API server that is away when the runner ends", () =>
    Effect.gen(function* () {
      const { kind } = yield* scene("away", { resources: [pod("sleep 3; exit 0")] })
      const { kubeconfig, proxy } = yield* throughProxy({})
      const runner = yield* startRunner("away", { kubeconfig })
      yield* runner.says("The runner runs")
      yield* proxy.stop
      yield* Effect.sleep("10 seconds")
      yield* proxy.start
      const ended = yield* runner.ended
      assert.strictEqual(ended.code, 0, ended.stderr)
      yield* nothingLeft(kind, "away")
    })
  )

  it.effect("waits for an API server that is away when all is to be released", () =>
    Effect.gen(function* () {
      const { kind } = yield* scene("later", { resources: [pod("sleep 2; exit 0")] })
      const { kubeconfig, proxy } = yield* throughProxy({})
      const runner = yield* startRunner("later", { kubeconfig })
      yield* runner.says("ended with exit code 0")
      yield* proxy.stop
      yield* Effect.sleep("10 seconds")
      yield* proxy.start
      const ended = yield* runner.ended
      assert.strictEqual(ended.code, 0, ended.stderr)
      yield* nothingLeft(kind, "later")
    })
  )
})
