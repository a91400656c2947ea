import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as MemoryBackend from "../../src/backends/memory/MemoryBackend.ts"
import { MemoryWorld } from "../../src/backends/memory/MemoryWorld.ts"
import { JobContainer, Retry, Timeouts } from "../../src/domain/Job.ts"
import { fromDriver, JobBackend } from "../../src/domain/JobBackend.ts"
import type { JobEnvironment } from "../../src/domain/JobEnvironment.ts"
import { BackendError, EnvironmentLost, StepStartFailed, Unavailable } from "../../src/domain/JobError.ts"
import { JobEvents } from "../../src/domain/JobEvent.ts"
import * as JobLifecycle from "../../src/domain/JobLifecycle.ts"
import {
  drive,
  driveToExit,
  endedStep,
  existing,
  makeDriver,
  makeListener,
  pass,
  print,
  reasonOfTag,
  scriptStep,
  sleep,
  spec,
  story
} from "./support.ts"

const onMemory = Effect.provide(MemoryBackend.layerTest(), { local: true })
const evicted = new BackendError({ reason: new EnvironmentLost({ cause: "Evicted", detail: "the node is drained" }) })

class Mistake extends Schema.TaggedError<Mistake>()("Mistake", { what: Schema.String }) {}

/** Runs it with a listener while time passes. */
const using = <A, E, R>(effect: Effect.Effect<A, E, R>) => {
  const listener = makeListener()
  return Effect.map(
    Effect.flatMap(Effect.forkChild(Effect.provideService(effect, JobEvents, listener)), driveToExit),
    (exit) => ({ exit, ...listener })
  )
}

const errorOf = <A, E>(exit: Exit.Exit<A, E>): E => {
  if (Exit.isSuccess(exit)) return assert.fail("it succeeded")
  const error = exit.cause.reasons.find(Cause.isFailReason)
  return error === undefined ? assert.fail(`no error: ${Cause.pretty(exit.cause)}`) : error.error
}

describe("JobLifecycle.withEnvironment", () => {
  it.effect("gives what the program gives, and releases", () =>
    Effect.gen(function* () {
      const { events, exit } = yield* using(
        JobLifecycle.withEnvironment(spec())((environment) =>
          Effect.gen(function* () {
            assert.deepStrictEqual(yield* existing, [environment.name])
            const { exitCode } = yield* JobLifecycle.execute(environment, scriptStep({ exit: 7 }))
            return exitCode
          })
        )
      )
      assert.deepStrictEqual(exit, Exit.succeed(7))
      assert.deepStrictEqual(yield* story, [
        "Provisioning",
        "Ready",
        "StepStarted true",
        "StepEnded true 7",
        "Released"
      ])
      assert.deepStrictEqual(
        events.map(({ _tag }) => _tag),
        ["PhaseStarted", "EnvironmentRequested", "EnvironmentReady", "EnvironmentReleased"]
      )
    }).pipe(onMemory)
  )

  it.effect("fails with the program's own error, and releases", () =>
    Effect.gen(function* () {
      const program: Effect.Effect<never, Mistake | BackendError, JobBackend> = JobLifecycle.withEnvironment(spec())(
        () => Effect.fail(new Mistake({ what: "mine" }))
      )
      const { exit } = yield* using(program)
      const error = errorOf(exit)
      assert.strictEqual(error._tag, "Mistake")
      assert.deepStrictEqual(yield* story, ["Provisioning", "Ready", "Released"])
    }).pipe(onMemory)
  )

  it.effect("dies with the program's defect, and releases", () =>
    Effect.gen(function* () {
      const { exit } = yield* using(JobLifecycle.withEnvironment(spec())(() => Effect.die(new Error("a bug"))))
      assert.isTrue(Exit.hasDies(exit))
      assert.deepStrictEqual(yield* story, ["Provisioning", "Ready", "Released"])
    }).pipe(onMemory)
  )

  it.effect("is interrupted only when the release is done", () =>
    Effect.gen(function* () {
      const listener = makeListener()
      const stopped: Array<string> = []
      const fiber = yield* Effect.forkChild(
        JobLifecycle.withEnvironment(spec({}, { releaseDelay: 5000 }))(() =>
          Effect.onInterrupt(Effect.never, () => Effect.sync(() => stopped.push("program")))
        ).pipe(Effect.provideService(JobEvents, listener))
      )
      yield* listener.until(({ _tag }) => _tag === "EnvironmentReady")
      yield* pass(0)
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      yield* pass("4999 millis")
      assert.deepStrictEqual([stopped, interrupting.pollUnsafe()], [["program"], undefined])
      yield* pass("1 millis")
      yield* Fiber.join(interrupting)
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
      assert.deepStrictEqual(yield* existing, [])
    }).pipe(onMemory)
  )

  it.effect("is interrupted while it provisions", () =>
    Effect.gen(function* () {
      const listener = makeListener()
      const fiber = yield* Effect.forkChild(
        Effect.provideService(
          JobLifecycle.withEnvironment(spec({}, { provisionDelay: 60_000 }))(() => Effect.void),
          JobEvents,
          listener
        )
      )
      yield* listener.until(({ _tag }) => _tag === "EnvironmentRequested")
      yield* pass("1 second")
      yield* drive(yield* Effect.forkChild(Fiber.interrupt(fiber)))
      assert.deepStrictEqual(yield* story, ["Provisioning", "Released"])
    }).pipe(onMemory)
  )

  it.effect("stops the program's steps before it releases", () =>
    Effect.gen(function* () {
      const { exit } = yield* using(
        JobLifecycle.withEnvironment(spec())((environment) =>
          Effect.scoped(
            Effect.andThen(
              environment.start(scriptStep({ exit: "never" })),
              Effect.fail(new Mistake({ what: "between" }))
            )
          )
        )
      )
      assert.strictEqual(errorOf(exit)._tag, "Mistake")
      assert.deepStrictEqual((yield* story).slice(-1), ["Released"])
    }).pipe(onMemory)
  )

  it.effect("ends when its total time is over, and says so", () =>
    Effect.gen(function* () {
      const { exit } = yield* using(
        JobLifecycle.withEnvironment(spec({ timeouts: new Timeouts({ total: Duration.seconds(10) }) }))(
          () => Effect.never
        )
      )
      const reason = reasonOfTag(errorOf(exit), "TimedOut")
      assert.deepStrictEqual([reason.phase, Duration.toSeconds(reason.after)], ["total", 10])
      assert.deepStrictEqual(yield* story, ["Provisioning", "Ready", "Released"])
    }).pipe(onMemory)
  )

  it.effect("does not count the release: a program that was in time keeps its value", () =>
    Effect.gen(function* () {
      const { exit } = yield* using(
        JobLifecycle.withEnvironment(
          spec({ timeouts: new Timeouts({ total: Duration.seconds(10) }) }, { releaseDelay: 5000 })
        )(() => Effect.as(Effect.sleep("9 seconds"), "value"))
      )
      assert.deepStrictEqual(exit, Exit.succeed("value"))
      assert.deepStrictEqual(yield* existing, [])
    }).pipe(onMemory)
  )

  it.effect("ends when its time to provision is over, and says what it waited for", () =>
    Effect.gen(function* () {
      const { exit } = yield* using(
        JobLifecycle.withEnvironment(
          spec({ timeouts: new Timeouts({ provision: Duration.seconds(10) }) }, { provisionDelay: 60_000 })
        )(() => Effect.void)
      )
      const reason = reasonOfTag(errorOf(exit), "TimedOut")
      assert.deepStrictEqual([reason.phase, reason.waitingFor], ["provision", "the memory backend"])
      assert.deepStrictEqual(yield* story, ["Provisioning", "Released"])
    }).pipe(onMemory)
  )

  it.effect("ends when the environment is lost: the program is interrupted, the error says why", () =>
    Effect.gen(function* () {
      const world = yield* MemoryWorld
      const stopped: Array<string> = []
      const { exit } = yield* using(
        JobLifecycle.withEnvironment(spec())((environment) =>
          Effect.andThen(
            Effect.forkDetach(Effect.delay(world.lose(environment.name, evicted), "5 seconds")),
            Effect.onInterrupt(Effect.never, () => Effect.sync(() => stopped.push("program")))
          )
        )
      )
      assert.strictEqual(reasonOfTag(errorOf(exit), "EnvironmentLost").cause, "Evicted")
      assert.deepStrictEqual(stopped, ["program"])
    }).pipe(onMemory)
  )

  it.effect("goes on when an environment that is the work itself has ended", () =>
    Effect.gen(function* () {
      const { exit } = yield* using(
        JobLifecycle.withEnvironment(spec({}, { completion: 3 }))((environment) =>
          Effect.delay(environment.completion, "1 second")
        )
      )
      assert.deepStrictEqual(exit, Exit.succeed({ exitCode: 3, evidence: "reported" as const }))
    }).pipe(onMemory)
  )

  it.effect("tells a failed release as an event, and keeps the value", () =>
    Effect.gen(function* () {
      const { exit, of } = yield* using(
        JobLifecycle.withEnvironment(
          spec({}, { releaseFailure: new Unavailable({ service: "the API", detail: "503" }) })
        )(() => Effect.succeed("value"))
      )
      assert.deepStrictEqual(exit, Exit.succeed("value"))
      const [leaked] = of("Leaked")
      const [left] = yield* existing
      assert.strictEqual(leaked?.environment, left)
      assert.strictEqual(reasonOfTag(leaked?.error, "ReleaseFailed").environment, left)
    }).pipe(onMemory)
  )

  it.effect("tells a failed release as an event, and keeps the program's error", () =>
    Effect.gen(function* () {
      const { exit, of } = yield* using(
        JobLifecycle.withEnvironment(
          spec({}, { releaseFailure: new Unavailable({ service: "the API", detail: "503" }) })
        )(() => Effect.fail(new Mistake({ what: "mine" })))
      )
      assert.strictEqual(errorOf(exit)._tag, "Mistake")
      assert.strictEqual(of("Leaked").length, 1)
    }).pipe(onMemory)
  )

  it.effect("provisions again what may be tried again", () =>
    Effect.gen(function* () {
      const { exit, of } = yield* using(
        JobLifecycle.withEnvironment(
          spec(
            { retry: new Retry({ attempts: 2 }) },
            { provisionFailure: new Unavailable({ service: "the API", detail: "503" }), provisionFailures: 1 }
          )
        )(() => Effect.succeed("value"))
      )
      assert.deepStrictEqual(exit, Exit.succeed("value"))
      assert.strictEqual(of("Retrying").length, 1)
      assert.deepStrictEqual(yield* story, ["Provisioning", "Released", "Provisioning", "Ready", "Released"])
    }).pipe(onMemory)
  )

  it.effect("refuses what the backend lacks before anything is provisioned", () =>
    Effect.gen(function* () {
      const { exit } = yield* using(
        JobLifecycle.withEnvironment(spec({ container: new JobContainer({ image: "app:1" }) }))(() => Effect.void)
      )
      reasonOfTag(errorOf(exit), "Unsupported")
      assert.deepStrictEqual(yield* story, [])
    }).pipe(Effect.provide(MemoryBackend.layerTest({ capabilities: { containerJobs: false } }), { local: true }))
  )

  it.effect("leaves an environment that the program handed over", () =>
    Effect.gen(function* () {
      const { exit, of } = yield* using(JobLifecycle.withEnvironment(spec())((environment) => environment.handOver))
      assert.isTrue(Exit.isSuccess(exit))
      assert.strictEqual(of("EnvironmentHandedOver").length, 1)
      assert.deepStrictEqual(of("EnvironmentReleased"), [])
      assert.strictEqual((yield* existing).length, 1)
    }).pipe(onMemory)
  )

  it.effect("does not let an environment out of its scope", () =>
    Effect.gen(function* () {
      const escaped: JobEnvironment = yield* JobLifecycle.withEnvironment(spec())(Effect.succeed)
      const exit = yield* Effect.exit(JobLifecycle.execute(escaped, scriptStep()))
      assert.isTrue(Exit.isFailure(exit) && Cause.pretty(exit.cause).includes("ProtocolViolation"))
    }).pipe(onMemory)
  )
})

describe("JobLifecycle.execute", () => {
  it.effect("collects what a step writes, each stream for itself, and its exit code", () =>
    Effect.gen(function* () {
      const bytes = new TextEncoder().encode("größer")
      const program = {
        do: [
          print("out "),
          print("err\n", "stderr"),
          sleep(1000),
          { _tag: "PrintBytes", bytes: bytes.slice(0, 3), stream: "stdout" },
          print("!", "stderr"),
          { _tag: "PrintBytes", bytes: bytes.slice(3), stream: "stdout" }
        ],
        exit: 12
      } as const
      const { exit } = yield* using(
        JobLifecycle.withEnvironment(spec())((environment) => JobLifecycle.execute(environment, scriptStep(program)))
      )
      assert.deepStrictEqual(exit, Exit.succeed({ exitCode: 12, stdout: "out größer", stderr: "err\n!" }))
    }).pipe(onMemory)
  )

  it.effect("shows a character that was cut by the end of the step as U+FFFD, as in its middle", () =>
    Effect.gen(function* () {
      const bytes = new Uint8Array([0x61, 0xc3])
      const { exit } = yield* using(
        JobLifecycle.withEnvironment(spec())((environment) =>
          JobLifecycle.execute(environment, scriptStep({ do: [{ _tag: "PrintBytes", bytes, stream: "stdout" }] }))
        )
      )
      assert.deepStrictEqual(exit, Exit.succeed({ exitCode: 0, stdout: "a\ufffd", stderr: "" }))
    }).pipe(onMemory)
  )

  it.effect("keeps a byte order mark: it is what the step wrote", () =>
    Effect.gen(function* () {
      const { exit } = yield* using(
        JobLifecycle.withEnvironment(spec())((environment) =>
          JobLifecycle.execute(environment, scriptStep({ do: [print("\ufeffa")] }))
        )
      )
      assert.deepStrictEqual(exit, Exit.succeed({ exitCode: 0, stdout: "\ufeffa", stderr: "" }))
    }).pipe(onMemory)
  )

  it.effect("reads output that is more than a pipe holds", () =>
    Effect.gen(function* () {
      const { exit } = yield* using(
        JobLifecycle.withEnvironment(spec())((environment) =>
          JobLifecycle.execute(
            environment,
            scriptStep({ do: [{ _tag: "PrintLines", count: 100_000, stream: "stderr" }] })
          )
        )
      )
      assert.isTrue(Exit.isSuccess(exit))
      if (Exit.isSuccess(exit)) assert.strictEqual(exit.value.stderr.split("\n").length, 100_001)
    }).pipe(onMemory)
  )

  it.effect("runs several steps at the same time", () =>
    Effect.gen(function* () {
      const { exit } = yield* using(
        JobLifecycle.withEnvironment(spec())((environment) =>
          Effect.forEach(
            [1, 2, 3],
            (code) => JobLifecycle.execute(environment, scriptStep({ do: [sleep(1000)], exit: code })),
            { concurrency: "unbounded" }
          )
        )
      )
      assert.isTrue(Exit.isSuccess(exit))
      if (Exit.isSuccess(exit)) {
        assert.deepStrictEqual(
          exit.value.map(({ exitCode }) => exitCode),
          [1, 2, 3]
        )
      }
    }).pipe(onMemory)
  )

  it.effect("stops the step when it is interrupted", () =>
    Effect.gen(function* () {
      const { exit } = yield* using(
        JobLifecycle.withEnvironment(spec({ timeouts: new Timeouts({ stopGrace: Duration.seconds(3) }) }))(
          (environment) =>
            JobLifecycle.execute(environment, scriptStep({ exit: "never", ignores: ["SIGTERM"] })).pipe(
              Effect.timeoutOption("10 seconds"),
              Effect.timed
            )
        )
      )
      assert.isTrue(Exit.isSuccess(exit))
      if (Exit.isSuccess(exit)) assert.strictEqual(Duration.toSeconds(exit.value[0]), 13)
    }).pipe(onMemory)
  )

  it.effect("fails with the reason when the step cannot start", () =>
    Effect.gen(function* () {
      const { exit, of } = yield* using(
        JobLifecycle.withEnvironment(spec())((environment) =>
          JobLifecycle.execute(
            environment,
            scriptStep({ startFailure: new StepStartFailed({ detail: "no shell", transient: true }) })
          )
        )
      )
      reasonOfTag(errorOf(exit), "StepStartFailed")
      assert.deepStrictEqual(of("Retrying"), [])
    }).pipe(onMemory)
  )

  it.effect("fails with the reason when the environment is lost meanwhile", () =>
    Effect.gen(function* () {
      const { exit } = yield* using(
        JobLifecycle.withEnvironment(spec())((environment) =>
          JobLifecycle.execute(environment, scriptStep({ do: [print("a")], lose: evicted.reason }))
        )
      )
      assert.strictEqual(reasonOfTag(errorOf(exit), "EnvironmentLost").cause, "Evicted")
    }).pipe(onMemory)
  )

  it.effect("fails when its output cannot be read to the end", () =>
    Effect.gen(function* () {
      const lost = new BackendError({ reason: new Unavailable({ service: "the API", detail: "gone" }) })
      const { driver } = makeDriver({
        made: { start: () => Effect.succeed({ ...endedStep, output: Stream.fail(lost) }) }
      })
      const { exit } = yield* using(
        Effect.provideService(
          JobLifecycle.withEnvironment(spec())((environment) => JobLifecycle.execute(environment, scriptStep())),
          JobBackend,
          fromDriver(driver)
        )
      )
      reasonOfTag(errorOf(exit), "Unavailable")
    })
  )
})
