/** The runner's log on stderr: plain lines or JSON, and never the JIT configuration. */
import * as Fs from "node:fs"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import type { Settings } from "./Settings.ts"

/** Replaces what nobody may read. */
export type Redact = (text: string) => string

/**
 * Also encoded: programs print their configuration in many ways.
 *
 * @category constructors
 */
export const redactorOf = (jitConfig: Redacted.Redacted | undefined): Redact => {
  if (jitConfig === undefined) return (text) => text
  const secret = Redacted.value(jitConfig)
  const forms = [secret, Buffer.from(secret).toString("base64"), Buffer.from(secret, "base64").toString("utf8")]
    .flatMap((form) => [form, JSON.stringify(form).slice(1, -1)])
    .filter((form) => form.length > 3)
  return (text) => forms.reduce((clean, form) => clean.replaceAll(form, "***"), text)
}

/**
 * Writes synchronously: what was logged is out, however the process ends.
 *
 * @category layers
 */
export const layer = (
  { logFormat, logLevel }: Pick<Settings, "logFormat" | "logLevel">,
  redact: Redact
): Layer.Layer<never> => {
  const lines =
    logFormat === "json" ? Logger.map(Logger.formatStructured, json) : Logger.map(Logger.formatStructured, plain)
  const logger = Logger.map(lines, (line) => write(redact(line)))
  return Layer.merge(Logger.layer([logger]), Layer.succeed(References.MinimumLogLevel, logLevel))
}

interface Line {
  readonly level: string
  readonly timestamp: string
  readonly message: unknown
  readonly cause: string | undefined
  readonly annotations: Record<string, unknown>
}

const json = ({ annotations, cause, level, message, timestamp }: Line): string =>
  JSON.stringify({ time: timestamp, level: level.toLowerCase(), message: text(message), ...annotations, cause })

const plain = ({ annotations, cause, level, message, timestamp }: Line): string => {
  const about = Object.entries(annotations).map(([key, value]) => ` ${key}=${text(value)}`)
  return `${timestamp} ${level.padEnd(5)}${about.join("")} ${text(message)}${cause === undefined ? "" : `\n${cause}`}`
}

const text = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value))

/** A reader that is gone, or slow, is no reason to end. */
export const write = (line: string): void => {
  for (let rest = Buffer.from(`${line}\n`), tries = 0; rest.length > 0 && tries < 100; tries++) {
    try {
      rest = rest.subarray(Fs.writeSync(2, rest))
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== "EAGAIN") return
    }
  }
}
