/**
 * How a script step and its output travel between this process and the job's container: a seam with two implementations, exec and volume.
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { RunningStep } from "../../../domain/JobEnvironment.ts"
import type { BackendError } from "../../../domain/JobError.ts"

/** A step as a transport gets it. */
export interface StepRequest {
  /** Unguessable: in a directory that several users can enter it is what protects the step's variables. */
  readonly id: string
  /** What the step does, in sh (`stepProgram`). */
  readonly main: string
  readonly files: ReadonlyArray<TransportFile>
  /** Names of files to read back. */
  readonly collect: ReadonlyArray<string>
  /** stderr goes where stdout goes. */
  readonly merged: boolean
  readonly stopGrace: Duration.Duration
  /** Files at other places of the container, put there before the step starts. Absolute paths; text without NUL. */
  readonly uploads: ReadonlyArray<Upload>
  /** In sh: tells files of the container that come back after the step, by `f <path> <name>`. Empty for none. */
  readonly returning: string
}

interface TransportFile {
  readonly name: string
  readonly content: string
}

/** A file at its place in the container. */
export interface Upload extends TransportFile {
  /** No other step knows it. What others may be reading, or bring as well, is replaced as a whole. */
  readonly own: boolean
}

/** A step that runs; what it has more is for after its end, as `files` is. */
export interface TransportStep extends RunningStep {
  /** Something in the container was killed because of its memory limit while the step ran. */
  readonly outOfMemory: Effect.Effect<boolean, BackendError>
  readonly returned: Effect.Effect<ReadonlyMap<string, Uint8Array>, BackendError>
}

export interface StepTransport {
  readonly kind: "exec" | "volume"
  /** Where the container sees a file of a step. */
  readonly pathOf: (id: string, name: string) => string
  /** See `JobEnvironment.start`. */
  readonly start: (request: StepRequest) => Effect.Effect<TransportStep, BackendError, Scope.Scope>
}

/** The job's container, for those who need something of it. */
export interface JobPod {
  readonly namespace: string
  readonly pod: string
  readonly container: string
  /** Where our own things are in it. */
  readonly stateDirectory: string
  /** Why a step's connection or process ended without an end of the step: the pod's own story, if it has one. */
  readonly whyLost: Effect.Effect<BackendError | undefined, BackendError>
  /** The same by one look, without waiting for a status that comes late. */
  readonly nowLost: Effect.Effect<BackendError | undefined, BackendError>
}
