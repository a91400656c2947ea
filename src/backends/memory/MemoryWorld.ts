/**
 * What the memory backend provisions, and a record of everything that was asked of it. It is apart from the backend, because it plays
 * the cluster: several backends, standing for several processes, can share one world, and one can die without it.
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { BackendError } from "../../domain/JobError.ts"
import type { Step } from "../../domain/Step.ts"
import type { MemoryEnvironment } from "./internal/memoryEnvironment.ts"

/**
 * Something that was asked of the backend, in order.
 *
 * @category models
 */
export type MemoryRecord =
  | { readonly _tag: "Provisioning" | "Ready" | "HandedOver" | "Adopted" | "Released"; readonly environment: string }
  | { readonly _tag: "ReleaseFailed"; readonly environment: string }
  | { readonly _tag: "StepStarted"; readonly environment: string; readonly step: Step }
  | { readonly _tag: "StepSignalled"; readonly environment: string; readonly step: Step; readonly signal: string }
  | { readonly _tag: "StepEnded"; readonly environment: string; readonly step: Step; readonly exitCode: number }

/** @category services */
export class MemoryWorld extends Context.Service<
  MemoryWorld,
  {
    readonly environments: Map<string, MemoryEnvironment>
    /** How often each job was provisioned, and each script started: for failures that heal. */
    readonly attempts: Map<string, number>
    readonly record: (entry: MemoryRecord) => Effect.Effect<void>
    /** Everything so far. */
    readonly records: Effect.Effect<ReadonlyArray<MemoryRecord>>
    /** Ends an environment from outside, as an eviction does. */
    readonly lose: (environment: string, error: BackendError) => Effect.Effect<void>
    /** Plays a `kill -9` of every process that holds environments: they become orphans. */
    readonly crash: Effect.Effect<void>
  }
>()("jobscope/backends/memory/MemoryWorld") {}

/** @category constructors */
export const make: Effect.Effect<MemoryWorld["Service"]> = Effect.sync(() => {
  const environments = new Map<string, MemoryEnvironment>()
  const records: Array<MemoryRecord> = []
  return {
    environments,
    attempts: new Map(),
    record: (entry) => Effect.sync(() => void records.push(entry)),
    records: Effect.sync(() => [...records]),
    lose: (environment, error) =>
      Effect.suspend(() => {
        const lost = environments.get(environment)
        if (lost === undefined) return Effect.void
        environments.delete(environment)
        // First what its steps tell, so that none of them ends with the exit code of the kill that follows.
        const ends = [lost.ended, ...[...lost.processes].map(({ exit }) => exit)]
        return Effect.forEach(ends, (deferred) => Deferred.fail(deferred as typeof lost.ended, error), {
          discard: true
        })
      }),
    crash: Effect.sync(() => {
      for (const environment of environments.values()) {
        if (environment.custody === "held") environment.custody = "orphaned"
      }
    })
  }
})

/** @category layers */
export const layer: Layer.Layer<MemoryWorld> = Layer.effect(MemoryWorld, make)

/** Adds one to a counter, and gives the new value. */
export const countAttempt = (world: MemoryWorld["Service"], key: string): number => {
  const count = (world.attempts.get(key) ?? 0) + 1
  world.attempts.set(key, count)
  return count
}
