/** A runner before an API that misbehaves, with KRO played by the test: one run, its result, and nothing left, whatever the schedule. */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Deferred, Effect, Exit, Fiber, type Layer, Logger, References, Result } from "effect"
import * as Rgd from "jobscope/backends/kro/ResourceGraphDefinition"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import * as Arguments from "jobscope/programs/kro-runner/Arguments"
import * as Outcome from "jobscope/programs/kro-runner/Outcome"
import * as Runner from "jobscope/programs/kro-runner/Runner"
import * as Settings from "jobscope/programs/kro-runner/Settings"
import { FakeFault, FakeKubernetes, FaultProxy } from "jobscope/testing"
import * as PlayedKro from "./support/playedKro.ts"

const everything = [{ group: "*", resource: "*", verbs: ["*"] }]

/** As the program runs it, with all that it says. */
const startRunner = Effect.fnUntraced(function* (
  env: Readonly<Record<string, string>> = {},
  through?: (
    access: FakeKubernetes.FakeKubernetes["Service"]["access"]
  ) => FakeKubernetes.FakeKubernetes["Service"]["access"]
) {
  const kubernetes = yield* FakeKubernetes.FakeKubernetes
  const own = kubernetes.accessAs({ user: "runner", rules: everything })
  const settings = yield* Settings.read(Result.getOrThrow(Arguments.parse([]))).pipe(
    Effect.provide(
      ConfigProvider.layer(
        ConfigProvider.fromEnvRecord({ RUNNER_NAME: "r", ACTIONS_RUNNER_INPUT_JITCONFIG: "the-jit", ...env })
      )
    )
  )
  const said: Array<string> = []
  const fiber = yield* Runner.run(settings, { found: () => {}, completed: () => {} }).pipe(
    Effect.provideServiceEffect(KubeClient.KubeClient, KubeClient.make(through === undefined ? own : through(own))),
    Effect.provideService(References.MinimumLogLevel, "Debug"),
    Effect.provide(Logger.layer([Logger.make(({ message }) => void said.push(String(message)))])),
    Effect.forkScoped
  )
  return {
    said,
    fiber,
    outcome: Effect.map(Fiber.await(fiber), (exit) => Outcome.of(exit, undefined, { returnVersionDeprecated: true })),
    says: (text: RegExp) => eventually(() => said.some((line) => text.test(line)))
  }
})

const eventually = (holds: () => boolean) =>
  Effect.repeat(Effect.delay(Effect.sync(holds), "5 millis"), { until: (held) => held }).pipe(
    Effect.timeoutOrElse({ duration: "20 seconds", orElse: () => Effect.die(new Error(`never: ${holds}`)) })
  )

const nothingLeft = Effect.gen(function* () {
  const kubernetes = yield* FakeKubernetes.FakeKubernetes
  assert.sameMembers([...(yield* kubernetes.left)], ["pods default/r", "resourcegraphdefinitions undefined/fake"])
})

/** A green run to its end. */
const green = Effect.fnUntraced(function* (
  options: PlayedKro.Options = {},
  env: Readonly<Record<string, string>> = {}
) {
  const kro = yield* PlayedKro.play(options)
  yield* PlayedKro.scaleSet(options.kind)
  const runner = yield* startRunner(env)
  const outcome = yield* runner.outcome
  assert.deepInclude(outcome, { exitCode: 0, reason: "RunnerFinished" }, runner.said.join("\n"))
  assert.lengthOf(kro.starts, 1, "the work was started more than once")
  yield* nothingLeft
  return runner
})

const test = <E>(
  title: string,
  body: () => Effect.Effect<
    unknown,
    E,
    Layer.Success<ReturnType<typeof FakeKubernetes.layer>> | import("effect").Scope.Scope
  >,
  kind: PlayedKro.InstanceKind = PlayedKro.usual
) =>
  it.live(
    title,
    () => Effect.scoped(body()).pipe(Effect.provide(FakeKubernetes.layer({ kinds: PlayedKro.kindsWith(kind) }))),
    60_000
  )

const ofRunner = (verb?: string) => ({ user: "runner", ...(verb === undefined ? {} : { verb }) })

describe.concurrent("a runner whose watches misbehave", () => {
  for (const how of ["close", "expired"] as const) {
    for (const endAfter of [1, 2, 3, 4, 5, 6]) {
      test(`every watch ends after ${endAfter} events (${how})`, () =>
        Effect.gen(function* () {
          const kubernetes = yield* FakeKubernetes.FakeKubernetes
          yield* kubernetes.inject({ match: ofRunner("watch"), action: FakeFault.watch({ endAfter, how }) })
          yield* green()
        }))
    }
    test(`the first watches end before anything was told (${how})`, () =>
      Effect.gen(function* () {
        const kubernetes = yield* FakeKubernetes.FakeKubernetes
        yield* kubernetes.inject({ match: ofRunner("watch"), times: 4, action: FakeFault.watch({ endAfter: 0, how }) })
        yield* green()
      }))
  }

  test("all that it knew has expired", () =>
    Effect.gen(function* () {
      const kubernetes = yield* FakeKubernetes.FakeKubernetes
      yield* kubernetes.inject({ match: ofRunner("watch"), action: FakeFault.watch({ endAfter: 2 }) })
      yield* Effect.forkScoped(Effect.repeat(Effect.delay(kubernetes.compact, "200 millis"), { times: 4 }))
      yield* green()
    }))

  test("every event comes three times", () =>
    Effect.gen(function* () {
      const kubernetes = yield* FakeKubernetes.FakeKubernetes
      yield* kubernetes.inject({ match: ofRunner("watch"), action: FakeFault.watch({ repeats: 3 }) })
      yield* green()
    }))

  for (const resource of ["pods", "fakerunners"]) {
    test(`events of ${resource} come long after the others`, () =>
      Effect.gen(function* () {
        const kubernetes = yield* FakeKubernetes.FakeKubernetes
        const match = { ...ofRunner("watch"), resource }
        yield* kubernetes.inject({ match, action: FakeFault.watch({ delay: "300 millis" }) })
        yield* green()
      }))
  }

  test("watching is not allowed", () =>
    Effect.gen(function* () {
      const kubernetes = yield* FakeKubernetes.FakeKubernetes
      yield* kubernetes.inject({ match: ofRunner("watch"), action: FakeFault.answer(403) })
      yield* green()
    }))
})

describe.concurrent("a runner before a server in trouble", () => {
  for (const skip of [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]) {
    test(`hangs up on two requests after ${skip}`, () =>
      Effect.gen(function* () {
        const kubernetes = yield* FakeKubernetes.FakeKubernetes
        yield* kubernetes.inject({ match: ofRunner(), skip, times: 2, action: FakeFault.hangUp })
        yield* green()
      }))

    test(`acts on the request after ${skip}, and loses the answer`, () =>
      Effect.gen(function* () {
        const kubernetes = yield* FakeKubernetes.FakeKubernetes
        yield* kubernetes.inject({ match: ofRunner(), skip, times: 1, action: FakeFault.cut({ afterBytes: 0 }) })
        yield* green()
      }))
  }

  test("is overloaded: a third of all requests fails", () =>
    Effect.gen(function* () {
      const kubernetes = yield* FakeKubernetes.FakeKubernetes
      yield* kubernetes.inject({ match: ofRunner(), probability: 0.3, action: FakeFault.answer(503) })
      yield* green()
    }))

  for (const phase of ["create", "run"] as const) {
    test(`is away for 10 seconds while the runner is to ${phase}`, () =>
      Effect.gen(function* () {
        const kubernetes = yield* FakeKubernetes.FakeKubernetes
        const proxy = yield* FaultProxy.make({ target: kubernetes.access })
        const ended = yield* Deferred.make<number>()
        const kro = yield* PlayedKro.play({ work: Deferred.await(ended) })
        yield* PlayedKro.scaleSet()
        const created = () => kubernetes.requests.some(({ user, verb }) => user === "runner" && verb === "create")
        const known = () => kubernetes.requests.some(({ resource, user }) => user === "runner" && resource === "pods")
        const runner = yield* startRunner({}, (access) => ({ ...access, server: proxy.access.server }))
        yield* eventually(phase === "create" ? known : created)
        if (phase === "run") yield* kro.running
        yield* proxy.stop
        yield* Deferred.succeed(ended, 0)
        yield* Effect.sleep("10 seconds")
        yield* proxy.start
        assert.strictEqual((yield* runner.outcome).exitCode, 0, runner.said.join("\n"))
        assert.lengthOf(kro.starts, 1)
        yield* nothingLeft
      }))
  }
})

describe.concurrent("a runner whose instance is troubled", () => {
  const odd = (kind: string, plural: string, more: Partial<PlayedKro.InstanceKind> = {}) => ({
    ...PlayedKro.usual,
    kind,
    plural,
    ...more
  })
  for (const kind of [
    odd("RunnerProxy", "runnerproxies"),
    odd("RunnerBox", "runnerboxes"),
    odd("RunnerPatch", "runnerpatches"),
    odd("MacOS", "macos"),
    odd("Runners", "runners"),
    odd("OtherRunner", "otherrunners", { group: "runners.acme.io", version: "v1beta2" }),
    odd("WideRunner", "widerunners", { namespaced: false })
  ]) {
    test(
      `is a ${kind.kind}.${kind.version}.${kind.group}${kind.namespaced ? "" : " of the whole cluster"}`,
      () => green({ kind }),
      kind
    )
  }

  for (const [what, conditions] of [
    ["of KRO before 0.6", (ready: boolean) => [{ type: "InstanceSynced", status: ready ? "True" : "False" }]],
    ["of the RGD's author", () => [{ type: "Warm", status: "Unknown", reason: "AuthorsOwn" }]],
    ["that are none", () => []]
  ] as const) {
    test(`has conditions ${what}`, () => green({ conditions }))
  }

  test("is an old one, which is still finalizing", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      const kubernetes = yield* FakeKubernetes.FakeKubernetes
      const kro = yield* PlayedKro.play()
      yield* PlayedKro.scaleSet()
      const metadata = { name: "r", labels: { "kro.run/runner-name": "r" }, finalizers: ["acme.io/slow"] }
      const body = { metadata, spec: { runnerName: "r" } }
      const old = yield* kube.request({ verb: "create", resource: kro.instances, namespace: "default", body })
      yield* kro.running
      yield* kube.request({ verb: "delete", resource: kro.instances, namespace: "default", name: "r" })
      const runner = yield* startRunner()
      yield* runner.says(/the instance r of an earlier run|earlier run/)
      yield* kube.request({
        verb: "patch",
        resource: kro.instances,
        namespace: "default",
        name: "r",
        body: { metadata: { uid: old.metadata.uid, finalizers: null } }
      })
      assert.strictEqual((yield* runner.outcome).exitCode, 0, runner.said.join("\n"))
      assert.lengthOf(kro.starts, 2, "one each")
      yield* nothingLeft
      assert.isTrue(
        kubernetes.requests.some(({ status, user, verb }) => user === "runner" && verb === "create" && status === 409)
      )
    }))

  test("hangs on somebody's finalizer", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      const ended = yield* Deferred.make<number>()
      const kro = yield* PlayedKro.play({ work: Deferred.await(ended) })
      yield* PlayedKro.scaleSet()
      const runner = yield* startRunner({ KAR_CLEANUP_TIMEOUT: "2s" })
      yield* kro.running
      const place = { resource: kro.instances, namespace: "default", name: "r" } as const
      const hold = (finalizers: ReadonlyArray<string> | null) =>
        kube.request({ verb: "patch", ...place, body: { metadata: { finalizers } } })
      yield* hold(["kro.run/finalizer", "acme.io/keep"])
      yield* Deferred.succeed(ended, 0)
      const outcome = yield* runner.outcome
      assert.strictEqual(outcome.exitCode, 0, "the runner itself has finished")
      assert.match(
        runner.said.join("\n"),
        /could not be released.*acme\.io\/keep.*kubectl .*delete fakerunners\.kro\.run r/s
      )
      yield* hold(null)
      assert.lengthOf(kro.starts, 1)
      yield* nothingLeft
    }))

  for (const [what, body] of [
    [
      "edited",
      {
        spec: { resources: [{ id: "other", template: { apiVersion: "v1", kind: "Secret", metadata: { name: "x" } } }] }
      }
    ],
    ["relabelled", { metadata: { labels: { "actions.github.com/scale-set-name": "another" } } }],
    ["inactive", { status: { state: "Inactive", conditions: [] } }]
  ] as const) {
    test(`is of an RGD that is ${what} meanwhile`, () =>
      Effect.gen(function* () {
        const kube = yield* KubeClient.KubeClient
        const ended = yield* Deferred.make<number>()
        const kro = yield* PlayedKro.play({ work: Deferred.await(ended) })
        yield* PlayedKro.scaleSet()
        const runner = yield* startRunner()
        yield* kro.running
        const resource = { ...Rgd.definitions, ...("status" in body ? { subresource: "status" } : {}) }
        yield* kube.request({ verb: "patch", resource, name: "fake", body })
        yield* Deferred.succeed(ended, 3)
        assert.deepInclude(yield* runner.outcome, { exitCode: 1, reason: "RunnerFailed" })
        assert.lengthOf(kro.starts, 1)
        yield* nothingLeft
      }))
  }

  test("is of an RGD that is deleted meanwhile: the work is removed all the same, and what is left is told", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      const kubernetes = yield* FakeKubernetes.FakeKubernetes
      const ended = yield* Deferred.make<number>()
      const kro = yield* PlayedKro.play({ work: Deferred.await(ended) })
      yield* PlayedKro.scaleSet()
      const runner = yield* startRunner()
      yield* kro.running
      yield* kro.stop
      yield* kube.request({
        verb: "patch",
        resource: Rgd.definitions,
        name: "fake",
        body: { metadata: { finalizers: null } }
      })
      yield* kube.request({ verb: "delete", resource: Rgd.definitions, name: "fake" })
      yield* Deferred.succeed(ended, 0)
      assert.strictEqual((yield* runner.outcome).exitCode, 0)
      assert.match(runner.said.join("\n"), /its ResourceGraphDefinition fake is gone/)
      assert.sameMembers([...(yield* kubernetes.left)], ["pods default/r", "fakerunners default/r"])
      assert.lengthOf(kro.starts, 1)
    }))

  for (const grace of [0, undefined]) {
    test(`loses its pod to somebody else (${grace === 0 ? "at once" : "in its time"}): a loss, and no second run is left`, () =>
      Effect.gen(function* () {
        const kube = yield* KubeClient.KubeClient
        const kro = yield* PlayedKro.play({ work: Effect.never })
        yield* PlayedKro.scaleSet()
        const runner = yield* startRunner()
        yield* kro.running
        const query = grace === undefined ? {} : { gracePeriodSeconds: grace }
        yield* kube.request({ verb: "delete", resource: KubeResource.pods, namespace: "default", name: "r-job", query })
        assert.deepInclude(yield* runner.outcome, { exitCode: 1, reason: "EnvironmentLost" })
        yield* nothingLeft
      }))
  }

  test("is interrupted while its pod is made: nothing is left", () =>
    Effect.gen(function* () {
      yield* PlayedKro.play({ work: Effect.never })
      yield* PlayedKro.scaleSet()
      const kubernetes = yield* FakeKubernetes.FakeKubernetes
      const runner = yield* startRunner()
      yield* eventually(() => kubernetes.requests.some(({ user, verb }) => user === "runner" && verb === "create"))
      yield* Fiber.interrupt(runner.fiber)
      assert.isTrue(Exit.isFailure(yield* Fiber.await(runner.fiber)))
      yield* nothingLeft
    }))
})
