/**
 * Runs an executable's command line: help and usage errors as `effect/cli` shows them, exit codes as everywhere in jobscope (2 for a
 * command line that cannot be run), and an end of the process when the command ends.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as CliError from "effect/cli/CliError"
import * as Command from "effect/cli/Command"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Runtime from "effect/Runtime"
import { BackendError } from "../domain/JobError.ts"
import * as ExitCode from "./console/ExitCode.ts"
import { version } from "./version.ts"

/** @category running */
export const runCommand = <Name extends string, Input, Shared, E>(
  command: Command.Command<Name, Input, Shared, E, NodeServices.NodeServices>
): void =>
  Command.run(command, { version }).pipe(
    Effect.catchIf(
      (error): error is E & BackendError => error instanceof BackendError,
      (error) => Effect.andThen(Console.error(tell(error)), new Told({ code: error[Runtime.errorExitCode] }))
    ),
    Effect.provide(NodeServices.layer),
    NodeRuntime.runMain({ teardown: (exit, onExit) => onExit(exitCodeOf(exit)) })
  )

/** For people: what, why and what to do, without a stack. */
const tell = (error: BackendError) => `error: ${error.message}\n  ${error.advice} See ${error.anchor}`

/** A failure that has been told already. */
class Told extends Data.TaggedError("Told")<{ readonly code: number }> {
  override readonly [Runtime.errorExitCode] = this.code
  override readonly [Runtime.errorReported] = false
}

const exitCodeOf = (exit: Exit.Exit<unknown, unknown>): number => {
  if (Exit.isSuccess(exit)) return ExitCode.success
  const error = Cause.squash(exit.cause)
  if (CliError.isCliError(error)) {
    // Help that was asked for is no error.
    return error._tag === "ShowHelp" && error.errors.length === 0 ? ExitCode.success : ExitCode.invalidInput
  }
  return ExitCode.ofCause(exit.cause)
}
