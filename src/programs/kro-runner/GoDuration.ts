/** Durations as Go writes them (`1h30m`, `90s`, `1.5m`): the syntax of kro-actions-runner's variables. */
import * as Duration from "effect/Duration"

const units: ReadonlyMap<string, number> = new Map(
  Object.entries({
    ns: 1e-6,
    us: 1e-3,
    µs: 1e-3,
    μs: 1e-3,
    ms: 1,
    s: 1000,
    m: 60_000,
    h: 3_600_000
  })
)

/**
 * Reads a duration; nothing if it is none. What is negative is none at all: 0.
 *
 * @category decoding
 */
export const parse = (text: string): Duration.Duration | undefined => {
  const signed = /^[+-]?/.exec(text)?.[0] ?? ""
  const rest = text.slice(signed.length)
  if (rest === "0") return Duration.zero
  if (!/^(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+$/.test(rest)) return undefined
  let millis = 0
  for (const [, amount, unit] of rest.matchAll(/([\d.]+)([a-zµμ]+)/g)) {
    millis += Number(amount) * (units.get(unit ?? "") ?? Number.NaN)
  }
  return Number.isFinite(millis) ? Duration.millis(signed === "-" ? 0 : millis) : undefined
}

/**
 * As Go prints it: `5m0s`, `1.5s`, `0s`.
 *
 * @category encoding
 */
export const format = (duration: Duration.Duration): string => {
  if (!Duration.isFinite(duration)) return "none"
  const millis = Duration.toMillis(duration)
  if (millis === 0) return "0s"
  if (millis < 1000) return `${Number(millis.toFixed(6))}ms`
  const hours = Math.floor(millis / 3_600_000)
  const minutes = Math.floor((millis % 3_600_000) / 60_000)
  const seconds = `${Number(((millis % 60_000) / 1000).toFixed(9))}s`
  return hours > 0 ? `${hours}h${minutes}m${seconds}` : minutes > 0 ? `${minutes}m${seconds}` : seconds
}
