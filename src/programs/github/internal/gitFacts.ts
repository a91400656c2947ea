/** What the repository of a workspace tells for the `github` context: read from its files, so that no git is needed. */
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"

export interface GitFacts {
  readonly ref: string
  readonly sha: string
  readonly repository: string
  readonly server: string
}

const noSha = "0".repeat(40)

export const readGitFacts = Effect.fnUntraced(function* (
  workspace: string
): Effect.fn.Return<GitFacts, never, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  const read = (...path: ReadonlyArray<string>) => Effect.orElseSucceed(fs.readFileString(Path.join(...path)), () => "")
  const dotGit = Path.join(workspace, ".git")
  // A worktree and a submodule have a file that names the directory.
  const pointer = /^gitdir: (.+)$/m.exec(yield* read(dotGit))?.[1]
  const own = pointer === undefined ? dotGit : Path.resolve(workspace, pointer)
  const common = (yield* read(own, "commondir")).trim()
  const shared = common === "" ? own : Path.resolve(own, common)
  const head = (yield* read(own, "HEAD")).trim()
  const ref = /^ref: (.+)$/.exec(head)?.[1]
  const loose = ref === undefined ? head : (yield* read(shared, ref)).trim()
  const packed = ref === undefined || loose !== "" ? "" : yield* read(shared, "packed-refs")
  const sha =
    loose ||
    (packed
      .split("\n")
      .find((line) => line.endsWith(` ${ref}`))
      ?.split(" ")[0] ??
      "")
  const remote = remoteOf(yield* read(shared, "config"))
  return {
    ref: ref ?? "refs/heads/main",
    sha: /^[0-9a-f]{40,64}$/.test(sha) ? sha : noSha,
    repository: remote?.repository ?? `local/${Path.basename(workspace) || "workspace"}`,
    server: remote?.server ?? "https://github.com"
  }
})

/** Of `origin`: `https://host/owner/name.git`, `git@host:owner/name.git`, `ssh://git@host/owner/name`. */
const remoteOf = (config: string) => {
  const section = /\[remote "origin"\]([^[]*)/.exec(config)?.[1] ?? ""
  const url = /^\s*url\s*=\s*(\S+)\s*$/m.exec(section)?.[1]
  const [, host, repository] =
    /^(?:\w+:\/\/)?(?:[^@/]*@)?([^:/]+)(?::\d+)?[:/](.+?\/[^/]+?)(?:\.git)?\/?$/.exec(url ?? "") ?? []
  return host === undefined || repository === undefined ? undefined : { server: `https://${host}`, repository }
}
