/**
 * The command line: kro-actions-runner's flags, with shorthands that work, and ours. Pure, and by hand: the help must never show a value, and
 * every millisecond of the start is a runner's.
 */
import * as Result from "effect/Result"

/** @category models */
export interface Arguments {
  readonly command: "run" | "check" | "role" | "help" | "version"
  /** Values by the long name of the flag. */
  readonly flags: ReadonlyMap<string, string>
  /** `name=value` of every `--set`. */
  readonly set: ReadonlyArray<string>
}

interface Flag {
  readonly name: string
  readonly short?: string
  readonly argument?: string
  readonly text: string
}

const flags: ReadonlyArray<Flag> = [
  {
    name: "scale-set-name",
    short: "s",
    argument: "NAME",
    text: "Scale set whose ResourceGraphDefinition to use. Default: $ACTIONS_RUNNER_SCALE_SET_NAME, else the runner pod's label"
  },
  {
    name: "runner-name",
    short: "r",
    argument: "NAME",
    text: "Name of the runner pod. Default: $RUNNER_NAME, else runner"
  },
  {
    name: "actions-runner-input-jitconfig",
    short: "c",
    argument: "TEXT",
    text: "The runner's JIT configuration. Default: $ACTIONS_RUNNER_INPUT_JITCONFIG, where other users cannot read it"
  },
  {
    name: "rgd",
    argument: "NAME",
    text: "ResourceGraphDefinition to use, in place of the one with the scale set's label. Default: $KAR_RGD"
  },
  {
    name: "set",
    argument: "FIELD=VALUE",
    text: "A field of the instance's spec; may be repeated. Default: $KAR_SPEC, JSON"
  },
  { name: "namespace", short: "n", argument: "NAME", text: "Namespace of the runner pod" },
  { name: "help", short: "h", text: "Show this text" },
  { name: "version", text: "Show the version" }
]

const commands = ["check", "role", "help", "version"] as const

/**
 * Reads the arguments. Positional ones other than a command are accepted and ignored, as ever.
 *
 * @category decoding
 */
export const parse = (argv: ReadonlyArray<string>): Result.Result<Arguments, string> => {
  const values = new Map<string, string>()
  const set: Array<string> = []
  const positional: Array<string> = []
  for (let index = 0; index < argv.length; index++) {
    const argument = argv[index] ?? ""
    if (argument === "--") {
      positional.push(...argv.slice(index + 1))
      break
    }
    const given = /^--([^=]*)(?:=(.*))?$/s.exec(argument) ?? /^-([^-])(?:=?(.+))?$/s.exec(argument)
    if (given === null) {
      positional.push(argument)
      continue
    }
    const long = argument.startsWith("--")
    const flag = flags.find(({ name, short }) => (long ? name === given[1] : short === given[1]))
    // Only the name: what follows it may be a secret.
    if (flag === undefined) return Result.fail(`unknown flag ${long ? "--" : "-"}${given[1]}`)
    if (flag.argument === undefined) {
      values.set(flag.name, "true")
      continue
    }
    const value = given[2] ?? (long && argument.includes("=") ? "" : argv[++index])
    if (value === undefined) return Result.fail(`the flag --${flag.name} needs a value`)
    if (flag.name === "set") set.push(value)
    else values.set(flag.name, value)
  }
  const command = values.has("help")
    ? "help"
    : values.has("version")
      ? "version"
      : (commands.find((known) => known === positional[0]) ?? "run")
  return Result.succeed({ command, flags: values, set })
}

/**
 * The text of `--help`. The same whatever the variables are: no value of theirs is in it.
 *
 * @category formatting
 */
export const help: string = [
  "Runs a GitHub Actions runner in an instance of a KRO ResourceGraphDefinition, and waits for its end.",
  "",
  "Usage:",
  "  kro-runner [flags]         run, in the `runner` container of a runner pod of ARC",
  "  kro-runner check [flags]   look for mistakes in the ResourceGraphDefinition, and for missing rights",
  "  kro-runner role [flags]    print the Roles that it needs",
  "",
  "Flags:",
  ...flags.map(({ argument, name, short, text }) => {
    const left = `${short === undefined ? "    " : `-${short}, `}--${name}${argument === undefined ? "" : ` ${argument}`}`
    return `  ${left.padEnd(45)} ${text}`
  }),
  "",
  "Variables:",
  ...[
    ["KAR_PROVISION_TIMEOUT", "Until the runner runs. Default 15m"],
    ["KAR_TOTAL_TIMEOUT", "For everything but the release. Default: none"],
    ["KAR_CLEANUP_TIMEOUT", "For the release, less where the pod's grace period ends earlier. Default 5m"],
    ["KAR_STUCK_TIMEOUT", "For what hardly heals, such as an image that cannot be pulled. Default 1m"],
    ["KAR_OWNER", "Who owns the instance: pod (default), or ephemeralrunner, so that a running job outlives this pod"],
    ["KAR_JIT_SECRET", "The Secret that is passed on: arc, own (with both keys), or auto (default)"],
    ["KAR_RUNNER_IMAGE", "Value for a field `image`"],
    ["KAR_STRICT", "true: refuse ResourceGraphDefinitions that tell only by readiness that the runner ended"],
    ["KAR_EXIT_MODE", "legacy: always exit with 0, as kro-actions-runner does"],
    ["KAR_LOG_FORMAT", "plain (default) or json"],
    ["KAR_LOG_LEVEL", "debug, info (default), warn or error"],
    ["KAR_TERMINATION_LOG", "Where the cause is written. Default /dev/termination-log"]
  ].map(([name = "", text]) => `  ${name.padEnd(24)} ${text}`),
  "",
  "Durations are written as in Go: 90s, 10m, 1h30m.",
  "Exit codes: 0 the runner finished, 1 it did not, 2 wrong arguments, 7 the runner is too old, 143 and 130 stopped by a signal.",
  ""
].join("\n")
