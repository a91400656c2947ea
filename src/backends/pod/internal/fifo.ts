import { execFile } from "node:child_process"
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
