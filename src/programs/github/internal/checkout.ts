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
  yield* run("cp", ["-a", Path.join(workspace, ".git"), directory])
  const directories = new Set(files.map((file) => Path.dirname(file)))
  yield* each(directories, (name) => Fs.mkdir(Path.join(directory, name), { recursive: true }))
  yield* each(files, (file) => copy(Path.join(workspace, file), Path.join(directory, file)))
  return directory
})

/** Files that are known, or are new and not ignored; also those that are gone. */
const listed = (workspace: string): Effect.Effect<ReadonlyArray<string> | undefined> =>
  Effect.map(run("git", ["-C", workspace, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]), (output) =>
    output === undefined ? undefined : [...new Set(output.split("\0").filter((name) => name !== ""))]
  )

/** What a program writes, if it succeeds. */
const run = (program: string, args: ReadonlyArray<string>): Effect.Effect<string | undefined> =>
  Effect.callback((resume) => {
    const child = execFile(program, args, { maxBuffer: 1024 * 1024 * 1024 }, (error, stdout) =>
      resume(Effect.succeed(error === null ? stdout : undefined))
    )
    return Effect.sync(() => child.kill())
  })

/** What cannot be copied is not there: it was deleted meanwhile, or is a socket. */
const each = (names: Iterable<string>, act: (name: string) => PromiseLike<unknown>): Effect.Effect<void> =>
  Effect.forEach(names, (name) => Effect.ignore(Effect.tryPromise(() => act(name))), { concurrency: 32, discard: true })

const copy = (from: string, to: string): Promise<void> =>
  Fs.lstat(from).then((found) =>
    found.isSymbolicLink()
      ? Fs.readlink(from).then((target) => Fs.symlink(target, to))
      : found.isFile()
        ? Fs.copyFile(from, to, Fs.constants.COPYFILE_FICLONE)
        : // A repository in this one.
          Fs.cp(from, to, { recursive: true, verbatimSymlinks: true })
  )
