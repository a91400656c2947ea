/** Globs of what comes back from a pod, as a script that finds what a step has changed. Pure. */
import type { Mount } from "../../../domain/Container.ts"
import { quote } from "./podScripts.ts"

/** Directories that are never looked through: they are large, and nobody's sources. */
const passedOver = ["node_modules", ".git"]

/** The part of a glob that is a plain path, and the rest. */
const split = (glob: string): { readonly fixed: string; readonly pattern: string } => {
  const names = glob.split("/")
  const first = names.findIndex((name) => /[*?[{]/.test(name))
  const at = first < 0 ? names.length - 1 : first
  return { fixed: names.slice(0, at).join("/"), pattern: names.slice(at).join("/") }
}

/**
 * A glob for `find`: `-path` takes `*` over slashes too, so it finds more; whoever receives the files takes only what the glob matches.
 */
const patternOf = (pattern: string): string =>
  pattern
    .replaceAll("**/", "*")
    .replaceAll("**", "*")
    .replace(/\{[^}]*\}/g, "*")

/** In sh: calls `f <path> <path>` for each file below the mounts that matches and is newer than the step (`$d/main`). */
export const returningScript = (mounts: ReadonlyArray<Mount>, globs: ReadonlyArray<string>): string => {
  if (globs.length === 0) return ""
  const lines = mounts
    .filter(({ source, target }) => source.startsWith("/") && !mounts.some((other) => contains(other, source, target)))
    .flatMap(({ target }) =>
      globs.map((glob) => {
        const { fixed, pattern } = split(glob)
        const root = fixed === "" ? target : `${target}/${fixed}`
        const prune = passedOver.map((name) => `-name ${quote(name)}`).join(" -o ")
        const match = `-path ${quote(`${root}/${patternOf(pattern)}`)}`
        return `[ -d ${quote(root)} ] && find ${quote(root)} -type d \\( ${prune} \\) -prune -o -type f -newer "$d/main" ${match} -print`
      })
    )
  return `{ ${lines.join("\n")}\n} 2>/dev/null | sort -u >"$d/returned"\nwhile IFS= read -r p; do f "$p" "$p"; done <"$d/returned"`
}

/** Another mount shows the same files at the same place. */
const contains = (other: Mount, source: string, target: string): boolean =>
  other.source !== source &&
  source.startsWith(`${other.source}/`) &&
  target === `${other.target}${source.slice(other.source.length)}`
