/** A script step as a program in sh: its variables, its directory, its command. */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as EnvVars from "../../../domain/EnvVars.ts"
import { type BackendError, fail, InvalidInput } from "../../../domain/JobError.ts"
import type { ScriptStep } from "../../../domain/Step.ts"
import * as StepCommand from "../../../domain/StepCommand.ts"
import { markerVariable, quote } from "./podScripts.ts"

/** Linux refuses a longer argument or variable, its name and the end included (MAX_ARG_STRLEN). */
const longest = 128 * 1024

/** Names that sh can hand on; others, such as `INPUT_WHO-TO-GREET`, need `env`. */
const identifier = /^[A-Za-z_][A-Za-z0-9_]*$/

/** Variables that are the shell's own: setting them there ends or changes it. */
const shellOwn = new Set(
  "BASHOPTS BASHPID BASH_VERSINFO DIRSTACK EUID FUNCNAME GROUPS HISTCMD IFS LINENO OLDPWD OPTIND PATH PPID PWD RANDOM SECONDS SHELLOPTS UID _".split(
    " "
  )
)

/** What the program needs to know beyond the step. */
export interface Setting {
  readonly id: string
  readonly workingDirectory: string
  /** Where the container sees the step's files. */
  readonly filePath: (name: string) => string
  /** A file with the job's variables (`jobVariables`), where they are not the container's own. */
  readonly variables?: string
}

/** The name under which a step's own script is among its files; step files never begin with a dot. */
export const scriptName = ".script"

/**
 * The program. Fails with `InvalidInput` for a variable that no process can be given, named but never shown.
 */
export const stepProgram = Effect.fnUntraced(function* (
  step: ScriptStep,
  setting: Setting
): Effect.fn.Return<string, BackendError> {
  const env = EnvVars.reveal(step.env)
  for (const { name, variable } of step.files) if (variable !== undefined) env[variable] = setting.filePath(name)
  env[markerVariable] = setting.id
  const path = env.PATH
  delete env.PATH
  const { exported, handed } = yield* lines(env)
  const ahead = step.prependPath.map(quote).join(":")
  const base = path === undefined ? '"$PATH"' : quote(path)
  const refusal = `The working directory ${setting.workingDirectory} cannot be entered`
  const command = StepCommand.commandLine(step, setting.filePath(scriptName))
  return [
    "d=$1",
    `CDPATH= cd -- ${quote(setting.workingDirectory)} 2>/dev/null || { echo ${quote(refusal)} >"$d/refused"; exit 1; }`,
    ...(setting.variables === undefined ? [] : [withVariables(quote(setting.variables))]),
    'echo $$ >"$d/pid"',
    ...(setting.variables === undefined ? [] : [`. ${quote(setting.variables)}`]),
    ...exported,
    ...(ahead === "" && path === undefined ? [] : [`export PATH=${ahead === "" ? base : `${ahead}:${base}`}`]),
    `exec ${setting.variables === undefined ? "" : '"$@" '}${handed.length === 0 ? "" : `env ${handed.join(" ")} `}${command}`,
    ""
  ].join("\n")
})

/**
 * The job's variables as a file for programs with `variables`: it leaves in the positional parameters what the step's command is to be started by.
 */
export const jobVariables = Effect.fnUntraced(function* (env: EnvVars.EnvVars): Effect.fn.Return<string, BackendError> {
  const { exported, handed } = yield* lines(EnvVars.reveal(env))
  return [`set -- ${handed.length === 0 ? "" : `env ${handed.join(" ")}`}`, ...exported, ""].join("\n")
})

/** A container that was started anew has no such file, and nothing else of the job either. */
const withVariables = (file: string): string =>
  `[ -r ${file} ] || { echo "The job's variables are gone: its container was started again" >"$d/refused"; exit 1; }`

/** What a shell exports itself, and what only `env` can hand on. */
const lines = Effect.fnUntraced(function* (env: Readonly<Record<string, string>>) {
  const invalid = Object.entries(env).map(problemOf).find(Result.isFailure)
  if (invalid !== undefined) return yield* fail(invalid.failure)
  const exported: Array<string> = []
  const handed: Array<string> = []
  for (const [name, value] of Object.entries(env)) {
    if (identifier.test(name) && !shellOwn.has(name)) exported.push(`export ${name}=${quote(value)}`)
    else handed.push(quote(`${name}=${value}`))
  }
  return { exported, handed }
})

const problemOf = ([name, value]: readonly [string, string]): Result.Result<void, InvalidInput> => {
  const input = `the variable ${JSON.stringify(name)}`
  if (name === "" || name.includes("=") || name.includes("\0")) {
    return Result.fail(new InvalidInput({ input, detail: "no process can be given a variable of this name" }))
  }
  if (value.includes("\0")) {
    return Result.fail(new InvalidInput({ input, detail: "its value has a NUL, which ends a value" }))
  }
  const bytes = new TextEncoder().encode(`${name}=${value}`).length + 1
  return bytes <= longest
    ? Result.succeed(undefined)
    : Result.fail(
        new InvalidInput({
          input,
          detail: `it has ${bytes} bytes, and Linux hands no process a variable above ${longest}; put it into a file`
        })
      )
}
