import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"

/** What is forked and never joined must not fail silently: a defect of the fake would look like one of what is tested. */
export const reportingDefects = (effect: Effect.Effect<void>): Effect.Effect<void> =>
  Effect.tapCause(effect, (cause) =>
    Cause.hasDies(cause) ? Effect.logError("A defect of the fake cluster", cause) : Effect.void
  )
