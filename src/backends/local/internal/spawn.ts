import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { BackendError, InvalidInput, StepStartFailed } from "../../../domain/JobError.ts"

/**
 * Why not `effect/process`: a step's exit by a signal must be its number, what a step leaves in the background must survive it, and a
 * whole tree must be found again by another process. `ChildProcessSpawner` 4.1 tells a signal as an error text, and ends the group
 * with its leader.
 */
export interface SpawnOptions {
  readonly cwd: string
  readonly env: Record<string, string>
  readonly stdio: ChildProcess.StdioOptions
}

/** How a child ended: 0 to 255, 128 + n if signal n ended it. */
const exitCodeOf = (code: number | null, signal: NodeJS.Signals | null): number =>
  code ?? 128 + (signal === null ? 0 : (Os.constants.signals[signal] ?? 0))

export interface Spawned {
  readonly child: ChildProcess.ChildProcess
  readonly pid: number
  /** Completes with the child's end, in the same turn of the event loop. */
  readonly exit: Deferred.Deferred<{ readonly code: number; readonly signal: NodeJS.Signals | null }>
}

/**
 * Starts a child in a session of its own. Succeeds once it runs; a failure means that nothing does.
 */
export const spawn = (
  command: string,
  args: ReadonlyArray<string>,
  options: SpawnOptions
): Effect.Effect<Spawned, BackendError> =>
  Effect.callback((resume) => {
    let child: ChildProcess.ChildProcess
    const failed = (cause: unknown) => resume(Effect.fail(startError(cause, command, options)))
    try {
      child = ChildProcess.spawn(command, args, { ...options, detached: true })
    } catch (cause) {
      return failed(cause)
    }
    const { pid } = child
    child.once("error", failed)
    if (pid === undefined) return
    const exit = Deferred.makeUnsafe<{ readonly code: number; readonly signal: NodeJS.Signals | null }>()
    child.once("exit", (code, signal) => {
      Deferred.doneUnsafe(exit, Effect.succeed({ code: exitCodeOf(code, signal), signal }))
    })
    resume(Effect.succeed({ child, pid, exit }))
  })

const startError = (cause: unknown, command: string, { cwd, env }: SpawnOptions): BackendError => {
  const { code, message } = cause as NodeJS.ErrnoException
  if (code === "E2BIG") {
    const [name, size] = Object.entries(env)
      .map(([key, value]) => [key, Buffer.byteLength(value)] as const)
      .reduce((a, b) => (b[1] > a[1] ? b : a), ["", 0])
    return new BackendError({
      reason: new InvalidInput({
        input: `the environment variable ${name}`,
        detail: `the variables are too large for the operating system (${name} alone has ${size} bytes; Linux takes 128 KiB for one, and a quarter of the stack limit for all)`
      })
    })
  }
  // Node tells a missing working directory as a missing command.
  if (code === "ENOENT" && !Fs.existsSync(cwd)) {
    return new BackendError({
      reason: new StepStartFailed({ detail: `the working directory ${cwd} does not exist`, transient: false })
    })
  }
  const transient = code === "EAGAIN" || code === "ENOMEM" || code === "EMFILE" || code === "ENFILE"
  return new BackendError({ reason: new StepStartFailed({ detail: `${command}: ${message ?? cause}`, transient }) })
}
