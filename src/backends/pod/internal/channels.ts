/** This machine's side of the volume transport: a directory for each environment, on the claim. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import type { Mount } from "../../../domain/Container.ts"
import { BackendError, fail, InvalidInput, StorageFailed, Unsupported } from "../../../domain/JobError.ts"
import { labelValue } from "../PodNames.ts"
import type { ClaimSharing, Options, Sharing } from "../PodOptions.ts"
import type { MountPlan } from "./mountPlan.ts"
import { unguessable } from "./unguessable.ts"
import { prepareVolume } from "./volumeTransport.ts"

/** Where all environments of this machine have theirs. */
export const stateDirectoryOf = (sharing: ClaimSharing): string =>
  sharing.stateDirectory ?? Path.join(sharing.root, ".jobscope")

const ownerFile = "owner"

/** Opens one, if steps may travel through the volume. */
export const open = Effect.fnUntraced(function* (about: {
  readonly options: Options
  readonly sharing: Sharing
  readonly environment: string
  readonly owner: string
  /** The job's main process is ours. */
  readonly usable: boolean
}): Effect.fn.Return<{ readonly local: string; readonly subPath: string } | undefined, BackendError> {
  const { environment, options, owner, sharing, usable } = about
  if (options.transport === "exec") return undefined
  if (sharing._tag !== "Claim" || !usable) {
    return options.transport === "volume" ? yield* fail(impossible) : undefined
  }
  const directory = Path.join(stateDirectoryOf(sharing), environment)
  const local = Path.join(directory, yield* unguessable)
  const prepared = Effect.andThen(
    // First: by it the rest is found, however far this comes.
    storing(() => {
      Fs.mkdirSync(directory, { recursive: true, mode: 0o711 })
      Fs.writeFileSync(Path.join(directory, ownerFile), owner)
    }),
    prepareVolume(local)
  )
  const subPath = Path.posix.join(sharing.subPath ?? "", Path.relative(sharing.root, local))
  if (options.transport === "volume") {
    yield* prepared
    return { local, subPath }
  }
  // Without FIFOs (no `mkfifo`, a file system that has none) there is still exec.
  return yield* Effect.matchEffect(prepared, {
    onFailure: (error) => Effect.as(Effect.logDebug(`Steps will travel over exec: ${error.message}`), undefined),
    onSuccess: () => Effect.succeed({ local, subPath })
  })
})

const impossible = new Unsupported({
  backend: "pod",
  feature: "volume transport without a shared claim, or with an entry point of the job's own",
  hint: "Use the transport `auto` or `exec`."
})

/** Directories of the claim that are mounted must be there: kubelet would make them, as root's. */
export const makeSources = (plan: MountPlan, mounts: ReadonlyArray<Mount>): Effect.Effect<void, BackendError> =>
  storing(() => {
    for (const mount of mounts) {
      const planned = plan.resolve(mount)
      if (!(planned instanceof InvalidInput) && planned.local !== undefined)
        Fs.mkdirSync(planned.local, { recursive: true })
    }
  })

/** Directories that are there, and whose they are. */
export const found = (
  sharing: Sharing
): ReadonlyArray<{
  readonly environment: string
  readonly owner: string
  readonly path: string
  readonly createdAt: number
}> => {
  if (sharing._tag !== "Claim") return []
  const all = stateDirectoryOf(sharing)
  try {
    return Fs.readdirSync(all).flatMap((environment) => {
      const path = Path.join(all, environment)
      try {
        const owner = Fs.readFileSync(Path.join(path, ownerFile), "utf8")
        return [{ environment, owner, path, createdAt: Math.round(Fs.statSync(path).mtimeMs) }]
      } catch {
        return []
      }
    })
  } catch {
    return []
  }
}

/** As labels have it, because that is what environments are selected by. */
export const isOf = (environment: string, name: string) =>
  environment === name || labelValue(environment) === labelValue(name)

export const remove = (path: string): Effect.Effect<void, BackendError> =>
  storing(() => Fs.rmSync(path, { recursive: true, force: true }))

const storing = <A>(work: () => A): Effect.Effect<A, BackendError> =>
  Effect.try({
    try: work,
    catch: (cause) =>
      new BackendError({
        reason: new StorageFailed({
          operation: "preparing directories of the shared volume",
          detail: cause instanceof Error ? cause.message : String(cause),
          transient: false
        })
      })
  })
