/**
 * What a command for reaping does: which environments are meant, and what is told of them.
 */
import * as Console from "effect/Console"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { JobBackend } from "../../domain/JobBackend.ts"
import { type BackendError, fail, InvalidInput } from "../../domain/JobError.ts"
import * as Reaper from "../../domain/Reaper.ts"
import { reportLines } from "./report.ts"

/** @category options */
export interface Options {
  readonly environment?: string | undefined
  readonly owner?: string | undefined
  readonly handedOverFor?: Duration.Duration | undefined
  readonly dryRun: boolean
}

/**
 * Reaps one backend. Fails at once for options that contradict each other.
 *
 * @category running
 */
export const ask = ({
  dryRun,
  environment,
  handedOverFor,
  owner
}: Options): Effect.Effect<Effect.Effect<ReadonlyArray<Reaper.Reaped>, BackendError, JobBackend>, BackendError> =>
  environment !== undefined && owner !== undefined
    ? fail(new InvalidInput({ input: "--owner", detail: "it cannot be given together with --environment" }))
    : Effect.succeed(
        Reaper.reap({
          selector: environment !== undefined ? { environment } : owner !== undefined ? { owner } : undefined,
          dryRun,
          handedOverFor,
          // Who names an environment means it.
          evenHeld: environment !== undefined
        })
      )

/**
 * Tells what was done, and fails if something could not be removed.
 *
 * @category running
 */
export const report = Effect.fnUntraced(function* (
  seen: ReadonlyArray<Reaper.Reaped>,
  options: { readonly all: boolean }
): Effect.fn.Return<void, BackendError> {
  yield* Effect.forEach(reportLines(seen, options), (line) => Console.log(line), { discard: true })
  const failed = seen.find(({ outcome }) => outcome === "failed")
  if (failed?.error !== undefined) return yield* failed.error
})
