import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { JobSpec } from "../Job.ts"
import type { BackendError } from "../JobError.ts"
import { emit } from "../JobEvent.ts"

/** Tries again what may be tried again, as the job allows. Only for what leaves nothing behind when it fails. */
export const retrying = <A, R>(
  job: JobSpec,
  what: string,
  effect: Effect.Effect<A, BackendError, R>,
  mayHelp: (error: BackendError) => boolean = (error) => error.retryable
): Effect.Effect<A, BackendError, R> =>
  Effect.suspend(() => {
    let attempt = 1
    return Effect.retry(
      Effect.tapError(effect, (error) => {
        attempt++
        return mayHelp(error) && attempt <= job.retry.attempts
          ? emit({ _tag: "Retrying", job: job.name, what, attempt, of: job.retry.attempts, error })
          : Effect.void
      }),
      {
        schedule: Schedule.jittered(Schedule.exponential(job.retry.delay)),
        times: job.retry.attempts - 1,
        while: mayHelp
      }
    )
  })
