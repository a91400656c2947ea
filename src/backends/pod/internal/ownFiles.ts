/**
 * Files that belong to one step alone, such as those by which it hands outputs to GitHub's runner. Steps run side by side: what another
 * step brought along, or took back, would undo what the owner has written meanwhile.
 */
import * as Path from "node:path"
import * as Redacted from "effect/Redacted"
import type { Mount } from "../../../domain/Container.ts"
import type { EnvVars } from "../../../domain/EnvVars.ts"

/** A file of a step, on this machine and where its container sees it. */
export interface OwnFile {
  readonly directory: string
  readonly name: string
  readonly inPod: string
}

/** A step's own files are those in the directories `perStep` that its variables name. */
export const ownFiles = (
  env: EnvVars,
  mounts: ReadonlyArray<Mount>,
  perStep: ReadonlyArray<string>
): ReadonlyArray<OwnFile> =>
  perStep.length === 0
    ? []
    : Object.values(env).flatMap((value) => {
        const inPod = Redacted.value(value)
        const path = onThisSide(mounts, inPod)
        const directory = path === undefined ? undefined : Path.dirname(path)
        return path !== undefined && directory !== undefined && perStep.includes(directory)
          ? [{ directory, name: Path.basename(path), inPod }]
          : []
      })

/** What a path of the container is on this machine. */
const onThisSide = (mounts: ReadonlyArray<Mount>, path: string): string | undefined => {
  const [closest] = mounts
    .filter(({ source, target }) => source.startsWith("/") && path.startsWith(`${target}/`))
    .sort((a, b) => b.target.length - a.target.length)
  return closest === undefined ? undefined : Path.join(closest.source, path.slice(closest.target.length))
}
