/**
 * An environment that is ready to run steps, and a step that runs in it.
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { EnvironmentHandle } from "./EnvironmentHandle.ts"
import type { BackendError } from "./JobError.ts"
import type { Step } from "./Step.ts"

/** @category models */
export interface OutputChunk {
  readonly stream: "stdout" | "stderr"
  readonly bytes: Uint8Array
}

/**
 * Signals that a step can be sent.
 *
 * @category models
 */
export type StepSignal = "SIGINT" | "SIGTERM" | "SIGKILL" | "SIGHUP" | "SIGUSR1" | "SIGUSR2"

/**
 * A step that has started.
 *
 * **Details**
 *
 * Closing its scope while it runs stops the whole process tree, and returns when it is gone: SIGTERM, `timeouts.stopGrace`,
 * SIGKILL. After the step has ended by itself, closing the scope changes nothing: what it left in the background lives on,
 * as on GitHub's runners, until the environment is released.
 *
 * @category models
 */
export interface RunningStep {
  /**
   * Everything that the step writes: every byte once, in order within each of the two streams, also across lost
   * connections.
   *
   * It ends when the step has ended. Pulling slowly slows the step down, or fills the environment's disk, never this process's
   * memory; so somebody must pull, else the end of a step that writes much is never seen. To be run once.
   */
  readonly output: Stream.Stream<OutputChunk, BackendError>
  /**
   * Succeeds only with a code that was read from the step, 0 to 255, 128 + n if signal n ended it. Anything else, above all a
   * lost environment, is a `BackendError`. May be awaited many times.
   */
  readonly exitCode: Effect.Effect<number, BackendError>
  /** Sends a signal to every process of the step; nothing happens if it has ended. */
  readonly signal: (signal: StepSignal) => Effect.Effect<void, BackendError>
  /** Contents of the step's `collect` files, by name. To be asked for after `exitCode`; works after a failed step too. One that the step removed is left out. */
  readonly files: Effect.Effect<ReadonlyMap<string, string>, BackendError>
}

/** @category models */
export interface ServiceFacts {
  readonly name: string
  /** How steps reach it: host name or address. */
  readonly host: string
  /** Declared port to the port that steps connect to. */
  readonly ports: Readonly<Record<string, string>>
}

/**
 * What callers have to know about an environment.
 *
 * @category models
 */
export interface EnvironmentFacts {
  readonly os: string
  readonly arch: string
  readonly libc: "glibc" | "musl" | "unknown"
  /** Absolute path of the workspace, as steps see it. */
  readonly workspace: string
  /** Absolute path of a directory for temporary files, gone with the environment; left out, steps have only their own `TMPDIR`, or /tmp. */
  readonly temp?: string
  readonly services: ReadonlyArray<ServiceFacts>
}

/**
 * How an environment that is the work itself ended.
 *
 * @category models
 */
export interface Completion {
  readonly exitCode: number
  /** `reported`: by the work. `observed`: from its container's end. `inferred`: from weaker signs. */
  readonly evidence: "reported" | "observed" | "inferred"
}

/**
 * An environment that is ready: services are up, steps can start.
 *
 * @category models
 */
export interface JobEnvironment {
  /** Unique name, by which `list` and `release` know it. */
  readonly name: string
  readonly facts: EnvironmentFacts
  /**
   * Starts a step; returns as soon as it runs. Any number may run at the same time.
   *
   * A failure means that the step's script has not started, and that nothing of it is left. Calling it after the environment's
   * scope is closed is a defect (`ProtocolViolation`).
   */
  readonly start: (step: Step) => Effect.Effect<RunningStep, BackendError, Scope.Scope>
  /**
   * Waits for the end of the environment: for a hosted job it never succeeds, and fails once the environment is lost; where the
   * environment is the work, it succeeds with how that ended. Every running step fails with the same reason.
   */
  readonly completion: Effect.Effect<Completion, BackendError>
  /**
   * Disarms the release that the scope of `provision` holds: from here on whoever has the handle is responsible. Idempotent. Where
   * the backend cannot do it, `Unsupported`.
   */
  readonly handOver: Effect.Effect<EnvironmentHandle, BackendError>
}
