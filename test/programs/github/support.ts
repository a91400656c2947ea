/** What the tests of workflow files have in common. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type * as Scope from "effect/Scope"
import * as WorkflowFile from "../../../src/programs/github/WorkflowFile.ts"

/** A directory with these files, gone with the scope. */
export const directoryWith = (
  files: Readonly<Record<string, string | Uint8Array>>
): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const directory = mkdtempSync(join(tmpdir(), "jobscope-github-"))
      for (const [name, content] of Object.entries(files)) {
        mkdirSync(dirname(join(directory, name)), { recursive: true })
        writeFileSync(join(directory, name), content)
      }
      return directory
    }),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
  )

export const onDisk = <A, E, R>(
  effect: Effect.Effect<A, E, R | FileSystem.FileSystem>
): Effect.Effect<A, E, Exclude<R, FileSystem.FileSystem>> => Effect.provide(effect, NodeFileSystem.layer)

export const read = (text: string, files: Readonly<Record<string, string>> = {}) =>
  onDisk(
    Effect.gen(function* () {
      const workspace = yield* directoryWith(files)
      return yield* WorkflowFile.fromText(text, { workspace, file: "ci.yml" })
    })
  )

/** `line:column code message` of each diagnostic. */
export const complaints = (text: string, files: Readonly<Record<string, string>> = {}) =>
  Effect.map(
    Effect.match(read(text, files), {
      onFailure: ({ diagnostics }) => diagnostics,
      onSuccess: ({ warnings }) => warnings
    }),
    (diagnostics) =>
      diagnostics.map(
        ({ code, column, file, line, message }) =>
          `${file === "ci.yml" ? "" : `${file}:`}${line}:${column} ${code}: ${message}`
      )
  )
