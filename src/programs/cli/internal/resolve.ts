/**
 * Settings from where they are given: flags, environment variables, the configuration file.
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { type BackendError, fail, InvalidInput } from "../../../domain/JobError.ts"
import type { Given, Setting, Settings, Values } from "../Setting.ts"
import type { ConfigFile } from "./configFile.ts"

/**
 * The values of a command's settings.
 *
 * @category running
 */
export const resolve = <All extends Settings>(
  settings: All,
  given: Given<All>,
  file: ConfigFile
): Effect.Effect<Values<All>, BackendError> =>
  Effect.map(
    Effect.forEach(Object.entries(settings), ([key, setting]) =>
      Effect.map(decided(setting, given[key] ?? [], file), (value) => [key, value] as const)
    ),
    // The entries are those of the settings, each with what its own setting decodes to.
    (entries) => Object.fromEntries(entries) as Values<All>
  )

/** What was given in one place, and what that place is called. */
interface Source {
  readonly values: ReadonlyArray<string>
  readonly from: string
}

const decided = Effect.fnUntraced(function* (
  setting: Setting<unknown>,
  flags: ReadonlyArray<string>,
  file: ConfigFile
): Effect.fn.Return<unknown, BackendError> {
  const sources: ReadonlyArray<Source> = [
    { values: flags, from: `--${setting.name}` },
    { values: yield* fromVariable(setting), from: `$${setting.variable}` },
    { values: file.valuesOf(setting), from: `${file.path}: ${setting.key}` }
  ]
  const found = sources.filter(({ values }) => values.length > 0)
  const counts = setting.kind === "pairs" ? found : found.slice(0, 1)
  for (const { from, values } of counts) {
    const alone = setting.decode(values)
    if (Result.isFailure(alone)) return yield* fail(new InvalidInput({ input: from, detail: alone.failure }))
  }
  const all = setting.decode(counts.toReversed().flatMap(({ values }) => values))
  return yield* Result.isFailure(all)
    ? fail(new InvalidInput({ input: `--${setting.name}`, detail: all.failure }))
    : Effect.succeed(all.success)
})

/** A variable that is empty is one that is not set, as in most programs. */
const fromVariable = ({ kind, variable }: Setting<unknown>): Effect.Effect<ReadonlyArray<string>> =>
  Effect.map(
    Effect.orElseSucceed(Config.option(Config.String(variable)), () => Option.none<string>()),
    (found) => {
      const value = Option.getOrElse(found, () => "")
      if (value === "") return []
      switch (kind) {
        case "text":
        case "switch":
          return [value]
        // A value may have commas in it.
        case "pairs":
          return value.split(/\r?\n/).filter((line) => line.trim() !== "")
        case "texts":
          return value
            .split(/[\r\n,]+/)
            .map((each) => each.trim())
            .filter((each) => each !== "")
      }
    }
  )
