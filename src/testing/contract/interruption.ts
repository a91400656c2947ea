import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Job, JobStep } from "../../domain/Job.ts"
import { JobBackend } from "../../domain/JobBackend.ts"
import type { BackendError } from "../../domain/JobError.ts"
import * as JobLifecycle from "../../domain/JobLifecycle.ts"
import { interruptEverywhere } from "./interrupting.ts"
import { type ContractCapabilities, type Registrar, runToEnd, type Setting, within } from "./setting.ts"
import * as steps from "./vocabulary.ts"

/** Nothing is left, wherever an interruption arrives. */
export const interruption = <R, E>(promise: Registrar<R>, capabilities: ContractCapabilities<R, E>): void => {
  const most = capabilities.interruptions ?? 60

  const everywhere = <A, E2>(
    { backend, resources }: Setting,
    program: Effect.Effect<A, E2, JobBackend>,
    afterwards: Effect.Effect<void, BackendError> = Effect.void
  ) =>
    Effect.gen(function* () {
      const tried = yield* interruptEverywhere(
        Effect.provideService(program, JobBackend, backend) as Effect.Effect<unknown>,
        (operation) =>
          Effect.gen(function* () {
            yield* afterwards
            assert.deepStrictEqual(yield* resources, [], `left after an interruption at operation ${operation}`)
          }),
        most
      )
      assert.isAbove(tried.interrupted, tried.tried / 2, "most interruptions arrived while the program ran")
    })

  const patient = { timeout: 180_000 }

  promise(
    "provision, a step, release: interrupted everywhere",
    (setting) =>
      everywhere(
        setting,
        within(setting, (environment) => runToEnd(environment, steps.print("text")))
      ),
    patient
  )

  promise(
    "two steps at once: interrupted everywhere",
    (setting) =>
      everywhere(
        setting,
        within(setting, (environment) =>
          Effect.all([runToEnd(environment, steps.exit(0)), runToEnd(environment, steps.print("b"))], {
            concurrency: 2
          })
        )
      ),
    patient
  )

  promise(
    "a whole job: interrupted everywhere",
    (setting) =>
      everywhere(
        setting,
        JobLifecycle.run(
          new Job({
            ...setting.spec(),
            steps: [
              new JobStep({ run: steps.print("text") }),
              new JobStep({ run: steps.exit(1), continueOnError: true }),
              new JobStep({ run: steps.exit(0), if: "always" })
            ]
          })
        )
      ),
    patient
  )

  promise(
    "a hand-over: interrupted everywhere, the environment is released, or handed over",
    (setting) =>
      everywhere(
        setting,
        within(setting, (environment) => environment.handOver),
        Effect.gen(function* () {
          for (const resource of yield* setting.resources) assert.include(resource, "(handed-over)")
          yield* setting.backend.release({ owner: setting.owner })
        })
      ),
    { ...patient, skip: capabilities.secondProcess === undefined }
  )
}
