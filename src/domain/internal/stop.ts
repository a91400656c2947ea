import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { BackendError } from "../JobError.ts"

/** Why a job stops before its end. */
export type StopReason = { readonly _tag: "Cancelled" } | { readonly _tag: "OutOfTime"; readonly error: BackendError }

/**
 * How a running job learns that it is to stop. First it is asked: the running step ends, `always` and `cancelled` steps still run.
 * Then, when that takes too long, it is told: nothing runs any more but the release.
 */
export interface Stop {
  readonly requested: Deferred.Deferred<StopReason>
  readonly final: Deferred.Deferred<void>
  /** The release is going on: there is nothing left to stop. */
  releasing: boolean
}

export const make: Effect.Effect<Stop> = Effect.gen(function* () {
  return { requested: yield* Deferred.make<StopReason>(), final: yield* Deferred.make<void>(), releasing: false }
})

/** The reason, if a stop has been requested by now. */
export const current = (stop: Stop): Effect.Effect<StopReason | undefined> =>
  Effect.suspend(
    (): Effect.Effect<StopReason | undefined> =>
      Deferred.isDoneUnsafe(stop.requested) ? Deferred.await(stop.requested) : Effect.undefined
  )
