/**
 * Commands whose settings may also come from variables and the configuration file.
 */
import * as Process from "node:process"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type { BackendError } from "../../../domain/JobError.ts"
import * as Backends from "../Backends.ts"
import * as Setting from "../Setting.ts"
import * as settings from "../settings.ts"
import * as ConfigFile from "./configFile.ts"
import { resolve } from "./resolve.ts"

/** Every setting of every command: what a configuration file may have. */
export const everySetting: ReadonlyArray<Setting.Setting<unknown>> = [
  ...Object.values<Setting.Setting<unknown>>(settings),
  ...Object.values<Setting.Setting<unknown>>(Backends.settings)
]

/** The flags of these settings, and `--config`. */
export const flags = <All extends Setting.Settings>(all: All): Setting.Flags<All & Common> =>
  Object.fromEntries(
    Object.entries<Setting.Setting<unknown>>({ ...all, ...common }).map(([key, setting]) => [
      key,
      Setting.flag(setting)
    ])
    // One flag for each of them.
  ) as Setting.Flags<All & Common>

/** Their values, from wherever they are given. */
export const values = Effect.fnUntraced(function* <All extends Setting.Settings>(
  all: All,
  given: Setting.Given<All & Common>
): Effect.fn.Return<Setting.Values<All>, BackendError, FileSystem.FileSystem> {
  const { config } = yield* resolve(common, given, ConfigFile.none)
  const file = yield* ConfigFile.read(config, Process.cwd(), everySetting)
  return yield* resolve(all, given, file)
})

const common = { config: settings.config }

type Common = typeof common
