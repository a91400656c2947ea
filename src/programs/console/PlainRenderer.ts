/**
 * One line for each line of output, with the job and the step before it: for logs, pipes and CI.
 *
 * ```
 * build | deps | ▸ npm ci
 * build | deps | added 132 packages
 * build | deps | ✓ 3.4s
 * ```
 */
import { identity } from "effect/Function"
import * as JobLines from "./JobLines.ts"
import type { Renderer } from "./Renderer.ts"
import type { Style } from "./Style.ts"
import * as TerminalText from "./TerminalText.ts"
import type { Timestamps } from "./Timestamps.ts"

/** @category options */
export interface Options {
  readonly style: Style
  readonly timestamps: Timestamps
  /** Keep the colours that steps write themselves. */
  readonly ansi: boolean
}

/** @category constructors */
export const make = ({ ansi, style, timestamps }: Options): Renderer => {
  const lines = JobLines.make()
  const output = !ansi ? TerminalText.strip : style.color ? TerminalText.closed : identity
  const format = JobLines.format({ style, timestamps, output })
  const text = (found: ReadonlyArray<JobLines.JobLine>): string => {
    let all = ""
    for (const line of found) all += `${format(line)}\n`
    return all
  }
  return {
    event: (event) => text(lines.push(event)),
    above: (other) => other,
    moving: () => false,
    tick: () => "",
    pause: () => "",
    end: () => text(lines.flush())
  }
}
