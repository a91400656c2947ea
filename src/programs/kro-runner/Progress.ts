/** Logs what happens to the instance, with phase, instance and child. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { RunState } from "../../backends/kro/KroRun.ts"
import type { JobEvent } from "../../domain/JobEvent.ts"

/** @category models */
export interface Progress {
  readonly state: () => RunState | undefined
  readonly changed: (state: RunState) => Effect.Effect<void>
  readonly told: (event: JobEvent) => Effect.Effect<void>
}

/** How long a wait lasts that people want to know of. */
const worthALine = Duration.seconds(2)

/** @category constructors */
export const make = (instance: string): Progress => {
  let state: RunState | undefined
  let releasing = false
  let waits = 0

  const annotated = (effect: Effect.Effect<void>) =>
    Effect.suspend(() =>
      Effect.annotateLogs(effect, {
        phase: releasing ? "releasing" : (state?.phase ?? "provisioning"),
        instance,
        ...(state?.child === undefined ? {} : { child: state.child.name })
      })
    )

  /** Most waits are over at once, and not worth a line. */
  const waiting = Effect.fnUntraced(function* (reason: string) {
    const number = ++waits
    yield* annotated(Effect.logDebug(`Waiting for ${reason}`))
    yield* Effect.forkDetach(
      Effect.delay(
        Effect.suspend(() => (number === waits ? annotated(Effect.logInfo(`Waiting for ${reason}`)) : Effect.void)),
        worthALine
      )
    )
  })

  return {
    state: () => state,
    changed: (next) => {
      const before = state
      state = next
      if (next.phase === before?.phase) return Effect.void
      waits++
      if (next.phase === "online") return annotated(Effect.logInfo("The runner runs"))
      if (next.end?._tag === "Finished") return annotated(Effect.logInfo(next.end.detail))
      return next.end === undefined ? Effect.void : annotated(Effect.logError(next.end.reason.message))
    },
    told: (event) => {
      switch (event._tag) {
        case "Waiting":
          releasing ||= event.phase === "release"
          return waiting(event.reason)
        case "Warning":
          return annotated(Effect.logWarning(event.message))
        case "EnvironmentReleased":
          releasing = true
          waits++
          // Nothing was seen of an instance: there hardly was one.
          return annotated(
            state === undefined
              ? Effect.logDebug("Nothing is left to release")
              : Effect.logInfo("Released: the instance and all that it had are gone")
          )
        case "EnvironmentHandedOver":
          return annotated(Effect.logInfo("Not released"))
        case "Leaked":
          releasing = true
          return annotated(Effect.logError(`${event.error.message}. ${event.error.advice}`))
        default:
          return Effect.void
      }
    }
  }
}
