/** A stage while its instructions are gone through, and what words mean in it. */
import * as Result from "effect/Result"
import type { From, Instruction } from "../Dockerfile.ts"
import { type At, invalid, type Refusal } from "../Refusal.ts"
import { type Action, type Directory, NeedsConfig, type Stage } from "../Stage.ts"
import * as Word from "../Word.ts"
import { cleanPath } from "./paths.ts"

/** A stage while its instructions are gone through. */
export interface State {
  readonly from: From
  readonly image: string
  /** The variables of the base image, if they are known. */
  readonly baseEnv: ReadonlyMap<string, string> | undefined
  readonly actions: Array<Action>
  readonly buildEnv: Map<string, Word.Template>
  readonly env: Map<string, Word.Template>
  directory: Directory
  user: string | undefined
  shell: ReadonlyArray<string>
  entrypoint: ReadonlyArray<string> | undefined
  cmd: ReadonlyArray<string> | undefined
  cmdIsSet: boolean
}

/** A stage as it is written. */
export interface WrittenStage {
  readonly index: number
  readonly from: From
  readonly commands: ReadonlyArray<Instruction>
}

/** What an instruction may look at besides its own stage. */
export interface Surroundings {
  readonly globals: ReadonlyMap<string, Word.Template>
  readonly escapeToken: string
  readonly stages: ReadonlyArray<Stage>
  readonly written: ReadonlyArray<WrittenStage>
  readonly index: number
}

/** The runtime sets these, whatever the image says: only its configuration tells whether the Dockerfile could have meant them. */
const ofTheRuntime = /^(HOME|HOSTNAME|PWD|OLDPWD|SHLVL|TERM|_|KUBERNETES_\w*|\w+_SERVICE_(HOST|PORT)\w*)$/

/** The value of a word in a stage, with what is left to the container in it. */
export const expandIn = (
  state: State,
  at: At,
  word: string,
  escapeToken: string,
  plainQuotes = false
): Result.Result<Word.Template, Refusal | NeedsConfig> => {
  const { baseEnv, buildEnv } = state
  const lookup: Word.Lookup = (name) => {
    const own = buildEnv.get(name)
    if (own !== undefined) return own
    if (baseEnv === undefined) return "unknown"
    const value = baseEnv.get(name)
    return value === undefined ? undefined : [value]
  }
  const expanded = Word.expand(word, lookup, plainQuotes ? { plainQuotes } : { escapeToken })
  if (Result.isFailure(expanded)) {
    const { detail, variable } = expanded.failure
    return Result.fail(variable === undefined ? invalid(at, detail) : needs(state, at, `for the value of ${variable}`))
  }
  const hidden =
    baseEnv !== undefined ? undefined : Word.variablesOf(expanded.success).find((name) => ofTheRuntime.test(name))
  return hidden === undefined
    ? Result.succeed(expanded.success)
    : Result.fail(needs(state, at, `for the value of ${hidden}`))
}

/** The same where nothing may be left to the container. */
export const textIn = (
  state: State,
  at: At,
  word: string,
  escapeToken: string,
  plainQuotes = false
): Result.Result<string, Refusal | NeedsConfig> =>
  Result.flatMap(expandIn(state, at, word, escapeToken, plainQuotes), (template) => {
    const text = Word.textOf(template)
    return text === undefined
      ? Result.fail(needs(state, at, `for the value of ${Word.variablesOf(template)[0]}`))
      : Result.succeed(text)
  })

const needs = ({ image }: State, at: At, why: string): NeedsConfig => new NeedsConfig({ image, at, why })

/** A path of the stage, relative to its working directory. */
export const inside = ({ fromBase, path: directory }: Directory, path: string): Directory =>
  path.startsWith("/")
    ? { fromBase: false, path: cleanPath(path) }
    : { fromBase, path: cleanPath(`${directory}/${path}`) }

/** The stage that a COPY names, by number or by name. */
export const stageNamed = (written: ReadonlyArray<WrittenStage>, name: string): WrittenStage | undefined =>
  /^\d+$/.test(name)
    ? written[Number(name)]
    : written.findLast(({ from }) => from.name !== undefined && from.name === name.toLowerCase())
