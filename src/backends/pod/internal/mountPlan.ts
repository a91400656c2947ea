/** Which volumes and volume mounts a job's mounts become, and which files have to travel. Pure. */
import * as Path from "node:path"
import type { Mount, Volume } from "../../../domain/Container.ts"
import { InvalidInput } from "../../../domain/JobError.ts"
import type { PodManifest, Sharing } from "../PodOptions.ts"

export type PodVolume = NonNullable<NonNullable<PodManifest["spec"]>["volumes"]>[number]
export type VolumeMount = NonNullable<NonNullable<PodManifest["spec"]>["containers"][number]["volumeMounts"]>[number]

/** A directory of this machine whose files travel, and where the job's container sees it. */
export interface Copied {
  readonly source: string
  readonly target: string
}

/** What a mount becomes; `shared`: it exists on this machine too. */
interface PlannedMount {
  readonly mount: VolumeMount
  readonly local?: string | undefined
}

export interface MountPlan {
  /** For volume mounts of any container of this environment. */
  readonly resolve: (mount: Mount) => PlannedMount | InvalidInput
  readonly volumes: ReadonlyArray<PodVolume>
  readonly copied: ReadonlyArray<Copied>
}

/** The volume of copied files, and of the claim: the name that templates know from GitHub's hooks. */
export const workVolume = "work"

const under = (root: string, path: string): string | undefined => {
  const relative = Path.posix.relative(root, path)
  return relative === "" ? "" : relative.startsWith("..") || relative.startsWith("/") ? undefined : relative
}

/**
 * Plans for the mounts of the job's container: sources of other containers are looked up among them.
 *
 * A source inside of another one is the same directory, as it is on this machine.
 */
export const planMounts = (options: {
  readonly mounts: ReadonlyArray<Mount>
  readonly volumes: ReadonlyArray<Volume>
  readonly podVolumes: ReadonlyArray<PodVolume>
  readonly sharing: Sharing
}): MountPlan => {
  const { mounts, podVolumes, sharing, volumes } = options
  const named = new Set([...volumes.map(({ name }) => name), ...podVolumes.map(({ name }) => name)])
  const isPath = ({ source }: Mount) => !named.has(source)
  const tops = topsOf(mounts.filter((mount) => isPath(mount) && inClaim(mount.source) === undefined))

  function inClaim(source: string): string | undefined {
    if (sharing._tag !== "Claim") return undefined
    const relative = under(sharing.root, source)
    return relative === undefined ? undefined : Path.posix.join(sharing.subPath ?? "", relative)
  }

  const resolve = (mount: Mount): PlannedMount | InvalidInput => {
    const { readOnly, source, target } = mount
    const base = { mountPath: target, ...(readOnly ? { readOnly } : {}) }
    if (named.has(source)) return { mount: { ...base, name: source } }
    if (!source.startsWith("/")) {
      return new InvalidInput({
        input: `the mount ${source} at ${target}`,
        detail: "its source is neither an absolute path nor the name of a volume of the job"
      })
    }
    const shared = inClaim(source)
    if (shared !== undefined) {
      const subPath = shared.replace(/^\.?\/?$/, "")
      return { mount: { ...base, name: workVolume, ...(subPath === "" ? {} : { subPath }) }, local: source }
    }
    const index = tops.findIndex((top) => under(top.source, source) !== undefined)
    const top = tops[index]
    if (top === undefined) {
      return new InvalidInput({
        input: `the mount ${source} at ${target}`,
        detail: "its source is not among the directories that the job's container mounts"
      })
    }
    const relative = under(top.source, source) ?? ""
    const subPath = Path.posix.join(`mount-${index}`, relative)
    return { mount: { ...base, name: copiedVolume(sharing), subPath } }
  }

  return {
    resolve,
    copied: tops,
    volumes: [
      ...(sharing._tag === "Claim" ? [{ name: workVolume, persistentVolumeClaim: { claimName: sharing.claim } }] : []),
      ...(tops.length === 0 ? [] : [{ name: copiedVolume(sharing), emptyDir: {} }]),
      ...volumes.map(({ medium, name, sizeLimit }) => ({
        name,
        emptyDir: {
          ...(medium === "memory" ? { medium: "Memory" } : {}),
          ...(sizeLimit === undefined ? {} : { sizeLimit })
        }
      })),
      ...podVolumes
    ]
  }
}

/** The volume of files that travel. */
export const copiedVolume = (sharing: Sharing) => (sharing._tag === "Claim" ? "jobscope-copied" : workVolume)

/** Sources that are not inside of another one, shortest first. */
const topsOf = (mounts: ReadonlyArray<Mount>): ReadonlyArray<Copied> => {
  const tops: Array<Copied> = []
  for (const { source, target } of [...mounts].sort((a, b) => a.source.length - b.source.length)) {
    if (source.startsWith("/") && !tops.some((top) => under(top.source, source) !== undefined))
      tops.push({ source, target })
  }
  return tops
}

/** Mounts that only repeat what another mount of the same container already shows are left out: kubelet would mount them anew. */
export const withoutRepetition = (mounts: ReadonlyArray<Mount>): ReadonlyArray<Mount> =>
  mounts.filter((mount, index) => {
    const other = mounts.find(
      (other, at) =>
        at !== index &&
        other.readOnly === mount.readOnly &&
        (other.source !== mount.source || at < index) &&
        samePlace(other, mount)
    )
    return other === undefined
  })

/** `/__w/_temp` shows `_work/_temp` already, where `/__w` shows `_work`. */
const samePlace = (outer: Mount, inner: Mount): boolean => {
  if (!outer.source.startsWith("/") || !inner.source.startsWith("/")) return false
  const relative = under(outer.source, inner.source)
  return relative !== undefined && under(outer.target, inner.target) === relative
}
