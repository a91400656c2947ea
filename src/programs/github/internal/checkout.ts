/** What `actions/checkout` would give: the files that git knows or would take, as they are now, and not what it ignores. */
import { execFile } from "node:child_process"
import * as Fs from "node:fs/promises"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/**
 * A directory to copy workspaces from, gone with the scope. Outside of a git repository, or without git, it is the workspace itself.
 */
export const checkout = Effect.fnUntraced(function* (workspace: string): Effect.fn.Return<string, never, Scope.Scope> {
  const files = yield* listed(workspace)
  if (files === undefined) return workspace
  const directory = yield* Effect.acquireRelease(
    Effect.orDie(Effect.tryPromise(() => Fs.mkdtemp(Path.join(Os.tmpdir(), "jobscope-checkout-")))),
    (directory) => Effect.ignore(Effect.tryPromise(() => Fs.rm(directory, { recursive: true, force: true })))
  )
  yield* Effect.forEach([".git", ...files], (file) => copied(workspace, directory, file), {
    concurrency: 32,
    discard: true
  })
  return directory
})

/** Files that are known, or are new and not ignored; also those that are gone. */
const listed = (workspace: string): Effect.Effect<ReadonlyArray<string> | undefined> =>
  Effect.callback((resume) => {
    const args = ["-C", workspace, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    const child = execFile("git", args, { maxBuffer: 1024 * 1024 * 1024 }, (error, stdout) =>
      resume(
        Effect.succeed(error === null ? [...new Set(stdout.split("\0").filter((name) => name !== ""))] : undefined)
      )
    )
    return Effect.sync(() => child.kill())
  })

/** What cannot be copied is not there: it was deleted, or is a socket. */
const copied = (from: string, to: string, file: string): Effect.Effect<void> =>
  Effect.ignore(
    Effect.tryPromise(() =>
      Fs.cp(Path.join(from, file), Path.join(to, file), {
        recursive: true,
        verbatimSymlinks: true,
        preserveTimestamps: true,
        mode: Fs.constants.COPYFILE_FICLONE
      })
    )
  )
