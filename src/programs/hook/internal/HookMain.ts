/**
 * The hook as a process: the runner reads its output and its exit code, and nothing else tells it whether a step has worked.
 *
 * - It ends when the command does, with everything written before: Node's own `process.exit` cuts what is still queued.
 * - It never ends with 0 by accident. A command that waits for what cannot happen any more is an error, not the end of the program.
 * - SIGINT and SIGTERM cancel the command; whatever it says then, the exit code is not 0. The runner waits 10 s in all, so that a command that cannot
 *   end, because the API server does not answer, is left before.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as References from "effect/References"
import type { BackendError } from "../../../domain/JobError.ts"
import { JobEvents } from "../../../domain/JobEvent.ts"
import * as Outlet from "../../console/internal/Outlet.ts"
import * as HookReport from "./HookReport.ts"

/** How long a cancelled command may take; the runner kills it 1.5 s later. */
const cancelTime = "8500 millis"

const notInTime =
  "The cancelled command could not end what it has started in time: the Kubernetes API does not answer, or is slow. cleanup_job removes it."

/** What a command needs of the process. */
export interface HookProcess {
  /** Writes what a user's program wrote, byte for byte, and waits until the runner has taken it: then the bytes may change. */
  readonly write: (bytes: Uint8Array) => Effect.Effect<void>
  /** Says something of the hook's own. */
  readonly say: (level: HookReport.Level, text: string) => Effect.Effect<void>
  /** From here on no more than this is said. */
  readonly setLevel: (level: HookReport.Level) => Effect.Effect<void>
  /** Ends when the runner cancels. */
  readonly cancelled: Effect.Effect<void>
}

/** Runs a command, which gives the exit code, and ends the process. */
export const runMain = (command: (hook: HookProcess) => Effect.Effect<number, BackendError>): void => {
  let ended = false
  let signal: number | undefined
  let level: HookReport.Level = "info"
  let lastWait = ""
  const cancelled = Deferred.makeUnsafe<void>()

  // Nobody reads any more: the runner is gone, and with it the reason for the command.
  const stdout = Outlet.make(process.stdout, () => cancel(128 + 13))
  const stderr = Outlet.make(process.stderr)

  const cancel = (code: number) => {
    signal ??= code
    Deferred.doneUnsafe(cancelled, Exit.void)
  }
  const say = (of: HookReport.Level, text: string) => {
    if (HookReport.isSaid(of, level)) stdout.write(HookReport.line(of, text))
  }
  const exit = (code: number) => {
    if (ended) return
    ended = true
    Effect.runFork(
      Effect.all([stdout.flushed, stderr.flushed]).pipe(
        // A signal that has come is told at the next turn of the event loop.
        Effect.andThen(Effect.repeat(Effect.yieldNow, { times: 2 })),
        // The exit code of the user's own program, unless it was told to stop: then nothing it says means that it has worked.
        Effect.andThen(Effect.sync(() => process.exit(signal ?? code)))
      )
    )
  }

  for (const [name, number] of [
    ["SIGHUP", 1],
    ["SIGINT", 2],
    ["SIGTERM", 15]
  ] as const) {
    process.on(name, () => cancel(128 + number))
  }
  process.on("beforeExit", () => {
    if (ended) return
    stdout.write(
      HookReport.line("error", "The hook waits for something that cannot happen any more. Report it.", "Hook defect")
    )
    exit(1)
  })

  const logger = Logger.make(({ logLevel, message }) => {
    const text = (Array.isArray(message) ? message : [message]).map(String).join(" ")
    say(logLevel === "Info" ? "info" : LogLevel.isGreaterThan(logLevel, "Info") ? "warn" : "debug", text)
  })
  const program = command({
    write: stdout.send,
    say: (level, text) => Effect.sync(() => say(level, text)),
    setLevel: (wanted) =>
      Effect.sync(() => {
        level = wanted
      }),
    cancelled: Deferred.await(cancelled)
  })
  const fiber = Effect.runFork(
    program.pipe(
      Effect.provideService(JobEvents, {
        emit: (event) =>
          Effect.sync(() => {
            const said = HookReport.ofEvent(event)
            if (said === undefined || (event._tag === "Waiting" && said.text === lastWait)) return
            if (event._tag === "Waiting") lastWait = said.text
            say(said.level, said.text)
          })
      }),
      Effect.provide(Layer.merge(Logger.layer([logger]), Layer.succeed(References.MinimumLogLevel, "Debug")))
    )
  )
  Effect.runFork(
    Effect.gen(function* () {
      yield* Deferred.await(cancelled)
      yield* Effect.sleep(cancelTime)
      if (ended) return
      stdout.write(HookReport.line("error", notInTime, "Cancelled"))
      exit(1)
    })
  )
  fiber.addObserver((result) => {
    if (ended) return
    if (Exit.isFailure(result) && !(signal !== undefined && Exit.hasInterrupts(result))) {
      stdout.write(HookReport.ofCause(result.cause))
    }
    exit(Exit.isSuccess(result) ? result.value : 1)
  })
}
