/**
 * Turns events into the text to write for them. It never writes, and never asks for the time: the same events give the same text.
 */
import type { JobEvent } from "../../domain/JobEvent.ts"

/**
 * A fold with the state of one output.
 *
 * @category models
 */
export interface Renderer {
  /** The text to write for an event, often none. */
  readonly event: (event: JobEvent) => string
  /** A text of somebody else's, which must not get into the middle of ours. */
  readonly above: (text: string, now: number) => string
  /** Something is on the screen that changes with the time: `tick` wants to be called. */
  readonly moving: () => boolean
  readonly tick: (now: number) => string
  /** Takes back whatever is not to stay; the next event or tick brings it again. */
  readonly pause: () => string
  /** The last text. */
  readonly end: () => string
}

/**
 * Shows nothing.
 *
 * @category constructors
 */
export const silent: Renderer = {
  event: () => "",
  above: (text) => text,
  moving: () => false,
  tick: () => "",
  pause: () => "",
  end: () => ""
}
