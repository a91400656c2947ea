import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as OutputSettings from "../../../../src/programs/console/internal/OutputSettings.ts"

const variables = (env: Record<string, string>) =>
  Effect.provide(OutputSettings.variables, ConfigProvider.layer(ConfigProvider.fromEnvRecord(env)))

const looks = ({ ansi, color, renderer, timestamps }: OutputSettings.OutputSettings) =>
  [renderer, timestamps, color ? "colour" : "", ansi ? "ansi" : ""].join(" ").trim().replace(/ +/g, " ")

describe("OutputSettings", () => {
  it.effect.each([
    [true, {}, {}, "live elapsed colour ansi"],
    [true, { CI: "true" }, {}, "plain elapsed colour ansi"],
    [true, { CI: "false" }, {}, "live elapsed colour ansi"],
    [true, { CI: "" }, {}, "live elapsed colour ansi"],
    [true, { TERM: "dumb" }, {}, "plain elapsed ansi"],
    [true, { NO_COLOR: "1" }, {}, "live elapsed ansi"],
    [true, { NO_COLOR: "" }, {}, "live elapsed colour ansi"],
    [false, {}, {}, "plain none ansi"],
    [false, { NO_COLOR: "1" }, {}, "plain none"],
    [false, { FORCE_COLOR: "1" }, {}, "plain none colour ansi"],
    [false, { FORCE_COLOR: "1", NO_COLOR: "1" }, {}, "plain none colour ansi"],
    [true, { FORCE_COLOR: "0" }, {}, "live elapsed ansi"],
    [false, {}, { renderer: "live", timestamps: "utc" }, "live utc ansi"],
    [true, {}, { renderer: "silent" }, "silent elapsed colour ansi"],
    [true, {}, { renderer: "plain", timestamps: "none" }, "plain none colour ansi"]
  ] as const)("%o", ([terminal, env, wanted, expected]) =>
    Effect.map(variables(env), (found) =>
      assert.strictEqual(looks(OutputSettings.decide({ terminal, variables: found }, wanted)), expected)
    )
  )
})
