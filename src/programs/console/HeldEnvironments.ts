/**
 * The environments that this process is responsible for at a moment: what it owes a removal command for, should it not live to release
 * them.
 */
import type { JobEvent } from "../../domain/JobEvent.ts"

/**
 * Name to what is known of the environment.
 *
 * @category models
 */
export type HeldEnvironments = ReadonlyMap<string, Held>

/** @category models */
export interface Held {
  readonly removal: string
  /** Its release failed: nobody is working on it any more. */
  readonly leaked: boolean
}

/** @category constructors */
export const none: HeldEnvironments = new Map()

/**
 * What an event makes of them.
 *
 * @category folding
 */
export const update = (held: HeldEnvironments, event: JobEvent): HeldEnvironments => {
  switch (event._tag) {
    case "EnvironmentRequested":
      return new Map(held).set(event.environment, { removal: event.removal, leaked: false })
    case "Leaked": {
      const { reason } = event.error
      const removal = reason._tag === "ReleaseFailed" ? reason.removal : held.get(event.environment)?.removal
      return removal === undefined ? held : new Map(held).set(event.environment, { removal, leaked: true })
    }
    case "EnvironmentReleased":
    case "EnvironmentHandedOver": {
      const left = new Map(held)
      left.delete(event.environment)
      return left
    }
    default:
      return held
  }
}

/**
 * How many are still to be released.
 *
 * @category getters
 */
export const releasing = (held: HeldEnvironments): number => [...held.values()].filter(({ leaked }) => !leaked).length

/** @category getters */
export const removals = (held: HeldEnvironments): ReadonlyArray<string> =>
  [...held.values()].map(({ removal }) => removal)
