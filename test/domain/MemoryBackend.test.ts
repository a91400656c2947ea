/** The memory backend holds programs to the protocol, and plays what it is told: other tests rely on both. */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as MemoryBackend from "../../src/backends/memory/MemoryBackend.ts"
import * as MemoryProgram from "../../src/backends/memory/MemoryProgram.ts"
import * as MemoryWorld from "../../src/backends/memory/MemoryWorld.ts"
import { Port } from "../../src/domain/Container.ts"
import * as EnvVars from "../../src/domain/EnvVars.ts"
import { JobContainer, JobSpec, Service, Timeouts } from "../../src/domain/Job.ts"
import { JobBackend, ProtocolViolation } from "../../src/domain/JobBackend.ts"
import { BackendError, EnvironmentLost, StepStartFailed, TimedOut, Unavailable } from "../../src/domain/JobError.ts"
import * as JobLifecycle from "../../src/domain/JobLifecycle.ts"
import { ContainerStep, ScriptStep, StepFile } from "../../src/domain/Step.ts"
import { drive, driveToExit, existing, print, reasonOfTag, records, scriptStep, sleep, spec, story } from "./support.ts"

const onMemory = Effect.provide(MemoryBackend.layerTest(), { local: true })

const violationOf = <A, E>(exit: Exit.Exit<A, E>): string => {
  if (Exit.isSuccess(exit)) return assert.fail("it succeeded")
  const violations = exit.cause.reasons
    .filter(Cause.isDieReason)
    .map(({ defect }) => defect)
    .filter((defect) => defect instanceof ProtocolViolation)
  assert.strictEqual(violations.length, 1, Cause.pretty(exit.cause))
  return violations[0]!.message
}

/** One process in a world: its backend, and its end. */
const processIn = (world: Context.Context<MemoryWorld.MemoryWorld>, options?: MemoryBackend.Options) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const layer = Layer.provide(MemoryBackend.layer(options), Layer.succeedContext(world))
    const backend = Context.get(yield* Layer.buildWithScope(layer, scope), JobBackend)
    return { backend, end: Effect.exit(Scope.close(scope, Exit.void)) }
  })

describe("the memory backend asserts the protocol", () => {
  it.effect("a step value that is started while it runs", () =>
    Effect.gen(function* () {
      const environment = yield* (yield* JobBackend).provision(spec())
      const same = scriptStep({ exit: "never" })
      yield* environment.start(same)
      const message = violationOf(yield* Effect.exit(environment.start(same)))
      assert.include(message, environment.name)
      yield* environment.start(scriptStep({ exit: "never" }))
    }).pipe(Effect.scoped, onMemory)
  )

  it.effect("but not one that is started again after its end, nor in another environment", () =>
    Effect.gen(function* () {
      const backend = yield* JobBackend
      const environment = yield* backend.provision(spec())
      const same = scriptStep({ do: [sleep(1000)] })
      for (let time = 0; time < 2; time++) {
        const { exitCode } = yield* drive(yield* Effect.forkChild(JobLifecycle.execute(environment, same)))
        assert.strictEqual(exitCode, 0)
      }
      yield* environment.start(same)
      yield* (yield* backend.provision(spec())).start(same)
    }).pipe(Effect.scoped, onMemory)
  )

  it.effect("use after release", () =>
    Effect.gen(function* () {
      const escaped = yield* Effect.scoped(Effect.flatMap(JobBackend, (backend) => backend.provision(spec())))
      assert.include(violationOf(yield* Effect.exit(escaped.start(scriptStep()))), escaped.name)
      assert.include(violationOf(yield* Effect.exit(escaped.handOver)), escaped.name)
    }).pipe(onMemory)
  )

  it.effect("an environment that is never released fails the layer's end, and is named", () =>
    Effect.gen(function* () {
      let name = ""
      const forgetful = Effect.gen(function* () {
        const scope = yield* Scope.make()
        name = (yield* Scope.provide((yield* JobBackend).provision(spec()), scope)).name
      })
      const exit = yield* Effect.exit(onMemory(forgetful))
      assert.include(violationOf(exit), name)
    })
  )

  it.effect("but not one that was handed over, lost, released by its name, or whose release was made to fail", () =>
    Effect.gen(function* () {
      const backend = yield* JobBackend
      const world = yield* MemoryWorld.MemoryWorld
      const forget = (job: JobSpec) =>
        Effect.flatMap(Scope.make(), (scope) => Scope.provide(backend.provision(job), scope))
      yield* (yield* forget(spec())).handOver
      yield* world.lose(
        (yield* forget(spec())).name,
        new BackendError({ reason: new EnvironmentLost({ cause: "Deleted", detail: "" }) })
      )
      yield* backend.release({ environment: (yield* forget(spec())).name })
      const releaseFailure = new Unavailable({ service: "the API", detail: "503" })
      const failing = yield* forget(spec({}, { releaseFailure }))
      yield* Effect.ignore(backend.release({ environment: failing.name }))
      assert.strictEqual((yield* existing).length, 2)
    }).pipe(onMemory)
  )
})

describe("the memory world", () => {
  it.effect("records what was asked, in order", () =>
    Effect.gen(function* () {
      const backend = yield* JobBackend
      yield* Effect.scoped(
        Effect.gen(function* () {
          const environment = yield* backend.provision(spec())
          const running = yield* environment.start(scriptStep({ exit: "never" }, "one"))
          yield* running.signal("SIGUSR1")
          assert.strictEqual(yield* running.exitCode, 138)
        })
      )
      assert.deepStrictEqual(yield* story, [
        "Provisioning",
        "Ready",
        "StepStarted one",
        "StepSignalled one SIGUSR1",
        "StepEnded one 138",
        "Released"
      ])
    }).pipe(onMemory)
  )

  it.effect("has several processes: one hands over, dies, and another adopts and releases", () =>
    Effect.gen(function* () {
      const world = yield* Layer.build(MemoryWorld.layer)
      const first = yield* processIn(world)
      const handle = yield* Effect.scoped(
        Effect.gen(function* () {
          const environment = yield* first.backend.provision(spec())
          yield* JobLifecycle.execute(
            environment,
            scriptStep({ do: [{ _tag: "WriteWorkspace", path: "a", text: "from the first" }] })
          )
          return yield* environment.handOver
        })
      )
      assert.isTrue(Exit.isSuccess(yield* first.end))
      const second = yield* processIn(world)
      yield* Effect.scoped(
        Effect.gen(function* () {
          const environment = yield* second.backend.adopt(handle)
          const { stdout } = yield* JobLifecycle.execute(
            environment,
            scriptStep({ do: [{ _tag: "PrintWorkspace", path: "a" }] })
          )
          assert.strictEqual(stdout, "from the first")
        })
      )
      const resources = yield* Stream.runCollect(second.backend.list())
      assert.deepStrictEqual(
        resources.map(({ custody, kind }) => [kind, custody]),
        [
          ["Environment", "handed-over"],
          ["Workspace", "handed-over"]
        ]
      )
      yield* second.backend.release(handle)
      assert.deepStrictEqual(yield* Stream.runCollect(second.backend.list()), [])
      reasonOfTag(yield* Effect.flip(Effect.scoped(second.backend.adopt(handle))), "EnvironmentLost")
      assert.isTrue(Exit.isSuccess(yield* second.end))
    })
  )

  it.effect("a crash makes orphans of what was held, and only of that", () =>
    Effect.gen(function* () {
      const backend = yield* JobBackend
      const world = yield* MemoryWorld.MemoryWorld
      const scope = yield* Scope.make()
      const held = yield* Scope.provide(backend.provision(spec()), scope)
      const handedOver = yield* Scope.provide(backend.provision(spec()), scope)
      yield* handedOver.handOver
      yield* world.crash
      const custody = Object.fromEntries(
        (yield* Stream.runCollect(backend.list())).map((resource) => [resource.environment, resource.custody])
      )
      assert.deepStrictEqual(custody, { [held.name]: "orphaned", [handedOver.name]: "handed-over" })
    }).pipe(onMemory)
  )

  it.effect("list shows all of one owner, or of one environment", () =>
    Effect.gen(function* () {
      const backend = yield* JobBackend
      const a = yield* backend.provision(spec({ owner: "a" }))
      const b = yield* backend.provision(spec({ owner: "b" }))
      const names = (selector?: Parameters<typeof backend.list>[0]) =>
        Effect.map(Stream.runCollect(backend.list(selector)), (all) => [
          ...new Set(all.map(({ environment }) => environment))
        ])
      assert.sameMembers(yield* names(), [a.name, b.name])
      assert.deepStrictEqual(yield* names({ owner: "a" }), [a.name])
      assert.deepStrictEqual(yield* names({ environment: b.name }), [b.name])
      assert.deepStrictEqual(yield* names({ owner: "c" }), [])
    }).pipe(Effect.scoped, onMemory)
  )

  it.effect("a provision that fails half-way has one resource until it is released", () =>
    Effect.gen(function* () {
      const backend = yield* JobBackend
      const provisionFailure = new Unavailable({ service: "the API", detail: "503" })
      const releaseFailure = new Unavailable({ service: "the API", detail: "504" })
      yield* Effect.flip(backend.provision(spec({}, { provisionFailure, releaseFailure })))
      const left = yield* Stream.runCollect(backend.list())
      assert.deepStrictEqual(
        left.map(({ kind }) => kind),
        ["Environment"]
      )
    }).pipe(Effect.scoped, onMemory)
  )

  it.effect("nothing starts in an environment that is gone", () =>
    Effect.gen(function* () {
      const world = yield* MemoryWorld.MemoryWorld
      const environment = yield* (yield* JobBackend).provision(spec())
      yield* world.lose(
        environment.name,
        new BackendError({ reason: new EnvironmentLost({ cause: "Evicted", detail: "" }) })
      )
      const error = yield* Effect.flip(JobLifecycle.execute(environment, scriptStep()))
      assert.strictEqual(reasonOfTag(error, "EnvironmentLost").cause, "Evicted")
      assert.notInclude(yield* story, "StepStarted true")
    }).pipe(Effect.scoped, onMemory)
  )
})

describe("programs", () => {
  it.effect("of a step come from the backend's options, else from the step, else it succeeds at once", () =>
    Effect.gen(function* () {
      const environment = yield* (yield* JobBackend).provision(spec())
      const codes = yield* Effect.forEach(
        [scriptStep({ exit: 1 }, "chosen"), scriptStep({ exit: 2 }, "its own"), new ScriptStep({ script: "none" })],
        (step) => Effect.map(JobLifecycle.execute(environment, step), ({ exitCode }) => exitCode)
      )
      assert.deepStrictEqual(codes, [7, 2, 0])
    }).pipe(
      Effect.scoped,
      Effect.provide(
        MemoryBackend.layerTest({
          step: (step, job) =>
            step._tag === "ScriptStep" && step.script === "chosen" && job.name === "build"
              ? new MemoryProgram.StepProgram({ exit: 7 })
              : undefined
        }),
        { local: true }
      )
    )
  )

  it.effect("of an environment come from the backend's options, else from the job's label", () =>
    Effect.gen(function* () {
      const backend = yield* JobBackend
      const completionOf = (job: JobSpec) =>
        Effect.scoped(Effect.andThen(backend.provision(job), ({ completion }) => completion))
      assert.strictEqual((yield* completionOf(new JobSpec({ name: "chosen" }))).exitCode, 5)
      assert.strictEqual((yield* completionOf(spec({}, { completion: 6 }))).exitCode, 6)
    }).pipe(
      Effect.provide(
        MemoryBackend.layerTest({
          environment: (job) =>
            job.name === "chosen" ? new MemoryProgram.EnvironmentProgram({ completion: 5 }) : undefined
        }),
        { local: true }
      )
    )
  )

  it.effect("survive the JSON that they travel as, reasons and bytes included", () =>
    Effect.sync(() => {
      const step = new MemoryProgram.StepProgram({
        do: [
          { _tag: "PrintBytes", bytes: new Uint8Array([0, 255, 10]), stream: "stderr" },
          { _tag: "Sleep", millis: 0.5 }
        ],
        exit: "never",
        startFailure: new TimedOut({ phase: "step", after: Duration.seconds(3), waitingFor: "a slot" }),
        lose: new EnvironmentLost({ cause: "OOMKilled", detail: "" })
      })
      assert.deepStrictEqual(
        MemoryProgram.ofStep(new ScriptStep({ script: "", env: MemoryProgram.forStep(step) })),
        step
      )
      const environment = new MemoryProgram.EnvironmentProgram({
        provisionFailure: new StepStartFailed({ detail: "", transient: true }),
        releaseDelay: 5
      })
      assert.deepStrictEqual(MemoryProgram.ofLabels(MemoryProgram.forEnvironment(environment)), environment)
    })
  )

  it.effect("say what a step does, one thing after the other", () =>
    Effect.gen(function* () {
      const environment = yield* (yield* JobBackend).provision(
        spec({ env: EnvVars.fromRecord({ A: "job", B: "job" }), workingDirectory: "/sub" })
      )
      const step = new ScriptStep({
        script: "all",
        files: [
          new StepFile({ name: "in", content: "text", variable: "FILE" }),
          new StepFile({ name: "out", collect: true })
        ],
        env: {
          ...EnvVars.fromRecord({ B: "step" }),
          ...MemoryProgram.forStep({
            do: [
              print("a"),
              { _tag: "PrintBytes", bytes: new TextEncoder().encode("b\n"), stream: "stdout" },
              { _tag: "PrintLines", count: 2, stream: "stdout" },
              { _tag: "PrintEnv", variable: "A" },
              { _tag: "PrintEnv", variable: "B" },
              { _tag: "PrintEnv", variable: "C" },
              { _tag: "PrintEnv", variable: "FILE" },
              { _tag: "PrintWorkingDirectory" },
              { _tag: "PrintFile", name: "in" },
              { _tag: "AppendFile", name: "out", text: "1" },
              { _tag: "AppendFile", name: "out", text: "2" },
              { _tag: "WriteWorkspace", path: "w", text: "\nshared" },
              { _tag: "PrintWorkspace", path: "w" },
              { _tag: "PrintWorkspace", path: "missing" },
              print("never")
            ],
            exit: 9
          })
        }
      })
      const running = yield* environment.start(step)
      const chunks = yield* Stream.runCollect(running.output)
      const text = chunks.map(({ bytes }) => new TextDecoder().decode(bytes)).join("")
      assert.strictEqual(
        text,
        `ab\nline 1\nline 2\njob\nstep\n\n/memory/${environment.name}/files/in\n/sub\ntext\nshared`
      )
      assert.strictEqual(yield* running.exitCode, 1)
      assert.deepStrictEqual(yield* running.files, new Map([["out", "12"]]))
    }).pipe(Effect.scoped, onMemory)
  )

  it.effect("a step that writes much waits for its reader", () =>
    Effect.gen(function* () {
      const environment = yield* (yield* JobBackend).provision(spec())
      const step = scriptStep({ do: Array.from({ length: 1000 }, () => print("x")) })
      const running = yield* environment.start(step)
      const ended = yield* Effect.forkChild(running.exitCode, { startImmediately: true })
      for (let turn = 0; turn < 5000; turn++) yield* Effect.yieldNow
      assert.isUndefined(ended.pollUnsafe())
      assert.strictEqual((yield* Stream.runCollect(running.output)).length, 1000)
      assert.strictEqual(yield* Fiber.join(ended), 0)
    }).pipe(Effect.scoped, onMemory)
  )

  it.effect("a running step is stopped when its scope closes: SIGTERM, timeouts.stopGrace, SIGKILL", () =>
    Effect.gen(function* () {
      const environment = yield* (yield* JobBackend).provision(
        spec({ timeouts: new Timeouts({ stopGrace: Duration.seconds(4) }) })
      )
      const stopping = (ignores: ReadonlyArray<string>) =>
        Effect.gen(function* () {
          const scope = yield* Scope.make()
          const running = yield* Scope.provide(environment.start(scriptStep({ exit: "never", ignores })), scope)
          const [took] = yield* drive(yield* Effect.forkChild(Effect.timed(Scope.close(scope, Exit.void))))
          return [Duration.toSeconds(took), yield* running.exitCode]
        })
      assert.deepStrictEqual(yield* stopping([]), [0, 143])
      assert.deepStrictEqual(yield* stopping(["SIGTERM"]), [4, 137])
    }).pipe(Effect.scoped, onMemory)
  )

  it.effect("a container step is a step, and facts tell services and their ports", () =>
    Effect.gen(function* () {
      const environment = yield* (yield* JobBackend).provision(
        spec({
          container: new JobContainer({ image: "app:1" }),
          services: [
            new Service({
              name: "db",
              image: "db:1",
              ports: [new Port({ container: 5432, host: 15432 }), new Port({ container: 80 })]
            })
          ]
        })
      )
      assert.deepStrictEqual(environment.facts.services, [
        { name: "db", host: "127.0.0.1", ports: { "5432": "15432", "80": "80" } }
      ])
      const step = new ContainerStep({ image: "tool:1", env: MemoryProgram.forStep({ exit: 4 }) })
      assert.strictEqual((yield* JobLifecycle.execute(environment, step)).exitCode, 4)
      assert.include(
        (yield* records).flatMap((record) => (record._tag === "StepStarted" ? [record.step._tag] : [])),
        "ContainerStep"
      )
    }).pipe(Effect.scoped, onMemory)
  )

  it.effect("can play a backend that lacks something", () =>
    Effect.gen(function* () {
      const backend = yield* JobBackend
      assert.isFalse(backend.capabilities.hostJobs)
      const exit = yield* driveToExit(yield* Effect.forkChild(Effect.flip(Effect.scoped(backend.provision(spec())))))
      assert.isTrue(Exit.isSuccess(exit))
    }).pipe(Effect.provide(MemoryBackend.layerTest({ capabilities: { hostJobs: false } }), { local: true }))
  )
})

describe("what it tells, and releases", () => {
  it.effect("tells the end of a step once, however often its exit code is asked for", () =>
    Effect.gen(function* () {
      const environment = yield* (yield* JobBackend).provision(spec())
      const running = yield* environment.start(scriptStep({}, "one"))
      yield* running.exitCode
      yield* running.exitCode
      assert.deepStrictEqual(
        (yield* story).filter((record) => record.startsWith("StepEnded")),
        ["StepEnded one 0"]
      )
    }).pipe(Effect.scoped, onMemory)
  )

  it.effect("goes on to an owner's other environments when one cannot be released", () =>
    Effect.gen(function* () {
      const backend = yield* JobBackend
      const releaseFailure = new Unavailable({ service: "the API", detail: "503" })
      const stuck = yield* backend.provision(spec({}, { releaseFailure }))
      yield* backend.provision(spec())
      const { left } = reasonOfTag(yield* Effect.flip(backend.release({ owner: "jobscope" })), "ReleaseFailed")
      assert.deepStrictEqual(yield* existing, [stuck.name])
      assert.deepStrictEqual([...new Set(left.map(({ environment }) => environment))], [stuck.name])
    }).pipe(Effect.scoped, onMemory)
  )
})
