import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect, Redacted, Result } from "effect"
import * as Arguments from "../../../src/programs/kro-runner/Arguments.ts"
import * as Settings from "../../../src/programs/kro-runner/Settings.ts"

const read = (env: Record<string, string>, ...argv: ReadonlyArray<string>) =>
  Effect.provide(
    Settings.read(Result.getOrThrow(Arguments.parse(argv))),
    ConfigProvider.layer(ConfigProvider.fromEnvRecord(env))
  )

describe("Settings", () => {
  it.effect("has kro-actions-runner's defaults", () =>
    Effect.gen(function* () {
      const settings = yield* read({})
      assert.strictEqual(settings.runnerName, "runner")
      assert.isUndefined(settings.scaleSetName)
      assert.isUndefined(settings.jitConfig)
      assert.strictEqual(Duration.toMinutes(settings.cleanupTimeout), 5)
      assert.isFalse(Duration.isFinite(settings.totalTimeout))
      assert.deepInclude(settings, { owner: "pod", legacyExit: false, strict: false, logFormat: "plain", warnings: [] })
    })
  )

  it.effect("reads its variables, and prefers flags", () =>
    Effect.gen(function* () {
      const env = {
        RUNNER_NAME: "env-r",
        ACTIONS_RUNNER_SCALE_SET_NAME: "env-s",
        SCALE_SET_NAME: "never looked at",
        ACTIONS_RUNNER_INPUT_JITCONFIG: "env-jit",
        KAR_CLEANUP_TIMEOUT: "1h30m"
      }
      const fromEnv = yield* read(env)
      assert.deepInclude(fromEnv, { runnerName: "env-r", scaleSetName: "env-s" })
      assert.strictEqual(Redacted.value(fromEnv.jitConfig!), "env-jit")
      assert.strictEqual(Duration.toMinutes(fromEnv.cleanupTimeout), 90)
      const fromFlags = yield* read(env, "-r", "flag-r", "-s", "flag-s", "-c", "flag-jit")
      assert.deepInclude(fromFlags, { runnerName: "flag-r", scaleSetName: "flag-s" })
      assert.strictEqual(Redacted.value(fromFlags.jitConfig!), "flag-jit")
    })
  )

  it.effect("takes empty for not set", () =>
    Effect.gen(function* () {
      const settings = yield* read(
        { RUNNER_NAME: "", ACTIONS_RUNNER_INPUT_JITCONFIG: "", KAR_CLEANUP_TIMEOUT: "" },
        "-s",
        ""
      )
      assert.deepInclude(settings, { runnerName: "runner", warnings: [] })
      assert.isUndefined(settings.jitConfig)
      assert.isUndefined(settings.scaleSetName)
    })
  )

  it.effect("falls back, with a warning, where a duration is none", () =>
    Effect.gen(function* () {
      const settings = yield* read({ KAR_CLEANUP_TIMEOUT: "5 minutes" })
      assert.strictEqual(Duration.toMinutes(settings.cleanupTimeout), 5)
      assert.deepStrictEqual(settings.warnings, [
        "KAR_CLEANUP_TIMEOUT is no duration (as in 90s, 10m, 1h30m); it is 5m0s"
      ])
      assert.isTrue(Duration.isZero((yield* read({ KAR_CLEANUP_TIMEOUT: "0s" })).cleanupTimeout))
    })
  )

  it.effect("reads fields of the instance", () =>
    Effect.gen(function* () {
      const { values } = yield* read({ KAR_SPEC: '{"count":2,"size":"s"}' }, "--set", "size=l", "--set", "text=a=b")
      assert.deepStrictEqual(values, { count: 2, size: "l", text: "a=b" })
    })
  )

  it.effect.each([
    [{ KAR_SPEC: "no" }, [], "KAR_SPEC is no JSON object"],
    [{ KAR_SPEC: "[]" }, [], "KAR_SPEC is no JSON object"],
    [{ KAR_OWNER: "me" }, [], "KAR_OWNER is not one of pod, ephemeralrunner"],
    [{ KAR_LOG_FORMAT: "xml" }, [], "KAR_LOG_FORMAT is not one of plain, json"],
    [{}, ["--set", "novalue"], "--set needs FIELD=VALUE"]
  ] as ReadonlyArray<[Record<string, string>, ReadonlyArray<string>, string]>)(
    "refuses %j %j",
    ([env, argv, expected]) =>
      Effect.map(Effect.flip(read(env, ...argv)), (problem) => assert.strictEqual(problem, expected))
  )

  it.effect("does not show the JIT configuration when it is printed", () =>
    Effect.gen(function* () {
      const settings = yield* read({ ACTIONS_RUNNER_INPUT_JITCONFIG: "s3cret" })
      assert.notInclude(`${JSON.stringify(settings)}${String(settings)}`, "s3cret")
    })
  )
})
