/**
 * The files of an environment that shares no volume with this machine: to the pod before the first step, changes of this side with each
 * step, what the caller wants back after each step.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Mount } from "../../../domain/Container.ts"
import { BackendError, StorageFailed } from "../../../domain/JobError.ts"
import type { KubeClient } from "../../kubernetes/KubeClient.ts"
import type { CopySharing, Options } from "../PodOptions.ts"
import { pack } from "./files/Archive.ts"
import * as LocalTree from "./files/LocalTree.ts"
import * as PodFiles from "./files/PodFiles.ts"
import { partSmallTexts } from "./files/SmallTexts.ts"
import type { TarEvent } from "./files/TarReader.ts"
import { makeUnpacker } from "./files/Unpack.ts"
import type { Copied } from "./mountPlan.ts"
import type { PodData } from "./podData.ts"
import type { Place } from "./podExec.ts"
import { returningScript } from "./returned.ts"
import type { TransportFile, TransportStep } from "./StepTransport.ts"

/** What a step takes along, and brings back. */
interface Travelling {
  readonly uploads: ReadonlyArray<TransportFile>
  readonly returning: string
  /** The step's exit code, once what it brings back is in its place. */
  readonly thenReturn: (running: TransportStep) => Effect.Effect<Effect.Effect<number, BackendError>>
}

export interface Copying {
  readonly files: PodFiles.PodFiles
  /** Copies directories into the job's container. */
  readonly fill: (
    place: Place,
    environment: string,
    copied: ReadonlyArray<Copied>,
    told: (what: string) => Effect.Effect<void>
  ) => Effect.Effect<void, BackendError>
  /** For a step that is about to start. */
  readonly forStep: (environment: string, data: PodData) => Effect.Effect<Travelling, BackendError>
  /** What this side has changed since it was copied. */
  readonly changes: (environment: string) => Effect.Effect<ReadonlyArray<Change>, BackendError>
  /** Whether a path of a directory, which is a mount's or inside of one, is among what comes back. */
  readonly isReturnedFrom: (mounts: ReadonlyArray<Mount>, directory: string, path: string) => boolean
}

interface Change {
  readonly directory: string
  readonly manifest: LocalTree.Manifest
  readonly delta: LocalTree.Delta
}

/** What may travel inside of a step's own script; more goes as an archive. */
const smallEnough = 192 * 1024

const nothing: Travelling = { uploads: [], returning: "", thenReturn: (running) => Effect.succeed(running.exitCode) }

export const makeCopying = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<Copying, never, KubeClient> {
  const files = yield* PodFiles.make()
  const sharing: CopySharing | undefined =
    options.sharing?._tag === "Claim" ? undefined : (options.sharing ?? { _tag: "Copy" })
  const { excluded = [], returned = [], stateDirectory, watched = [] } = sharing ?? {}
  /** By environment and directory: what the pod has. */
  const known = new Map<string, LocalTree.Manifest>()
  const hidden = [...excluded, ...(stateDirectory === undefined ? [] : [stateDirectory])]
  const isReturned = LocalTree.matcher(returned)

  const snapshot = (root: string) =>
    LocalTree.snapshot(root, { exclude: (path) => hidden.includes(Path.join(root, path)) })

  const manifestFile = (environment: string) =>
    stateDirectory === undefined ? undefined : Path.join(stateDirectory, `${environment}.copied.json`)

  const remember = (environment: string, manifests: ReadonlyMap<string, LocalTree.Manifest>) =>
    storing("noting what was copied", () => {
      for (const [directory, manifest] of manifests) known.set(`${environment} ${directory}`, manifest)
      const file = manifestFile(environment)
      if (file === undefined) return
      const all = watched.map((directory) => [directory, [...(known.get(`${environment} ${directory}`) ?? [])]])
      Fs.mkdirSync(Path.dirname(file), { recursive: true, mode: 0o700 })
      Fs.writeFileSync(`${file}.new`, JSON.stringify(all), { mode: 0o600 })
      Fs.renameSync(`${file}.new`, file)
    })

  const recall = (environment: string) =>
    storing("reading what was copied", () => {
      const file = manifestFile(environment)
      if (file === undefined || !Fs.existsSync(file)) return
      const all: ReadonlyArray<readonly [string, ReadonlyArray<readonly [string, LocalTree.TreeEntry]>]> = JSON.parse(
        Fs.readFileSync(file, "utf8")
      )
      for (const [directory, entries] of all) known.set(`${environment} ${directory}`, new Map(entries))
    })

  const fill: Copying["fill"] = Effect.fnUntraced(function* (place, environment, copied, told) {
    for (const { source, target } of copied) {
      const { manifest, skipped } = yield* snapshot(source)
      for (const { path, why } of skipped) yield* Effect.logWarning(`${source}/${path} is not copied: ${why}`)
      yield* told(`${manifest.size} files of ${source} to be copied`)
      yield* files.push({
        to: { ...place, directory: target },
        archive: pack([{ root: source, manifest }]),
        // Every user of the container is to work with them, as with a directory of its own.
        modes: "shared"
      })
      const inside = watched.filter((directory) => directory === source || directory.startsWith(`${source}/`))
      yield* remember(
        environment,
        new Map(
          inside.map((directory) => {
            const prefix = directory === source ? "" : `${directory.slice(source.length + 1)}/`
            const part = [...manifest].filter(([path]) => path.startsWith(prefix))
            return [directory, new Map(part.map(([path, entry]) => [path.slice(prefix.length), entry]))]
          })
        )
      )
    }
  })

  const changes: Copying["changes"] = Effect.fnUntraced(function* (environment) {
    if (watched.some((directory) => !known.has(`${environment} ${directory}`))) yield* recall(environment)
    const found: Array<Change> = []
    for (const directory of watched) {
      const { manifest } = yield* snapshot(directory)
      const delta = LocalTree.delta(known.get(`${environment} ${directory}`) ?? new Map(), manifest)
      if (!LocalTree.isEmpty(delta)) found.push({ directory, manifest, delta })
    }
    return found
  })

  const forStep: Copying["forStep"] = Effect.fnUntraced(function* (environment, data) {
    if (sharing === undefined || (watched.length === 0 && returned.length === 0)) return nothing
    const place = { namespace: data.namespace, pod: data.pod, container: data.container }
    const uploads: Array<TransportFile> = []
    const fresh = new Map<string, LocalTree.Manifest>()
    let room = smallEnough
    for (const { delta, directory, manifest } of yield* changes(environment)) {
      const target = inPod(data.mounts, directory)
      if (target === undefined) continue
      fresh.set(directory, manifest)
      const paths = [...delta.added, ...delta.changed]
      const { rest, texts } = yield* partSmallTexts(directory, manifest, paths, room)
      for (const { content, path } of texts) {
        room -= Buffer.byteLength(content)
        uploads.push({ name: `${target}/${path}`, content })
      }
      if (rest.length > 0 || delta.removed.length > 0) {
        yield* files.push({
          to: { ...place, directory: target },
          archive: pack([{ root: directory, manifest, paths: rest }]),
          remove: delta.removed,
          modes: "shared"
        })
      }
    }
    if (fresh.size > 0) yield* remember(environment, fresh)
    return {
      uploads,
      returning: returningScript(data.mounts, returned),
      thenReturn: (running) =>
        Effect.cached(
          Effect.tap(running.exitCode, () =>
            Effect.flatMap(running.returned, (back) => receive(environment, data.mounts, back))
          )
        )
    }
  })

  /** Puts files of the pod into their places here; their sender is not trusted. */
  const receive = Effect.fnUntraced(function* (
    environment: string,
    mounts: ReadonlyArray<Mount>,
    back: ReadonlyMap<string, Uint8Array>
  ) {
    for (const mount of mounts) {
      const wanted = [...back].flatMap(([path, bytes]) => {
        const relative = path.startsWith(`${mount.target}/`) ? path.slice(mount.target.length + 1) : undefined
        return relative !== undefined && mount.source.startsWith("/") && isReturned(relative)
          ? [[relative, bytes] as const]
          : []
      })
      if (wanted.length === 0) continue
      yield* Effect.scoped(
        Effect.gen(function* () {
          const unpacker = yield* makeUnpacker(mount.source, { making: stateDirectory })
          const now = Math.floor((yield* Clock.currentTimeMillis) / 1000)
          for (const [path, bytes] of wanted) yield* unpacker.take(asEntry(path, bytes, now))
          yield* unpacker.take([{ _tag: "End" }])
          yield* unpacker.finish
        })
      )
      // What came from there need not go back.
      for (const directory of watched) {
        const manifest = known.get(`${environment} ${directory}`)
        const prefix = mount.source === directory ? "" : Path.relative(mount.source, directory)
        if (manifest === undefined || prefix.startsWith("..")) continue
        const inside = wanted.flatMap(([path]) =>
          prefix === "" ? [path] : path.startsWith(`${prefix}/`) ? [path.slice(prefix.length + 1)] : []
        )
        if (inside.length > 0) {
          yield* remember(environment, new Map([[directory, yield* LocalTree.refresh(directory, manifest, inside)]]))
        }
      }
    }
  })

  const isReturnedFrom: Copying["isReturnedFrom"] = (mounts, directory, path) =>
    mounts.some(({ source }) => {
      const whole = `${directory}/${path}`
      return whole.startsWith(`${source}/`) && isReturned(whole.slice(source.length + 1))
    })

  return { files, fill, forStep, changes, isReturnedFrom }
})

/** Where the job's container sees a directory of this machine. */
export const inPod = (mounts: ReadonlyArray<Mount>, path: string): string | undefined => {
  const [closest] = mounts
    .filter(({ source }) => path === source || path.startsWith(`${source}/`))
    .sort((a, b) => b.source.length - a.source.length)
  return closest === undefined ? undefined : `${closest.target}${path.slice(closest.source.length)}`
}

const asEntry = (path: string, bytes: Uint8Array, mtime: number): ReadonlyArray<TarEvent> => [
  {
    _tag: "Entry",
    header: { path, type: "File", size: bytes.length, mode: 0o644, mtime, target: "" },
    blocks: Buffer.alloc(0)
  },
  { _tag: "Body", bytes: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength) },
  { _tag: "EntryEnd" }
]

const storing = <A>(operation: string, work: () => A): Effect.Effect<A, BackendError> =>
  Effect.try({
    try: work,
    catch: (cause) =>
      new BackendError({
        reason: new StorageFailed({
          operation,
          detail: cause instanceof Error ? cause.message : String(cause),
          transient: false
        })
      })
  })
