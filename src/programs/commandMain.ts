/**
 * Runs an executable's command line: help as `effect/cli` shows it, usage errors in a line, exit codes as everywhere in jobscope (2 for a
 * command line that cannot be run), and an end of the process when the command ends.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as Context from "effect/Context"
import * as CliError from "effect/cli/CliError"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Predicate from "effect/Predicate"
import * as Runtime from "effect/Runtime"
import { BackendError } from "../domain/JobError.ts"
import * as ExitCode from "./console/ExitCode.ts"
import { version } from "./version.ts"

/**
 * Ends a command with an exit code; all that there is to say has been said.
 *
 * @category error handling
 */
export const quiet = (code: number): Effect.Effect<never, Told> => Effect.fail(new Told({ code }))

/**
 * What a command leaves to be run after it, by a main of its own: `JobMain`, which takes over signals and the exit code.
 *
 * @category services
 */
export const Afterwards = Context.Reference<{ readonly run: (main: () => void) => Effect.Effect<void> }>(
  "jobscope/programs/commandMain/Afterwards",
  { defaultValue: () => ({ run: (main) => Effect.sync(main) }) }
)

/** @category running */
export const runCommand = <Name extends string, Input, Shared, E>(
  command: Command.Command<Name, Input, Shared, E, NodeServices.NodeServices>
): void => {
  let next: (() => void) | undefined
  const run = (main: () => void) =>
    Effect.sync(() => {
      next = main
    })
  Command.run(command, { version }).pipe(
    Effect.provideService(Afterwards, { run }),
    Effect.provideService(CliOutput.Presenter, presenter),
    Effect.catchIf(isOurs, (error) =>
      Effect.andThen(Console.error(tell(error)), quiet(Runtime.getErrorExitCode(error)))
    ),
    Effect.provide(NodeServices.layer),
    NodeRuntime.runMain({
      teardown: (exit, onExit) => {
        if (next !== undefined && Exit.isSuccess(exit)) next()
        else onExit(exitCodeOf(exit))
      }
    })
  )
}

/** A mistake on the command line is what is shown of it: all of the help would push it off the screen. */
const presenter: CliOutput.Presenter = {
  present: (event) =>
    event._tag === "InvalidInvocation"
      ? Console.error([...event.errors.map(usageError), `  See ${event.commandPath.join(" ")} --help`].join("\n"))
      : CliOutput.defaultPresenter.present(event)
}

const usageError = (error: CliError.NonShowHelpErrors): string => {
  const [what = ""] = error.message.split("\n\n", 1)
  const meant = "suggestions" in error ? error.suggestions : []
  return `error: ${what}${meant.length === 0 ? "" : `. Did you mean ${meant.join(" or ")}?`}`
}

/** An error that says its exit code is meant for people; others are defects of ours, with all that there is to know. */
const isOurs = <E>(error: E): error is E & Error =>
  error instanceof Error &&
  Predicate.hasProperty(error, Runtime.errorExitCode) &&
  Runtime.getErrorReported(error) &&
  !CliError.isCliError(error)

/** For people: what, why and what to do, without a stack. */
const tell = (error: Error): string =>
  error instanceof BackendError ? `error: ${error.message}\n  ${error.advice} See ${error.anchor}` : error.message

/**
 * A failure that has been told already; only its exit code is left.
 *
 * @category errors
 */
export class Told extends Data.TaggedError("Told")<{ readonly code: number }> {
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
