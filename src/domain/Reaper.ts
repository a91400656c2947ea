/**
 * Removes what nobody looks after any more: environments whose process was killed, or lost its machine.
 */
import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import { JobBackend } from "./JobBackend.ts"
import type { BackendError } from "./JobError.ts"
import type { OwnedResource, Selector } from "./OwnedResource.ts"

/** @category models */
export interface ReapOptions {
  /** Only look at these. */
  readonly selector?: Selector | undefined
  /** Also remove environments that were handed over, and are older than this. Left out, they stay. */
  readonly handedOverFor?: Duration.Input | undefined
  /** Remove what is selected whoever holds it: for one environment that somebody names. Default false. */
  readonly evenHeld?: boolean | undefined
  /** Say what would be removed, and remove nothing. */
  readonly dryRun?: boolean | undefined
}

/**
 * An environment that the reaper looked at.
 *
 * @category models
 */
export interface Reaped {
  readonly environment: string
  readonly owner: string
  readonly resources: ReadonlyArray<OwnedResource>
  readonly outcome: "kept" | "would-remove" | "removed" | "failed"
  readonly error?: BackendError
}

/**
 * Whether an environment is to be removed. Pure: the reaper's whole policy.
 *
 * @category guards
 */
export const isAbandoned = (
  resources: ReadonlyArray<OwnedResource>,
  now: number,
  handedOverFor: Duration.Duration | undefined
): boolean =>
  resources.every(
    ({ createdAt, custody }) =>
      custody === "orphaned" ||
      (custody === "handed-over" && handedOverFor !== undefined && now - createdAt > Duration.toMillis(handedOverFor))
  )

/**
 * Removes abandoned environments, one by one, and tells what it did with each that it saw. One that cannot be removed does not keep
 * it from the others.
 *
 * @category running
 */
export const reap = Effect.fnUntraced(function* (
  options: ReapOptions = {}
): Effect.fn.Return<ReadonlyArray<Reaped>, BackendError, JobBackend> {
  const backend = yield* JobBackend
  const now = yield* Clock.currentTimeMillis
  const handedOverFor =
    options.handedOverFor === undefined ? undefined : Duration.fromInputUnsafe(options.handedOverFor)
  const seen = Arr.groupBy(yield* Stream.runCollect(backend.list(options.selector)), ({ environment }) => environment)
  return yield* Effect.forEach(
    Object.entries(seen),
    Effect.fnUntraced(function* ([environment, resources]): Effect.fn.Return<Reaped> {
      const about = { environment, owner: resources[0]?.owner ?? "", resources }
      if (options.evenHeld !== true && !isAbandoned(resources, now, handedOverFor)) return { ...about, outcome: "kept" }
      if (options.dryRun === true) return { ...about, outcome: "would-remove" }
      const released = yield* Effect.result(backend.release({ environment }))
      return Result.isSuccess(released)
        ? { ...about, outcome: "removed" }
        : { ...about, outcome: "failed", error: released.failure }
    })
  )
})
