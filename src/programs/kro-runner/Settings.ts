/**
 * All that the runner is told by flags and variables. Names, precedence and defaults of kro-actions-runner are kept.
 */
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { Arguments } from "./Arguments.ts"
import * as GoDuration from "./GoDuration.ts"

/** @category models */
export interface Settings {
  readonly runnerName: string
  /** Left out, the runner pod's label tells. */
  readonly scaleSetName?: string
  readonly jitConfig?: Redacted.Redacted
  readonly rgd?: string
  readonly namespace?: string
  /** Fields of the instance's spec that were asked for by name. */
  readonly values: Readonly<Record<string, unknown>>
  readonly image?: string
  readonly provisionTimeout: Duration.Duration
  readonly totalTimeout: Duration.Duration
  readonly cleanupTimeout: Duration.Duration
  readonly stuckTimeout: Duration.Duration
  readonly owner: "pod" | "ephemeralrunner"
  readonly jitSecret: "auto" | "arc" | "own"
  readonly strict: boolean
  readonly legacyExit: boolean
  readonly logFormat: "plain" | "json"
  readonly logLevel: "Debug" | "Info" | "Warn" | "Error"
  readonly terminationLog: string
  readonly proxies: { readonly http: string; readonly https: string; readonly no: string }
  readonly extraUserAgent: string
  /** ARC wants to be told by exit code 7 that a runner is too old. */
  readonly returnVersionDeprecated: boolean
  /** What was not understood, and what is done instead. */
  readonly warnings: ReadonlyArray<string>
}

/**
 * Reads them. Only what cannot be meant is an error; a duration that is none falls back, with a warning, as ever.
 *
 * @category decoding
 */
export const read = Effect.fnUntraced(function* (args: Arguments): Effect.fn.Return<Settings, string> {
  const warnings: Array<string> = []
  /** Empty is not set. */
  const variable = (...names: ReadonlyArray<string>) =>
    Effect.map(
      Effect.forEach(names, (name) => Effect.orDie(Config.option(Config.String(name)))),
      (found) => found.map(Option.getOrUndefined).find((value) => value !== undefined && value !== "")
    )
  const given = (flag: string) => (args.flags.get(flag) === "" ? undefined : args.flags.get(flag))
  const duration = Effect.fnUntraced(function* (name: string, fallback: Duration.Duration) {
    const text = yield* variable(name)
    if (text === undefined) return fallback
    const parsed = GoDuration.parse(text.trim())
    if (parsed === undefined) {
      warnings.push(`${name} is no duration (as in 90s, 10m, 1h30m); it is ${GoDuration.format(fallback)}`)
    }
    return parsed ?? fallback
  })
  const choice = Effect.fnUntraced(function* <A extends string>(name: string, allowed: readonly [A, ...Array<A>]) {
    const text = yield* variable(name)
    const found = allowed.find((value) => value === text?.toLowerCase())
    if (text !== undefined && found === undefined)
      return yield* Effect.fail(`${name} is not one of ${allowed.join(", ")}`)
    return found ?? allowed[0]
  })

  const jit = given("actions-runner-input-jitconfig") ?? (yield* variable("ACTIONS_RUNNER_INPUT_JITCONFIG"))
  const scaleSetName = given("scale-set-name") ?? (yield* variable("ACTIONS_RUNNER_SCALE_SET_NAME"))
  const rgd = given("rgd") ?? (yield* variable("KAR_RGD"))
  const image = yield* variable("KAR_RUNNER_IMAGE")
  const namespace = given("namespace")
  const total = yield* duration("KAR_TOTAL_TIMEOUT", Duration.zero)
  const strict = yield* choice("KAR_STRICT", ["false", "true", "1", "0"])
  const level = yield* choice("KAR_LOG_LEVEL", ["info", "debug", "warn", "error"])
  return {
    runnerName: given("runner-name") ?? (yield* variable("RUNNER_NAME")) ?? "runner",
    ...(scaleSetName === undefined ? {} : { scaleSetName }),
    ...(jit === undefined ? {} : { jitConfig: Redacted.make(jit) }),
    ...(rgd === undefined ? {} : { rgd }),
    ...(namespace === undefined ? {} : { namespace }),
    values: yield* valuesOf(yield* variable("KAR_SPEC"), args.set),
    ...(image === undefined ? {} : { image }),
    provisionTimeout: yield* duration("KAR_PROVISION_TIMEOUT", Duration.minutes(15)),
    totalTimeout: Duration.isZero(total) ? Duration.infinity : total,
    cleanupTimeout: yield* duration("KAR_CLEANUP_TIMEOUT", Duration.minutes(5)),
    stuckTimeout: yield* duration("KAR_STUCK_TIMEOUT", Duration.minutes(1)),
    owner: yield* choice("KAR_OWNER", ["pod", "ephemeralrunner"]),
    jitSecret: yield* choice("KAR_JIT_SECRET", ["auto", "arc", "own"]),
    strict: strict === "true" || strict === "1",
    legacyExit: (yield* choice("KAR_EXIT_MODE", ["strict", "legacy"])) === "legacy",
    logFormat: yield* choice("KAR_LOG_FORMAT", ["plain", "json"]),
    logLevel: ({ info: "Info", debug: "Debug", warn: "Warn", error: "Error" } as const)[level],
    terminationLog: (yield* variable("KAR_TERMINATION_LOG")) ?? "/dev/termination-log",
    proxies: {
      http: (yield* variable("http_proxy", "HTTP_PROXY")) ?? "",
      https: (yield* variable("https_proxy", "HTTPS_PROXY")) ?? "",
      no: (yield* variable("no_proxy", "NO_PROXY")) ?? ""
    },
    extraUserAgent: (yield* variable("GITHUB_ACTIONS_RUNNER_EXTRA_USER_AGENT")) ?? "",
    returnVersionDeprecated: (yield* variable("ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE")) === "1",
    warnings
  }
})

/** Values of `--set` are texts; the schema makes numbers of them where it wants some. */
const valuesOf = Effect.fnUntraced(function* (json: string | undefined, set: ReadonlyArray<string>) {
  const values: Record<string, unknown> = {}
  if (json !== undefined) {
    const parsed = Result.try((): unknown => JSON.parse(json))
    if (Result.isFailure(parsed) || !Predicate.isObject(parsed.success)) {
      return yield* Effect.fail("KAR_SPEC is no JSON object")
    }
    Object.assign(values, parsed.success)
  }
  for (const entry of set) {
    const equals = entry.indexOf("=")
    if (equals < 1) return yield* Effect.fail("--set needs FIELD=VALUE")
    values[entry.slice(0, equals)] = entry.slice(equals + 1)
  }
  return values
})
