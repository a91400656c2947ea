/** The program driven by ARC through its retries: what ARC makes of its exit codes, and that one JIT configuration is one run. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Deferred, Effect, type Layer, type Scope } from "effect"
import * as Rgd from "jobscope/backends/kro/ResourceGraphDefinition"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import { FakeKubernetes } from "jobscope/testing"
import * as Arc from "./support/arc.ts"
import * as PlayedKro from "./support/playedKro.ts"
import * as Program from "./support/program.ts"

beforeAll(Program.build, 60_000)
afterAll(Program.remove)

const test = <E>(
  title: string,
  body: () => Effect.Effect<unknown, E, Layer.Success<ReturnType<typeof FakeKubernetes.layer>> | Scope.Scope>
) =>
  it.live(
    title,
    () =>
      Effect.scoped(body()).pipe(
        Effect.provide(FakeKubernetes.layer({ kinds: [...PlayedKro.kindsWith(PlayedKro.usual), Arc.kind] }))
      ),
    60_000
  )

/** What a runner pod that is gone owned is removed by others, in their time. */
const nothingLeft = Effect.gen(function* () {
  const kubernetes = yield* FakeKubernetes.FakeKubernetes
  yield* Effect.repeat(Effect.delay(kubernetes.left, "20 millis"), {
    until: (left) => left.length === 1 && left[0] === "resourcegraphdefinitions undefined/fake"
  }).pipe(Effect.timeout("20 seconds"))
})

const rgd = { verb: "create", resource: Rgd.definitions } as const
const labels = { "actions.github.com/scale-set-name": "set" }
const ready = KubeClient.KubeClient.use((kube) =>
  kube.request({ ...rgd, body: PlayedKro.rgdOf(PlayedKro.usual, labels) })
)

describe.concurrent("kro-runner under ARC", () => {
  test("is done when its runner has finished", () =>
    Effect.gen(function* () {
      const kro = yield* PlayedKro.play()
      yield* ready
      const arc = yield* Arc.run()
      assert.strictEqual(yield* arc.end, "Finished")
      assert.deepStrictEqual(arc.exits, [0])
      assert.lengthOf(kro.starts, 1)
      yield* nothingLeft
    }))

  test("is tried again until the platform is right", () =>
    Effect.gen(function* () {
      const kro = yield* PlayedKro.play()
      const arc = yield* Arc.run()
      yield* arc.program(3)
      yield* ready
      assert.strictEqual(yield* arc.end, "Finished")
      assert.sameMembers([...new Set(arc.exits)], [1, 0])
      assert.lengthOf(kro.starts, 1)
      yield* nothingLeft
    }))

  test("is given up after six failures", () =>
    Effect.gen(function* () {
      const kro = yield* PlayedKro.play({ work: Effect.succeed(3) })
      yield* ready
      const arc = yield* Arc.run()
      assert.strictEqual(yield* arc.end, "TooManyFailures")
      assert.deepStrictEqual(arc.exits, [1, 1, 1, 1, 1, 1])
      assert.lengthOf(kro.starts, 6, "one for each pod: a runner that ended without a job may be started again")
      yield* nothingLeft
    }))

  test("stops its scale set only where ARC asked to be told of a runner that is too old", () =>
    Effect.gen(function* () {
      yield* PlayedKro.play({ work: Effect.succeed(7) })
      yield* ready
      const arc = yield* Arc.run({ ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE: "1" })
      assert.strictEqual(yield* arc.end, "Outdated")
      yield* nothingLeft
      const other = yield* Arc.run()
      assert.strictEqual(yield* other.end, "TooManyFailures")
      assert.deepStrictEqual(other.exits, [1, 1, 1, 1, 1, 1])
      yield* nothingLeft
    }))

  test("is drained before it has a job: another pod runs it, once", () =>
    Effect.gen(function* () {
      const ended = yield* Deferred.make<number>()
      const kro = yield* PlayedKro.play({ work: Deferred.await(ended) })
      yield* ready
      const arc = yield* Arc.run()
      yield* (yield* arc.program(1)).says("POST /apis/kro.run")
      yield* arc.drain
      yield* (yield* arc.program(2)).says("The runner runs")
      yield* Deferred.succeed(ended, 0)
      assert.strictEqual(yield* arc.end, "Finished")
      assert.deepStrictEqual(arc.exits, [143, 0])
      assert.isAtMost(kro.starts.length, 2)
      yield* nothingLeft
    }))

  test("is drained with a job: the runner is dropped, and nothing runs on", () =>
    Effect.gen(function* () {
      const kro = yield* PlayedKro.play({ work: Effect.never })
      yield* ready
      const arc = yield* Arc.run()
      yield* (yield* arc.program(1)).says("The runner runs")
      yield* arc.assignJob
      yield* arc.drain
      assert.strictEqual(yield* arc.end, "LostItsJob")
      assert.deepStrictEqual(arc.exits, [143])
      assert.lengthOf(kro.starts, 1)
      yield* nothingLeft
    }))

  test("loses its node with a job: the next pod starts nothing, and the runner is dropped", () =>
    Effect.gen(function* () {
      const kro = yield* PlayedKro.play({ work: Effect.never })
      yield* ready
      const arc = yield* Arc.run()
      yield* (yield* arc.program(1)).says("The runner runs")
      yield* arc.assignJob
      yield* arc.loseNode
      assert.strictEqual(yield* arc.end, "LostItsJob")
      assert.deepStrictEqual(arc.exits, [undefined, 1])
      assert.include((yield* arc.program(2)).said(), "the job 17 was assigned to this runner already")
      assert.lengthOf(kro.starts, 1)
      yield* nothingLeft
    }))

  test("loses its node before it has a job: the next pod runs it", () =>
    Effect.gen(function* () {
      const ended = yield* Deferred.make<number>()
      yield* PlayedKro.play({ work: Deferred.await(ended) })
      yield* ready
      const arc = yield* Arc.run()
      yield* (yield* arc.program(1)).says("The runner runs")
      yield* arc.loseNode
      const second = yield* arc.program(2)
      yield* second.says("The runner runs")
      yield* Deferred.succeed(ended, 0)
      assert.strictEqual(yield* arc.end, "Finished")
      assert.deepStrictEqual(arc.exits, [undefined, 0])
      yield* nothingLeft
    }))

  test("is removed while its runner waits for a job: it releases, without the Secret that is gone", () =>
    Effect.gen(function* () {
      const kro = yield* PlayedKro.play({ work: Effect.never })
      yield* ready
      const arc = yield* Arc.run()
      yield* (yield* arc.program(1)).says("The runner runs")
      yield* arc.removeRunner
      assert.strictEqual(yield* arc.end, "Removed")
      assert.deepStrictEqual(arc.exits, [143])
      assert.lengthOf(kro.starts, 1)
      yield* nothingLeft
    }))
})
