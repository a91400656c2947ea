/**
 * A Dockerfile's stages with every variable replaced: what happens in which image, in order.
 *
 * **Details**
 *
 * Pure. Only stages that the last one needs are there. What depends on a base image's own configuration (an inherited entry point, a
 * relative path made of one of its variables) is asked for by `NeedsConfig`: with that configuration among the options the same call
 * goes on. `PATH` and other variables of the base image need no configuration where the container can expand them itself.
 */
import * as Result from "effect/Result"
import type { Command, Dockerfile, From, Instruction } from "./Dockerfile.ts"
import * as DockerfileParser from "./Dockerfile.ts"
import type { ImageConfig } from "./ImageConfig.ts"
import { copyAction, runAction } from "./internal/stageActions.ts"
import {
  expandIn,
  inside,
  type State,
  type Surroundings,
  stageNamed,
  textIn,
  type WrittenStage
} from "./internal/stageState.ts"
import { type At, invalid, needsBuilder, Refusal } from "./Refusal.ts"
import { NeedsConfig, type Settings, type Stage, type Stages } from "./Stage.ts"
import * as Word from "./Word.ts"

/** @category options */
export interface Options {
  /** In place of the Dockerfile's, whose CMD is then dropped, too. */
  readonly entryPoint?: ReadonlyArray<string> | undefined
  /** In place of CMD, where there are any. */
  readonly args?: ReadonlyArray<string> | undefined
  /** Go's name. Default `amd64`. */
  readonly architecture?: string | undefined
  /** By image, as written in the Dockerfile. */
  readonly configs?: ReadonlyMap<string, ImageConfig> | undefined
  /** Goes on only with the configuration of every base image. Default false. */
  readonly everyConfig?: boolean | undefined
}

/**
 * Evaluates a Dockerfile.
 *
 * @category constructors
 */
export const evaluate = (dockerfile: Dockerfile, options: Options = {}): Result.Result<Stages, Refusal | NeedsConfig> =>
  Result.gen(function* () {
    const architecture = options.architecture ?? "amd64"
    const { escapeToken } = dockerfile.directives
    const globals = yield* globalArgs(dockerfile, architecture, escapeToken)
    const written = stagesOf(dockerfile)
    const needed = neededOf(written)
    const stages: Array<Stage> = []
    for (const { commands, from, index } of written) {
      if (!needed.has(index)) continue
      const image = yield* literal(from.at, from.image, (name) => globals.get(name), escapeToken)
      if (image === "") return yield* Result.fail(invalid(from.at, `base name (${from.image}) should not be blank`))
      yield* checkPlatform(from, globals, escapeToken, architecture)
      const base = stages.find(({ name }) => name !== undefined && name === image.toLowerCase())
      const config = base === undefined ? options.configs?.get(image) : undefined
      if (options.everyConfig === true && base === undefined && config === undefined && image !== "scratch") {
        return yield* Result.fail(new NeedsConfig({ image, at: from.at, why: "for what it says of itself" }))
      }
      const state = makeState(from, base, image, config)
      const triggers = config?.onBuild ?? []
      const all: Array<Instruction> = []
      for (const trigger of triggers) all.push(yield* DockerfileParser.parseTrigger(trigger))
      for (const instruction of [...all, ...commands]) {
        yield* perform(state, instruction, { globals, escapeToken, stages, written, index })
      }
      stages.push({
        index,
        name: from.name,
        at: from.at,
        image: base?.image ?? image,
        baseEnv: state.baseEnv,
        actions: state.actions,
        settings: settingsOf(state)
      })
    }
    const last = stages.at(-1)!
    return { stages, argv: yield* argvOf(last, options) }
  })

const makeState = (from: From, base: Stage | undefined, image: string, config: ImageConfig | undefined): State => {
  if (base !== undefined) {
    const { settings } = base
    return {
      from,
      image: base.image,
      baseEnv: base.baseEnv,
      // The same container goes on, so what was done in it is done in this one.
      actions: [...base.actions],
      buildEnv: new Map(settings.env),
      env: new Map(settings.env),
      directory: settings.directory,
      user: settings.user,
      shell: settings.shell,
      entrypoint: settings.entrypoint,
      cmd: settings.cmd,
      cmdIsSet: false
    }
  }
  const scratch = image === "scratch"
  return {
    from,
    image,
    baseEnv: scratch ? new Map() : config?.env,
    actions: [],
    buildEnv: new Map(),
    env: new Map(),
    directory: scratch
      ? { fromBase: false, path: "/" }
      : { fromBase: config === undefined, path: config?.workingDirectory ?? "." },
    user: scratch ? "0" : config === undefined ? undefined : config.user || "0",
    shell: config?.shell ?? ["/bin/sh", "-c"],
    entrypoint: scratch ? [] : config?.entrypoint,
    cmd: scratch ? [] : config?.cmd,
    cmdIsSet: false
  }
}

const settingsOf = ({ buildEnv, cmd, directory, entrypoint, env, shell, user }: State): Settings => ({
  buildEnv,
  env,
  directory,
  user,
  shell,
  entrypoint,
  cmd
})

const perform = (
  state: State,
  instruction: Instruction,
  around: Surroundings
): Result.Result<void, Refusal | NeedsConfig> =>
  Result.gen(function* () {
    const { at } = instruction
    const { escapeToken } = around
    switch (instruction._tag) {
      case "Run":
        state.actions.push(yield* runAction(state, instruction, around))
        return
      case "Copy":
        state.actions.push(yield* copyAction(state, instruction, around))
        return
      case "Env": {
        // All of a line see the variables as they were before it.
        const values: Array<readonly [string, Word.Template]> = []
        for (const { name, value } of instruction.pairs) {
          values.push([yield* textIn(state, at, name, escapeToken), yield* expandIn(state, at, value, escapeToken)])
        }
        for (const [name, value] of values) {
          state.env.set(name, value)
          state.buildEnv.set(name, value)
        }
        return
      }
      case "Arg":
        for (const { name, value } of instruction.args) {
          const key = yield* textIn(state, at, name, escapeToken)
          const given = value === undefined ? around.globals.get(key) : yield* expandIn(state, at, value, escapeToken)
          if (given !== undefined) state.buildEnv.set(key, given)
        }
        return
      case "Workdir": {
        const path = yield* textIn(state, at, instruction.path, escapeToken)
        state.directory = inside(state.directory, path === "" ? "." : path)
        state.actions.push({ _tag: "Directory", at, directory: state.directory, owner: state.user })
        return
      }
      case "Volume":
        for (const path of instruction.paths) {
          const directory = inside({ fromBase: false, path: "/" }, yield* textIn(state, at, path, escapeToken))
          state.actions.push({ _tag: "Directory", at, directory, owner: undefined })
        }
        return
      case "User": {
        const user = yield* textIn(state, at, instruction.user, escapeToken)
        if (user === "") return yield* Result.fail(invalid(at, "the user is empty"))
        state.user = user
        return
      }
      case "Shell":
        state.shell = instruction.argv
        return
      case "Entrypoint":
        state.entrypoint = argvIn(state, instruction.command)
        if (!state.cmdIsSet) state.cmd = []
        return
      case "Cmd":
        state.cmd = argvIn(state, instruction.command)
        state.cmdIsSet = true
        return
      case "From":
      case "Label":
      case "Ignored":
        return
    }
  })

const argvIn = ({ shell }: State, command: Command): ReadonlyArray<string> =>
  command._tag === "Exec" ? command.argv : command.text === "" ? [] : [...shell, command.text]

/** What the container runs: the caller's entry point over the Dockerfile's over the base image's. */
const argvOf = (
  { at, image, settings }: Stage,
  { args = [], entryPoint }: Options
): Result.Result<ReadonlyArray<string>, Refusal | NeedsConfig> => {
  if (entryPoint !== undefined && entryPoint.length > 0) return Result.succeed([...entryPoint, ...args])
  const { cmd, entrypoint } = settings
  if (entrypoint === undefined || (args.length === 0 && cmd === undefined)) {
    const why = entrypoint === undefined ? "for the ENTRYPOINT, of which the Dockerfile has none" : "for its CMD"
    return Result.fail(new NeedsConfig({ image, at, why }))
  }
  const argv = [...entrypoint, ...(args.length > 0 ? args : (cmd ?? []))]
  if (argv.length > 0) return Result.succeed(argv)
  return Result.fail(
    new Refusal({
      line: 0,
      text: "",
      detail:
        "Neither the Dockerfile nor its base image has an ENTRYPOINT or a CMD, and action.yml names no entrypoint",
      who: "author",
      hint: "add an ENTRYPOINT to the Dockerfile."
    })
  )
}

const stagesOf = ({ instructions }: Dockerfile): ReadonlyArray<WrittenStage> => {
  const stages: Array<{ index: number; from: From; commands: Array<Instruction> }> = []
  for (const instruction of instructions) {
    if (instruction._tag === "From") stages.push({ index: stages.length, from: instruction, commands: [] })
    else stages.at(-1)?.commands.push(instruction)
  }
  return stages
}

const neededOf = (written: ReadonlyArray<WrittenStage>): ReadonlySet<number> => {
  const needed = new Set<number>()
  const todo = [written.length - 1]
  for (let index = todo.pop(); index !== undefined; index = todo.pop()) {
    const stage = written[index]
    if (stage === undefined || needed.has(index)) continue
    needed.add(index)
    const names = [
      stage.from.image,
      ...stage.commands.flatMap((command) => (command._tag === "Copy" ? (command.from ?? []) : []))
    ]
    for (const name of names) {
      const other = /^\d+$/.test(name) && name === stage.from.image ? undefined : stageNamed(written, name)
      if (other !== undefined && other.index < index) todo.push(other.index)
    }
  }
  return needed
}

const globalArgs = (
  { instructions }: Dockerfile,
  architecture: string,
  escapeToken: string
): Result.Result<ReadonlyMap<string, Word.Template>, Refusal | NeedsConfig> =>
  Result.gen(function* () {
    const [arch = "", variant = ""] = architecture.split("/")
    const globals = new Map<string, Word.Template>()
    for (const side of ["BUILD", "TARGET"]) {
      globals.set(`${side}PLATFORM`, [`linux/${architecture}`])
      globals.set(`${side}OS`, ["linux"])
      globals.set(`${side}ARCH`, [arch])
      globals.set(`${side}VARIANT`, variant === "" ? [] : [variant])
    }
    for (const instruction of instructions) {
      if (instruction._tag !== "Arg") break
      for (const { name, value } of instruction.args) {
        if (value === undefined) continue
        globals.set(name, [yield* literal(instruction.at, value, (name) => globals.get(name), escapeToken)])
      }
    }
    return globals
  })

const literal = (at: At, word: string, lookup: Word.Lookup, escapeToken: string): Result.Result<string, Refusal> => {
  const expanded = Word.expand(word, lookup, { escapeToken })
  if (Result.isFailure(expanded)) return Result.fail(invalid(at, expanded.failure.detail))
  return Result.succeed(Word.textOf(expanded.success) ?? "")
}

const checkPlatform = (
  { at, platform }: From,
  globals: ReadonlyMap<string, Word.Template>,
  escapeToken: string,
  architecture: string
): Result.Result<void, Refusal> =>
  platform === undefined
    ? Result.succeed(undefined)
    : Result.flatMap(
        literal(at, platform, (name) => globals.get(name), escapeToken),
        (wanted) => {
          const [os, arch] = wanted.split("/")
          const same = wanted === "" || (os === "linux" && (arch ?? architecture) === architecture.split("/")[0])
          return same
            ? Result.succeed(undefined)
            : Result.fail(
                needsBuilder(
                  at,
                  `asks for ${wanted}, and this node has linux/${architecture}: it needs an image builder`
                )
              )
        }
      )
