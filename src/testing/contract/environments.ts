import { assert } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Job, JobStep, Timeouts } from "../../domain/Job.ts"
import { JobBackend, type ProtocolViolation } from "../../domain/JobBackend.ts"
import * as JobLifecycle from "../../domain/JobLifecycle.ts"
import { ContainerStep } from "../../domain/Step.ts"
import { type ContractCapabilities, type Registrar, reasonOf, runToEnd, within } from "./setting.ts"
import * as steps from "./vocabulary.ts"

/** Provision, release, list, loss: the life of environments. */
export const environments = <R, E>(promise: Registrar<R>, capabilities: ContractCapabilities<R, E>): void => {
  promise("is there while the scope is open, and gone after it", (setting) =>
    Effect.gen(function* () {
      yield* within(setting, (environment) =>
        Effect.gen(function* () {
          assert.notStrictEqual((yield* setting.resources).length, 0)
          assert.strictEqual((yield* runToEnd(environment, steps.exit(0))).exitCode, 0)
        })
      )
      assert.deepStrictEqual(yield* setting.resources, [])
    })
  )

  promise("is released after a failure and after a defect", (setting) =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Effect.flip(within(setting, () => Effect.fail("no"))), "no")
      assert.deepStrictEqual(yield* setting.resources, [])
      const exit = yield* Effect.exit(within(setting, () => Effect.die("never")))
      assert.isTrue(Exit.hasDies(exit))
    })
  )

  promise("is released after an interruption and after a time-out, with a step running", (setting) =>
    Effect.gen(function* () {
      const busy = within(setting, (environment) => runToEnd(environment, steps.hang))
      const fiber = yield* Effect.forkChild(busy)
      yield* Effect.repeat(setting.resources, { until: (found) => found.length > 0 })
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(yield* setting.resources, [])
      assert.isTrue((yield* Effect.timeoutOption(busy, "1 second"))._tag === "None")
    })
  )

  promise(
    "a provision that fails half-way leaves nothing, at once",
    (setting) =>
      Effect.scoped(
        Effect.gen(function* () {
          yield* Effect.flip(setting.backend.provision(setting.spec(capabilities.brokenJob)))
          assert.deepStrictEqual(yield* setting.resources, [])
        })
      ),
    { skip: capabilities.brokenJob === undefined }
  )

  promise("environments of one owner are apart, and each is released alone", (setting) =>
    within(setting, (first) =>
      Effect.gen(function* () {
        yield* within(setting, (second) =>
          Effect.gen(function* () {
            assert.notStrictEqual(first.name, second.name)
            yield* runToEnd(second, steps.writeWorkspace("theirs", "2"))
            assert.notStrictEqual((yield* runToEnd(first, steps.printWorkspace("theirs"))).exitCode, 0)
          })
        )
        assert.strictEqual((yield* runToEnd(first, steps.exit(0))).exitCode, 0)
      })
    )
  )

  promise("list shows all and only what is selected", (setting) =>
    within(setting, (environment) =>
      within(
        setting,
        (other) =>
          Effect.gen(function* () {
            const names = (selector?: Parameters<JobBackend["Service"]["list"]>[0]) =>
              Effect.map(
                Stream.runCollect(setting.backend.list(selector)),
                (found) => new Set(found.map((resource) => resource.environment))
              )
            const strangers = `${setting.owner}-other`
            assert.deepStrictEqual(yield* names({ owner: setting.owner }), new Set([environment.name]))
            assert.deepStrictEqual(yield* names({ owner: strangers }), new Set([other.name]))
            assert.deepStrictEqual(yield* names({ environment: environment.name }), new Set([environment.name]))
            const all = yield* names()
            assert.isTrue(all.has(environment.name) && all.has(other.name))
            assert.deepStrictEqual(yield* names({ owner: "nobody" }), new Set())
            for (const resource of yield* Stream.runCollect(setting.backend.list({ owner: setting.owner }))) {
              assert.strictEqual(resource.backend, setting.backend.name)
              assert.strictEqual(resource.owner, setting.owner)
              assert.strictEqual(resource.custody, "held")
            }
          }),
        { owner: `${setting.owner}-other` }
      )
    )
  )

  promise("release is idempotent, by owner and by environment, also at the same time and for nothing", (setting) =>
    Effect.scoped(
      Effect.gen(function* () {
        const { backend, owner } = setting
        const environment = yield* backend.provision(setting.spec())
        const byName = backend.release({ environment: environment.name })
        yield* Effect.all([byName, backend.release({ owner }), byName], { concurrency: "unbounded" })
        assert.deepStrictEqual(yield* setting.resources, [])
        yield* byName
        yield* backend.release({ owner })
        yield* backend.release({ owner: `${owner}-nobody` })
      })
    )
  )

  promise("a release by somebody else fails the running step, and the completion, as lost", (setting) =>
    Effect.scoped(
      Effect.gen(function* () {
        const environment = yield* setting.backend.provision(setting.spec())
        const running = yield* environment.start(steps.hang)
        const drained = yield* Effect.forkChild(Effect.exit(Stream.runDrain(running.output)))
        yield* setting.backend.release({ owner: setting.owner })
        assert.strictEqual(yield* reasonOf(running.exitCode), "EnvironmentLost")
        yield* Fiber.join(drained)
        assert.strictEqual(yield* reasonOf(environment.completion), "EnvironmentLost")
        assert.strictEqual(yield* reasonOf(Effect.scoped(environment.start(steps.exit(0)))), "EnvironmentLost")
      })
    )
  )

  promise("the completion of a hosted job waits as long as the environment lives", (setting) =>
    within(setting, (environment) =>
      Effect.gen(function* () {
        const ended = yield* Effect.timeoutOption(environment.completion, "300 millis")
        assert.isTrue(ended._tag === "None")
      })
    )
  )

  promise("using an environment after its scope is a defect", (setting) =>
    Effect.gen(function* () {
      const environment = yield* within(setting, Effect.succeed)
      const exit = yield* Effect.exit(Effect.scoped(environment.start(steps.exit(0))))
      assert.isTrue(Exit.isFailure(exit))
      const defect = Exit.isFailure(exit) ? (Cause.squash(exit.cause) as ProtocolViolation) : undefined
      assert.strictEqual(defect?._tag, "ProtocolViolation")
    })
  )

  promise("what the backend lacks is refused before anything is made", (setting) =>
    Effect.gen(function* () {
      const { backend } = setting
      const lacking = [
        ...(backend.capabilities.containerJobs ? [] : [{ container: { image: "alpine" } }]),
        ...(backend.capabilities.serviceImages ? [] : [{ services: [{ name: "redis", image: "redis" }] }]),
        ...(backend.capabilities.volumes ? [] : [{ volumes: [{ name: "data" }] }])
      ]
      for (const fields of lacking) {
        const spec = setting.spec(fields as never)
        assert.strictEqual(yield* reasonOf(Effect.scoped(backend.provision(spec))), "Unsupported")
      }
      if (!backend.capabilities.containerSteps) {
        const step = new ContainerStep({ image: "alpine" })
        yield* within(setting, (environment) =>
          Effect.gen(function* () {
            assert.strictEqual(yield* reasonOf(Effect.scoped(environment.start(step))), "Unsupported")
          })
        )
      }
    })
  )

  promise("a whole job: success, failure, cancel and time-out all end released", (setting) =>
    Effect.gen(function* () {
      const job = (...run: ReadonlyArray<ReturnType<typeof steps.exit>>) =>
        new Job({ ...setting.spec(), steps: run.map((step) => new JobStep({ run: step })) })
      assert.strictEqual((yield* JobLifecycle.run(job(steps.print("a"), steps.exit(0)))).conclusion, "success")
      assert.deepStrictEqual(yield* setting.resources, [])
      const failed = yield* JobLifecycle.run(job(steps.exit(7), steps.exit(0)))
      assert.strictEqual(failed.failedStep?.exitCode, 7)
      assert.deepStrictEqual(yield* setting.resources, [])
      const { timeouts } = setting.spec()
      const late = new Job({ ...job(steps.hang), timeouts: new Timeouts({ ...timeouts, total: timeouts.stopGrace }) })
      assert.strictEqual((yield* JobLifecycle.run(late)).conclusion, "timeout")
      assert.deepStrictEqual(yield* setting.resources, [])
      const fiber = yield* Effect.forkChild(JobLifecycle.run(job(steps.hang)))
      yield* Effect.repeat(setting.resources, { until: (found) => found.length > 0 })
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(yield* setting.resources, [])
    }).pipe(Effect.provideService(JobBackend, setting.backend))
  )

  promise("a closed scope has awaited the release", (setting) =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      yield* Scope.provide(setting.backend.provision(setting.spec()), scope)
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(yield* setting.resources, [])
    })
  )
}
