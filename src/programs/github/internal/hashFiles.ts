/** `hashFiles`: the files of a job's workspace, wherever that is, by a script in its environment. */
import { createHash } from "node:crypto"
import * as Effect from "effect/Effect"
import type { JobEnvironment } from "../../../domain/JobEnvironment.ts"
import type { BackendError } from "../../../domain/JobError.ts"
import * as JobLifecycle from "../../../domain/JobLifecycle.ts"
import { ScriptStep, StepFile } from "../../../domain/Step.ts"

/**
 * The SHA-256 of the SHA-256 of each file, files in the order in which GitHub's own glob finds them; "" if there is none.
 */
export const hashFiles = Effect.fnUntraced(function* (
  environment: JobEnvironment,
  patterns: ReadonlyArray<string>
): Effect.fn.Return<string, BackendError | string> {
  const found = yield* JobLifecycle.execute(
    environment,
    new ScriptStep({ script: "find . \\( -type f -o -type l \\) -print0", shell: "sh -e {0}" })
  )
  if (found.exitCode !== 0) return yield* Effect.fail(`hashFiles: the files cannot be listed: ${found.stderr.trim()}`)
  const files = matching(
    found.stdout
      .split("\0")
      .filter((path) => path !== "")
      .map((path) => path.replace(/^\.\//, "")),
    patterns,
    environment.facts.workspace
  )
  if (files.length === 0) return ""
  if (files.some((path) => path.includes("\n")))
    return yield* Effect.fail("hashFiles: a file has a line end in its name")
  const hashed = yield* JobLifecycle.execute(
    environment,
    new ScriptStep({
      // More names than a list of arguments has room for, and any sign in them.
      script: `if command -v sha256sum >/dev/null; then sum=sha256sum; else sum="shasum -a 256"; fi
tr '\\n' '\\0' <"$FILES" | xargs -0 $sum`,
      shell: "sh -e {0}",
      files: [new StepFile({ name: "files", variable: "FILES", content: files.map((path) => `./${path}\n`).join("") })]
    })
  )
  if (hashed.exitCode !== 0) return yield* Effect.fail(`hashFiles: ${hashed.stderr.trim()}`)
  const total = createHash("sha256")
  // A backslash before it says that the name is escaped.
  for (const line of hashed.stdout.trimEnd().split("\n"))
    total.update(Buffer.from(line.replace(/^\\/, "").slice(0, 64), "hex"))
  return total.digest("hex")
})

/** Those that the patterns name, in order; a later `!pattern` takes away, a pattern of a directory names all that is in it. */
export const matching = (
  files: ReadonlyArray<string>,
  patterns: ReadonlyArray<string>,
  workspace: string
): ReadonlyArray<string> => {
  const rules = patterns
    .flatMap((pattern) => pattern.split(/\r?\n/))
    .map((pattern) => pattern.trim())
    .filter((pattern) => pattern !== "" && !pattern.startsWith("#"))
    .map((pattern) => {
      const negated = pattern.startsWith("!")
      const path = (negated ? pattern.slice(1).trim() : pattern).replace(/^\.\//, "")
      const own = path.startsWith(`${workspace}/`) ? path.slice(workspace.length + 1) : path
      return { negated, regex: globRegex(own.replace(/\/$/, "")) }
    })
  return files
    .filter((file) => rules.reduce((taken, { negated, regex }) => (regex.test(file) ? !negated : taken), false))
    .toSorted(byParts)
}

/** Directory by directory, names in the order of their bytes. */
const byParts = (a: string, b: string): number => {
  const left = a.split("/")
  const right = b.split("/")
  for (let index = 0; ; index++) {
    const [one, other] = [left[index], right[index]]
    if (one === undefined || other === undefined) return left.length - right.length
    if (one !== other) return Buffer.compare(Buffer.from(one), Buffer.from(other))
  }
}

const globRegex = (pattern: string): RegExp => {
  let text = ""
  for (let at = 0; at < pattern.length; at++) {
    const rest = pattern.slice(at)
    const set = /^\[(!?)([^\]]+)\]/.exec(rest)
    if (rest.startsWith("**/")) {
      text += "(?:[^/]+/)*"
      at += 2
    } else if (rest.startsWith("**")) {
      text += ".*"
      at += 1
    } else if (rest.startsWith("*")) text += "[^/]*"
    else if (rest.startsWith("?")) text += "[^/]"
    else if (set !== null) {
      text += `[${set[1] === "" ? "" : "^"}${set[2]!.replaceAll("\\", "\\\\")}]`
      at += set[0].length - 1
    } else text += rest.charAt(0).replace(/[\\^$.|+(){}[\]]/, "\\$&")
  }
  return new RegExp(`^${text}(?:/.*)?$`, "s")
}
