/** Going on through an outage of the API server: the client itself gives up after some seconds. */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { KubeError } from "../../kubernetes/KubeError.ts"

/** Repeats, for as long as it is not interrupted, what another try may heal. Only for calls that may be repeated. */
export const persist = <A, R>(call: Effect.Effect<A, KubeError, R>): Effect.Effect<A, KubeError, R> =>
  Effect.retry(call, { while: (error) => error.retryable, schedule: Schedule.spaced("1 second") })
