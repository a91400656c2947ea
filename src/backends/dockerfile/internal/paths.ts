/** Paths in a context and in a container: always `/`, whatever this machine has. */
import * as Path from "node:path/posix"

/** As Go's `filepath.Clean`: no `.`, no `x/..`, no double or trailing slash. */
export const cleanPath = (path: string): string => {
  const normal = Path.normalize(path)
  return normal.length > 1 && normal.endsWith("/") ? normal.slice(0, -1) : normal
}

/** A path that cannot lead out of the root: `../../etc` is `/etc`. A trailing slash, or `/.`, stays. */
export const rooted = (path: string): string => {
  const clean = cleanPath(`/${path}`)
  if (path.endsWith("/.")) return clean === "/" ? "/." : `${clean}/.`
  return path.endsWith("/") && clean !== "/" ? `${clean}/` : clean
}

/** Relative to the root: `""` is the root itself. */
export const relativeToRoot = (path: string): string => cleanPath(`/${path}`).slice(1)

export const hasWildcards = (name: string): boolean => /^(?:[^\\]|\\.)*?[*?[]/s.test(name)
