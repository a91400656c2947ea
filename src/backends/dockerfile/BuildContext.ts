/**
 * The directory that COPY and ADD take files from: on this machine, but what is in it comes from strangers.
 *
 * **Details**
 *
 * Nothing outside of the directory is read: `..` ends at its top, links are followed as if its top were `/`, and a file is opened without
 * following links and only if it still is the one that was looked at. Devices, FIFOs and sockets are refused, as is more than `Limits`.
 *
 * Reading is synchronous, a directory at a time: a thread pool and a fiber for each file take ten times as long.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as DockerIgnore from "./DockerIgnore.ts"
import { chunksOf, codeOf, copyOpened, openContained } from "./internal/containedFile.ts"
import { matchesGlob, parseGlob } from "./internal/glob.ts"
import { cleanPath, hasWildcards, relativeToRoot, rooted } from "./internal/paths.ts"
import { type At, Refusal } from "./Refusal.ts"

/**
 * Something that COPY takes along.
 *
 * @category models
 */
export interface Entry {
  /** Relative to what was copied: `""` is that itself. */
  readonly path: string
  readonly kind: "file" | "directory" | "link"
  /** Permission bits, with set-id and sticky. */
  readonly mode: number
  /** Of files. */
  readonly size: number
  /** Milliseconds since 1970. */
  readonly mtime: number
  /** Of links. */
  readonly target: string | undefined
  /** Relative to the context. */
  readonly source: string
  /** Which file it is, to know it again. */
  readonly identity: string
}

/**
 * One source of a COPY, its links followed.
 *
 * @category models
 */
export interface Source {
  /** The name that it has in a directory it is copied into. */
  readonly name: string
  readonly kind: "file" | "directory"
  /** Relative to the context. */
  readonly path: string
}

/** @category options */
export interface Limits {
  /** Default 50,000. */
  readonly files: number
  /** Default 1 GiB. */
  readonly bytes: number
}

/** @category models */
export interface BuildContext {
  /** Absolute, without links. */
  readonly root: string
  /** The Dockerfile's text; `.dockerignore` does not hide it, and a link does not lead it out. */
  readonly dockerfile: Effect.Effect<string, Refusal>
  /** What a source names: one entry, or all that match its wildcards, in order. None for wildcards that match nothing. */
  readonly find: (source: string, at: At) => Effect.Effect<ReadonlyArray<Source>, Refusal>
  /** All that is copied with a source; directories before what is in them. `exclude` is relative to the source. */
  readonly entries: (
    source: Source,
    at: At,
    exclude?: DockerIgnore.DockerIgnore
  ) => Effect.Effect<ReadonlyArray<Entry>, Refusal>
  /** Writes an entry to a path of this machine, whose directory is there. */
  readonly write: (entry: Entry, target: string, at: At) => Effect.Effect<void, Refusal>
  /** A file's content, piece by piece; throws if it cannot be read. */
  readonly chunks: (entry: Entry) => Iterable<Uint8Array>
  /** The first bytes of a file. */
  readonly head: (source: Source, bytes: number, at: At) => Effect.Effect<Uint8Array, Refusal>
}

/** @category options */
export interface Options {
  /** Of the Dockerfile, whose `.dockerignore` may stand beside it. Default `Dockerfile`. */
  readonly dockerfileName?: string
  readonly limits?: Partial<Limits>
}

/**
 * Opens a directory as a context, with its `.dockerignore`.
 *
 * @category constructors
 */
export const open = Effect.fnUntraced(function* (
  directory: string,
  options: Options = {}
): Effect.fn.Return<BuildContext, Refusal> {
  const root = yield* attempt(`The action's directory ${directory}`, nowhere, () => Fs.realpathSync(directory))
  const { dockerfileName = "Dockerfile" } = options
  const ignore = yield* readIgnore(root, dockerfileName)
  const limits: Limits = { files: 50_000, bytes: 1024 ** 3, ...options.limits }

  const absolute = (path: string) => (path === "" ? root : Path.join(root, ...path.split("/")))

  const stat = (path: string): Fs.Stats | undefined => {
    const found = Fs.lstatSync(absolute(path), { throwIfNoEntry: false })
    return found
  }

  /** Where a path leads, links followed; nothing if it leads nowhere. */
  const follow = (path: string): string | undefined => {
    let rest = relativeToRoot(path).split("/").filter(Boolean)
    let here: Array<string> = []
    for (let links = 0; rest.length > 0; ) {
      const [name, ...more] = rest as [string, ...Array<string>]
      rest = more
      if (name === "..") {
        here = here.slice(0, -1)
        continue
      }
      if (name === ".") continue
      const found = stat([...here, name].join("/"))
      if (found === undefined) return undefined
      if (!found.isSymbolicLink()) {
        here.push(name)
        continue
      }
      if (++links > 40) return undefined
      const target = Fs.readlinkSync(absolute([...here, name].join("/")))
      if (target.startsWith("/")) here = []
      rest = [...target.split("/").filter(Boolean), ...rest]
    }
    return here.join("/")
  }

  const sourceAt = (path: string, at: At, written: string): Source => {
    const followed = follow(path)
    const found = followed === undefined ? undefined : stat(followed)
    const ignored = followed !== undefined && isIgnored(ignore, followed)
    if (followed === undefined || found === undefined || (ignored && !(found.isDirectory() && ignore.hasExceptions))) {
      throw new Refusal({
        line: at.line,
        text: at.text,
        detail: `names '${written}', which is not in the action's directory${ignored ? ": .dockerignore excludes it" : ""}`,
        who: "author",
        hint: "correct the path; it is relative to the directory of the Dockerfile."
      })
    }
    if (!found.isDirectory() && !found.isFile()) throw special(at, followed, found)
    return { name: Path.posix.basename(path), kind: found.isDirectory() ? "directory" : "file", path: followed }
  }

  const find = (source: string, at: At) =>
    attempt(source, at, (): ReadonlyArray<Source> => {
      const names = cleanPath(rooted(source)).split("/").filter(Boolean)
      const first = names.findIndex(hasWildcards)
      if (first === -1) return [sourceAt(names.join("/"), at, source)]
      const pattern = names.slice(first)
      const glob = Result.getOrUndefined(parseGlob(pattern.join("/"), false))
      const base = follow(names.slice(0, first).join("/"))
      if (glob === undefined || base === undefined) return []
      const matches: Array<Source> = []
      let seen = 0
      const search = (directory: string, relative: string, depth: number): void => {
        for (const entry of sorted(absolute(directory))) {
          if (++seen > limits.files) throw tooMany(at, limits)
          const path = join(directory, entry.name)
          const below = join(relative, entry.name)
          const ignored = isIgnored(ignore, path)
          if (ignored && !(entry.isDirectory() && ignore.hasExceptions)) continue
          if (matchesGlob(glob, below)) matches.push(sourceAt(path, at, path))
          else if (entry.isDirectory() && depth < pattern.length) search(path, below, depth + 1)
        }
      }
      search(base, "", 1)
      return matches
    })

  const entries = (source: Source, at: At, exclude = DockerIgnore.none) =>
    attempt(source.path, at, (): ReadonlyArray<Entry> => {
      const found: Array<Entry> = []
      let bytes = 0
      const add = (path: string, from: string, stats: Fs.Stats): void => {
        const kind = stats.isDirectory() ? "directory" : stats.isSymbolicLink() ? "link" : "file"
        if (kind === "file" && !stats.isFile()) throw special(at, from, stats)
        if (/[\n\0]/.test(path)) throw refused(at, "takes a file with a line break in its name")
        bytes += kind === "file" ? stats.size : 0
        if (found.length >= limits.files) throw tooMany(at, limits)
        if (bytes > limits.bytes) {
          throw refused(at, `takes more than ${Math.round(limits.bytes / 1024 ** 2)} MiB out of the action's directory`)
        }
        found.push({
          path,
          kind,
          mode: stats.mode & 0o7777,
          size: kind === "file" ? stats.size : 0,
          mtime: stats.mtimeMs,
          target: kind === "link" ? Fs.readlinkSync(absolute(from)) : undefined,
          source: from,
          identity: `${stats.dev}:${stats.ino}`
        })
      }
      const walk = (
        path: string,
        from: string,
        above: {
          readonly ignored: DockerIgnore.Decision | undefined
          readonly excluded: DockerIgnore.Decision | undefined
        }
      ): void => {
        for (const { name } of sorted(absolute(from))) {
          const [below, belowFrom] = [join(path, name), join(from, name)]
          const decisions = {
            ignored: ignore.decide(belowFrom, above.ignored),
            excluded: exclude.decide(below, above.excluded)
          }
          const hidden = decisions.ignored.ignored || decisions.excluded.ignored
          const mayShow = ignore.hasExceptions || exclude.hasExceptions
          if (hidden && !mayShow) continue
          const stats = stat(belowFrom)
          if (stats === undefined || (hidden && !stats.isDirectory())) continue
          const before = found.length
          add(below, belowFrom, stats)
          if (!stats.isDirectory()) continue
          walk(below, belowFrom, decisions)
          // It was only gone through for what was taken back in it.
          if (hidden && found.length === before + 1) found.pop()
        }
      }
      const stats = stat(source.path)
      if (stats === undefined) throw refused(at, `takes '${source.path}', which has just gone`)
      add("", source.path, stats)
      if (stats.isDirectory()) {
        walk("", source.path, {
          ignored: source.path === "" ? undefined : decisionOf(ignore, source.path),
          excluded: undefined
        })
      }
      return found
    })

  const write = (entry: Entry, target: string, at: At) =>
    attempt(entry.source, at, () => {
      switch (entry.kind) {
        case "directory":
          Fs.mkdirSync(target, { recursive: true })
          return
        case "link":
          Fs.symlinkSync(entry.target ?? "", target)
          return
        case "file":
          copyOpened(openContained(root, entry.source, entry.identity), target, entry)
      }
    })

  const dockerfile = Effect.try({
    try: () => {
      const path = follow(dockerfileName)
      const stats = path === undefined ? undefined : stat(path)
      if (path === undefined || stats === undefined) throw unreadable("it is not there")
      return readSmall(root, path, stats) ?? throwing(unreadable(`it is no file of at most ${maxText / 1024 ** 2} MiB`))
    },
    catch: (cause) => (cause instanceof Refusal ? cause : unreadable(codeOf(cause) ?? String(cause)))
  })

  const unreadable = (detail: string): Refusal =>
    refused(
      nowhere,
      `The Dockerfile ${Path.join(directory, dockerfileName)} cannot be read: ${detail}`,
      "check `runs.image` of action.yml."
    )

  const head = (source: Source, bytes: number, at: At) =>
    attempt(source.path, at, () => {
      const descriptor = openContained(root, source.path)
      const buffer = Buffer.alloc(bytes)
      const read = Fs.readSync(descriptor, buffer, 0, bytes, 0)
      Fs.closeSync(descriptor)
      return new Uint8Array(buffer.subarray(0, read))
    })

  return { root, dockerfile, find, entries, write, chunks: (entry) => chunksOf(root, entry), head }
})

/**
 * What could not be told of a path.
 *
 * `Effect.try` keeps a thrown `Refusal`; anything else comes from the file system.
 */
const attempt = <A>(what: string, at: At, body: () => A): Effect.Effect<A, Refusal> =>
  Effect.try({
    try: body,
    catch: (cause) =>
      cause instanceof Refusal
        ? cause
        : new Refusal({
            line: at.line,
            text: at.text,
            detail: `needs '${what}', which cannot be read: ${cause instanceof RangeError ? "it is nested too deep" : (codeOf(cause) ?? String(cause))}`,
            who: "author",
            hint: "look at that path in the action's repository."
          })
  })

const nowhere: At = { line: 0, text: "" }

/** `<Dockerfile>.dockerignore` goes before `.dockerignore`. */
const readIgnore = Effect.fnUntraced(function* (
  root: string,
  dockerfileName: string
): Effect.fn.Return<DockerIgnore.DockerIgnore, Refusal> {
  for (const name of [`${dockerfileName}.dockerignore`, ".dockerignore"]) {
    const text = yield* attempt(name, nowhere, () => {
      const stats = Fs.lstatSync(Path.join(root, name), { throwIfNoEntry: false })
      if (stats === undefined) return undefined
      return readSmall(root, name, stats) ?? throwing(refused(nowhere, `${name} is no file that can be read`))
    })
    if (text === undefined) continue
    const parsed = DockerIgnore.parse(text)
    if (Result.isFailure(parsed)) return yield* refused(nowhere, `${name} is not valid: ${parsed.failure}`)
    return parsed.success
  }
  return DockerIgnore.none
})

/** Dockerfiles and ignore files are read whole. */
const maxText = 4 * 1024 ** 2

const readSmall = (root: string, path: string, stats: Fs.Stats): string | undefined => {
  if (!stats.isFile() || stats.size > maxText) return undefined
  const descriptor = openContained(root, path)
  const buffer = Buffer.alloc(stats.size)
  const read = Fs.readSync(descriptor, buffer, 0, stats.size, 0)
  Fs.closeSync(descriptor)
  return buffer.toString("utf8", 0, read)
}

const throwing = (refusal: Refusal): never => {
  throw refusal
}

const sorted = (directory: string): ReadonlyArray<Fs.Dirent> =>
  // By the bytes of the names, as Go sorts.
  Fs.readdirSync(directory, { withFileTypes: true }).sort((a, b) => compareNames(a.name, b.name))

const compareNames = (a: string, b: string): number =>
  /[\ud800-\udfff]/.test(a + b) ? Buffer.compare(Buffer.from(a), Buffer.from(b)) : a < b ? -1 : 1

const join = (directory: string, name: string): string => (directory === "" ? name : `${directory}/${name}`)

const decisionOf = (ignore: DockerIgnore.DockerIgnore, path: string): DockerIgnore.Decision => {
  let decision: DockerIgnore.Decision | undefined
  for (let end = path.indexOf("/"); end !== -1; end = path.indexOf("/", end + 1)) {
    decision = ignore.decide(path.slice(0, end), decision)
  }
  return ignore.decide(path, decision)
}

const isIgnored = (ignore: DockerIgnore.DockerIgnore, path: string): boolean =>
  path !== "" && decisionOf(ignore, path).ignored

const refused = (at: At, detail: string, hint = "leave it out, with .dockerignore or another COPY."): Refusal =>
  new Refusal({ line: at.line, text: at.text, detail, who: "author", hint })

const tooMany = (at: At, limits: Limits): Refusal =>
  refused(at, `takes more than ${limits.files.toLocaleString("en")} files out of the action's directory`)

const special = (at: At, path: string, stats: Fs.Stats): Refusal => {
  const kind = stats.isFIFO() ? "a named pipe" : stats.isSocket() ? "a socket" : "a device"
  return refused(at, `takes '${path}', which is ${kind}`)
}
