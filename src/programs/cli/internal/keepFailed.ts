/**
 * Keeps the environments of jobs that fail, to be looked into: they are handed over to whoever looks, instead of released.
 */
import * as Effect from "effect/Effect"
import { JobBackend } from "../../../domain/JobBackend.ts"
import { type BackendError, fail, Unsupported } from "../../../domain/JobError.ts"
import { type JobEvent, JobEvents } from "../../../domain/JobEvent.ts"
import type { Conclusion } from "../../../domain/JobResult.ts"

/**
 * Lets a program's failed jobs keep their environments. A job that is cancelled, and one that never got its environment, leaves nothing.
 *
 * @category combinators
 */
export const keepFailed = <A, E, R>(
  program: Effect.Effect<A, E, R>
): Effect.Effect<A, E | BackendError, R | JobBackend> =>
  Effect.gen(function* () {
    const backend = yield* JobBackend
    if (!backend.capabilities.handOver) {
      const feature = "environments that outlive their job"
      return yield* fail(new Unsupported({ backend: backend.name, feature, hint: "Leave --on-failure keep out." }))
    }
    const events = yield* JobEvents
    /** By environment: how it is removed, and whether its job has failed. */
    const environments = new Map<string, Kept>()
    const ofRun = (run: string) => [...environments.values()].filter((each) => each.run === run)

    const emit = Effect.fnUntraced(function* (event: JobEvent) {
      yield* events.emit(event)
      switch (event._tag) {
        case "EnvironmentRequested":
          environments.set(event.environment, { run: event.run, removal: event.removal, failed: false })
          break
        case "StepFinished":
          if (isFailure(event.result.conclusion)) for (const own of ofRun(event.run)) own.failed = true
          break
        case "Stopping":
          for (const own of ofRun(event.run)) own.failed = false
          break
        case "EnvironmentHandedOver": {
          const { at, environment, job, run } = event
          const removal = environments.get(environment)?.removal
          environments.delete(environment)
          if (removal === undefined) break
          const message = `The environment ${environment} is kept, because its job failed. Remove it with: ${removal}`
          yield* events.emit({ _tag: "Warning", run, job, at, message })
          break
        }
        case "EnvironmentReleased":
        case "Leaked":
          environments.delete(event.environment)
          break
      }
    })

    const provision: typeof backend.provision = (spec) =>
      Effect.tap(backend.provision(spec), (environment) =>
        // Registered after the backend's own finalizer, hence run before it.
        Effect.addFinalizer(() =>
          environments.get(environment.name)?.failed === true ? Effect.ignore(environment.handOver) : Effect.void
        )
      )

    return yield* program.pipe(
      Effect.provideService(JobBackend, { ...backend, provision }),
      Effect.provideService(JobEvents, { emit })
    )
  })

interface Kept {
  readonly run: string
  readonly removal: string
  failed: boolean
}

const isFailure = (conclusion: Conclusion): boolean =>
  conclusion === "failure" || conclusion === "timeout" || conclusion === "error"
