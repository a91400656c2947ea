/**
 * Moments and spans of time as text.
 */
import * as DateTime from "effect/DateTime"
import type { Timestamps } from "../Renderer.ts"

/**
 * Formats the moments of one output, in milliseconds since 1970; the first one is where `elapsed` begins.
 *
 * @category constructors
 */
export const make = (timestamps: Timestamps): ((at: number) => string) => {
  if (timestamps === "none") return () => ""
  let start: number | undefined
  // Many lines come with one chunk, hence with one time.
  let last = Number.NaN
  let text = ""
  return (at) => {
    start ??= at
    if (at !== last) {
      last = at
      text = timestamps === "utc" ? iso(at) : elapsed(Math.max(0, at - start))
    }
    return text
  }
}

/** A moment that no calendar has is shown as the last one that it has. */
const iso = (millis: number): string =>
  DateTime.formatIso(DateTime.makeUnsafe(Math.min(maxMillis, Math.max(-maxMillis, millis))))

const maxMillis = 8_640_000_000_000_000

/** `00:03.2`, and `1:02:03` from an hour on: seven columns up to ten hours. */
const elapsed = (millis: number): string => {
  const tenths = Math.floor(millis / 100)
  const seconds = Math.floor(tenths / 10)
  const minutes = Math.floor(seconds / 60)
  const hours = Math.floor(minutes / 60)
  return hours > 0
    ? `${hours}:${two(minutes % 60)}:${two(seconds % 60)}`
    : `${two(minutes)}:${two(seconds % 60)}.${tenths % 10}`
}

/**
 * `340ms`, `12.3s`, `3m 12s`, `1h 03m`.
 *
 * @category formatting
 */
export const duration = (millis: number): string => {
  if (millis < 1000) return `${Math.max(0, Math.round(millis))}ms`
  if (millis < 60_000) return `${(Math.floor(millis / 100) / 10).toFixed(1)}s`
  const minutes = Math.floor(millis / 60_000)
  return minutes < 60
    ? `${minutes}m ${two(Math.floor(millis / 1000) % 60)}s`
    : `${Math.floor(minutes / 60)}h ${two(minutes % 60)}m`
}

/**
 * The same for what goes on, in steps that an eye can follow: `0.3s`, `12.3s`, `3m 12s`.
 *
 * @category formatting
 */
export const running = (millis: number): string =>
  millis < 60_000 ? `${(Math.floor(Math.max(0, millis) / 100) / 10).toFixed(1)}s` : duration(millis)

const two = (number: number): string => String(number).padStart(2, "0")
