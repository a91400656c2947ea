/**
 * The configuration file: settings by the names of their flags, as YAML.
 *
 * ```yaml
 * parallel: 8
 * backend: local
 * env:
 *   CI: "true"
 * ```
 */
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import * as Yaml from "effect/encoding/Yaml"
import * as FileSystem from "effect/FileSystem"
import * as Predicate from "effect/Predicate"
import { BackendError, fail, InvalidInput } from "../../../domain/JobError.ts"
import { didYouMean } from "../../github/internal/source.ts"
import type { Setting } from "../Setting.ts"

/** What it is called where nobody says. */
const fileName = ".jobscope.yml"

/** @category models */
export interface ConfigFile {
  readonly path: string
  /** What it says of a setting, each value once; nothing if it says nothing. */
  readonly valuesOf: (setting: Setting<unknown>) => ReadonlyArray<string>
}

/** @category constructors */
export const none: ConfigFile = { path: fileName, valuesOf: () => [] }

/**
 * Reads the file at `path`; left out, the nearest one of the usual name from `directory` upwards, up to the top of its repository, if there
 * is one.
 *
 * @category reading
 */
export const read = Effect.fnUntraced(function* (
  path: string | undefined,
  directory: string,
  settings: ReadonlyArray<Setting<unknown>>
): Effect.fn.Return<ConfigFile, BackendError, FileSystem.FileSystem> {
  const found = path ?? (yield* nearest(directory))
  if (found === undefined) return none
  const refuse = (detail: string) => fail(new InvalidInput({ input: found, detail }))
  const fs = yield* FileSystem.FileSystem
  const text = yield* Effect.catch(fs.readFileString(found), (error) =>
    refuse(error.reason._tag === "NotFound" ? "there is no such file" : `it cannot be read (${error.reason._tag})`)
  )
  const content = yield* Effect.try({
    try: () => (text.trim() === "" ? {} : Yaml.parse(text)),
    catch: (cause) =>
      new BackendError({
        reason: new InvalidInput({ input: found, detail: cause instanceof Error ? cause.message : String(cause) })
      })
  })
  if (!Predicate.isObject(content) || Array.isArray(content)) return yield* refuse("expected a mapping of settings")
  const values = new Map<string, ReadonlyArray<string>>()
  for (const [key, value] of Object.entries(content)) {
    const setting = settings.find((each) => each.key === key)
    if (setting === undefined) {
      const keys = settings.map((each) => each.key)
      const meant = didYouMean(key, keys)
      return yield* refuse(`there is no setting "${key}"${meant === undefined ? "" : `. ${meant}`}`)
    }
    const texts = textsOf(setting, value)
    if (texts === undefined) return yield* refuse(`"${key}" is not ${expected(setting)}`)
    values.set(key, texts)
  }
  return { path: found, valuesOf: ({ key }) => values.get(key) ?? [] }
})

const nearest = Effect.fnUntraced(function* (directory: string) {
  const fs = yield* FileSystem.FileSystem
  const exists = (path: string) => Effect.orElseSucceed(fs.exists(path), () => false)
  for (let at = directory; ; at = Path.dirname(at)) {
    const path = Path.join(at, fileName)
    if (yield* exists(path)) return path
    if ((yield* exists(Path.join(at, ".git"))) || Path.dirname(at) === at) return undefined
  }
})

const textsOf = (setting: Setting<unknown>, value: unknown): ReadonlyArray<string> | undefined => {
  if (value === null || value === undefined) return []
  if (isScalar(value)) return [String(value)]
  if (setting.kind === "text" || setting.kind === "switch") return undefined
  if (Array.isArray(value)) return value.every(isScalar) ? value.map(String) : undefined
  if (!Predicate.isObject(value)) return undefined
  const entries = Object.entries(value)
  const separator = setting.kind === "pairs" ? "=" : ":"
  return entries.every(([, each]) => isScalar(each))
    ? entries.map(([key, each]) => `${key}${separator}${String(each)}`)
    : undefined
}

const isScalar = (value: unknown): value is string | number | boolean =>
  typeof value === "string" || typeof value === "number" || typeof value === "boolean"

const expected = ({ kind }: Setting<unknown>): string =>
  kind === "text" ? "a text" : kind === "switch" ? "true or false" : "a text, a list of texts, or a mapping to texts"
