/**
 * `jobscope version`.
 */
import * as Process from "node:process"
import * as Console from "effect/Console"
import * as Command from "effect/cli/Command"
import { version } from "../version.ts"

/** @category commands */
export const command = Command.make("version", {}, () =>
  Console.log(`jobscope ${version}\nnode ${Process.versions.node}, ${Process.platform} ${Process.arch}`)
).pipe(
  Command.withDescription("Shows the version of jobscope, and what it runs on."),
  Command.withShortDescription("Show the version")
)
