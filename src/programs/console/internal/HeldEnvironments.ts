/**
 * The environments that this process is responsible for at a moment: what it owes a removal command for, should it not live to release
 * them.
 */
import type { JobEvent } from "../../../domain/JobEvent.ts"

/**
 * What is known of each environment. Two runs may have one of the same name, on two backends.
 *
 * @category models
 */
export type HeldEnvironments = ReadonlyMap<string, Held>

interface Held {
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
      return new Map(held).set(keyOf(event), { removal: event.removal, leaked: false })
    case "Leaked": {
      const { reason } = event.error
      const removal = reason._tag === "ReleaseFailed" ? reason.removal : held.get(keyOf(event))?.removal
      return removal === undefined ? held : new Map(held).set(keyOf(event), { removal, leaked: true })
    }
    case "EnvironmentReleased":
    case "EnvironmentHandedOver": {
      const left = new Map(held)
      left.delete(keyOf(event))
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

const keyOf = ({ environment, run }: { readonly environment: string; readonly run: string }): string =>
  `${run} ${environment}`
