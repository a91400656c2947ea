import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type { JobSpec } from "../../../domain/Job.ts"
import type { Completion, OutputChunk } from "../../../domain/JobEnvironment.ts"
import type { BackendError } from "../../../domain/JobError.ts"
import type { Custody } from "../../../domain/OwnedResource.ts"
import type { Step } from "../../../domain/Step.ts"

/** A step that runs in the world: it obeys its program, and signals. */
export interface MemoryProcess {
  readonly step: Step
  readonly exit: Deferred.Deferred<number, BackendError>
  readonly output: Stream.Stream<OutputChunk>
  readonly signal: (signal: string) => Effect.Effect<void>
  readonly kill: Effect.Effect<void>
  readonly files: Map<string, string>
}

/**
 * An environment in the world.
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
