/**
 * Writes an archive that comes from a pod, and is not to be trusted, into a directory of this machine.
 *
 * **Details**
 *
 * - A path that is absolute or holds `..` makes the whole archive fail.
 * - Nothing is ever written through a link: a link in the way, whoever made it, is replaced by what the archive says.
 * - Links are made only where they stay inside: relative, with `..` at their beginning only, so that no chain of them can lead out.
 *   Others, devices and FIFOs are skipped, and told.
 * - Hard links become copies, of files of this archive only. Set-id and sticky bits are dropped; this user may always change what there is.
 * - A file that is there is replaced at once, and a new one that could not be completed is taken away.
 */
import { Buffer } from "node:buffer"
import { randomBytes } from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { BackendError, StorageFailed } from "../../../../domain/JobError.ts"
import { codeOf, isMissing, storageFailed } from "./fileErrors.ts"
import type { EntryType, Skipped } from "./LocalTree.ts"
import { safePath } from "./safePath.ts"
import { makeTarReader, type TarEvent } from "./TarReader.ts"
import type { TarHeader } from "./tarFormat.ts"

export interface UnpackOptions {
  /** What is wanted; the rest is passed over. Default: everything. Directories above what is wanted are made in any case. */
  readonly accept?: ((path: string, type: EntryType) => boolean) | undefined
  /** Bytes of files at most. Default: no limit. */
  readonly maxBytes?: number | undefined
  /** Entries of the archive at most, wanted or not. Default: no limit. */
  readonly maxEntries?: number | undefined
  /**
   * Where a file is made that replaces one, if it is there and on the same file system: what a killed process leaves is found there. Default: beside
   * that which is replaced.
   */
  readonly making?: string | undefined
}

export interface Unpacked {
  /** What was written, in the order of the archive. */
  readonly written: ReadonlyArray<string>
  /** What was wanted but not written. */
  readonly skipped: ReadonlyArray<Skipped>
  /** Of files. */
  readonly bytes: number
}

/**
 * Unpacks an archive into `root`, which is made if it is missing. Fails if the archive is damaged, ends too soon, or wants to write
 * elsewhere. What was written before a failure stays.
 */
export const unpack = <E, R>(
  archive: Stream.Stream<Uint8Array, E, R>,
  root: string,
  options: UnpackOptions = {}
): Effect.Effect<Unpacked, BackendError | E, R> =>
  Effect.scoped(
    Effect.gen(function* () {
      const reader = makeTarReader()
      const unpacker = yield* makeUnpacker(root, options)
      yield* Stream.runForEach(archive, (bytes) => unpacker.take(reader.push(bytes)))
      return yield* unpacker.finish
    })
  )

export interface Unpacker {
  readonly take: (events: ReadonlyArray<TarEvent>) => Effect.Effect<void, BackendError>
  /** Fails unless the end of the archive has come. */
  readonly finish: Effect.Effect<Unpacked, BackendError>
}

/** The same for events that others read, too. */
export const makeUnpacker = Effect.fnUntraced(function* (
  root: string,
  options: UnpackOptions = {}
): Effect.fn.Return<Unpacker, BackendError, Scope.Scope> {
  const operation = `unpacking files into ${root}`
  const attempt = <A>(body: () => A) => Effect.try({ try: body, catch: storageFailed(operation) })
  const refuse = (detail: string): never => {
    throw new BackendError({ reason: new StorageFailed({ operation, detail, transient: false }) })
  }
  // The root itself may be reached through links: it is the caller's.
  const base = yield* attempt(() => {
    Fs.mkdirSync(root, { recursive: true })
    return Fs.realpathSync(root)
  })
  const writer = makeWriter(base, options.making)
  yield* Effect.addFinalizer(() => Effect.sync(writer.abandon))

  const written: Array<string> = []
  const skipped: Array<Skipped> = []
  const files = new Set<string>()
  let entries = 0
  let bytes = 0
  let current: { readonly path: string; readonly header: TarHeader } | undefined
  let ended = false

  const begin = (header: TarHeader) => {
    entries++
    if (entries > (options.maxEntries ?? Number.POSITIVE_INFINITY)) refuse(`it has more than ${entries - 1} entries`)
    const path = safePath(header.path)
    if (path === undefined) return refuse(`the path ${JSON.stringify(header.path)} leads out of the directory`)
    const type = header.type === "HardLink" ? "File" : header.type
    if (path === "" || (type !== "Other" && options.accept?.(path, type) === false)) return
    const skip = (why: string) => {
      skipped.push({ path, why })
    }
    if (path.includes("\uFFFD")) return skip("its name is not UTF-8")
    switch (header.type) {
      case "File":
        bytes += header.size
        if (bytes > (options.maxBytes ?? Number.POSITIVE_INFINITY)) refuse("its files are larger than allowed")
        writer.open(path)
        current = { path, header }
        return
      case "Directory":
        writer.directory(path, header.mode)
        break
      case "Link":
        if (!staysInside(path, header.target))
          return skip(`its target ${JSON.stringify(header.target)} may lie outside`)
        writer.link(path, header.target)
        break
      case "HardLink": {
        const target = safePath(header.target) ?? ""
        if (!files.has(target)) return skip("it is a hard link to a file that was not copied")
        if (target !== path) writer.copy(target, path)
        break
      }
      case "Other":
        return skip("it is neither a file nor a directory nor a link")
    }
    note(path, header.type === "HardLink")
  }
  const note = (path: string, isFile: boolean) => {
    if (isFile) files.add(path)
    else files.delete(path)
    written.push(path)
  }

  const take = (event: TarEvent) => {
    switch (event._tag) {
      case "Entry":
        return begin(event.header)
      case "Body":
        if (current !== undefined) writer.write(event.bytes)
        return
      case "EntryEnd":
        if (current === undefined) return
        writer.close(current.header)
        note(current.path, true)
        current = undefined
        return
      case "End":
        ended = true
        return
      case "Invalid":
        return refuse(`the archive cannot be read: ${event.detail}`)
    }
  }

  return {
    take: (events) =>
      attempt(() => {
        for (const event of events) take(event)
      }),
    finish: attempt(() => {
      if (!ended) refuse("the archive ends too soon")
      writer.finish()
      return { written, skipped, bytes }
    })
  }
})

/**
 * Climbs no higher than the root, and only at its beginning: there every step is a real directory, and what comes after it leads down
 * only, be it through other links.
 */
const staysInside = (path: string, target: string): boolean => {
  if (target === "" || target.startsWith("/") || target.includes("\0") || target.includes("\uFFFD")) return false
  const names = target.split("/").filter((name) => name !== "" && name !== ".")
  const climbs = names.findIndex((name) => name !== "..")
  if (names.slice(climbs < 0 ? names.length : climbs).includes("..")) return false
  return (climbs < 0 ? names.length : climbs) <= path.split("/").length - 1
}

/** Every path is safe, and relative to `base`. */
const makeWriter = (base: string, making: string | undefined) => {
  /** Known to be directories, not links to any. */
  const real = new Set<string>([""])
  const modes = new Map<string, number>()
  const temporary = `.jobscope-${randomBytes(8).toString("hex")}`
  /** The file that is being written, where it is now and where it is to be. */
  let open: { readonly descriptor: number; readonly file: string; readonly target: string } | undefined

  const forget = (path: string) => {
    for (const known of real) if (known === path || known.startsWith(`${path}/`)) real.delete(known)
    for (const known of modes.keys()) if (known === path || known.startsWith(`${path}/`)) modes.delete(known)
  }
  const full = (path: string) => `${base}/${path}`

  /** Makes `path` a directory of its own, whatever is there now. */
  const ensure = (path: string): void => {
    if (real.has(path)) return
    ensure(parentOf(path))
    const stats = Fs.lstatSync(full(path), { throwIfNoEntry: false })
    if (stats === undefined || !stats.isDirectory()) {
      if (stats !== undefined) Fs.unlinkSync(full(path))
      Fs.mkdirSync(full(path), 0o755)
    }
    real.add(path)
  }
  /** Takes away what is where something else is to be. */
  const clear = (path: string) => {
    ensure(parentOf(path))
    Fs.rmSync(full(path), { recursive: true, force: true })
    forget(path)
  }
  const { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDONLY, O_WRONLY } = Fs.constants
  const create = (file: string) => Fs.openSync(file, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY, 0o600)
  const start = (path: string) => {
    ensure(parentOf(path))
    const target = full(path)
    try {
      open = { descriptor: create(target), file: target, target }
    } catch (error) {
      if (codeOf(error) !== "EEXIST") throw error
      if (Fs.lstatSync(target, { throwIfNoEntry: false })?.isDirectory() === true) clear(path)
      const beside = Path.dirname(target)
      const file = Path.join(making !== undefined && sameDevice(making, beside) ? making : beside, temporary)
      open = { descriptor: create(file), file, target }
    }
  }
  const write = (bytes: Buffer) => {
    for (let at = 0; open !== undefined && at < bytes.length; ) at += Fs.writeSync(open.descriptor, bytes, at)
  }
  const commit = (mode: number, mtime: number) => {
    if (open === undefined) return
    const { descriptor, file, target } = open
    Fs.fchmodSync(descriptor, (mode & 0o777) | 0o600)
    if (mtime > 0) Fs.futimesSync(descriptor, mtime, mtime)
    if (file !== target) Fs.renameSync(file, target)
    open = undefined
    Fs.closeSync(descriptor)
  }

  return {
    open: start,
    write,
    close: ({ mode, mtime }: TarHeader) => commit(mode, mtime),
    directory: (path: string, mode: number) => {
      ensure(path)
      modes.set(path, (mode & 0o777) | 0o700)
    },
    link: (path: string, target: string) => {
      clear(path)
      Fs.symlinkSync(target, full(path))
    },
    copy: (from: string, path: string) => {
      ensure(parentOf(from))
      start(path)
      const source = Fs.openSync(full(from), O_RDONLY | O_NOFOLLOW)
      try {
        const buffer = Buffer.allocUnsafe(256 * 1024)
        for (let read = Fs.readSync(source, buffer); read > 0; read = Fs.readSync(source, buffer)) {
          write(buffer.subarray(0, read))
        }
        const { mode, mtimeMs } = Fs.fstatSync(source)
        commit(mode, mtimeMs / 1000)
      } finally {
        Fs.closeSync(source)
      }
    },
    /** Modes of directories come last: one may forbid what is to be written into it. */
    finish: () => {
      for (const [path, mode] of modes) Fs.chmodSync(full(path), mode)
    },
    /** Leaves nothing half-written. */
    abandon: () => {
      if (open === undefined) return
      Fs.closeSync(open.descriptor)
      try {
        Fs.unlinkSync(open.file)
      } catch (error) {
        if (!isMissing(error) && codeOf(error) !== "EACCES") throw error
      }
      open = undefined
    }
  }
}

const sameDevice = (one: string, other: string): boolean =>
  Fs.statSync(one, { throwIfNoEntry: false })?.dev === Fs.statSync(other).dev

const parentOf = (path: string): string => {
  const parent = Path.posix.dirname(path)
  return parent === "." ? "" : parent
}
