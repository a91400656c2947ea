import { BackendError, StorageFailed } from "../../../../domain/JobError.ts"

/** A failure of this machine's file system, as a reason that says what it was for. */
export const storageFailed =
  (operation: string) =>
  (cause: unknown): BackendError =>
    cause instanceof BackendError
      ? cause
      : new BackendError({
          reason: new StorageFailed({
            operation,
            detail: cause instanceof Error ? cause.message : String(cause),
            // What else may fail, fails again.
            transient: codeOf(cause) === "EMFILE" || codeOf(cause) === "ENFILE" || codeOf(cause) === "EBUSY"
          })
        })

/** Node's code of an error: `ENOENT`. */
export const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined

/** Gone, or something else by now. */
export const isMissing = (error: unknown): boolean => /^(ENOENT|ENOTDIR|EINVAL)$/.test(codeOf(error) ?? "")

export const isForbidden = (error: unknown): boolean => /^(EACCES|EPERM)$/.test(codeOf(error) ?? "")
