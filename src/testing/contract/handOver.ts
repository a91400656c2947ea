import { assert } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as EnvironmentHandle from "../../domain/EnvironmentHandle.ts"
import * as EnvVars from "../../domain/EnvVars.ts"
import { JobBackend } from "../../domain/JobBackend.ts"
import type { JobEnvironment } from "../../domain/JobEnvironment.ts"
import type { BackendError } from "../../domain/JobError.ts"
import {
  type ContractCapabilities,
  type JobFields,
  type Registrar,
  reasonOf,
  runToEnd,
  type Setting,
  within
} from "./setting.ts"
import * as steps from "./vocabulary.ts"

/** One process provisions, another runs the steps, a third releases. */
export const handOver = <R, E>(promise: Registrar<R>, capabilities: ContractCapabilities<R, E>): void => {
  const { secondProcess } = capabilities
  if (secondProcess === undefined) {
    promise("hand-over is refused, if the backend does not have it", (setting) =>
      within(setting, (environment) =>
        Effect.gen(function* () {
          if (setting.backend.capabilities.handOver) return
          assert.strictEqual(yield* reasonOf(environment.handOver), "Unsupported")
        })
      )
    )
    return
  }

  const inSecondProcess = <A, E2>(
    use: (backend: JobBackend["Service"]) => Effect.Effect<A, E2>
  ): Effect.Effect<A, E | E2, R> =>
    Effect.scoped(
      Effect.flatMap(Layer.build(Layer.fresh(secondProcess)), (context) => use(Context.get(context, JobBackend)))
    )

  /** As another process gets it: through JSON. */
  const handedOver = (
    setting: Setting,
    before: (environment: JobEnvironment) => Effect.Effect<unknown, BackendError>,
    fields?: JobFields
  ) =>
    Effect.flatMap(
      within(setting, (environment) => Effect.andThen(before(environment), environment.handOver), fields),
      (handle) => EnvironmentHandle.decode(JSON.parse(JSON.stringify(EnvironmentHandle.encode(handle))))
    )

  promise("an environment that was handed over outlives its scope, is adopted, and released by handle", (setting) =>
    Effect.gen(function* () {
      const handle = yield* handedOver(setting, (environment) =>
        runToEnd(environment, steps.writeWorkspace("kept", "from the first"))
      )
      assert.strictEqual(handle.owner, setting.owner)
      assert.isTrue((yield* setting.resources).every((resource) => resource.endsWith("(handed-over)")))
      for (const turn of [1, 2]) {
        yield* inSecondProcess((backend) =>
          Effect.scoped(
            Effect.gen(function* () {
              const environment = yield* backend.adopt(handle)
              assert.strictEqual(environment.name, handle.environment, `turn ${turn}`)
              const { stdout } = yield* runToEnd(environment, steps.printWorkspace("kept"))
              assert.strictEqual(stdout, "from the first")
            })
          )
        )
      }
      assert.notStrictEqual((yield* setting.resources).length, 0)
      yield* inSecondProcess((backend) => backend.release(handle))
      assert.deepStrictEqual(yield* setting.resources, [])
    })
  )

  promise("the adopter's steps have the job's variables and working directory", (setting) =>
    Effect.gen(function* () {
      const handle = yield* handedOver(setting, () => Effect.void, {
        env: EnvVars.fromRecord({ OF_JOB: "still there" }),
        workingDirectory: "/"
      })
      yield* inSecondProcess((backend) =>
        Effect.scoped(
          Effect.gen(function* () {
            const environment = yield* backend.adopt(handle)
            assert.strictEqual((yield* runToEnd(environment, steps.printEnv("OF_JOB"))).stdout, "still there\n")
            assert.strictEqual((yield* runToEnd(environment, steps.printWorkingDirectory())).stdout, "/\n")
            yield* backend.release(handle)
          })
        )
      )
    })
  )

  promise("handing over twice gives the same handle, and steps still run until the scope closes", (setting) =>
    Effect.gen(function* () {
      yield* within(setting, (environment) =>
        Effect.gen(function* () {
          const first = yield* environment.handOver
          assert.deepStrictEqual(EnvironmentHandle.encode(yield* environment.handOver), EnvironmentHandle.encode(first))
          assert.strictEqual((yield* runToEnd(environment, steps.exit(4))).exitCode, 4)
        })
      )
      assert.notStrictEqual((yield* setting.resources).length, 0)
      yield* setting.backend.release({ owner: setting.owner })
    })
  )

  promise("an adopter learns that the environment was released meanwhile", (setting) =>
    Effect.gen(function* () {
      const handle = yield* handedOver(setting, () => Effect.void)
      yield* inSecondProcess((backend) =>
        Effect.scoped(
          Effect.gen(function* () {
            const environment = yield* backend.adopt(handle)
            const running = yield* environment.start(steps.hang)
            yield* setting.backend.release(handle)
            assert.strictEqual(yield* reasonOf(running.exitCode), "EnvironmentLost")
          })
        )
      )
      yield* inSecondProcess((backend) =>
        Effect.gen(function* () {
          assert.strictEqual(yield* reasonOf(Effect.scoped(backend.adopt(handle))), "EnvironmentLost")
          yield* backend.release(handle)
        })
      )
    })
  )

  promise("a handle of another backend is rejected, and releases nothing", (setting) =>
    within(setting, (environment) =>
      Effect.gen(function* () {
        const foreign = new EnvironmentHandle.EnvironmentHandle({
          version: 1,
          backend: "somebody-else",
          environment: environment.name,
          owner: setting.owner,
          data: null
        })
        assert.strictEqual(yield* reasonOf(Effect.scoped(setting.backend.adopt(foreign))), "HandleRejected")
        assert.strictEqual(yield* reasonOf(setting.backend.release(foreign)), "HandleRejected")
        assert.strictEqual((yield* runToEnd(environment, steps.exit(0))).exitCode, 0)
      })
    )
  )
}
