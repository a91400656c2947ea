import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

/**
 * Runs an effect in a fiber of its own for at most so long. Unlike `Effect.timeout` it also works inside a finalizer, and does not
 * wait for an effect that cannot be interrupted.
 */
export const within = <A>(effect: Effect.Effect<A>, duration: Duration.Duration, otherwise: A): Effect.Effect<A> =>
  Effect.gen(function* () {
    const done = yield* Deferred.make<A>()
    const options = { startImmediately: true, uninterruptible: false } as const
    const work = yield* Effect.forkDetach(
      Effect.onExit(effect, (exit) => Deferred.done(done, exit)),
      options
    )
    const timer = yield* Effect.forkDetach(
      Effect.andThen(Effect.sleep(duration), Deferred.succeed(done, otherwise)),
      options
    )
    const result = yield* Deferred.await(done)
    timer.interruptUnsafe()
    work.interruptUnsafe()
    return result
  })
