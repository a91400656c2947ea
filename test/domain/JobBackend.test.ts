import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Capabilities from "../../src/domain/Capabilities.ts"
import * as EnvironmentHandle from "../../src/domain/EnvironmentHandle.ts"
import { JobSpec, Timeouts } from "../../src/domain/Job.ts"
import { fromDriver, ProtocolViolation } from "../../src/domain/JobBackend.ts"
import type { RunningStep } from "../../src/domain/JobEnvironment.ts"
import {
  BackendError,
  EnvironmentLost,
  fail,
  ReleaseFailed,
  Unavailable,
  Unschedulable
} from "../../src/domain/JobError.ts"
import { JobEvents } from "../../src/domain/JobEvent.ts"
import { OwnedResource } from "../../src/domain/OwnedResource.ts"
import { ContainerStep } from "../../src/domain/Step.ts"
import {
  driveToExit,
  endedStep,
  makeDriver,
  makeListener,
  pass,
  reasonOfTag,
  scriptStep,
  settle,
  spec
} from "./support.ts"

const unavailable = new Unavailable({ service: "the API", detail: "503" })
const evicted = new EnvironmentLost({ cause: "Evicted", detail: "drained" })
const handle = new EnvironmentHandle.EnvironmentHandle({
  version: 1,
  backend: "fake",
  environment: "env-1",
  owner: "jobscope",
  data: { fake: true }
})

/** A scope that the test closes itself. */
const withScope = <A, E>(effect: Effect.Effect<A, E, Scope.Scope>) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    return { scope, value: yield* Scope.provide(effect, scope) }
  })

const defectOf = <A, E>(exit: Exit.Exit<A, E>): unknown => {
  if (Exit.isSuccess(exit)) return assert.fail("it succeeded")
  const reason = exit.cause.reasons.find(Cause.isDieReason)
  return reason === undefined ? assert.fail(`no defect: ${Cause.pretty(exit.cause)}`) : reason.defect
}

const assertViolation = <A, E>(exit: Exit.Exit<A, E>) => {
  const defect = defectOf(exit)
  assert.instanceOf(defect, ProtocolViolation)
  assert.include((defect as ProtocolViolation).message, "env-1")
}

describe("provision", () => {
  it.effect("closing the scope releases, and says so", () =>
    Effect.gen(function* () {
      const { calls, driver } = makeDriver()
      const listener = makeListener()
      const { scope, value } = yield* Effect.provideService(
        withScope(fromDriver(driver).provision(spec())),
        JobEvents,
        listener
      )
      assert.strictEqual(value.name, "env-1")
      assert.deepStrictEqual(value.facts.workspace, "/fake")
      assert.deepStrictEqual(calls, ["create env-1"])
      yield* Effect.provideService(Scope.close(scope, Exit.void), JobEvents, listener)
      assert.deepStrictEqual(calls, ["create env-1", "destroy environment env-1"])
      assert.deepStrictEqual(
        listener.events.map((event) => [event._tag, "environment" in event ? event.environment : ""]),
        [
          ["EnvironmentRequested", "env-1"],
          ["EnvironmentReleased", "env-1"]
        ]
      )
      assert.deepStrictEqual(
        listener.of("EnvironmentRequested").map(({ removal }) => removal),
        ["remove env-1"]
      )
    })
  )

  it.effect("gives every environment a name of its own, made of the job's", () =>
    Effect.gen(function* () {
      const { calls, driver } = makeDriver()
      const { nameOf: _, ...nameless } = driver
      const backend = fromDriver(nameless)
      for (const name of ["Build & Test!", "Build & Test!", "日本", "-".repeat(50), `${"x".repeat(39)}-yyy`]) {
        yield* Effect.scoped(backend.provision(new JobSpec({ name })))
      }
      const names = calls.filter((call) => call.startsWith("create ")).map((call) => call.slice("create ".length))
      const patterns = [
        /^build-test-[0-9a-f]{8}$/,
        /^build-test-[0-9a-f]{8}$/,
        /^job-[0-9a-f]{8}$/,
        /^job-[0-9a-f]{8}$/
      ]
      for (const [index, pattern] of [...patterns, /^x{39}-[0-9a-f]{8}$/].entries())
        assert.match(names[index]!, pattern)
      assert.strictEqual(new Set(names).size, 5)
      // What Kubernetes allows as a name and as a value of a label.
      for (const name of names) assert.match(name, /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/)
    })
  )

  it.effect("that fails is undone at once, not when the caller's scope ends", () =>
    Effect.gen(function* () {
      const { calls, driver } = makeDriver({ create: () => fail(new Unschedulable({ detail: "no node" })) })
      const scope = yield* Scope.make()
      const error = yield* Effect.flip(Scope.provide(fromDriver(driver).provision(spec()), scope))
      assert.strictEqual(error.reason._tag, "Unschedulable")
      assert.deepStrictEqual(calls, ["create env-1", "destroy environment env-1"])
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(calls, ["create env-1", "destroy environment env-1"], "and not a second time")
    })
  )

  it.effect("that dies is undone at once", () =>
    Effect.gen(function* () {
      const { calls, driver } = makeDriver({ create: () => Effect.die(new Error("a bug")) })
      const exit = yield* Effect.exit(Effect.scoped(fromDriver(driver).provision(spec())))
      assert.strictEqual((defectOf(exit) as Error).message, "a bug")
      assert.deepStrictEqual(calls, ["create env-1", "destroy environment env-1"])
    })
  )

  it.effect("that is interrupted is undone before the interruption is done", () =>
    Effect.gen(function* () {
      const { calls, driver } = makeDriver({ create: () => Effect.never, destroy: () => Effect.sleep("5 seconds") })
      const scope = yield* Scope.make()
      const fiber = yield* Effect.forkChild(Scope.provide(fromDriver(driver).provision(spec()), scope), {
        startImmediately: true
      })
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      yield* pass("4999 millis")
      assert.deepStrictEqual([calls.at(-1), interrupting.pollUnsafe()], ["destroy environment env-1", undefined])
      yield* pass("1 millis")
      yield* Fiber.join(interrupting)
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(calls, ["create env-1", "destroy environment env-1"])
    })
  )

  it.effect("closes what belongs to this process too", () =>
    Effect.gen(function* () {
      const order: Array<string> = []
      const { driver } = makeDriver({
        create: () =>
          Effect.as(
            Effect.acquireRelease(
              Effect.sync(() => void order.push("poller")),
              () => Effect.sync(() => void order.push("poller closed"))
            ),
            {
              facts: { os: "", arch: "", libc: "unknown" as const, workspace: "", services: [] },
              data: null,
              start: () => Effect.succeed(endedStep),
              completion: Effect.onInterrupt(Effect.never, () => Effect.sync(() => void order.push("watch closed")))
            }
          ),
        destroy: () => Effect.sync(() => void order.push("destroyed"))
      })
      yield* Effect.scoped(Effect.andThen(fromDriver(driver).provision(spec()), settle))
      assert.deepStrictEqual(order, ["poller", "watch closed", "poller closed", "destroyed"])
    })
  )

  it.effect("refuses what the driver lacks before anything is made", () =>
    Effect.gen(function* () {
      const { calls, driver } = makeDriver({ capabilities: { ...Capabilities.minimal, hostJobs: false } })
      const listener = makeListener()
      const error = yield* Effect.flip(
        Effect.provideService(Effect.scoped(fromDriver(driver).provision(spec())), JobEvents, listener)
      )
      assert.strictEqual(reasonOfTag(error, "Unsupported").backend, "fake")
      assert.deepStrictEqual([calls, listener.events], [[], []])
    })
  )
})

describe("a release at the end of a scope", () => {
  const leakOf = Effect.fnUntraced(function* (
    driver: ReturnType<typeof makeDriver>["driver"],
    timeouts: Timeouts = new Timeouts({})
  ) {
    const listener = makeListener()
    const fiber = yield* Effect.forkChild(
      Effect.provideService(Effect.scoped(fromDriver(driver).provision(spec({ timeouts }))), JobEvents, listener)
    )
    assert.isTrue(Exit.isSuccess(yield* driveToExit(fiber)), "it never fails for the caller")
    const leaked = listener.of("Leaked")
    assert.strictEqual(leaked.length, 1)
    assert.deepStrictEqual(listener.of("EnvironmentReleased"), [])
    return { at: leaked[0]!.at, reason: reasonOfTag(leaked[0]!.error, "ReleaseFailed") }
  })

  const resource = new OwnedResource({
    backend: "fake",
    kind: "Pod",
    name: "pod-1",
    environment: "env-1",
    owner: "jobscope",
    custody: "held",
    createdAt: 0
  })

  it.effect("that fails is a leak that tells what is left", () =>
    Effect.gen(function* () {
      const { driver } = makeDriver({ destroy: () => fail(unavailable), list: () => Stream.make(resource) })
      const { reason } = yield* leakOf(driver)
      assert.deepStrictEqual(
        [reason.environment, reason.left, reason.detail, reason.removal],
        ["env-1", [resource], "the API is not available: 503", "remove env-1"]
      )
    })
  )

  it.effect("keeps the driver's own word of what is left", () =>
    Effect.gen(function* () {
      const own = new ReleaseFailed({ environment: "env-1", left: [resource], detail: "busy", removal: "rm" })
      const { driver } = makeDriver({ destroy: () => fail(own), list: () => Stream.die("not asked") })
      assert.deepStrictEqual((yield* leakOf(driver)).reason, own)
    })
  )

  it.effect("that dies is a leak", () =>
    Effect.gen(function* () {
      const { driver } = makeDriver({ destroy: () => Effect.die(new Error("a bug")) })
      assert.include((yield* leakOf(driver)).reason.detail, "a bug")
    })
  )

  it.effect.each([
    { title: "interruptible", destroy: Effect.never },
    { title: "uninterruptible", destroy: Effect.uninterruptible(Effect.sleep("1 hour")) }
  ])("that takes too long is a leak after timeouts.release ($title)", ({ destroy }) =>
    Effect.gen(function* () {
      const { driver } = makeDriver({ destroy: () => destroy })
      const { at, reason } = yield* leakOf(driver, new Timeouts({ release: Duration.seconds(7) }))
      assert.strictEqual(at, 7000)
      assert.include(reason.detail, "Out of time (release, after 7s)")
    })
  )

  it.effect("that takes too long is stopped then", () =>
    Effect.gen(function* () {
      const stopped: Array<string> = []
      const { driver } = makeDriver({
        destroy: () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => void stopped.push("destroy")))
      })
      yield* leakOf(driver, new Timeouts({ release: Duration.seconds(7) }))
      assert.deepStrictEqual(stopped, ["destroy"])
    })
  )

  it.effect("does not wait for ever for the look at what is left", () =>
    Effect.gen(function* () {
      const { driver } = makeDriver({ destroy: () => fail(unavailable), list: () => Stream.never })
      const { at, reason } = yield* leakOf(driver)
      assert.deepStrictEqual([at, reason.left, reason.detail], [5000, [], "the API is not available: 503"])
    })
  )

  it.effect("is not hidden by a look at what is left that fails", () =>
    Effect.gen(function* () {
      const { driver } = makeDriver({
        destroy: () => fail(unavailable),
        list: () => Stream.fail(new BackendError({ reason: unavailable }))
      })
      assert.deepStrictEqual((yield* leakOf(driver)).reason.left, [])
    })
  )

  it.effect("is not hidden by a look at what is left that dies", () =>
    Effect.gen(function* () {
      const { driver } = makeDriver({ destroy: () => fail(unavailable), list: () => Stream.die(new Error("a bug")) })
      assert.deepStrictEqual((yield* leakOf(driver)).reason.left, [])
    })
  )
})

describe("an environment", () => {
  it.effect("used after its scope was closed is a defect", () =>
    Effect.gen(function* () {
      const { driver } = makeDriver()
      const { scope, value } = yield* withScope(fromDriver(driver).provision(spec()))
      yield* Scope.close(scope, Exit.void)
      assertViolation(yield* Effect.exit(Effect.scoped(value.start(scriptStep()))))
      assertViolation(yield* Effect.exit(value.handOver))
    })
  )

  it.effect("used while its release is going on is a defect too", () =>
    Effect.gen(function* () {
      const { driver } = makeDriver({ destroy: () => Effect.sleep("5 seconds") })
      const { scope, value } = yield* withScope(fromDriver(driver).provision(spec()))
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* settle
      assertViolation(yield* Effect.exit(Effect.scoped(value.start(scriptStep()))))
      yield* driveToExit(closing)
    })
  )

  it.effect("refuses a step that the driver lacks", () =>
    Effect.gen(function* () {
      const { driver } = makeDriver({
        capabilities: Capabilities.minimal,
        made: { start: () => Effect.die("not asked") }
      })
      const environment = yield* fromDriver(driver).provision(spec())
      const error = yield* Effect.flip(environment.start(new ContainerStep({ image: "app:1" })))
      reasonOfTag(error, "Unsupported")
    })
  )

  it.effect("that is lost fails its completion, its running steps and their output with the reason", () =>
    Effect.gen(function* () {
      const endless: RunningStep = { ...endedStep, output: Stream.never, exitCode: Effect.never }
      const { driver } = makeDriver({
        made: {
          start: () => Effect.succeed(endless),
          completion: Effect.andThen(Effect.sleep("5 seconds"), fail(evicted))
        }
      })
      const environment = yield* fromDriver(driver).provision(spec())
      const running = yield* environment.start(scriptStep())
      const fibers = yield* Effect.forEach(
        [running.exitCode, running.exitCode, Stream.runDrain(running.output), environment.completion],
        (effect) => Effect.forkChild(Effect.flip(effect))
      )
      for (const fiber of fibers) {
        const exit = yield* driveToExit(fiber)
        assert.isTrue(Exit.isSuccess(exit))
        if (Exit.isSuccess(exit)) assert.strictEqual(reasonOfTag(exit.value, "EnvironmentLost").cause, "Evicted")
      }
      const late = yield* Effect.flip(Effect.andThen(environment.start(scriptStep()), (step) => step.exitCode))
      reasonOfTag(late, "EnvironmentLost")
    })
  )

  it.effect("that is the work itself tells how it ended, as often as asked", () =>
    Effect.gen(function* () {
      const completion = { exitCode: 3, evidence: "observed" } as const
      let runs = 0
      const { driver } = makeDriver({
        made: {
          completion: Effect.sync(() => {
            runs++
            return completion
          })
        }
      })
      const environment = yield* fromDriver(driver).provision(spec())
      assert.deepStrictEqual(yield* environment.completion, completion)
      assert.deepStrictEqual(yield* environment.completion, completion)
      assert.strictEqual(runs, 1)
      // Its end is no loss: steps that run are not failed by it.
      assert.strictEqual(yield* Effect.andThen(environment.start(scriptStep()), (step) => step.exitCode), 0)
    })
  )
})

describe("hand-over", () => {
  it.effect("disarms the release, and gives the same handle each time", () =>
    Effect.gen(function* () {
      let handOvers = 0
      const { calls, driver } = makeDriver({ made: { handOver: Effect.sync(() => void handOvers++) } })
      const listener = makeListener()
      const { scope, value } = yield* withScope(fromDriver(driver).provision(spec({ owner: "team-a" })))
      const first = yield* value.handOver
      assert.deepStrictEqual(yield* value.handOver, first)
      assert.strictEqual(handOvers, 1)
      assert.deepStrictEqual({ ...first }, { ...handle, owner: "team-a" })
      yield* Effect.provideService(Scope.close(scope, Exit.void), JobEvents, listener)
      assert.deepStrictEqual(calls, ["create env-1"])
      assert.deepStrictEqual(yield* value.handOver, first, "also when the scope is closed")
    })
  )

  it.effect("says so when the scope closes", () =>
    Effect.gen(function* () {
      const { driver } = makeDriver()
      const listener = makeListener()
      yield* Effect.scoped(
        Effect.flatMap(fromDriver(driver).provision(spec()), (environment) => environment.handOver)
      ).pipe(Effect.provideService(JobEvents, listener))
      assert.deepStrictEqual(
        listener.events.map(({ _tag }) => _tag),
        ["EnvironmentRequested", "EnvironmentHandedOver"]
      )
    })
  )

  it.effect("leaves the environment usable until the scope closes", () =>
    Effect.gen(function* () {
      const { driver } = makeDriver()
      const { scope, value } = yield* withScope(fromDriver(driver).provision(spec()))
      yield* value.handOver
      assert.strictEqual(yield* Effect.scoped(Effect.andThen(value.start(scriptStep()), (step) => step.exitCode)), 0)
      yield* Scope.close(scope, Exit.void)
      assertViolation(yield* Effect.exit(Effect.scoped(value.start(scriptStep()))))
    })
  )

  it.effect("that fails leaves the release armed, and may be tried again", () =>
    Effect.gen(function* () {
      let tries = 0
      const { calls, driver } = makeDriver({
        made: { handOver: Effect.suspend(() => (tries++ === 0 ? fail(unavailable) : Effect.void)) }
      })
      const armed = yield* withScope(fromDriver(driver).provision(spec()))
      reasonOfTag(yield* Effect.flip(armed.value.handOver), "Unavailable")
      yield* Scope.close(armed.scope, Exit.void)
      assert.deepStrictEqual(calls, ["create env-1", "destroy environment env-1"])
      tries = 0
      const again = yield* withScope(fromDriver(driver).provision(spec()))
      yield* Effect.ignore(again.value.handOver)
      yield* again.value.handOver
      yield* Scope.close(again.scope, Exit.void)
      assert.strictEqual(calls.length, 3)
    })
  )

  it.effect("that is interrupted is either done or not", () =>
    Effect.gen(function* () {
      const { calls, driver } = makeDriver({ made: { handOver: Effect.sleep("5 seconds") } })
      const { scope, value } = yield* withScope(fromDriver(driver).provision(spec()))
      const fiber = yield* Effect.forkChild(value.handOver, { startImmediately: true })
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      yield* driveToExit(interrupting)
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(calls, ["create env-1"], "the driver has recorded it, so it counts")
    })
  )

  it.effect("is Unsupported where the backend cannot do it, as is adopt", () =>
    Effect.gen(function* () {
      const { calls, driver } = makeDriver({ capabilities: Capabilities.minimal })
      const backend = fromDriver(driver)
      const environment = yield* backend.provision(spec())
      reasonOfTag(yield* Effect.flip(environment.handOver), "Unsupported")
      reasonOfTag(yield* Effect.flip(backend.adopt(handle)), "Unsupported")
      assert.deepStrictEqual(calls, ["create env-1"])
    })
  )
})

describe("adopt", () => {
  it.effect("attaches, and closing the scope detaches without a release", () =>
    Effect.gen(function* () {
      const detached: Array<string> = []
      const { calls, driver } = makeDriver()
      const backend = fromDriver({
        ...driver,
        attach: (given) =>
          Effect.andThen(
            Effect.addFinalizer(() => Effect.sync(() => void detached.push(given.environment))),
            driver.attach(given)
          )
      })
      const listener = makeListener()
      const { scope, value } = yield* withScope(backend.adopt(handle))
      assert.strictEqual(value.name, "env-1")
      assert.strictEqual(yield* Effect.scoped(Effect.andThen(value.start(scriptStep()), (step) => step.exitCode)), 0)
      assert.deepStrictEqual({ ...(yield* value.handOver) }, { ...handle }, "it is handed over already")
      yield* Effect.provideService(Scope.close(scope, Exit.void), JobEvents, listener)
      assert.deepStrictEqual([calls, detached, listener.events], [["attach env-1"], ["env-1"], []])
      assertViolation(yield* Effect.exit(Effect.scoped(value.start(scriptStep()))))
    })
  )

  it.effect("of an environment that is gone is EnvironmentLost", () =>
    Effect.gen(function* () {
      const { driver } = makeDriver({ attach: () => fail(new EnvironmentLost({ cause: "Deleted", detail: "gone" })) })
      reasonOfTag(yield* Effect.flip(fromDriver(driver).adopt(handle)), "EnvironmentLost")
    })
  )

  it.effect("of another backend's handle is HandleRejected, as is its release", () =>
    Effect.gen(function* () {
      const { calls, driver } = makeDriver()
      const backend = fromDriver(driver)
      const foreign = new EnvironmentHandle.EnvironmentHandle({ ...handle, backend: "other" })
      for (const effect of [backend.adopt(foreign), backend.release(foreign)]) {
        const { detail } = reasonOfTag(yield* Effect.flip(effect), "HandleRejected")
        assert.include(detail, "other")
        assert.include(detail, "fake")
      }
      assert.deepStrictEqual(calls, [])
    })
  )
})

describe("release", () => {
  it.effect("by handle, by environment, by owner; of what does not exist it succeeds", () =>
    Effect.gen(function* () {
      const { calls, driver } = makeDriver()
      const backend = fromDriver(driver)
      yield* backend.release(handle)
      yield* backend.release({ environment: "never-was" })
      yield* backend.release({ owner: "nobody" })
      assert.deepStrictEqual(calls, [
        "destroy environment env-1",
        "destroy environment never-was",
        "destroy owner nobody"
      ])
    })
  )

  it.effect("that fails is ReleaseFailed and names what is left", () =>
    Effect.gen(function* () {
      const left = (environment: string) =>
        new OwnedResource({
          backend: "fake",
          kind: "Pod",
          name: "pod",
          environment,
          owner: "team-a",
          custody: "orphaned",
          createdAt: 0
        })
      const { driver } = makeDriver({ destroy: () => fail(unavailable), list: () => Stream.make(left("env-7")) })
      const backend = fromDriver(driver)
      const byOwner = reasonOfTag(yield* Effect.flip(backend.release({ owner: "team-a" })), "ReleaseFailed")
      assert.deepStrictEqual([byOwner.environment, byOwner.removal], ["env-7", "remove env-7"])
      const byName = reasonOfTag(yield* Effect.flip(backend.release({ environment: "env-8" })), "ReleaseFailed")
      assert.deepStrictEqual([byName.environment, byName.removal], ["env-8", "remove env-8"])
    })
  )

  it.effect("of an owner that fails with nothing to be seen names the owner", () =>
    Effect.gen(function* () {
      const { driver } = makeDriver({ destroy: () => fail(unavailable) })
      const reason = reasonOfTag(yield* Effect.flip(fromDriver(driver).release({ owner: "team-a" })), "ReleaseFailed")
      assert.strictEqual(reason.environment, "of owner team-a")
    })
  )
})

describe("an environment handle", () => {
  it.effect("survives JSON", () =>
    Effect.gen(function* () {
      const json = JSON.stringify(EnvironmentHandle.encode(handle))
      assert.deepStrictEqual(yield* EnvironmentHandle.decode(JSON.parse(json)), handle)
      assert.isFalse(json.includes("undefined"))
    })
  )

  it.effect.each([
    { title: "a newer version", input: { ...EnvironmentHandle.encode(handle), version: 2 } },
    { title: "no version", input: { backend: "fake", environment: "env-1", owner: "me", data: {} } },
    { title: "no environment", input: { ...EnvironmentHandle.encode(handle), environment: "" } },
    { title: "something else", input: "env-1" },
    { title: "nothing", input: null }
  ])("is HandleRejected: $title", ({ input }) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(EnvironmentHandle.decode(input))
      const { detail } = reasonOfTag(error, "HandleRejected")
      assert.notStrictEqual(detail, "")
    })
  )

  it.effect("may have fields that this version does not know", () =>
    Effect.gen(function* () {
      const input = { ...EnvironmentHandle.encode(handle), hint: "of a later patch" }
      assert.deepStrictEqual(yield* EnvironmentHandle.decode(input), handle)
    })
  )
})
