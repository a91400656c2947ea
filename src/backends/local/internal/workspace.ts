import * as Path from "node:path"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type { JobSpec } from "../../../domain/Job.ts"
import { fail, InvalidInput, StorageFailed } from "../../../domain/JobError.ts"
import { spawn } from "./spawn.ts"
import { during, type JobPaths } from "./stateDirectory.ts"

/** Makes the directory that steps work in: an empty one, a copy, or none where the job's own is used in place. */
export const prepareWorkspace = Effect.fnUntraced(function* (
  fs: FileSystem.FileSystem,
  paths: JobPaths,
  { workspace }: JobSpec,
  base: Readonly<Record<string, string>>
) {
  if (workspace !== undefined) {
    const isDirectory = yield* Effect.match(fs.stat(workspace.path), {
      onSuccess: ({ type }) => type === "Directory",
      onFailure: () => false
    })
    if (!isDirectory || !Path.isAbsolute(workspace.path)) {
      return yield* fail(
        new InvalidInput({
          input: "workspace.path",
          detail: `${workspace.path} is not ${isDirectory ? "an absolute path" : "a directory on this machine"}`
        })
      )
    }
    if (workspace.mode === "in-place") return
  }
  yield* during("making the workspace")(fs.makeDirectory(paths.workspace, { mode: 0o755 }))
  if (workspace === undefined) return
  yield* copyDirectory(paths, workspace.path, base)
})

/** `cp -a` keeps links, modes and times, is faster than a walk of our own, and can be killed. */
const copyDirectory = (paths: JobPaths, from: string, env: Readonly<Record<string, string>>) =>
  Effect.acquireUseRelease(
    spawn("cp", ["-a", `${from}/.`, paths.workspace], {
      cwd: "/",
      env,
      stdio: ["ignore", "ignore", "pipe"]
    }),
    ({ child, exit }) => {
      let complaint = ""
      child.stderr?.setEncoding("utf8").on("data", (text: string) => {
        complaint = (complaint + text).slice(0, 2000)
      })
      return Effect.flatMap(Deferred.await(exit), ({ code }) =>
        code === 0
          ? Effect.void
          : fail(new StorageFailed({ operation: `copying ${from}`, detail: complaint.trim(), transient: false }))
      )
    },
    ({ child, exit }) =>
      Effect.suspend(() => {
        if (Deferred.isDoneUnsafe(exit)) return Effect.void
        child.kill("SIGKILL")
        return Effect.asVoid(Deferred.await(exit))
      })
  )
