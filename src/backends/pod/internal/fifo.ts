import { execFile } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import { BackendError, StorageFailed } from "../../../domain/JobError.ts"

/** Makes FIFOs that every user may read and write. By the command: Node has no call for it. */
export const makeFifos = (paths: ReadonlyArray<string>): Effect.Effect<void, BackendError> =>
  Effect.callback((resume) => {
    const child = execFile("mkfifo", ["-m", "666", ...paths], (error) =>
      resume(
        error === null
          ? Effect.void
          : Effect.fail(
              new BackendError({
                reason: new StorageFailed({
                  operation: "making a FIFO",
                  detail: error.message.trim(),
                  transient: false
                })
              })
            )
      )
    )
    return Effect.sync(() => child.kill())
  })

/** How many are kept in stock: a job has some dozen steps, each needs up to three. */
const stock = 64

/** Makes a stock of them: one process for many, at a time when nobody waits for it. */
export const stockFifos = (directory: string): Effect.Effect<void, BackendError> =>
  makeFifos(Array.from({ length: stock }, (_, at) => Path.join(directory, String(at))))

/**
 * Gives `paths` a FIFO each, from the stock as long as there are some: whoever renames one first has it. `directory` is on the same
 * file system.
 */
export const takeFifos = (directory: string, paths: ReadonlyArray<string>): Effect.Effect<void, BackendError> =>
  Effect.suspend(() => {
    const left = [...paths]
    let names: Array<string> = []
    try {
      names = Fs.readdirSync(directory)
    } catch {
      // No stock.
    }
    for (let path = left[0], name = names.pop(); path !== undefined && name !== undefined; name = names.pop()) {
      try {
        Fs.renameSync(Path.join(directory, name), path)
        left.shift()
        path = left[0]
      } catch {
        // Another step was quicker.
      }
    }
    return left.length === 0 ? Effect.void : makeFifos(left)
  })
