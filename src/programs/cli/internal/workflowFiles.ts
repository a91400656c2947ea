/**
 * Which workflow files are meant.
 */
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { type BackendError, fail, InvalidInput } from "../../../domain/JobError.ts"

const directory = Path.join(".github", "workflows")

/**
 * The files that are named; if none is, all in `.github/workflows`.
 *
 * @category getters
 */
export const workflowFiles = Effect.fnUntraced(function* (
  named: ReadonlyArray<string>
): Effect.fn.Return<ReadonlyArray<string>, BackendError, FileSystem.FileSystem> {
  if (named.length > 0) return yield* Effect.forEach(named, pathOf)
  const found = yield* inRepository
  return found.length > 0 ? found : yield* fail(nothingThere)
})

/**
 * The file that is named; if none is, the only one in `.github/workflows`.
 *
 * @category getters
 */
export const workflowFile = Effect.fnUntraced(function* (
  named: string | undefined
): Effect.fn.Return<string, BackendError, FileSystem.FileSystem> {
  if (named !== undefined) return yield* pathOf(named)
  const [only, ...others] = yield* inRepository
  if (only === undefined) return yield* fail(nothingThere)
  if (others.length === 0) return only
  const names = [only, ...others].map((path) => Path.basename(path))
  return yield* fail(
    new InvalidInput({
      input: "FILE",
      detail: `there are several in ${directory}, name one of them: ${names.join(", ")}`
    })
  )
})

const nothingThere = new InvalidInput({ input: "FILE", detail: `there is no workflow in ${directory}: name one` })

const inRepository = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const names = yield* Effect.orElseSucceed(fs.readDirectory(directory), () => [])
  return names
    .filter((name) => /\.ya?ml$/.test(name))
    .toSorted()
    .map((name) => Path.join(directory, name))
})

/** A name alone may stand for a file in `.github/workflows`, also without its end. */
const pathOf = Effect.fnUntraced(function* (named: string) {
  const fs = yield* FileSystem.FileSystem
  const exists = (path: string) => Effect.orElseSucceed(fs.exists(path), () => false)
  if (Path.basename(named) !== named || (yield* exists(named))) return named
  for (const end of ["", ".yml", ".yaml"]) {
    const path = Path.join(directory, named + end)
    if (yield* exists(path)) return path
  }
  return named
})
