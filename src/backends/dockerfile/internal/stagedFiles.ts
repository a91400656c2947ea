/** What the COPY and ADD of a stage take out of the context, as files of the plan. */
import * as Zlib from "node:zlib"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { BuildContext, Entry, Source } from "../BuildContext.ts"
import * as DockerIgnore from "../DockerIgnore.ts"
import { type At, invalid, needsBuilder, type Refusal } from "../Refusal.ts"
import type { Action, CopyFiles, Stage } from "../Stage.ts"
import type { PlanFile } from "../StepPlan.ts"
import { changeMode } from "./fileModes.ts"

/** Something that lies ready for a COPY. Paths are relative to the plan's files. */
export type Staged =
  | { readonly _tag: "File"; readonly path: string; readonly name: string; readonly mode: number }
  | { readonly _tag: "Archive"; readonly path: string }
  | {
      readonly _tag: "Tree"
      readonly path: string
      /** A file with the path of each entry, a line each. */
      readonly list: string
      /** Modes that are lost when the owner changes. */
      readonly special: ReadonlyArray<readonly [path: string, mode: number]>
    }

export interface StagedStage {
  readonly files: ReadonlyArray<PlanFile>
  readonly copies: ReadonlyMap<CopyFiles, ReadonlyArray<Staged>>
  /** Scripts of RUN, by action. */
  readonly scripts: ReadonlyMap<Action, string>
}

export const stageContext = Effect.fnUntraced(function* (
  { actions }: Stage,
  context: BuildContext,
  name: string
): Effect.fn.Return<StagedStage, Refusal> {
  const files: Array<PlanFile> = []
  const copies = new Map<CopyFiles, ReadonlyArray<Staged>>()
  const scripts = new Map<Action, string>()
  for (const [index, action] of actions.entries()) {
    const path = `${name}.d/${index}`
    if (action._tag === "Run" && action.script !== undefined) {
      files.push(textFile(path, action.script, 0o755))
      scripts.set(action, path)
    } else if (action._tag === "Copy") {
      const staged = yield* stageCopy(action, context, path)
      files.push(...staged.files)
      copies.set(action, staged.staged)
    }
  }
  return { files, copies, scripts }
})

const stageCopy = Effect.fnUntraced(function* (
  copy: CopyFiles,
  context: BuildContext,
  path: string
): Effect.fn.Return<{ readonly files: ReadonlyArray<PlanFile>; readonly staged: ReadonlyArray<Staged> }, Refusal> {
  const { at, chmod } = copy
  const files: Array<PlanFile> = []
  const staged: Array<Staged> = []
  const next = () => `${path}-${staged.length}`
  const exclude = DockerIgnore.fromPatterns(copy.exclude)
  if (Result.isFailure(exclude)) return yield* invalid(at, exclude.failure)
  const modeOf = ({ kind, mode }: Entry) =>
    chmod === undefined || kind === "link" ? mode : changeMode(chmod, mode, kind === "directory")

  if (copy.from._tag === "Context") {
    for (const written of copy.sources) {
      for (const source of yield* context.find(written, at)) {
        const to = next()
        const entries = yield* context.entries(source, at, exclude.success)
        if (source.kind === "file") {
          const [entry] = entries
          if (entry === undefined) continue
          files.push({ path: to, mode: modeOf(entry), content: { _tag: "Entry", entry, at } })
          const archive = copy.unpack && (yield* isArchive(source, context, at))
          if (archive && copy.owner !== undefined) {
            return yield* needsBuilder(at, "needs an image builder to unpack an archive for another owner")
          }
          staged.push(
            archive ? { _tag: "Archive", path: to } : { _tag: "File", path: to, name: source.name, mode: modeOf(entry) }
          )
          continue
        }
        const below = entries.filter((entry) => entry.path !== "")
        files.push({ path: to, mode: 0o755, content: { _tag: "Directory" } })
        for (const entry of below) {
          files.push({ path: `${to}/${entry.path}`, mode: modeOf(entry), content: { _tag: "Entry", entry, at } })
        }
        files.push(textFile(`${to}.list`, below.map((entry) => `${entry.path}\n`).join(""), 0o644))
        staged.push({
          _tag: "Tree",
          path: to,
          list: `${to}.list`,
          special: below.flatMap((entry) =>
            (modeOf(entry) & 0o7000) === 0 ? [] : [[entry.path, modeOf(entry)] as const]
          )
        })
      }
    }
  }
  for (const { content, name } of copy.files) {
    const mode = chmod === undefined ? 0o644 : changeMode(chmod, 0o644, false)
    const to = next()
    files.push(textFile(to, content, mode))
    staged.push({ _tag: "File", path: to, name, mode })
  }
  return { files, staged }
})

const textFile = (path: string, text: string, mode: number): PlanFile => ({
  path,
  mode,
  content: { _tag: "Text", text }
})

/** By what is in it, as ADD decides. What cannot be looked into goes by its name. */
const isArchive = Effect.fnUntraced(function* (
  source: Source,
  context: BuildContext,
  at: At
): Effect.fn.Return<boolean, Refusal> {
  const head = Buffer.from(yield* context.head(source, 4096, at))
  const starts = (...bytes: ReadonlyArray<number>) => bytes.every((byte, index) => head[index] === byte)
  const isTar = (bytes: Buffer) => bytes.subarray(257, 262).toString("latin1") === "ustar"
  if (starts(0x1f, 0x8b)) {
    const unzipped = Result.try(() =>
      Zlib.gunzipSync(head, { finishFlush: Zlib.constants.Z_SYNC_FLUSH, maxOutputLength: 8 * 1024 * 1024 })
    )
    return Result.isSuccess(unzipped) && isTar(unzipped.success)
  }
  const isCompressed =
    starts(0x42, 0x5a, 0x68) || starts(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0) || starts(0x28, 0xb5, 0x2f, 0xfd)
  return isCompressed ? /\.(tar(\.\w+)?|t[bxz]z?2?|tzst)$/i.test(source.name) : isTar(head)
})
