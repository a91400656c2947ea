/**
 * What makes a container of somebody else's pod fit for steps: directories and links in place of the volumes that a pod of our own would have. Pure.
 *
 * **Details**
 *
 * A pod that is there takes no more volumes. So what a job mounts is a directory of the container: the files that travel are where their first
 * mount says, what the claim has is where the template mounts the claim, and every other place is a link.
 */
import * as Path from "node:path"
import type { Mount, Volume } from "../../../domain/Container.ts"
import { InvalidInput } from "../../../domain/JobError.ts"
import type { PodManifest, Sharing } from "../PodOptions.ts"
import { type Copied, planMounts, withoutRepetition } from "./mountPlan.ts"
import * as podScripts from "./podScripts.ts"

const { quote } = podScripts

/** The exit code by which the script says that something is in the way; why is on stderr. */
export const inTheWay = 91

export interface HostedPlan {
  /** To be run once, or more often, as the container's user. Says what `podScripts.facts` says, and `state=` and `given=` lines. */
  readonly script: string
  readonly copied: ReadonlyArray<Copied>
}

export interface Asked {
  readonly mounts: ReadonlyArray<Mount>
  readonly volumes: ReadonlyArray<Volume>
  readonly sharing: Sharing
  readonly pod: PodManifest
  readonly container: string
  /** Made, if it is none of the mounts; left out where the job works elsewhere. */
  readonly workspace: string | undefined
  /** For our own things, where the root directory is not the container user's to write. */
  readonly fallback: string
  /** The job's variables, as `jobVariables` has them. */
  readonly variables: string
}

export const plan = (asked: Asked): HostedPlan | InvalidInput => {
  const { fallback, sharing, variables, volumes, workspace } = asked
  const mounts = withoutRepetition(asked.mounts)
  const planned = planMounts({ mounts: asked.mounts, volumes, podVolumes: [], sharing })
  const places: Array<string> = []
  for (const mount of [...mounts].sort((a, b) => a.target.length - b.target.length)) {
    if (volumes.some(({ name }) => name === mount.source)) {
      places.push(`linked "$s"/volumes/${quote(mount.source)} ${target(mount)}`)
      continue
    }
    const resolved = planned.resolve(mount)
    if (resolved instanceof InvalidInput) return resolved
    const { local, mount: made } = resolved
    const place =
      local === undefined
        ? copiedPlace(planned.copied, made.subPath ?? "")
        : claimPlace(asked, mount, made.subPath ?? "")
    if (place instanceof InvalidInput) return place
    const making = place === mount.target ? `made ${quote(place)}` : `linked ${quote(place)} ${target(mount)}`
    // What nobody writes to may come from the template as well.
    places.push(mount.readOnly ? `given ${quote(mount.target)} || ${making}` : making)
  }
  const script = `${functions}
s=${podScripts.stateDirectory}
{ mkdir -p $s/steps && [ -w $s/steps ]; } 2>/dev/null || { s=${fallback}; mkdir -p $s/steps || no "There is no place for jobscope's own files: neither ${podScripts.stateDirectory} nor /tmp can be written by the container's user"; }
printf 'state=%s\\n' "$s"
${places.join("\n")}
${workspace === undefined ? "" : `made ${quote(workspace)}`}
( umask 077; printf '%s' ${quote(variables)} >"$s/variables" ) || no "The job's variables cannot be written to $s"
${podScripts.facts}`
  return { script, copied: planned.copied }
}

/** A place and its parent, which may be missing. */
const target = (mount: Mount) => `${quote(mount.target)} ${quote(Path.posix.dirname(mount.target))}`

/** `mount-<n>/<path>`, as `planMounts` says it, in the directory of the nth copied mount. */
const copiedPlace = (copied: ReadonlyArray<Copied>, subPath: string): string => {
  const [, index = "0", path = ""] = /^mount-(\d+)\/?(.*)$/.exec(subPath) ?? []
  return Path.posix.join(copied[Number(index)]?.target ?? "/", path)
}

/** Where the container sees a path of the claim. */
const claimPlace = ({ container, pod, sharing }: Asked, mount: Mount, path: string): string | InvalidInput => {
  const claim = sharing._tag === "Claim" ? sharing.claim : ""
  const volumes = new Set(
    (pod.spec?.volumes ?? []).flatMap(({ name, persistentVolumeClaim }) =>
      persistentVolumeClaim?.claimName === claim ? [name] : []
    )
  )
  const own = pod.spec?.containers.find(({ name }) => name === container)?.volumeMounts ?? []
  for (const { mountPath, name, subPath = "" } of own) {
    const relative = Path.posix.relative(`/${subPath}`, `/${path}`)
    if (volumes.has(name) && !relative.startsWith("..")) return Path.posix.join(mountPath, relative)
  }
  return new InvalidInput({
    input: `the mount ${mount.source} at ${mount.target}`,
    detail: `the container ${container} of the pod ${pod.metadata?.name} does not mount that part of the claim ${claim}: its template has to, or files have to be copied`
  })
}

/**
 * `made <directory>`: it is there, and can be written. `given <directory>`: the image or the template has put something there already, which is
 * told. `linked <place> <path> <parent>`: the path shows the place.
 */
const functions = `
no() { echo "$1" >&2; exit ${inTheWay}; }
made() { { mkdir -p "$1" && [ -w "$1" ]; } 2>/dev/null || no "$1 cannot be made, or written, by the container's user: the template has to mount a volume there"; }
given() { [ -d "$1" ] && [ -n "$(ls -A "$1" 2>/dev/null)" ] && printf 'given=%s\\n' "$1"; }
linked() {
  made "$1"
  if [ "$(readlink "$2" 2>/dev/null)" = "$1" ]; then return; fi
  if [ -d "$2" ] && [ ! -L "$2" ]; then rmdir "$2" 2>/dev/null || no "$2 is needed for a mount of the job, and the image or the template has something there"; fi
  { mkdir -p "$3" && ln -s "$1" "$2"; } 2>/dev/null || no "$2 cannot be made by the container's user"
}
`

/** What the script has said, beside the facts. */
export const read = (text: string): { readonly state: string; readonly given: ReadonlySet<string> } => {
  const values = (key: string) =>
    text.split("\n").flatMap((line) => (line.startsWith(`${key}=`) ? [line.slice(key.length + 1)] : []))
  return { state: values("state")[0] ?? podScripts.stateDirectory, given: new Set(values("given")) }
}
