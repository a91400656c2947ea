/**
 * What a signal to this process means, and what is said about it: the first one cancels, a second one stops waiting for that.
 */
import type { StopSignal } from "../ExitCode.ts"
import * as HeldEnvironments from "./HeldEnvironments.ts"
import { counted } from "./Wording.ts"

/**
 * A signal that was taken for a wish of its own.
 *
 * @category models
 */
export interface Heard {
  readonly signal: StopSignal
  readonly at: number
}

/**
 * What to do about a signal, after the last one that counted.
 *
 * **Details**
 *
 * The same signal again within 250 ms is the same key press: a terminal sends it to the whole process group, and npm, like other
 * launchers, passes on to its child what the child has already got.
 *
 * @category guards
 */
export const meaning = (last: Heard | undefined, next: Heard): "cancel" | "echo" | "abandon" => {
  if (last === undefined) return "cancel"
  return last.signal === next.signal && next.at - last.at < sameKeyPress ? "echo" : "abandon"
}

const sameKeyPress = 250

/**
 * Said when a signal cancels jobs.
 *
 * @category formatting
 */
export const cancelling = (signal: StopSignal, held: HeldEnvironments.HeldEnvironments): string =>
  `${signal}: cancelling${releasing(held)}; again to stop waiting\n`

/**
 * Said when jobs are cancelled because nobody reads the output any more.
 *
 * @category formatting
 */
export const outputClosed = (held: HeldEnvironments.HeldEnvironments): string =>
  `stdout is closed: cancelling${releasing(held)}\n`

/**
 * Said when the process ends without releasing what it has.
 *
 * @category formatting
 */
export const abandoning = (why: string, held: HeldEnvironments.HeldEnvironments): string => {
  const removals = HeldEnvironments.removals(held)
  return removals.length === 0
    ? `${why}\n`
    : `${why}; ${counted(removals.length, "environment")} may be left, remove with:\n${removals.map((removal) => `  ${removal}\n`).join("")}`
}

const releasing = (held: HeldEnvironments.HeldEnvironments): string => {
  const count = HeldEnvironments.releasing(held)
  return count === 0 ? "" : `, releasing ${counted(count, "environment")}`
}
