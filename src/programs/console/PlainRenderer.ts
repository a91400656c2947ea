/**
 * One line for each line of output, with the job and the step before it: for logs, pipes and CI.
 *
 * ```
 * build | deps | ▸ Dependencies
 * build | deps | $ npm ci
 * build | deps | added 132 packages
 * build | deps | ✓ 3.4s
 * ```
 */
import { identity } from "effect/Function"
import * as JobLines from "./internal/JobLines.ts"
import * as LineFormat from "./internal/LineFormat.ts"
import * as Style from "./internal/Style.ts"
import * as TerminalText from "./internal/TerminalText.ts"
import type { Renderer, Timestamps } from "./Renderer.ts"

/** @category options */
export interface Options {
  /** Colour our own text. */
  readonly color: boolean
  readonly timestamps: Timestamps
  /** Keep the colours that steps write themselves. */
  readonly ansi: boolean
}

/** @category constructors */
export const make = ({ ansi, color, timestamps }: Options): Renderer => {
  const lines = JobLines.make()
  const output = !ansi ? TerminalText.strip : color ? TerminalText.closed : identity
  const format = LineFormat.make({ style: Style.make(color), timestamps, output })
  return {
    event: (event) => format(lines.push(event)),
    above: (other) => other,
    moving: () => false,
    tick: () => "",
    pause: () => "",
    end: () => format(lines.flush())
  }
}
