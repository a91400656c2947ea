/**
 * `jobscope reap`: removes what killed programs left behind, on every backend.
 */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Reap from "../reaper/Reap.ts"
import * as Backends from "./Backends.ts"
import { flags, values } from "./internal/command.ts"
import { eachBackend } from "./internal/eachBackend.ts"
import * as settings from "./settings.ts"

/** @category options */
export const all = {
  backends: settings.backends,
  environment: settings.environment,
  owner: settings.owner,
  handedOverFor: settings.handedOverFor,
  dryRun: settings.dryRun,
  all: settings.all,
  ...Backends.settings
}

/** @category commands */
export const command = Command.make(
  "reap",
  flags(all),
  Effect.fnUntraced(function* (given) {
    const { all: every, backends, dryRun, environment, handedOverFor, owner, ...more } = yield* values(all, given)
    const asked = yield* Reap.ask({ environment, owner, handedOverFor, dryRun })
    yield* Reap.report(yield* eachBackend(backends, more, asked), { all: every })
  })
).pipe(
  Command.withDescription(
    "Removes what killed programs left behind: environments whose process is gone. Those that are in use stay."
  ),
  Command.withShortDescription("Remove environments that nobody owns any more"),
  Command.withExamples([
    { command: "jobscope reap --dry-run", description: "Show what would be removed" },
    { command: "jobscope reap --environment build-1a2b3c4d", description: "Remove one environment" }
  ])
)
