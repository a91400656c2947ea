/**
 * Archives of directories of this machine, as streams of bytes.
 *
 * **Details**
 *
 * Read when pulled, 256 KiB at a time, so that memory stays flat whatever the size and however slow the reader. Each run has one buffer: the
 * bytes of a chunk are valid until the next one is asked for. Synchronously, because a
 * small file costs three calls of some microseconds that a thread pool makes ten times dearer. Owners are not kept: files belong to
 * whoever unpacks. Hard links become files.
 *
 * A file that is cut, grows or goes while it is read does not harm the archive: it is filled with zeros, cut or left out, and told.
 */
import { Buffer } from "node:buffer"
import * as Fs from "node:fs"
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { BackendError } from "../../../../domain/JobError.ts"
import { codeOf, isForbidden, isMissing, storageFailed } from "./fileErrors.ts"
import { type Manifest, snapshot, type TreeEntry } from "./LocalTree.ts"
import { encodeHeader, endOfArchive, paddingOf } from "./tarFormat.ts"

/** A directory, or some of what is in it. */
export interface Source {
  readonly root: string
  /** Where it is to be, relative to where the archive is unpacked. Default: there itself. */
  readonly as?: string | undefined
  /** What is known of it. Default: it is looked through now. */
  readonly manifest?: Manifest | undefined
  /** Only these of the manifest's paths; of directories only themselves. Default: all. */
  readonly paths?: ReadonlyArray<string> | undefined
}

export interface PackOptions {
  /** Told of each file that is not in the archive as it is on disk. Default: a warning is logged. */
  readonly note?: ((text: string) => Effect.Effect<void>) | undefined
}

/**
 * The archive of one or more directories. Each run reads them anew.
 */
export const pack = (
  sources: ReadonlyArray<Source>,
  options: PackOptions = {}
): Stream.Stream<Uint8Array, BackendError> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const note = options.note ?? Effect.logWarning
      const notes: Array<string> = []
      const known: Array<readonly [Source, Manifest]> = []
      for (const source of sources) {
        let { manifest } = source
        if (manifest === undefined) {
          const taken = yield* snapshot(source.root)
          manifest = taken.manifest
          for (const { path, why } of taken.skipped) notes.push(`${source.root}/${path} is not copied: ${why}`)
        }
        known.push([source, manifest])
      }
      const next = yield* makePacker(stepsOf(known), notes)
      const pull: Effect.Effect<Arr.NonEmptyReadonlyArray<Uint8Array>, BackendError | Cause.Done> = Effect.flatMap(
        Effect.try({ try: next, catch: storageFailed("packing files") }),
        (bytes) =>
          Effect.andThen(
            Effect.forEach(notes.splice(0), note, { discard: true }),
            bytes === undefined ? Cause.done() : Effect.succeed(Arr.of(bytes))
          )
      )
      return Stream.fromPull(Effect.succeed(pull))
    })
  )

/** Of one chunk of an archive. */
const chunkSize = 256 * 1024

/** Up to this size a file is read in one go, together with others. */
const smallSize = 64 * 1024

/** An entry to come. */
interface Step {
  readonly entry: TreeEntry
  /** On this machine. */
  readonly file: string
  /** In the archive. */
  readonly path: string
}

/** A file whose body is being written. */
interface OpenFile {
  readonly file: string
  readonly descriptor: number
  readonly stats: Fs.Stats
  position: number
  /** It ended too soon. */
  short: boolean
}

const stepsOf = function* (sources: ReadonlyArray<readonly [Source, Manifest]>): Generator<Step, undefined> {
  for (const [{ as = "", paths, root }, manifest] of sources) {
    const prefix = as === "" || as === "." ? "" : `${as.replace(/^\.?\/+|\/+$/g, "")}/`
    for (const path of paths ?? manifest.keys()) {
      const entry = manifest.get(path)
      if (entry !== undefined) yield { entry, file: `${root}/${path}`, path: prefix + path }
    }
  }
}

/** Gives an archive chunk by chunk, undefined at its end. */
const makePacker = Effect.fnUntraced(function* (
  steps: Iterator<Step, undefined>,
  notes: Array<string>
): Effect.fn.Return<() => Buffer | undefined, never, Scope.Scope> {
  let open: OpenFile | undefined
  /** Not begun yet. */
  let next = steps.next().value
  let ended = false
  const chunk = Buffer.allocUnsafeSlow(chunkSize)
  let used = 0
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      if (open !== undefined) Fs.closeSync(open.descriptor)
      open = undefined
    })
  )

  const put = (bytes: Uint8Array) => {
    chunk.set(bytes, used)
    used += bytes.length
  }
  const zeros = (count: number) => {
    chunk.fill(0, used, used + count)
    used += count
  }

  /** Goes on with the file that is open. False: the chunk is full. */
  const proceed = (file: OpenFile): boolean => {
    while (file.position < file.stats.size) {
      const room = Math.min(file.stats.size - file.position, chunkSize - used)
      if (room === 0) return false
      const read = file.short ? 0 : Fs.readSync(file.descriptor, chunk, used, room, file.position)
      if (read === 0) {
        file.short = true
        chunk.fill(0, used, used + room)
      }
      used += read === 0 ? room : read
      file.position += read === 0 ? room : read
    }
    const padding = paddingOf(file.stats.size)
    if (chunkSize - used < padding) return false
    zeros(padding)
    const now = Fs.fstatSync(file.descriptor)
    Fs.closeSync(file.descriptor)
    open = undefined
    if (file.short) notes.push(`${file.file} became smaller while it was copied: its end is filled with zeros`)
    else if (now.mtimeMs !== file.stats.mtimeMs) notes.push(`${file.file} was changed while it was copied`)
    return true
  }

  /** Starts an entry. False: it does not fit any more. */
  const start = ({ entry, file, path }: Step): boolean => {
    const header = headerOf(path, entry)
    const body = entry.type === "File" && entry.size <= smallSize ? entry.size : 0
    // One byte more than there should be tells whether the file has grown.
    if (header.length + body + 1 + paddingOf(body) > chunkSize - used) return false
    if (entry.type !== "File") {
      put(header)
      return true
    }
    const descriptor = openFile(file, notes)
    if (descriptor === undefined) return true
    if (entry.size <= smallSize) {
      const read = readSmall(descriptor, chunk, used + header.length, entry.size + 1)
      if (read !== undefined && read <= entry.size) {
        put(read === entry.size ? header : headerOf(path, { ...entry, size: read }))
        used += read
        zeros(paddingOf(read))
        Fs.closeSync(descriptor)
        return true
      }
    }
    const stats = Fs.fstatSync(descriptor)
    if (!stats.isFile()) {
      Fs.closeSync(descriptor)
      notes.push(`${file} is not copied: it is no file any more`)
      return true
    }
    put(headerOf(path, { ...entry, size: stats.size, mode: stats.mode & 0o7777, mtime: stats.mtimeMs }))
    open = { file, descriptor, stats, position: 0, short: false }
    return true
  }

  return () => {
    if (ended) return undefined
    used = 0
    for (;;) {
      if (open !== undefined) {
        if (!proceed(open)) break
        continue
      }
      if (next === undefined) {
        if (chunkSize - used < endOfArchive.length) break
        put(endOfArchive)
        ended = true
        break
      }
      if (!start(next)) break
      next = steps.next().value
    }
    return chunk.subarray(0, used)
  }
})

const headerOf = (path: string, { mode, mtime, size, target = "", type }: TreeEntry): Buffer =>
  encodeHeader({ path, type, size, mode, mtime: mtime / 1000, target })

/** Never through a link, and without waiting for the writer of a FIFO: the file may be something else by now. */
const openFile = (file: string, notes: Array<string>): number | undefined => {
  const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = Fs.constants
  try {
    return Fs.openSync(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
  } catch (error) {
    if (isMissing(error)) notes.push(`${file} is not copied: it was removed meanwhile`)
    else if (isForbidden(error)) notes.push(`${file} is not copied: it may not be read`)
    else if (/^(ELOOP|ENXIO|ENODEV)$/.test(codeOf(error) ?? "")) {
      notes.push(`${file} is not copied: it is no file any more`)
    } else throw error
    return undefined
  }
}

/** How much of `length` bytes there are; undefined: it is no file. */
const readSmall = (descriptor: number, into: Buffer, offset: number, length: number): number | undefined => {
  let read = 0
  try {
    while (read < length) {
      const part = Fs.readSync(descriptor, into, offset + read, length - read, read)
      if (part === 0) break
      read += part
    }
    return read
  } catch (error) {
    if (/^(EISDIR|EAGAIN|ESPIPE)$/.test(codeOf(error) ?? "")) return undefined
    throw error
  }
}
