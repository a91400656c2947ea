/**
 * Masks the texts of events and results before they are shown: names, messages, last lines, outputs.
 */
import * as Schema from "effect/Schema"
import { JobEvent } from "../../../domain/JobEvent.ts"
import { JobResult } from "../../../domain/JobResult.ts"

/** @category models */
export interface Masking {
  readonly text: (text: string) => string
  readonly event: (event: JobEvent) => JobEvent
  readonly result: (result: JobResult) => JobResult
}

/** @category constructors */
export const make = (mask: ((text: string) => string) | undefined): Masking => {
  if (mask === undefined) return { text: (text) => text, event: (event) => event, result: (result) => result }
  return {
    text: mask,
    // Output is masked where it is read, as a stream, and is most of all events.
    event: (event) =>
      event._tag === "StepOutput"
        ? event
        : decodeEvent({ ...record(masked(encodeEvent(event), mask)), run: event.run }),
    result: (result) => decodeResult(masked(encodeResult(result), mask))
  }
}

const encodeEvent = Schema.encodeSync(JobEvent)
const decodeEvent = Schema.decodeUnknownSync(JobEvent)
const encodeResult = Schema.encodeSync(JobResult)
const decodeResult = Schema.decodeUnknownSync(JobResult)

/** Every text in a value as JSON has it, but for the words of our own that its readers go by. */
const masked = (value: unknown, mask: (text: string) => string): unknown => {
  if (typeof value === "string") return mask(value)
  if (Array.isArray(value)) return value.map((each) => masked(each, mask))
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [key, words.has(key) ? each : masked(each, mask)])
  )
}

const words: ReadonlySet<string> = new Set(["_tag", "after", "cause", "conclusion", "custody", "outcome", "phase"])

const record = (value: unknown): object => (typeof value === "object" && value !== null ? value : {})
