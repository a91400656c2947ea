/**
 * `jobscope-reaper`: removes what killed programs left behind.
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as LocalBackend from "../../backends/local/LocalBackend.ts"
import { runCommand } from "../commandMain.ts"
import * as Reap from "./Reap.ts"

const flags = {
  stateDirectory: Flag.String("state-dir").pipe(
    Flag.withDescription(
      "State directory of the local backend. Default: $JOBSCOPE_STATE_DIR, else $XDG_STATE_HOME/jobscope, else ~/.local/state/jobscope"
    ),
    Flag.optional
  ),
  environment: Flag.String("environment").pipe(
    Flag.withDescription("Remove this environment, whoever holds it"),
    Flag.optional
  ),
  owner: Flag.String("owner").pipe(Flag.withDescription("Only look at environments of this owner"), Flag.optional),
  handedOverFor: Flag.String("handed-over-for").pipe(
    Flag.withSchema(Schema.DurationFromString),
    Flag.withDescription(
      "Also remove environments that were handed over, and are older than this (for example '12 hours'). Default: they stay"
    ),
    Flag.optional
  ),
  dryRun: Flag.Boolean("dry-run").pipe(
    Flag.withAlias("n"),
    Flag.withDescription("Say what would be removed, and remove nothing"),
    Flag.withDefault(false)
  ),
  all: Flag.Boolean("all").pipe(
    Flag.withAlias("a"),
    Flag.withDescription("Also name the environments that stay"),
    Flag.withDefault(false)
  )
}

const command = Command.make(
  "jobscope-reaper",
  flags,
  Effect.fnUntraced(function* ({ all, dryRun, environment, handedOverFor, owner, stateDirectory }) {
    const reap = yield* Reap.ask({
      environment: Option.getOrUndefined(environment),
      owner: Option.getOrUndefined(owner),
      handedOverFor: Option.getOrUndefined(handedOverFor),
      dryRun
    })
    const backend = LocalBackend.layer({ stateDirectory: Option.getOrUndefined(stateDirectory) })
    yield* Reap.report(yield* Effect.provide(reap, backend), { all })
  })
).pipe(
  Command.withDescription(
    "Removes what killed programs left behind: environments of the local backend whose process is gone. Environments that are in use stay."
  ),
  Command.withExamples([
    { command: "jobscope-reaper --dry-run", description: "Show what would be removed" },
    { command: "jobscope-reaper --environment build-1a2b3c4d", description: "Remove one environment" },
    {
      command: "jobscope-reaper --handed-over-for '12 hours'",
      description: "Also remove old ones that were handed over"
    }
  ])
)

runCommand(command)
