/**
 * What the memory backend provisions, and a record of everything that was asked of it. It is apart from the backend, because it plays
 * the cluster: several backends, standing for several processes, can share one world, and one can die without it.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { JobSpec } from "../../domain/Job.ts"
import type { Completion } from "../../domain/JobEnvironment.ts"
import type { BackendError } from "../../domain/JobError.ts"
import type { Custody } from "../../domain/OwnedResource.ts"
import type { Step } from "../../domain/Step.ts"
import type { MemoryProcess } from "./internal/memoryProcess.ts"

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

/**
 * An environment in the world.
 *
 * @category models
 */
export interface MemoryEnvironment {
  readonly name: string
  readonly spec: JobSpec
  readonly createdAt: number
  /** The resources that exist: a failed provision makes only the first. */
  readonly resources: Set<string>
  readonly processes: Set<MemoryProcess>
  /** Paths to contents. */
  readonly workspace: Map<string, string>
  readonly ended: Deferred.Deferred<Completion, BackendError>
  custody: Custody
  /** A release was tried; if the test made it fail, what is left is no mistake of the program. */
  releaseTried: boolean
}

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
        return Effect.forEach(ends, (deferred) => Deferred.fail(deferred as typeof lost.ended, error), { discard: true })
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

/** A new environment, not yet part of a world. */
export const emptyEnvironment = Effect.fnUntraced(function* (name: string, spec: JobSpec) {
  const environment: MemoryEnvironment = {
    name,
    spec,
    createdAt: yield* Clock.currentTimeMillis,
    resources: new Set(),
    processes: new Set(),
    workspace: new Map(),
    ended: yield* Deferred.make<Completion, BackendError>(),
    custody: "held",
    releaseTried: false
  }
  return environment
})
