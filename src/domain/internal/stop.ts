import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { BackendError } from "../JobError.ts"
import { emit } from "../JobEvent.ts"

/** Why a job stops before its end. */
export type StopReason = { readonly _tag: "Cancelled" } | { readonly _tag: "OutOfTime"; readonly error: BackendError }

/**
 * How a running job learns that it is to stop. First it is asked: the running step ends, `always` and `cancelled` steps still run.
 * Then, when that takes too long, it is told: nothing runs any more but the release.
 */
export interface Stop {
  readonly requested: Deferred.Deferred<StopReason>
  readonly final: Deferred.Deferred<void>
  /** Listeners have been told. */
  announced: boolean
}

export const make: Effect.Effect<Stop> = Effect.gen(function* () {
  return { requested: yield* Deferred.make<StopReason>(), final: yield* Deferred.make<void>(), announced: false }
})

/** Waits for the request, and tells the listeners of it. Only for who has something to stop: during the release nobody asks. */
export const requested = (stop: Stop, job: string): Effect.Effect<StopReason> =>
  Effect.tap(Deferred.await(stop.requested), (reason) => announce(stop, job, reason))

/** The reason, if a stop has been requested by now. */
export const current = (stop: Stop, job: string): Effect.Effect<StopReason | undefined> =>
  Effect.suspend(
    (): Effect.Effect<StopReason | undefined> =>
      Deferred.isDoneUnsafe(stop.requested) ? requested(stop, job) : Effect.undefined
  )

/** In a fiber of its own, started at once: a listener hears of it before anything that follows, but a slow one does not hold it up. */
const announce = (stop: Stop, job: string, reason: StopReason) =>
  Effect.suspend((): Effect.Effect<unknown> => {
    if (stop.announced) return Effect.void
    stop.announced = true
    const why = reason._tag === "Cancelled" ? "cancelled" : reason.error.message
    return Effect.forkDetach(emit({ _tag: "Stopping", job, why }), { startImmediately: true, uninterruptible: false })
  })
