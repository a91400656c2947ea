/**
 * `.dockerignore`: which files of a context nobody sees.
 *
 * Behaves like moby's `patternmatcher`: patterns in order, the last one that matches decides, `!` takes back, `**` crosses directories,
 * and what is in an ignored directory is ignored. A directory above a file that was taken back exists.
 */
import * as Result from "effect/Result"
import { matchesGlob, parseGlob } from "./internal/glob.ts"
import { cleanPath } from "./internal/paths.ts"

/**
 * What is known of a directory, so that its children need not look at their parents again.
 *
 * @category models
 */
export interface Decision {
  readonly ignored: boolean
  /** Which patterns matched. */
  readonly matched: ReadonlyArray<boolean>
}

/** @category models */
export interface DockerIgnore {
  /** There are patterns with `!`: an ignored directory may hold files that are not. */
  readonly hasExceptions: boolean
  /** Decides on a path relative to the context, `/` between names. `parent`: its directory's decision, none at the top. */
  readonly decide: (path: string, parent?: Decision) => Decision
}

/**
 * Nothing is ignored.
 *
 * @category constructors
 */
export const none: DockerIgnore = {
  hasExceptions: false,
  decide: () => ({ ignored: false, matched: [] })
}

/**
 * Reads a `.dockerignore`; the failure says which pattern is wrong.
 *
 * @category parsing
 */
export const parse = (text: string): Result.Result<DockerIgnore, string> => {
  const patterns: Array<string> = []
  for (const line of text.replace(/^\uFEFF/, "").split("\n")) {
    if (line.startsWith("#")) continue
    const trimmed = line.trim()
    if (trimmed === "") continue
    const exception = trimmed.startsWith("!")
    let pattern = exception ? trimmed.slice(1).trim() : trimmed
    if (pattern !== "") pattern = cleanPath(pattern)
    if (pattern.length > 1 && pattern.startsWith("/")) pattern = pattern.slice(1)
    patterns.push(exception ? `!${pattern}` : pattern)
  }
  return fromPatterns(patterns)
}

/**
 * The same for a list of patterns, as `COPY --exclude` has them.
 *
 * @category constructors
 */
export const fromPatterns = (patterns: ReadonlyArray<string>): Result.Result<DockerIgnore, string> => {
  const rules: Array<Rule> = []
  for (const each of patterns) {
    const trimmed = each.trim()
    if (trimmed === "") continue
    const cleaned = cleanPath(trimmed)
    const exception = cleaned.startsWith("!")
    if (cleaned === "!") return Result.fail('illegal exclusion pattern: "!"')
    const pattern = exception ? cleaned.slice(1) : cleaned
    const matches = compile(pattern)
    if (matches === undefined) return Result.fail(`syntax error in pattern: ${pattern}`)
    rules.push({ exception, matches })
  }
  const decide = (path: string, parent?: Decision): Decision => {
    let ignored = false
    const matched = rules.map((rule, index) => {
      let match = parent?.matched[index] === true
      // A rule that could change nothing is not looked at.
      if (!match)
        match = rule.exception === ignored && (rule.matches(path) || (parent === undefined && matchesAbove(rule, path)))
      if (match) ignored = !rule.exception
      return match
    })
    return { ignored, matched }
  }
  return Result.succeed({ hasExceptions: rules.some(({ exception }) => exception), decide })
}

interface Rule {
  readonly exception: boolean
  readonly matches: (path: string) => boolean
}

const matchesAbove = (rule: Rule, path: string): boolean => {
  for (let end = path.indexOf("/"); end !== -1; end = path.indexOf("/", end + 1)) {
    if (rule.matches(path.slice(0, end))) return true
  }
  return false
}

/** moby has ways of its own for patterns with `**` at one end only, and they do match more. */
const compile = (pattern: string): ((path: string) => boolean) | undefined => {
  if (Result.isFailure(parseGlob(pattern, false))) return undefined
  const plain = (text: string) => !/[*?[\]\\]/.test(text)
  if (pattern.startsWith("**") && plain(pattern.slice(2))) {
    const suffix = pattern.slice(2)
    return (path) => path.endsWith(suffix) || (suffix.startsWith("/") && path === suffix.slice(1))
  }
  if (pattern.endsWith("**") && plain(pattern.slice(0, -2))) {
    const prefix = pattern.slice(0, -2)
    return (path) => path.startsWith(prefix)
  }
  if (plain(pattern)) return (path) => path === pattern
  const tokens = parseGlob(pattern, true)
  if (Result.isFailure(tokens)) return undefined
  return (path) => matchesGlob(tokens.success, path)
}
