import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import type { KroInstance } from "jobscope/backends/kro/KroInstance"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import { TestNamespace, layer as testNamespace } from "../support/testNamespace.ts"
import { cel, pod } from "./support/rgds.ts"
import { all, eventually, forceDelete, nothingLeft, runnerPod, scene, startRunner, startsOf } from "./support/runner.ts"

/** Something that keeps a pod from going, until `letGo`, or the test's end. */
const hold = Effect.fnUntraced(function* (name: string) {
  yield* Effect.acquireRelease(setFinalizers(name, ["acme.io/keep"]), () => Effect.ignore(letGo(name)))
})

const letGo = (name: string) => setFinalizers(name, null)

const setFinalizers = Effect.fnUntraced(function* (name: string, finalizers: ReadonlyArray<string> | null) {
  const kube = yield* KubeClient.KubeClient
  const namespace = (yield* TestNamespace).name
  const body = { metadata: { finalizers } }
  yield* kube.request({ verb: "patch", resource: KubeResource.pods, namespace, name, body })
})

const getInstance = Effect.fnUntraced(function* (instances: KubeResource.KubeResource<KroInstance>, name: string) {
  const kube = yield* KubeClient.KubeClient
  const namespace = (yield* TestNamespace).name
  return yield* kube.request({ verb: "get", resource: instances, namespace, name })
})

const deleteInstance = Effect.fnUntraced(function* (instances: KubeResource.KubeResource<KroInstance>, name: string) {
  const kube = yield* KubeClient.KubeClient
  const namespace = (yield* TestNamespace).name
  yield* kube.request({ verb: "delete", resource: instances, namespace, name })
})

const released = (kind: string, name: string) =>
  eventually(
    "released",
    Effect.isSuccess(nothingLeft(kind, name)).pipe(Effect.catchDefect(() => Effect.succeed(false)))
  )

const patient = "trap 'exit 0' TERM; sleep 600 & wait"

layer(testNamespace, { excludeTestServices: true, timeout: "3 minutes" })("kro-runner, stopped", (it) => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    it.effect(`releases on ${signal} while the runner runs`, () =>
      Effect.gen(function* () {
        const name = `stop-${signal.toLowerCase()}`
        const { kind } = yield* scene(name, { resources: [pod(patient)] })
        const runner = yield* startRunner(name)
        yield* runner.says("The runner runs")
        runner.process.kill(signal)
        const ended = yield* runner.ended
        assert.strictEqual(ended.code, signal === "SIGTERM" ? 143 : 130, ended.stderr)
        assert.match(ended.termination, /^Stopped: /)
        yield* nothingLeft(kind, name)
      })
    )
  }

  it.effect("releases on SIGTERM while the runner is provisioned", () =>
    Effect.gen(function* () {
      const { kind } = yield* scene("stop-early", {
        resources: [pod("true", { pod: { nodeSelector: { nobody: "has-this" } } })]
      })
      const runner = yield* startRunner("stop-early")
      yield* runner.says("Waiting for a node for the pod stop-early-job")
      runner.process.kill("SIGTERM")
      const ended = yield* runner.ended
      assert.strictEqual(ended.code, 143, ended.stderr)
      yield* nothingLeft(kind, "stop-early")
    })
  )

  it.effect("makes nothing that outlives a SIGTERM at the very start", () =>
    Effect.gen(function* () {
      const { kind } = yield* scene("stop-first", { resources: [pod(patient)] })
      for (const step of ["pods/stop-first 200", "resourcegraphdefinitions", "/apis/kro.run/v1alpha1/ 200", "POST"]) {
        const runner = yield* startRunner("stop-first")
        yield* runner.says(step)
        runner.process.kill("SIGTERM")
        const ended = yield* runner.ended
        assert.strictEqual(ended.code, 143, ended.stderr)
        yield* nothingLeft(kind, "stop-first")
      }
    })
  )

  it.effect("tells the runner's own end, though SIGTERM comes during the release", () =>
    Effect.gen(function* () {
      const { kind } = yield* scene("stop-late", { resources: [pod("sleep 1")] })
      const runner = yield* startRunner("stop-late")
      yield* runner.says("DELETE /apis/kro.run")
      runner.process.kill("SIGTERM")
      const ended = yield* runner.ended
      assert.strictEqual(ended.code, 0, ended.stderr)
      yield* nothingLeft(kind, "stop-late")
    })
  )

  it.effect("says what blocks the release, and ends in its time", () =>
    Effect.gen(function* () {
      const { kind } = yield* scene("blocked", { resources: [pod(patient)] })
      const runner = yield* startRunner("blocked", { env: { KAR_CLEANUP_TIMEOUT: "6s" } })
      yield* runner.says("The runner runs")
      yield* hold("blocked-job")
      runner.process.kill("SIGTERM")
      const ended = yield* runner.ended
      assert.strictEqual(ended.code, 143, ended.stderr)
      assert.match(ended.stderr, /Waiting for the end of .*blocked-job, which keeps the finalizer acme\.io\/keep/)
      yield* letGo("blocked-job")
      yield* eventually(
        "gone",
        Effect.map(all(KubeResource.pods), (pods) => !pods.some((one) => one.metadata?.name === "blocked-job"))
      )
      yield* released(kind, "blocked")
    })
  )

  it.effect("tells after its deadline what is left, and how to remove it", () =>
    Effect.gen(function* () {
      const { kind } = yield* scene("leaked", { resources: [pod("sleep 3; exit 0")] })
      const runner = yield* startRunner("leaked", { env: { KAR_CLEANUP_TIMEOUT: "4s" } })
      yield* runner.says("The runner runs")
      yield* hold("leaked-job")
      const ended = yield* runner.ended
      assert.strictEqual(ended.code, 0, "the runner itself has finished")
      assert.match(
        ended.stderr,
        /could not be released: .*acme\.io\/keep.*left: .*leaked, Pod leaked-job.*kubectl --namespace \S+ delete \S+ leaked/
      )
      yield* letGo("leaked-job")
      yield* released(kind, "leaked")
    })
  )

  it.effect("does not wait after a second SIGTERM", () =>
    Effect.gen(function* () {
      const { kind } = yield* scene("hurry", { resources: [pod(patient)] })
      const runner = yield* startRunner("hurry")
      yield* runner.says("The runner runs")
      yield* hold("hurry-job")
      runner.process.kill("SIGTERM")
      yield* runner.says("DELETE /apis/kro.run")
      runner.process.kill("SIGTERM")
      const ended = yield* runner.ended
      assert.strictEqual(ended.code, 143, ended.stderr)
      assert.include(ended.stderr, "left to KRO and the garbage collector")
      yield* letGo("hurry-job")
      yield* released(kind, "hurry")
    })
  )

  it.effect("takes up after a SIGKILL where it was: one run", () =>
    Effect.gen(function* () {
      const of = yield* scene("again", { resources: [pod("sleep 6; exit 0")] })
      const starts = yield* startsOf("again")
      const first = yield* startRunner("again", { jit: "the-same-jit" })
      yield* first.says("The runner runs")
      first.process.kill("SIGKILL")
      yield* Effect.promise(() => first.process.ended)
      const second = yield* startRunner("again", { jit: "the-same-jit" })
      const ended = yield* second.ended
      assert.strictEqual(ended.code, 0, ended.stderr)
      assert.strictEqual(starts.size, 1)
      yield* nothingLeft(of.kind, "again")
    })
  )

  it.effect("takes over what another runner pod had, before the garbage collector comes", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      const namespace = (yield* TestNamespace).name
      const of = yield* scene("heir", { resources: [pod("sleep 8; exit 0")] })
      const starts = yield* startsOf("heir")
      const first = yield* startRunner("heir", { jit: "the-same-jit" })
      yield* first.says("The runner runs")
      first.process.kill("SIGKILL")
      const other = yield* runnerPod("somebody-else")
      const owner = { apiVersion: "v1", kind: "Pod", name: "somebody-else", uid: other.metadata?.uid }
      const body = { metadata: { ownerReferences: [owner] } }
      yield* kube.request({ verb: "patch", resource: of.instances, namespace, name: "heir", body })
      const second = yield* startRunner("heir", { jit: "the-same-jit" })
      yield* second.says("is taken over")
      yield* second.says("The runner runs")
      const { metadata } = yield* getInstance(of.instances, "heir")
      assert.deepStrictEqual(
        metadata.ownerReferences?.map(({ uid }) => uid),
        [of.uid]
      )
      assert.strictEqual((yield* second.ended).code, 0)
      assert.strictEqual(starts.size, 1)
      yield* nothingLeft(of.kind, "heir")
    })
  )

  it.effect("takes the result of a run that ended while nobody looked", () =>
    Effect.gen(function* () {
      const of = yield* scene("unseen", { resources: [pod("sleep 2; exit 0")] })
      const starts = yield* startsOf("unseen")
      const first = yield* startRunner("unseen", { jit: "the-same-jit" })
      yield* first.says("The runner runs")
      first.process.kill("SIGKILL")
      yield* eventually(
        "ready",
        Effect.map(getInstance(of.instances, "unseen"), ({ status }) => status?.state === "ACTIVE")
      )
      const second = yield* startRunner("unseen", { jit: "the-same-jit" })
      assert.strictEqual((yield* second.ended).code, 0)
      assert.strictEqual(starts.size, 1)
      yield* nothingLeft(of.kind, "unseen")
    })
  )

  it.effect("replaces what a pod of the same name left with another JIT configuration", () =>
    Effect.gen(function* () {
      const of = yield* scene("replaced", { resources: [pod(`${patient}; exit 0`, { node: {} })] })
      const starts = yield* startsOf("replaced")
      const first = yield* startRunner("replaced", { jit: "jit-one" })
      yield* first.says("The runner runs")
      first.process.kill("SIGKILL")
      const second = yield* startRunner("replaced", { jit: "jit-two" })
      yield* second.says("is removed while its work runs")
      yield* second.says("The runner runs")
      yield* eventually(
        "a run for each",
        Effect.sync(() => starts.size === 2)
      )
      second.process.kill("SIGTERM")
      assert.strictEqual((yield* second.ended).code, 143)
      yield* nothingLeft(of.kind, "replaced")
    })
  )

  it.effect("waits for the end of what a runner pod that is gone had, then runs", () =>
    Effect.gen(function* () {
      const of = yield* scene("reborn", {
        spec: { runnerName: "string | required=true", seconds: "string | default=600" },
        resources: [pod(`trap 'exit 0' TERM; sleep ${cel("schema.spec.seconds")} & wait`)]
      })
      const starts = yield* startsOf("reborn")
      const first = yield* startRunner("reborn", { jit: "the-same-jit" })
      yield* first.says("The runner runs")
      first.process.kill("SIGKILL")
      yield* hold("reborn-job")
      // ARC makes the pod again, of the same name; the garbage collector, which takes its time, removes what the old one owned.
      yield* forceDelete("reborn")
      yield* runnerPod("reborn", { labels: { "actions.github.com/scale-set-name": "reborn" } })
      yield* Effect.ignore(deleteInstance(of.instances, "reborn"))
      const second = yield* startRunner("reborn", { jit: "the-same-jit", args: ["--set", "seconds=1"] })
      yield* second.says("of an earlier run")
      yield* letGo("reborn-job")
      const ended = yield* second.ended
      assert.strictEqual(ended.code, 0, ended.stderr)
      assert.strictEqual(starts.size, 2)
      yield* nothingLeft(of.kind, "reborn")
    })
  )
})
