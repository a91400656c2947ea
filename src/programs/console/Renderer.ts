/**
 * Turns events into the text to write for them. It never writes, and never asks for the time: the same events give the same text.
 *
 * **Example**
 *
 * ```ts
 * const renderer = PlainRenderer.make({ color: false, ansi: false, timestamps: "utc" })
 * Effect.provideService(JobLifecycle.run(job), JobEvents, {
 *   emit: (event) => Effect.sync(() => appendFileSync("job.log", renderer.event(event)))
 * })
 * ```
 */
import type { JobEvent } from "../../domain/JobEvent.ts"
import type { JobResult } from "../../domain/JobResult.ts"

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
  /** The last text; without an outcome where the program is not waited for. */
  readonly end: (outcome?: Outcome) => string
}

/**
 * How it all ended.
 *
 * @category models
 */
export interface Outcome {
  readonly exitCode: number
  readonly results: ReadonlyArray<JobResult>
  /** What ended the program, apart from what the results tell: lines for people. */
  readonly problems: ReadonlyArray<string>
}

/**
 * What stands before each line: nothing, the time since the first one, or the time of day in UTC.
 *
 * @category options
 */
export type Timestamps = "none" | "elapsed" | "utc"

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
