/** Logs what happens to the instance, with phase, instance and child. */
import * as Effect from "effect/Effect"
import type { RunState } from "../../backends/kro/KroRun.ts"
import type { JobEvent } from "../../domain/JobEvent.ts"

/** @category models */
export interface Progress {
  readonly state: () => RunState | undefined
  readonly changed: (state: RunState) => Effect.Effect<void>
  readonly told: (event: JobEvent) => Effect.Effect<void>
}

/** @category constructors */
export const make = (instance: string): Progress => {
  let state: RunState | undefined
  let releasing = false

  const annotated = (effect: Effect.Effect<void>) =>
    Effect.suspend(() =>
      Effect.annotateLogs(effect, {
        phase: releasing ? "releasing" : (state?.phase ?? "provisioning"),
        instance,
        ...(state?.child === undefined ? {} : { child: state.child.name })
      })
    )

  return {
    state: () => state,
    changed: (next) => {
      const before = state
      state = next
      if (next.phase === before?.phase) return Effect.void
      if (next.phase === "online") return annotated(Effect.logInfo("The runner runs"))
      if (next.end?._tag === "Finished") return annotated(Effect.logInfo(next.end.detail))
      return next.end === undefined ? Effect.void : annotated(Effect.logError(next.end.reason.message))
    },
    told: (event) => {
      switch (event._tag) {
        case "Waiting":
          releasing ||= event.phase === "release"
          return annotated(Effect.logInfo(`Waiting for ${event.reason}`))
        case "Warning":
          return annotated(Effect.logWarning(event.message))
        case "EnvironmentReleased":
          releasing = true
          return annotated(Effect.logInfo("Released: the instance and all that it had are gone"))
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
