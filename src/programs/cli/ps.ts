/**
 * `jobscope ps`: the environments that there are, whoever made them.
 */

import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { JobBackend } from "../../domain/JobBackend.ts"
import type { OwnedResource } from "../../domain/OwnedResource.ts"
import * as Times from "../console/internal/Times.ts"
import * as Backends from "./Backends.ts"
import { flags, values } from "./internal/command.ts"
import { eachBackend } from "./internal/eachBackend.ts"
import * as Table from "./internal/table.ts"
import * as settings from "./settings.ts"

/** @category options */
export const all = {
  backends: settings.backends,
  owner: settings.owner,
  output: settings.listOutput,
  ...Backends.settings
}

/** @category commands */
export const command = Command.make(
  "ps",
  flags(all),
  Effect.fnUntraced(function* (given) {
    const { backends, output, owner, ...more } = yield* values(all, given)
    const selector = owner === undefined ? undefined : { owner }
    const resources = yield* eachBackend(backends, more, list(selector))
    const now = yield* Clock.currentTimeMillis
    yield* Console.log(output === "json" ? asJson(resources) : asText(resources, now))
  })
).pipe(
  Command.withDescription(
    "Lists the environments of jobs: running ones, handed over ones, and those that were left behind."
  ),
  Command.withShortDescription("List environments of jobs"),
  Command.withExamples([{ command: "jobscope ps --backend local", description: "What is on this machine" }])
)

const list = (selector: { readonly owner: string } | undefined) =>
  Effect.flatMap(JobBackend, (backend) => Stream.runCollect(backend.list(selector)))

const asJson = (resources: ReadonlyArray<OwnedResource>): string => JSON.stringify({ v: 1, resources }, undefined, 2)

const asText = (resources: ReadonlyArray<OwnedResource>, now: number): string => {
  const environments = Object.values(Arr.groupBy(resources, ({ backend, environment }) => `${backend} ${environment}`))
  if (environments.length === 0) return "There are no environments."
  return Table.render(
    ["ENVIRONMENT", "BACKEND", "OWNER", "CUSTODY", "AGE", "RESOURCES"],
    environments.map((own) => {
      const [first] = own
      const age = now - Math.min(...own.map(({ createdAt }) => createdAt))
      return [
        first.environment,
        first.backend,
        first.owner || "unknown",
        first.custody,
        Times.duration(age),
        kinds(own)
      ]
    })
  )
}

const kinds = (resources: ReadonlyArray<OwnedResource>): string =>
  Object.entries(Arr.groupBy(resources, ({ kind }) => kind))
    .map(([kind, all]) => `${all.length} ${kind}`)
    .join(", ")
