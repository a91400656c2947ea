/**
 * Files into and out of containers, over exec: an archive in one, with whatever tar the image has, or none.
 *
 * **Details**
 *
 * - Done is what the pod has confirmed: tar's own exit code, and for what was sent that the last entry, which is ours, is there. An
 *   archive that ends too soon is a failure on either side.
 * - What is not done is done again from the beginning when the connection broke, some times; whatever a broken try has left is replaced.
 * - Nobody is ahead of anybody: a slow pod, or a slow disk here, stops the sender, and memory stays flat.
 * - Files belong to the user of the container.
 */
import { Buffer } from "node:buffer"
import { randomBytes } from "node:crypto"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { BackendError } from "../../../../domain/JobError.ts"
import { backoff } from "../../../kubernetes/internal/backoff.ts"
import { KubeClient } from "../../../kubernetes/KubeClient.ts"
import type { Manifest } from "./LocalTree.ts"
import { archiveOf } from "./podArchive.ts"
import { readManifest } from "./podManifest.ts"
import * as PodScripts from "./podScripts.ts"
import * as PodSession from "./podSession.ts"
import { lengthOf, type Modes, makeRelay } from "./relay.ts"
import { makeTarReader, type TarEvent } from "./TarReader.ts"
import { makeUnpacker, type Unpacked, type UnpackOptions } from "./Unpack.ts"

export type { Place } from "./podSession.ts"

export interface Options {
  /** Where the externals of GitHub's runner are in pods, whose node works where there is no tar. Default `/__e`. */
  readonly externals?: string | undefined
  /** How often a transfer is repeated at most after a lost connection. Default 3. */
  readonly retries?: number | undefined
}

/** How files arrive in a container. */
interface ArrivalOptions {
  /** The directory is made if it is missing. */
  readonly to: PodSession.Place
  /** Default `kept`. */
  readonly modes?: Modes | undefined
  /**
   * A directory, relative to the one that is written, where a file can be made for a moment: it tells that everything has come. Default:
   * the directory itself.
   */
  readonly scratch?: string | undefined
  /** A script for sh, run in the directory when the files are there, in the same exec. After a lost connection it may run again. */
  readonly afterwards?: string | undefined
}

export interface PushOptions<E, R> extends ArrivalOptions {
  /** Run anew with every try. */
  readonly archive: Stream.Stream<Uint8Array, BackendError | E, R>
  /** Paths in the directory that are removed before: what is gone, and what becomes something else. */
  readonly remove?: ReadonlyArray<string> | undefined
}

export interface Pushed {
  readonly entries: number
  /** Of the archive. */
  readonly bytes: number
  /** What tar could not do though the files are there: times and modes of directories of other users. */
  readonly warnings: ReadonlyArray<string>
  /** What the script `afterwards` wrote. */
  readonly output: string
  /** Of the script `afterwards`; 0 if there was none. */
  readonly exitCode: number
}

/** What is taken from a directory in a pod. */
export type Selection =
  /** Everything that is in these paths; by default all of the directory. */
  | { readonly _tag: "All"; readonly paths?: ReadonlyArray<string> | undefined }
  /** What is picked by someone who is told what there is. */
  | {
      readonly _tag: "Picked"
      /** Where it is looked; by default everywhere. */
      readonly under?: ReadonlyArray<string> | undefined
      /** Only at what was modified after this file of the pod (an absolute path). */
      readonly newerThan?: string | undefined
      readonly pick: (now: Manifest) => Choice
    }

export interface Choice {
  /** Of directories only themselves. */
  readonly paths: ReadonlyArray<string>
  /** What is gone; a transfer removes it on the other side. */
  readonly removed?: ReadonlyArray<string> | undefined
}

interface PullOptions<A, E, R> {
  readonly from: PodSession.Place
  readonly select: Selection
  /** Reads the archive to its end, anew with every try: what came before the end is not yet confirmed. */
  readonly into: (archive: Stream.Stream<Uint8Array, BackendError>) => Effect.Effect<A, E, R>
}

export interface Pulled<A> {
  readonly value: A
  /** What there was; only if something was picked. */
  readonly manifest: Manifest | undefined
  /** What went, or changed, while it was read. */
  readonly warnings: ReadonlyArray<string>
}

interface TransferOptions extends ArrivalOptions {
  readonly from: PodSession.Place
  readonly select: Selection
  /** What of it also lands in a directory of this machine. */
  readonly keep?: (UnpackOptions & { readonly root: string }) | undefined
}

interface Transferred {
  readonly pushed: Pushed
  readonly pulled: Omit<Pulled<unknown>, "value">
  readonly kept: Unpacked | undefined
}

export interface PodFiles {
  /** An archive of this side into a container. */
  readonly push: <E = never, R = never>(options: PushOptions<E, R>) => Effect.Effect<Pushed, BackendError | E, R>
  /** Files of a container as an archive. */
  readonly pull: <A, E, R>(options: PullOptions<A, E, R>) => Effect.Effect<Pulled<A>, BackendError | E, R>
  /** What there is in a directory of a container. */
  readonly manifest: (from: PodSession.Place, under?: ReadonlyArray<string>) => Effect.Effect<Manifest, BackendError>
  /** Files of one container into another, through this process. */
  readonly transfer: (options: TransferOptions) => Effect.Effect<Transferred, BackendError>
}

export const make = Effect.fnUntraced(function* (options: Options = {}): Effect.fn.Return<PodFiles, never, KubeClient> {
  const kube = yield* KubeClient
  const { externals = "/__e", retries = 3 } = options

  const again = <A, E, R>(effect: Effect.Effect<A, BackendError | E, R>) => {
    const attempt = (failures: number): Effect.Effect<A, BackendError | E, R> =>
      Effect.catchIf(
        effect,
        (error) => failures < retries && mayHeal(error),
        () => Effect.andThen(backoff(failures, 5000), attempt(failures + 1))
      )
    return attempt(0)
  }

  const pushOnce = Effect.fnUntraced(function* <E, R>(
    { afterwards, archive, modes = "kept", remove = [], scratch, to }: PushOptions<E, R>,
    tee: (events: ReadonlyArray<TarEvent>) => Effect.Effect<void, BackendError> = () => Effect.void
  ): Effect.fn.Return<Pushed, BackendError | E, R | Scope.Scope> {
    const operation = `copying files to ${nameOf(to)}`
    const nonce = makeNonce()
    const script = PodScripts.receiver
    const session = yield* PodSession.open(kube, to, {
      script,
      nonce,
      externals,
      operation,
      isMinor: isMinorInUnpacking
    })
    const mark = `${scratch === undefined ? "" : `${scratch}/`}.jobscope-${nonce}`
    yield* session.write(
      [
        `mark=${PodScripts.quote(mark)}`,
        ...(session.halfClose ? [] : ["framed=1"]),
        ...(afterwards === undefined ? [] : [`afterwards=${PodScripts.quote(afterwards)}`]),
        ...PodScripts.calls("gone", remove),
        "\n"
      ].join("\n")
    )
    const relay = makeRelay(modes, mark, operation)
    const reader = makeTarReader()
    const write = (parts: ReadonlyArray<Uint8Array>) => {
      const length = lengthOf(parts)
      if (length === 0) return Effect.succeed(true)
      return session.write(session.halfClose ? parts : [Buffer.from(`${length}\n`), ...parts])
    }
    let listened = true
    const send = Effect.gen(function* () {
      yield* Stream.runForEachWhile(
        archive,
        Effect.fnUntraced(function* (bytes) {
          const events = reader.push(bytes)
          yield* tee(events)
          listened = yield* write(yield* relay.take(events))
          return listened
        })
      )
      if (!listened) return
      yield* write(yield* relay.end)
      yield* session.halfClose ? session.end : session.write("0\n")
    })
    const [, text] = yield* Effect.all([send, readText(session.bytes)], { concurrency: 2 })
    const code = yield* session.exitCode
    const found = new RegExp(`\\n${nonce} (\\d+) ([01]) (\\d+)\\n$`).exec(text)
    if (code !== 0 || found === null) return yield* session.failure(code, code === 0)
    const [, tar, complete, exitCode] = found
    const { minor, serious } = session.complaints()
    if (complete !== "1" || (tar !== "0" && serious.length > 0)) {
      // Nothing complained: its input ended, not tar.
      return yield* session.failure(Number(tar), serious.length === 0)
    }
    return { ...relay.counts(), warnings: minor, output: text.slice(0, found.index), exitCode: Number(exitCode) }
  })

  const pullOnce = Effect.fnUntraced(function* <A, E, R>(
    from: PodSession.Place,
    select: Selection,
    into: (archive: Stream.Stream<Uint8Array, BackendError>, choice: Choice) => Effect.Effect<A, E, R>
  ): Effect.fn.Return<Pulled<A>, BackendError | E, R | Scope.Scope> {
    const operation = `copying files from ${nameOf(from)}`
    const nonce = makeNonce()
    const script = PodScripts.sender
    const session = yield* PodSession.open(kube, from, {
      script,
      nonce,
      externals,
      operation,
      isMinor: isMinorInPacking
    })
    let manifest: Manifest | undefined
    let choice: Choice = { paths: [] }
    if (select._tag === "All") {
      yield* session.write(`all ${PodScripts.words(select.paths ?? ["."])}\n`)
    } else {
      const { newerThan, pick, under = ["."] } = select
      const newer = newerThan === undefined ? "" : `newer=${PodScripts.quote(newerThan)}\n`
      yield* session.write(`${newer}some ${PodScripts.words(under)}\n`)
      manifest = yield* readManifest(session, nonce)
      choice = pick(manifest)
      const list = Buffer.from(choice.paths.map((path) => `./${path}\0`).join(""))
      yield* session.write(Buffer.concat([Buffer.from(`${list.length}\n`), list]))
    }
    // Nothing at all is no archive either.
    const several = select._tag === "Picked" && (session.tool === "tar" || choice.paths.length === 0)
    const picked = several ? { entries: choice.paths.length, operation } : undefined
    const value = yield* into(archiveOf(session, nonce, picked), choice)
    return { value, manifest, warnings: session.complaints().minor }
  })

  return {
    push: (push) => again(Effect.scoped(pushOnce(push))),
    pull: ({ from, into, select }) => again(Effect.scoped(pullOnce(from, select, into))),
    manifest: (from, under) =>
      Effect.map(
        again(Effect.scoped(pullOnce(from, { _tag: "Picked", under, pick: () => ({ paths: [] }) }, Stream.runDrain))),
        ({ manifest }) => manifest ?? new Map()
      ),
    transfer: ({ from, keep, select, ...arrival }) =>
      again(
        Effect.scoped(
          Effect.gen(function* () {
            const unpacker = keep === undefined ? undefined : yield* makeUnpacker(keep.root, keep)
            const { value, ...pulled } = yield* pullOnce(from, select, (archive, { removed }) =>
              pushOnce({ ...arrival, archive, remove: removed }, unpacker?.take)
            )
            return { pushed: value, pulled, kept: yield* unpacker?.finish ?? Effect.undefined }
          })
        )
      )
  }
})

/** What of the output of `afterwards` is kept. */
const largestOutput = 1024 * 1024

const readText = Effect.fnUntraced(function* (bytes: PodSession.Session["bytes"]) {
  const parts: Array<Buffer> = []
  let size = 0
  for (let part = yield* bytes; part !== undefined; part = yield* bytes) {
    parts.push(part)
    size += part.length
    // The verdict comes last.
    while (size > largestOutput && parts.length > 1) size -= parts.shift()?.length ?? 0
  }
  return Buffer.concat(parts).toString()
})

const makeNonce = () => randomBytes(8).toString("hex")

const nameOf = ({ container, directory, pod }: PodSession.Place) =>
  `${directory} of ${container === undefined ? "" : `the container ${container} of `}the pod ${pod}`

/** The connection, not what was asked for. */
const mayHeal = (error: unknown): boolean => {
  if (!(error instanceof BackendError)) return false
  const { _tag, retryable } = error.reason
  return (_tag === "ConnectionLost" || _tag === "Unavailable" || _tag === "StorageFailed") && retryable
}

/** The files are there; that they are older, or stricter, than they were does no harm. */
const isMinorInUnpacking = (line: string) => /Cannot utime|Cannot change mode|Cannot change ownership/.test(line)

/** Others work on these files. */
const isMinorInPacking = (line: string) =>
  /No such file or directory|File removed before we read it|file changed as we read it|File shrank by/.test(line)
