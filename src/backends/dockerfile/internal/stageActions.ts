/** RUN and COPY of a stage, their variables replaced; what only an image builder can do is refused. */
import * as Result from "effect/Result"
import { type Copy, contentOf, heredocOf, type Run } from "../Dockerfile.ts"
import { type At, invalid, needsBuilder, type Refusal } from "../Refusal.ts"
import type { CopyFiles, Directory, NeedsConfig, Run as RunAction } from "../Stage.ts"
import { isMode } from "./fileModes.ts"
import { rooted } from "./paths.ts"
import { inside, type State, type Surroundings, stageNamed, textIn } from "./stageState.ts"

export const runAction = (
  state: State,
  run: Run,
  { escapeToken }: Surroundings
): Result.Result<RunAction, Refusal | NeedsConfig> =>
  Result.gen(function* () {
    const { at, command, heredocs } = run
    if (run.network !== undefined && run.network !== "default") {
      return yield* Result.fail(needsBuilder(at, "needs an image builder for --network"))
    }
    if (run.security !== undefined && run.security !== "sandbox") {
      return yield* Result.fail(needsBuilder(at, "needs an image builder for --security"))
    }
    if (run.devices.length > 0) return yield* Result.fail(needsBuilder(at, "needs an image builder for --device"))
    const caches: Array<Directory> = []
    for (const mount of run.mounts) {
      const target = yield* readMount(at, yield* textIn(state, at, mount, escapeToken))
      if (target !== undefined) caches.push(inside(state.directory, target))
    }
    if (state.image === "scratch" && command._tag === "Shell") {
      return yield* Result.fail(invalid(at, "there is no shell in scratch"))
    }
    const { argv, script } = commandOf(run)
    return {
      _tag: "Run",
      at,
      argv: command._tag === "Exec" ? argv : [...state.shell, ...argv],
      script: heredocs.length === 1 ? script : undefined,
      env: new Map(state.buildEnv),
      directory: state.directory,
      user: state.user,
      caches
    }
  })

/** `RUN <<EOF` runs the heredoc; where heredocs are input of a command, the shell gets to see them as they are written. */
const commandOf = ({ command, heredocs }: Run): { readonly argv: ReadonlyArray<string>; readonly script?: string } => {
  if (command._tag === "Exec") return { argv: command.argv }
  const [first] = heredocs
  if (first === undefined) return { argv: [command.text] }
  if (Result.getOrUndefined(heredocOf(command.text)) === undefined) {
    return { argv: [[command.text, ...heredocs.map(({ content, name }) => content + name)].join("\n")] }
  }
  const content = contentOf(first)
  return content.startsWith("#!") ? { argv: [], script: content } : { argv: [content] }
}

/**
 * The directory that a mount only needs to be there. A cache may always be empty, and secrets and agents that nobody gives are left out,
 * as BuildKit does unless they are required.
 */
const readMount = (at: At, mount: string): Result.Result<string | undefined, Refusal> => {
  const options = new Map(
    mount.split(",").map((option) => {
      const [name = "", ...value] = option.split("=")
      return [name.trim().toLowerCase(), value.join("=")] as const
    })
  )
  const type = options.get("type") ?? "bind"
  const target = options.get("target") ?? options.get("dst") ?? options.get("destination")
  const required = /^(true|1|)$/i.test(options.get("required") ?? "false")
  const refused = Result.fail(needsBuilder(at, `needs an image builder for --mount=type=${type}`))
  switch (type) {
    case "cache":
    case "tmpfs":
      if (options.has("from")) return refused
      return target === undefined || target === ""
        ? Result.fail(invalid(at, "a mount has no target"))
        : Result.succeed(target)
    case "secret":
    case "ssh":
      return required ? refused : Result.succeed(undefined)
    default:
      return refused
  }
}

export const copyAction = (
  state: State,
  copy: Copy,
  { escapeToken, index, stages, written }: Surroundings
): Result.Result<CopyFiles, Refusal | NeedsConfig> =>
  Result.gen(function* () {
    const { at, keyword } = copy
    const text = (word: string) => textIn(state, at, word, escapeToken)
    if (copy.parents) return yield* Result.fail(needsBuilder(at, "needs an image builder for --parents"))
    const from = yield* sourceOf(copy, { index, written, stages: stages.map((stage) => stage.index) })
    const sources: Array<string> = []
    for (const source of copy.sources) {
      const path = yield* text(source)
      if (/^https?:\/\//.test(path) || /^git@|^git:\/\/|^ssh:\/\/|^github\.com\//.test(path)) {
        return yield* Result.fail(
          keyword === "ADD"
            ? needsBuilder(at, "needs an image builder for a URL")
            : invalid(at, "a source cannot be a URL")
        )
      }
      sources.push(path)
    }
    if (from._tag !== "Context") yield* checkForeign(copy, sources)
    const files: Array<{ readonly name: string; readonly content: string }> = []
    for (const { content, expands, name } of copy.files) {
      files.push({ name, content: expands ? yield* textIn(state, at, content, "\\", true) : content })
    }
    const target = yield* text(copy.destination)
    const owner = copy.chown === undefined ? undefined : yield* text(copy.chown)
    const chmod = copy.chmod === undefined ? undefined : yield* text(copy.chmod)
    if (chmod !== undefined && !isMode(chmod)) {
      return yield* Result.fail(invalid(at, `'${chmod}' is no mode for --chmod`))
    }
    return {
      _tag: "Copy",
      at,
      from,
      sources,
      files,
      destination: inside(state.directory, target === "" ? "." : target),
      intoDirectory: /(^|\/)\.?$/.test(target),
      owner,
      chmod,
      exclude: copy.exclude,
      unpack: copy.unpack ?? keyword === "ADD"
    }
  })

const sourceOf = (
  { at, from }: Copy,
  { index, stages, written }: Pick<Surroundings, "index" | "written"> & { readonly stages: ReadonlyArray<number> }
): Result.Result<CopyFiles["from"], Refusal> => {
  if (from === undefined) return Result.succeed({ _tag: "Context" })
  const stage = stageNamed(written, from)
  if (stage === undefined) {
    return /^\d+$/.test(from)
      ? Result.fail(invalid(at, `there is no stage ${from}`))
      : Result.succeed({ _tag: "Image", image: from })
  }
  return stage.index < index && stages.includes(stage.index)
    ? Result.succeed({ _tag: "Stage", stage: stage.index })
    : Result.fail(invalid(at, `stage ${from} must be defined before this one`))
}

/** What is copied out of another image is found by that image's own shell, which is not asked for everything. */
const checkForeign = ({ at, exclude }: Copy, sources: ReadonlyArray<string>): Result.Result<void, Refusal> => {
  if (exclude.length > 0) {
    return Result.fail(needsBuilder(at, "needs an image builder for --exclude from another stage"))
  }
  if (sources.some((source) => /^\/\.?$/.test(rooted(source)))) {
    return Result.fail(needsBuilder(at, "needs an image builder to copy all of another stage"))
  }
  return Result.succeed(undefined)
}
