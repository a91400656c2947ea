/**
 * The files of an environment that shares no volume with this machine: to the pod before the first step, changes of this side with each
 * step, what the caller wants back after each step.
 */
import * as Path from "node:path"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Mount } from "../../../domain/Container.ts"
import type { EnvVars } from "../../../domain/EnvVars.ts"
import type { BackendError } from "../../../domain/JobError.ts"
import type { ScriptStep } from "../../../domain/Step.ts"
import type { KubeClient } from "../../kubernetes/KubeClient.ts"
import type { CopySharing, Options } from "../PodOptions.ts"
import { makeCopyJournal } from "./copyJournal.ts"
import { pack } from "./files/Archive.ts"
import * as LocalTree from "./files/LocalTree.ts"
import * as PodFiles from "./files/PodFiles.ts"
import { partSmallTexts } from "./files/SmallTexts.ts"
import type { TarEvent } from "./files/TarReader.ts"
import { makeUnpacker } from "./files/Unpack.ts"
import type { Copied } from "./mountPlan.ts"
import { type OwnFile, ownFiles } from "./ownFiles.ts"
import type { PodData } from "./podData.ts"
import type { Place } from "./podExec.ts"
import { returningScript } from "./returned.ts"
import type { TransportStep, Upload } from "./StepTransport.ts"

/** What a step takes along, and brings back. */
interface Travelling {
  readonly uploads: ReadonlyArray<Upload>
  readonly returning: string
  /** Once the step has started: what it took along is there. */
  readonly arrived: Effect.Effect<void, BackendError>
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
  /** For a script step that is about to start. */
  readonly forStep: (environment: string, data: PodData, step: ScriptStep) => Effect.Effect<Travelling, BackendError>
  /** A step's own files, of its variables and of where its container has its mounts. */
  readonly ownOf: (env: EnvVars, mounts: ReadonlyArray<Mount>) => ReadonlyArray<OwnFile>
  /** What the pod does not have yet: what this side has changed since it was copied, and a step's own files. */
  readonly changes: (
    environment: string,
    own: ReadonlyArray<OwnFile>
  ) => Effect.Effect<ReadonlyArray<Change>, BackendError>
  /** Whether a path of a directory, which is a mount's or inside of one, is among what comes back. */
  readonly isReturnedFrom: (mounts: ReadonlyArray<Mount>, directory: string, path: string) => boolean
}

interface Change {
  readonly directory: string
  readonly manifest: LocalTree.Manifest
  /** Added or changed. */
  readonly paths: ReadonlyArray<string>
  readonly removed: ReadonlyArray<string>
  /** Of one step: no other brings them, so nobody need know that they are there. */
  readonly own: boolean
}

/** What may travel inside of a step's own script; more goes as an archive. */
const smallEnough = 192 * 1024

const nothing: Travelling = {
  uploads: [],
  returning: "",
  arrived: Effect.void,
  thenReturn: (running) => Effect.succeed(running.exitCode)
}

export const makeCopying = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<Copying, never, KubeClient> {
  const files = yield* PodFiles.make()
  const sharing: CopySharing | undefined =
    options.sharing?._tag === "Claim" ? undefined : (options.sharing ?? { _tag: "Copy" })
  const { excluded = [], perStep = [], returned = [], stateDirectory, watched = [] } = sharing ?? {}
  const journal = makeCopyJournal(stateDirectory)
  const hidden = [...excluded, ...(stateDirectory === undefined ? [] : [stateDirectory])]
  const isReturned = LocalTree.matcher(returned)

  const snapshot = (root: string) =>
    LocalTree.snapshot(root, {
      exclude: (path) => {
        const whole = Path.join(root, path)
        return hidden.includes(whole) || perStep.includes(Path.dirname(whole))
      }
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
      yield* journal.note(
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

  const changes: Copying["changes"] = Effect.fnUntraced(function* (environment, own) {
    const found: Array<Change> = []
    for (const directory of watched) {
      const { manifest } = yield* snapshot(directory)
      const delta = LocalTree.delta(yield* journal.known(environment, directory), manifest)
      if (LocalTree.isEmpty(delta)) continue
      found.push({ directory, manifest, paths: [...delta.added, ...delta.changed], removed: delta.removed, own: false })
    }
    for (const directory of new Set(own.map((file) => file.directory))) {
      const names = own.filter((file) => file.directory === directory).map(({ name }) => name)
      const manifest = yield* LocalTree.refresh(directory, new Map(), names)
      if (manifest.size > 0) found.push({ directory, manifest, paths: [...manifest.keys()], removed: [], own: true })
    }
    return found
  })

  const ownOf: Copying["ownOf"] = (env, mounts) => ownFiles(env, mounts, perStep)

  const forStep: Copying["forStep"] = Effect.fnUntraced(function* (environment, data, step) {
    if (sharing === undefined || (watched.length === 0 && returned.length === 0)) return nothing
    const place = { namespace: data.namespace, pod: data.pod, container: data.container }
    const own = ownOf(step.env, data.mounts)
    const uploads: Array<Upload> = []
    const fresh = new Map<string, LocalTree.Manifest>()
    let room = smallEnough
    for (const change of yield* changes(environment, own)) {
      const { directory, manifest, paths, removed } = change
      const target = inPod(data.mounts, directory)
      if (target === undefined) continue
      if (!change.own) fresh.set(directory, manifest)
      const { rest, texts } = yield* partSmallTexts(directory, manifest, paths, room)
      for (const { content, path } of texts) {
        room -= Buffer.byteLength(content)
        const name = `${target}/${path}`
        // The runner writes a script anew for each step.
        uploads.push({ name, content, own: change.own || step.shell.includes(name) || step.script.includes(name) })
      }
      if (rest.length > 0 || removed.length > 0) {
        yield* files.push({
          to: { ...place, directory: target },
          archive: pack([{ root: directory, manifest, paths: rest }]),
          remove: removed,
          modes: "shared"
        })
      }
    }
    return {
      uploads,
      returning: returningScript(
        data.mounts,
        returned,
        own.map((file) => file.inPod)
      ),
      arrived: journal.note(environment, fresh),
      thenReturn: (running) =>
        Effect.cached(
          Effect.tap(running.exitCode, () =>
            Effect.flatMap(running.returned, (back) => receive(environment, data.mounts, own, back))
          )
        )
    }
  })

  /** Puts files of the pod into their places here; their sender is not trusted. */
  const receive = Effect.fnUntraced(function* (
    environment: string,
    mounts: ReadonlyArray<Mount>,
    own: ReadonlyArray<OwnFile>,
    back: ReadonlyMap<string, Uint8Array>
  ) {
    const isOwn = (path: string) => own.some((file) => file.inPod === path)
    for (const mount of mounts) {
      const wanted = [...back].flatMap(([path, bytes]) => {
        const relative = path.startsWith(`${mount.target}/`) ? path.slice(mount.target.length + 1) : undefined
        return relative !== undefined && mount.source.startsWith("/") && (isReturned(relative) || isOwn(path))
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
        const manifest = yield* journal.known(environment, directory)
        const prefix = mount.source === directory ? "" : Path.relative(mount.source, directory)
        if (prefix.startsWith("..")) continue
        const inside = wanted.flatMap(([path]) =>
          perStep.includes(Path.dirname(Path.join(mount.source, path)))
            ? []
            : prefix === ""
              ? [path]
              : path.startsWith(`${prefix}/`)
                ? [path.slice(prefix.length + 1)]
                : []
        )
        if (inside.length > 0) {
          yield* journal.note(
            environment,
            new Map([[directory, yield* LocalTree.refresh(directory, manifest, inside)]])
          )
        }
      }
    }
  })

  const isReturnedFrom: Copying["isReturnedFrom"] = (mounts, directory, path) =>
    mounts.some(({ source }) => {
      const whole = `${directory}/${path}`
      return whole.startsWith(`${source}/`) && isReturned(whole.slice(source.length + 1))
    })

  return { files, fill, forStep, ownOf, changes, isReturnedFrom }
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
