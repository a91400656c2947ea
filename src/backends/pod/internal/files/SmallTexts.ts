/**
 * The part of a change that is so small, and so plain, that it can travel inside of a script: mostly the script of a step and the files by
 * which a workflow passes values on. The rest needs an archive, and an exec of its own.
 */
import { isUtf8 } from "node:buffer"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import type { BackendError } from "../../../../domain/JobError.ts"
import { codeOf, isForbidden, isMissing, storageFailed } from "./fileErrors.ts"
import type { Manifest } from "./LocalTree.ts"

interface SmallText {
  readonly path: string
  readonly content: string
}

export interface Parted {
  /** In the order of the paths. What has gone meanwhile is in neither part. */
  readonly texts: ReadonlyArray<SmallText>
  readonly rest: ReadonlyArray<string>
}

/**
 * Parts what was added or changed in `root`. A text is a file that nobody runs, without NUL, in UTF-8; all of them together have `room` bytes
 * at most. Directories above them are not in the rest: whoever writes the texts makes them.
 */
export const partSmallTexts = (
  root: string,
  manifest: Manifest,
  paths: ReadonlyArray<string>,
  room: number
): Effect.Effect<Parted, BackendError> =>
  Effect.try({
    try: () => {
      const texts: Array<SmallText> = []
      const rest: Array<string> = []
      const made = new Set<string>()
      let left = room
      for (const path of paths) {
        const entry = manifest.get(path)
        const plain = entry?.type === "File" && (entry.mode & 0o111) === 0 && entry.size <= left
        const bytes = plain ? read(Path.join(root, path), left) : undefined
        if (bytes === "Gone") continue
        if (bytes === undefined || bytes.includes(0) || !isUtf8(bytes)) {
          rest.push(path)
          continue
        }
        left -= bytes.length
        texts.push({ path, content: bytes.toString() })
        for (
          let above = Path.posix.dirname(path);
          above !== "." && !made.has(above);
          above = Path.posix.dirname(above)
        ) {
          made.add(above)
        }
      }
      return { texts, rest: rest.filter((path) => !made.has(path)) }
    },
    catch: storageFailed(`reading changed files of ${root}`)
  })

/** Undefined: it is no file any more, too large by now, or may not be read, which is for the archive to tell. */
const read = (file: string, most: number): Buffer | "Gone" | undefined => {
  const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = Fs.constants
  let descriptor: number
  try {
    descriptor = Fs.openSync(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
  } catch (error) {
    if (isMissing(error)) return "Gone"
    if (isForbidden(error) || /^(ELOOP|ENXIO|ENODEV)$/.test(codeOf(error) ?? "")) return undefined
    throw error
  }
  try {
    const stats = Fs.fstatSync(descriptor)
    return stats.isFile() && stats.size <= most ? Fs.readFileSync(descriptor) : undefined
  } finally {
    Fs.closeSync(descriptor)
  }
}
