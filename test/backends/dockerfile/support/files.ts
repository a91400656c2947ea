import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Dockerfile from "../../../../src/backends/dockerfile/Dockerfile.ts"

/** Where very many files are made quickly. */
export const memory = existsSync("/dev/shm") ? "/dev/shm" : tmpdir()

/** A directory with these files, gone with the scope. */
export const directoryOf = (files: Readonly<Record<string, string>> = {}, parent = tmpdir()) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const directory = mkdtempSync(join(parent, "jobscope-dockerfile-"))
      for (const [name, content] of Object.entries(files)) {
        mkdirSync(join(directory, dirname(name)), { recursive: true })
        writeFileSync(join(directory, name), content)
      }
      return directory
    }),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
  )

export const parsed = (text: string): Dockerfile.Dockerfile => Result.getOrThrow(Dockerfile.parse(text))
