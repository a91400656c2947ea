/**
 * What is in a directory at one moment, of this machine or of a pod, and what has changed since another.
 *
 * **Details**
 *
 * Nothing is opened: an entry is as it was if its size, mode and times are. The time of the last change of an inode is among them, so that
 * a file whose modification time was set back (`cp -p`, `tar x`) is seen, too.
 *
 * Reading is synchronous, a few hundred entries at a time: 10,000 files take 40 ms, where a thread pool and a fiber for each need a
 * second.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import * as Glob from "effect/Glob"
import type { BackendError } from "../../../../domain/JobError.ts"
import { isForbidden, isMissing, storageFailed } from "./fileErrors.ts"

/** What a tree consists of. Everything else (sockets, FIFOs, devices) is left out. */
export type EntryType = "File" | "Directory" | "Link"

export interface TreeEntry {
  readonly type: EntryType
  /** Permission bits, with set-id and sticky. */
  readonly mode: number
  /** Of files; else 0. */
  readonly size: number
  /** Of the last modification, in milliseconds since 1970. */
  readonly mtime: number
  /** Changes with every change of the entry. Stamps of different machines cannot be compared. */
  readonly stamp: number | string
  /** Of links of this machine. */
  readonly target?: string | undefined
}

/** By path relative to the root, each directory right before what is in it. The root itself is not among them. */
export type Manifest = ReadonlyMap<string, TreeEntry>

/** Something that is there, but was left out. */
export interface Skipped {
  readonly path: string
  readonly why: string
}

export interface Snapshot {
  readonly manifest: Manifest
  readonly skipped: ReadonlyArray<Skipped>
}

export interface SnapshotOptions {
  /** What is left out, with all that is in it. */
  readonly exclude?: ((path: string, type: EntryType) => boolean) | undefined
}

/** How one manifest differs from another. Paths are in the order of the manifest that has them. */
export interface Delta {
  readonly added: ReadonlyArray<string>
  /** Content, mode or kind. */
  readonly changed: ReadonlyArray<string>
  /** Of a directory that is gone only the directory itself. What is of another kind now is here, too: the old must go first. */
  readonly removed: ReadonlyArray<string>
}

/**
 * Looks through a directory. What vanishes meanwhile is not there; a root that is not there is empty.
 */
export const snapshot = Effect.fnUntraced(function* (
  root: string,
  options: SnapshotOptions = {}
): Effect.fn.Return<Snapshot, BackendError> {
  const manifest = new Map<string, TreeEntry>()
  const skipped: Array<Skipped> = []
  const { exclude } = options
  /** Directories that are being looked through, each inside of the one before. */
  const open: Array<{ readonly path: string; readonly names: Iterator<string> }> = []
  const enter = (path: string) => {
    const names = readNames(path === "" ? root : `${root}/${path}`)
    if (typeof names === "string") skipped.push({ path, why: names })
    else open.push({ path, names: names.values() })
  }
  /** Looks at the next entry. False: there is none. */
  const advance = (): boolean => {
    const directory = open.at(-1)
    if (directory === undefined) return false
    const next = directory.names.next()
    if (next.done === true) {
      open.pop()
      return true
    }
    const path = directory.path === "" ? next.value : `${directory.path}/${next.value}`
    const entry = look(root, path)
    if (entry === undefined) {
      // A name of other bytes than UTF-8 cannot be asked for by its text.
      if (path.includes("\uFFFD")) skipped.push({ path, why: "its name is not UTF-8" })
    } else if (typeof entry === "string") skipped.push({ path, why: entry })
    else if (exclude?.(path, entry.type) !== true) {
      manifest.set(path, entry)
      if (entry.type === "Directory") enter(path)
    }
    return true
  }
  const slice = Effect.try({
    try: () => {
      for (let seen = 0; seen < sliceSize; seen++) if (!advance()) return false
      return true
    },
    catch: storageFailed(`looking through ${root}`)
  })
  enter("")
  while (yield* slice) yield* Effect.yieldNow
  return { manifest, skipped }
})

/**
 * The manifest as it is after somebody else has written or removed `paths`: what was received need not be sent back.
 */
export const refresh = (
  root: string,
  manifest: Manifest,
  paths: ReadonlyArray<string>
): Effect.Effect<Manifest, BackendError> =>
  Effect.try({
    try: () => {
      const fresh = new Map(manifest)
      const set = (path: string) => {
        const entry = look(root, path)
        if (typeof entry === "object") fresh.set(path, entry)
        else fresh.delete(path)
      }
      for (const path of paths) {
        for (let at = path.indexOf("/"); at >= 0; at = path.indexOf("/", at + 1)) set(path.slice(0, at))
        set(path)
      }
      return fresh
    },
    catch: storageFailed(`looking through ${root}`)
  })

/** What has to be done to `before` to get `after`. */
export const delta = (before: Manifest, after: Manifest): Delta => {
  const added: Array<string> = []
  const changed: Array<string> = []
  const removed: Array<string> = []
  const gone = new Set<string>()
  for (const [path, old] of before) {
    const now = after.get(path)
    if (now?.type === old.type) continue
    gone.add(path)
    if (!gone.has(Path.posix.dirname(path))) removed.push(path)
  }
  for (const [path, now] of after) {
    const old = before.get(path)
    if (old === undefined) added.push(path)
    else if (differs(old, now)) changed.push(path)
  }
  return { added, changed, removed }
}

/** Whether nothing has changed. */
export const isEmpty = (delta: Delta): boolean =>
  delta.added.length === 0 && delta.changed.length === 0 && delta.removed.length === 0

/**
 * Whether a path matches one of the globs (those of `effect/Glob`: `*`, `?`, `[a-z]`, `{a,b}`, `**`). Names that start with a dot are
 * matched as others are.
 */
export const matcher = (globs: ReadonlyArray<string>): ((path: string) => boolean) => {
  const compiled = globs.map((glob) => Glob.make(glob, { dot: true }))
  return (path) => compiled.some((glob) => Glob.match(glob, path))
}

/** Entries between two chances for everybody else. */
const sliceSize = 512

const differs = (old: TreeEntry, now: TreeEntry): boolean => {
  if (old.type !== now.type || old.mode !== now.mode) return true
  // The times of a directory change with what is in it.
  if (now.type === "Directory") return false
  return old.size !== now.size || old.stamp !== now.stamp || old.target !== now.target
}

/** The names in a directory; a text says why they cannot be had. */
const readNames = (path: string): ReadonlyArray<string> | string => {
  try {
    return Fs.readdirSync(path)
  } catch (error) {
    if (isMissing(error)) return []
    if (isForbidden(error)) return "it may not be read"
    throw error
  }
}

/** What is there, undefined if nothing is; a text says why it is left out. */
const look = (root: string, path: string): TreeEntry | string | undefined => {
  const full = `${root}/${path}`
  let stats: Fs.Stats | undefined
  try {
    stats = Fs.lstatSync(full, { throwIfNoEntry: false })
  } catch (error) {
    if (isMissing(error)) return undefined
    if (isForbidden(error)) return "it may not be read"
    throw error
  }
  if (stats === undefined) return undefined
  const mode = stats.mode & 0o7777
  const { mtimeMs: mtime, ctimeMs: stamp } = stats
  if (stats.isFile()) return { type: "File", mode, size: stats.size, mtime, stamp }
  if (stats.isDirectory()) return { type: "Directory", mode, size: 0, mtime, stamp }
  if (!stats.isSymbolicLink()) return "it is neither a file nor a directory nor a link"
  try {
    return { type: "Link", mode, size: 0, mtime, stamp, target: Fs.readlinkSync(full) }
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}
