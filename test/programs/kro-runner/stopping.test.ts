/** Stopped or killed at every call that it makes, the server acting on that call or not: nothing is left, and one run is one run. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import { FakeFault, FakeKubernetes } from "jobscope/testing"
import * as PlayedKro from "./support/playedKro.ts"
import * as Program from "./support/program.ts"

beforeAll(Program.build, 60_000)
afterAll(Program.remove)

const test = <E>(
  title: string,
  body: () => Effect.Effect<
    unknown,
    E,
    Effect.Services<ReturnType<typeof Program.start>> | Effect.Services<ReturnType<typeof PlayedKro.play>>
  >
) =>
  it.live(
    title,
    () =>
      Effect.scoped(body()).pipe(Effect.provide(FakeKubernetes.layer({ kinds: PlayedKro.kindsWith(PlayedKro.usual) }))),
    60_000
  )

const nothingLeft = Effect.gen(function* () {
  const kubernetes = yield* FakeKubernetes.FakeKubernetes
  assert.sameMembers([...(yield* kubernetes.left)], ["pods default/r", "resourcegraphdefinitions undefined/fake"])
})

/** Starts the program, and waits for its call after `calls` others, which the server answers late. */
const startUntil = Effect.fnUntraced(function* (calls: number, action = FakeFault.delay("300 millis")) {
  const kubernetes = yield* FakeKubernetes.FakeKubernetes
  const match = { user: "runner" }
  yield* kubernetes.inject({ match, skip: calls, times: 1, action })
  const program = yield* Program.start()
  yield* Program.eventually(
    `${calls} calls before`,
    () => kubernetes.requests.filter(({ user }) => user === "runner").length > calls
  )
  return program
})

describe.concurrent("kro-runner", () => {
  // Its pod, the RGD, the kinds, the children and their watch, the create, the watch of the instance.
  for (const calls of [0, 1, 2, 3, 4, 5, 6]) {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      test(`gets ${signal} at its call after ${calls} others`, () =>
        Effect.gen(function* () {
          const kro = yield* PlayedKro.play({ work: Effect.never })
          yield* PlayedKro.scaleSet()
          const program = yield* startUntil(calls)
          yield* program.kill(signal)
          assert.strictEqual(yield* program.exitCode, signal === "SIGTERM" ? 143 : 130, program.said())
          assert.isAtMost(kro.starts.length, 1)
          yield* nothingLeft
        }))
    }

    for (const [what, action] of [
      ["does not act on", FakeFault.silence],
      ["acts on, and does not answer", FakeFault.cut({ afterBytes: 0, how: "silent" })]
    ] as const) {
      test(`is killed at its call after ${calls} others, which the server ${what}, and started again with the same JIT configuration`, () =>
        Effect.gen(function* () {
          const ended = yield* Deferred.make<number>()
          const kro = yield* PlayedKro.play({ work: Deferred.await(ended) })
          yield* PlayedKro.scaleSet()
          const first = yield* startUntil(calls, action)
          yield* first.kill("SIGKILL")
          assert.strictEqual(yield* first.exitCode, 137)
          const second = yield* Program.start()
          yield* second.says("The runner runs")
          yield* Deferred.succeed(ended, 0)
          assert.strictEqual(yield* second.exitCode, 0, second.said())
          assert.lengthOf(kro.starts, 1)
          yield* nothingLeft
        }))
    }
  }

  for (const calls of [7, 8]) {
    test(`gets SIGTERM at its call after ${calls} others, when its runner has finished`, () =>
      Effect.gen(function* () {
        const kro = yield* PlayedKro.play()
        yield* PlayedKro.scaleSet()
        const program = yield* startUntil(calls)
        yield* program.kill("SIGTERM")
        assert.strictEqual(yield* program.exitCode, 0, program.said())
        assert.lengthOf(kro.starts, 1)
        yield* nothingLeft
      }))
  }
})
