/**
 * The commands of `jobscope`.
 */
import * as Command from "effect/cli/Command"
import * as List from "./list.ts"
import * as Plan from "./plan.ts"
import * as Ps from "./ps.ts"
import * as Reap from "./reap.ts"
import * as Run from "./run.ts"
import type * as Setting from "./Setting.ts"
import * as Validate from "./validate.ts"
import * as Version from "./version.ts"

/** @category commands */
export const command = Command.make("jobscope").pipe(
  Command.withDescription(
    "Runs GitHub workflow files on any backend: this machine, pods, KRO environments. Every flag may also be given by the variable in brackets, or in .jobscope.yml."
  ),
  Command.withSubcommands([
    Run.command,
    Plan.command,
    Validate.command,
    List.command,
    Ps.command,
    Reap.command,
    Version.command
  ])
)

/**
 * What can be set for each command, for documentation.
 *
 * @category options
 */
export const settings: Readonly<Record<string, Setting.Settings>> = {
  run: Run.all,
  plan: Plan.all,
  validate: Validate.all,
  list: List.all,
  ps: Ps.all,
  reap: Reap.all
}
