/**
 * What the pods of environments have of this machine's directories, for this process and for the others of the same job.
 *
 * **Details**
 *
 * Several processes may work on one environment at the same time (steps in the background), so nothing is ever written over: each appends, in
 * one write, what it has done, and whoever reads takes all of it. Only what is in the pod is noted: whoever finds it here need not bring it, and
 * what two bring at once is there once.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import type { BackendError } from "../../../domain/JobError.ts"
import { isMissing, storageFailed } from "./files/fileErrors.ts"
import { delta, type Manifest, type TreeEntry } from "./files/LocalTree.ts"

export interface CopyJournal {
  /** What the pod has of a directory; empty for one that nobody has brought. */
  readonly known: (environment: string, directory: string) => Effect.Effect<Manifest, BackendError>
  /** The pod has these directories as they are here. */
  readonly note: (environment: string, now: ReadonlyMap<string, Manifest>) => Effect.Effect<void, BackendError>
}

/** One line of the file. */
interface Noted {
  readonly directory: string
  readonly set: ReadonlyArray<readonly [path: string, entry: TreeEntry]>
  readonly gone: ReadonlyArray<string>
}

/** `stateDirectory`: where the other processes look; without one only this process knows. */
export const makeCopyJournal = (stateDirectory: string | undefined): CopyJournal => {
  /** By environment, then by directory. */
  const read = new Map<string, Map<string, Map<string, TreeEntry>>>()

  const fileOf = (environment: string) =>
    stateDirectory === undefined ? undefined : Path.join(stateDirectory, `${environment}.copied.jsonl`)

  const directoriesOf = (environment: string) => {
    const before = read.get(environment)
    if (before !== undefined) return before
    const directories = new Map<string, Map<string, TreeEntry>>()
    const file = fileOf(environment)
    for (const noted of file === undefined ? [] : linesOf(file)) apply(directories, noted)
    read.set(environment, directories)
    return directories
  }

  return {
    known: (environment, directory) =>
      Effect.try({
        try: () => directoriesOf(environment).get(directory) ?? new Map(),
        catch: storageFailed("reading what was copied")
      }),
    note: (environment, now) =>
      Effect.try({
        try: () => {
          const directories = directoriesOf(environment)
          const fresh = [...now].flatMap(([directory, manifest]) => {
            const noted = difference(directory, directories.get(directory) ?? new Map(), manifest)
            return noted === undefined ? [] : [noted]
          })
          if (fresh.length === 0) return
          const file = fileOf(environment)
          if (file !== undefined) {
            Fs.mkdirSync(Path.dirname(file), { recursive: true, mode: 0o700 })
            // The line end comes first: what a killed process has left of its own line ends there.
            Fs.appendFileSync(file, fresh.map((noted) => `\n${JSON.stringify(noted)}`).join(""), { mode: 0o600 })
          }
          for (const noted of fresh) apply(directories, noted)
        },
        catch: storageFailed("noting what was copied")
      })
  }
}

const difference = (directory: string, before: Manifest, now: Manifest): Noted | undefined => {
  const { added, changed } = delta(before, now)
  const set = [...added, ...changed].flatMap((path) => {
    const entry = now.get(path)
    return entry === undefined ? [] : [[path, entry] as const]
  })
  // A changed kind is in `set`, and what was in a directory that is gone is gone by itself.
  const gone = [...before.keys()].filter((path) => !now.has(path))
  return set.length === 0 && gone.length === 0 ? undefined : { directory, set, gone }
}

const apply = (directories: Map<string, Map<string, TreeEntry>>, { directory, gone, set }: Noted) => {
  const manifest = directories.get(directory) ?? new Map<string, TreeEntry>()
  for (const path of gone) manifest.delete(path)
  for (const [path, entry] of set) manifest.set(path, entry)
  directories.set(directory, manifest)
}

const linesOf = (file: string): ReadonlyArray<Noted> => {
  let text: string
  try {
    text = Fs.readFileSync(file, "utf8")
  } catch (error) {
    if (isMissing(error)) return []
    throw error
  }
  return text.split("\n").flatMap((line) => {
    try {
      return line === "" ? [] : [JSON.parse(line)]
    } catch {
      // Of a process that was killed while it wrote: what it brought is brought again.
      return []
    }
  })
}
