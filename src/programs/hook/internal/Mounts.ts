/**
 * The volumes that the runner asks for, as mounts that a pod can have.
 *
 * The runner's words are of a Docker on its own machine. Its directories below `_work` are on the claim or copied; its `externals` come from the
 * claim or from an init container; a Docker socket there is none.
 */
import { Mount, Volume } from "../../../domain/Container.ts"
import type { RunnerPaths } from "./HookConfig.ts"
import type { HookMount } from "./HookInput.ts"
import { isWithin } from "./RunnerPod.ts"

/** Where the runner's `externals` are for pods: a directory of this machine, or the volume that an init container fills. */
export interface Places {
  readonly paths: RunnerPaths
  /** What of this machine's directories pods can have; undefined: all, because they are copied. */
  readonly root: string | undefined
  /** Instead of the runner's own directory. */
  readonly externals: string
}

/** Mounts with the volumes that they need, and what cannot be had. */
export interface Mounted {
  readonly mounts: ReadonlyArray<Mount>
  readonly volumes: ReadonlyArray<Volume>
  /** One for each that cannot be had, by its target. */
  readonly refused: ReadonlyArray<{ readonly target: string; readonly detail: string }>
}

/** What the runner itself needs in a container. */
export const ofSystem = (volumes: ReadonlyArray<HookMount>, places: Places): Mounted => {
  const { paths } = places
  const mounts: Array<Mount> = []
  const made: Array<Volume> = []
  for (const { readOnly, sourceVolumePath: source, targetVolumePath: target } of volumes) {
    if (source === undefined || isSocket(source)) continue
    if (isWithin(source, paths.work)) mounts.push(new Mount({ source, target, readOnly }))
    else if (target === "/__e" || source.endsWith("/externals")) {
      mounts.push(new Mount({ source: places.externals, target, readOnly: true }))
    } else {
      // A tool cache somewhere else on the runner: an empty one does, and what is in the runner's would be too much to copy.
      const volume = new Volume({ name: "tools" })
      made.push(volume)
      mounts.push(new Mount({ source: volume.name, target, readOnly: false }))
    }
  }
  return { mounts, volumes: made, refused: [] }
}

/** What a workflow asks for by `volumes:`. */
export const ofUser = (volumes: ReadonlyArray<HookMount>, places: Places, prefix: string): Mounted => {
  const mounts: Array<Mount> = []
  const made: Array<Volume> = []
  const refused: Array<Mounted["refused"][number]> = []
  for (const [index, { readOnly, sourceVolumePath, targetVolumePath: target }] of volumes.entries()) {
    const source = sourceVolumePath === "" ? undefined : sourceVolumePath
    if (source?.startsWith("/")) {
      if (isSocket(source)) refused.push({ target, detail: "there is no Docker in a pod, hence no socket of it" })
      else if (places.root !== undefined && !isWithin(source, places.root)) {
        refused.push({
          target,
          detail: `its source is not below ${places.root}, which is all that pods share with the runner`
        })
      } else mounts.push(new Mount({ source, target, readOnly }))
      continue
    }
    // Names are the job's: containers that name the same volume share it.
    const name = source === undefined ? `${prefix}-volume-${index}` : `user-${volumeName(source)}`
    made.push(new Volume({ name }))
    mounts.push(new Mount({ source: name, target, readOnly }))
  }
  return { mounts, volumes: made, refused }
}

/** What runners mount, for callers that leave it out. */
export const systemDefaults = ({ temp, work }: RunnerPaths): ReadonlyArray<HookMount> => [
  { sourceVolumePath: work, targetVolumePath: "/__w", readOnly: false },
  { sourceVolumePath: `${work}/../externals`, targetVolumePath: "/__e", readOnly: true },
  { sourceVolumePath: `${temp}/_github_home`, targetVolumePath: "/github/home", readOnly: false },
  { sourceVolumePath: `${temp}/_github_workflow`, targetVolumePath: "/github/workflow", readOnly: false }
]

/** The same for a container step. */
export const stepDefaults = ({ temp, workspace }: RunnerPaths): ReadonlyArray<HookMount> => [
  { sourceVolumePath: temp, targetVolumePath: "/github/runner_temp", readOnly: false },
  { sourceVolumePath: `${temp}/_github_home`, targetVolumePath: "/github/home", readOnly: false },
  { sourceVolumePath: `${temp}/_github_workflow`, targetVolumePath: "/github/workflow", readOnly: false },
  { sourceVolumePath: `${temp}/_runner_file_commands`, targetVolumePath: "/github/file_commands", readOnly: false },
  ...(workspace === undefined
    ? []
    : [{ sourceVolumePath: workspace, targetVolumePath: "/github/workspace", readOnly: false }])
]

const isSocket = (path: string) => /\.sock$/.test(path)

const volumeName = (text: string) =>
  text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+/, "")
    .slice(0, 50)
    .replace(/-+$/, "")
