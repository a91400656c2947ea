/**
 * Docker's numbers with units as Kubernetes quantities, and its durations.
 */
import * as Duration from "effect/Duration"

/**
 * `512m`, `1.5g`, `64MiB`, `1048576`: Docker's units are powers of 1024 whatever they are called, so `512m` is `512Mi`.
 *
 * @category conversions
 */
export const ofBytes = (text: string): string | undefined => {
  const [, number, unit] = /^(\d+(?:\.\d+)?)\s?([bkmgtp]?)(?:i?b)?$/i.exec(text.trim()) ?? []
  if (number === undefined) return undefined
  let power = "bkmgtp".indexOf((unit === "" || unit === undefined ? "b" : unit).toLowerCase())
  let amount = Number(number)
  // Whole numbers only: what has a fraction goes down a unit until it has none.
  while (!Number.isInteger(amount) && power > 0) {
    amount *= 1024
    power -= 1
  }
  return `${Math.floor(amount)}${["", "Ki", "Mi", "Gi", "Ti", "Pi"][power]}`
}

/**
 * `--cpus`: `1.5` is `1500m`, `2` is `2`.
 *
 * @category conversions
 */
export const ofCpus = (text: string): string | undefined => {
  const cpus = /^\d*\.?\d+$/.test(text.trim()) ? Number(text.trim()) : 0
  const milli = Math.round(cpus * 1000)
  if (milli <= 0) return undefined
  return milli % 1000 === 0 ? `${milli / 1000}` : `${milli}m`
}

/**
 * Durations as Go writes them: `10s`, `1m30s`, `500ms`, `1.5h`.
 *
 * @category conversions
 */
export const ofDuration = (text: string): Duration.Duration | undefined => {
  const value = text.trim()
  if (value === "0") return Duration.zero
  if (!/^(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+$/.test(value)) return undefined
  const millis = Array.from(value.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)).reduce(
    (sum, [, amount, unit]) => sum + Number(amount) * (unitMillis[unit ?? ""] ?? 0),
    0
  )
  return Duration.millis(millis)
}

const unitMillis: Record<string, number> = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000 }
