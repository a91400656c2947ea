/**
 * Output of steps as whole lines, for reports.
 */
import type { JobEvent } from "../../../domain/JobEvent.ts"
import type { LineSplitter } from "../../../domain/LineSplitter.ts"
import * as BoundedLines from "../../console/internal/BoundedLines.ts"

type Stream = "stdout" | "stderr"

/** @category models */
export interface Line {
  readonly stream: Stream
  readonly text: string
}

/**
 * A fold with the state of one output. Steps that have ended leave nothing in it.
 *
 * @category models
 */
export interface StepLines {
  readonly push: (event: JobEvent & { readonly _tag: "StepOutput" }) => ReadonlyArray<Line>
  /** What is left of a step that has ended. */
  readonly end: (event: JobEvent & { readonly _tag: "StepFinished" }) => ReadonlyArray<Line>
  /** Forgets the steps of a run that has ended. */
  readonly forget: (event: JobEvent) => void
}

/** @category constructors */
export const make = (): StepLines => {
  const runs = new Map<string, Map<string, Readonly<Record<Stream, LineSplitter>>>>()
  const splittersOf = (run: string, step: string): Readonly<Record<Stream, LineSplitter>> => {
    const steps = runs.get(run) ?? new Map()
    runs.set(run, steps)
    const splitters = steps.get(step) ?? { stdout: BoundedLines.make(), stderr: BoundedLines.make() }
    steps.set(step, splitters)
    return splitters
  }
  return {
    push: (event) => {
      const { bytes, step, stream } = event
      return linesOf(stream, splittersOf(keyOf(event), step)[stream].push(bytes))
    },
    end: (event) => {
      const steps = runs.get(keyOf(event))
      const splitters = steps?.get(event.step)
      if (splitters === undefined) return []
      steps!.delete(event.step)
      return [...linesOf("stdout", splitters.stdout.flush()), ...linesOf("stderr", splitters.stderr.flush())]
    },
    forget: (event) => {
      runs.delete(keyOf(event))
    }
  }
}

/**
 * What tells one run of a job from all others.
 *
 * @category getters
 */
export const keyOf = ({ job, run }: JobEvent): string => `${run} ${job}`

const linesOf = (stream: Stream, texts: ReadonlyArray<string>): ReadonlyArray<Line> =>
  texts.map((text) => ({ stream, text }))
