/**
 * What a new backend implements: the small part below `JobBackend`. Scopes, hand-over, deadlines, loss of the environment,
 * capability checks and protocol assertions are added once, for all of them, by `JobBackend.fromDriver`.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { Capabilities } from "./Capabilities.ts"
import type { EnvironmentHandle } from "./EnvironmentHandle.ts"
import type { JobSpec } from "./Job.ts"
import type { Completion, EnvironmentFacts, RunningStep } from "./JobEnvironment.ts"
import type { BackendError } from "./JobError.ts"
import type { OwnedResource, Selector } from "./OwnedResource.ts"
import type { Step } from "./Step.ts"

/**
 * An environment as a driver gives it.
 *
 * @category models
 */
export interface DriverEnvironment {
  readonly facts: EnvironmentFacts
  /** The driver's part of the handle: what `attach` needs. No secrets. */
  readonly data: Schema.Json
  /** See `JobEnvironment.start`. The scope that it uses is the step's. */
  readonly start: (step: Step) => Effect.Effect<RunningStep, BackendError, Scope.Scope>
  /** See `JobEnvironment.completion`. Run in a fiber of its own as long as the environment is open. */
  readonly completion: Effect.Effect<Completion, BackendError>
  /** Records that the environment now outlives its process. Left out where `capabilities.handOver` is false. */
  readonly handOver?: Effect.Effect<void, BackendError>
}

/** @category models */
export interface BackendDriver {
  readonly name: string
  readonly capabilities: Capabilities
  /** The environment's name, where it must not be a random one. */
  readonly nameOf?: (spec: JobSpec) => string
  /**
   * Makes the environment, and returns when steps can start and services are ready.
   *
   * Everything that it makes must be found by `destroy` from the moment it exists, by environment and by owner: after a failure
   * or an interruption at any point, `destroy({ environment })` is called. The scope is the environment's: for what belongs to
   * this process alone, such as a poller; it closes before `destroy` is called, and after a hand-over and a detach alike.
   */
  readonly create: (spec: JobSpec, environment: string) => Effect.Effect<DriverEnvironment, BackendError, Scope.Scope>
  /** Finds an environment again that another process made; the scope is as for `create`. Left out without `capabilities.handOver`. */
  readonly attach?: (handle: EnvironmentHandle) => Effect.Effect<DriverEnvironment, BackendError, Scope.Scope>
  /** Removes all that is selected, one failure not keeping it from the rest (`destroyEach`), and returns when it is gone; nothing there is success. Interruptible. */
  readonly destroy: (selector: Selector) => Effect.Effect<unknown, BackendError>
  /** All that is selected, as far as it can be seen, and nothing that is not ours. */
  readonly list: (selector?: Selector) => Stream.Stream<OwnedResource, BackendError>
  /** A command that removes an environment by hand. */
  readonly removalCommand: (environment: string) => string
}

/**
 * Destroys each of several environments: one that cannot be removed does not keep it from the others, and is the failure at the end.
 *
 * @category combinators
 */
export const destroyEach = <A>(
  environments: Iterable<A>,
  destroy: (environment: A) => Effect.Effect<unknown, BackendError>
): Effect.Effect<void, BackendError> =>
  Effect.flatMap(
    Effect.forEach(environments, (environment) => Effect.exit(destroy(environment)), { concurrency: 8 }),
    (exits) => Exit.asVoidAll(exits)
  )
