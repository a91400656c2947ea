/**
 * Environment variables of jobs, services and steps.
 *
 * Any value may be a secret, so every value is `Redacted` in memory: printing a job, an error or an event never shows one.
 * On the wire (JSON) they are plain strings, because whoever writes that JSON must be able to hand the values over.
 */
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"

/**
 * Variable name to redacted value.
 *
 * @category schemas
 */
export const EnvVars = Schema.Record(Schema.String, Schema.RedactedFromValue(Schema.String))

/** @category models */
export type EnvVars = typeof EnvVars.Type

/**
 * Redacts plain values: `EnvVars.fromRecord({ CI: "true" })`.
 *
 * @category constructors
 */
export const fromRecord = (record: Readonly<Record<string, string>>): EnvVars =>
  Object.fromEntries(Object.entries(record).map(([name, value]) => [name, Redacted.make(value)]))

/**
 * The plain values, for the one place that hands them to a process. Later records win.
 *
 * @category getters
 */
export const reveal = (...layers: ReadonlyArray<EnvVars>): Record<string, string> =>
  Object.fromEntries(
    layers.flatMap((layer) => Object.entries(layer).map(([name, value]) => [name, Redacted.value(value)]))
  )
