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

/**
 * In sh: calls `f <path> <path>` for each file below the mounts that matches and is newer than the step (`$d/main`), and for each of `own`, which are
 * paths of files, that is not empty. One `find` for each directory that globs begin in.
 */
export const returningScript = (
  mounts: ReadonlyArray<Mount>,
  globs: ReadonlyArray<string>,
  own: ReadonlyArray<string>
): string => {
  const always = own.map((path) => `if [ -s ${quote(path)} ]; then f ${quote(path)} ${quote(path)}; fi`).join("\n")
  const wanted = new Map<string, Array<string>>()
  for (const { source, target } of mounts) {
    if (!source.startsWith("/") || mounts.some((other) => contains(other, source, target))) continue
    for (const glob of globs) {
      const { fixed, pattern } = split(glob)
      const root = fixed === "" ? target : `${target}/${fixed}`
      const patterns = wanted.get(root) ?? []
      patterns.push(`-path ${quote(`${root}/${patternOf(pattern)}`)}`)
      wanted.set(root, patterns)
    }
  }
  if (wanted.size === 0) return always
  const prune = passedOver.map((name) => `-name ${quote(name)}`).join(" -o ")
  const lines = [...wanted].map(
    ([root, patterns]) =>
      `if [ -d ${quote(root)} ]; then find ${quote(root)} -type d \\( ${prune} \\) -prune -o -type f -newer "$d/main" \\( ${patterns.join(" -o ")} \\) -print; fi`
  )
  // What lies below two roots would come twice.
  const once = wanted.size === 1 ? "" : " | sort -u"
  return `${always}\n{ ${lines.join("\n")}\n} 2>/dev/null${once} >"$d/returned"\nwhile IFS= read -r p; do f "$p" "$p"; done <"$d/returned"`
}

/** Another mount shows the same files at the same place. */
const contains = (other: Mount, source: string, target: string): boolean =>
  other.source !== source &&
  source.startsWith(`${other.source}/`) &&
  target === `${other.target}${source.slice(other.source.length)}`
