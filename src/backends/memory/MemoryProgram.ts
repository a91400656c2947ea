/**
 * The language in which tests tell the memory backend what a step or an environment does.
 *
 * A program travels with the job, as JSON in a variable (`MemoryProgram.variable`) or a label (`MemoryProgram.label`) that other backends
 * ignore, or it is given to the backend by the test (`MemoryBackend.Options`).
 */
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { defaulted } from "../../domain/internal/defaulted.ts"
import { Reason } from "../../domain/JobError.ts"
import type { Step } from "../../domain/Step.ts"

const stream = Schema.Literals(["stdout", "stderr"]).pipe(defaulted("stdout"))

/**
 * One thing that a step does.
 *
 * @category schemas
 */
export const Instruction = Schema.TaggedUnion({
  Print: { text: Schema.String, stream },
  PrintBytes: { bytes: Schema.Uint8ArrayFromBase64, stream },
  /** So many bytes, all `x`, in chunks of 64 KiB. */
  PrintFill: { bytes: Schema.Int, stream },
  /** `line 1` to `line n`, each with its line end. */
  PrintLines: { count: Schema.Int, stream },
  /** The value of a variable, and a line end. */
  PrintEnv: { variable: Schema.String },
  /** The step's working directory, and a line end. */
  PrintWorkingDirectory: {},
  /** Milliseconds. */
  Sleep: { millis: Schema.Finite },
  /** Appends to the step file with this name. */
  AppendFile: { name: Schema.String, text: Schema.String },
  /** Prints the step file with this name. */
  PrintFile: { name: Schema.String },
  /** Writes a file in the workspace, which all steps of the environment share. */
  WriteWorkspace: { path: Schema.String, text: Schema.String },
  /** Waits until a file of the workspace exists: how steps that run together meet. */
  AwaitWorkspace: { path: Schema.String },
  /** Prints a file of the workspace; a missing one ends the step with exit code 1. */
  PrintWorkspace: { path: Schema.String }
})

/** @category models */
export type Instruction = typeof Instruction.Type

/**
 * What a step does, from its start to its end.
 *
 * @category schemas
 */
export class StepProgram extends Schema.Class<StepProgram>("jobscope/memory/StepProgram")({
  do: Schema.Array(Instruction).pipe(defaulted([])),
  /** `never`: it runs until a signal ends it. */
  exit: Schema.Union([Schema.Int, Schema.Literal("never")]).pipe(defaulted(0)),
  /** Signals that it survives; SIGKILL always ends it. */
  ignores: Schema.Array(Schema.String).pipe(defaulted([])),
  /** The step cannot be started. */
  startFailure: Schema.optionalKey(Reason),
  /** So many starts fail, later ones succeed. */
  startFailures: Schema.Int.pipe(defaulted(Number.MAX_SAFE_INTEGER)),
  /** The environment is lost after the instructions, before the exit. */
  lose: Schema.optionalKey(Reason)
}) {}

/**
 * What an environment does, apart from its steps.
 *
 * @category schemas
 */
export class EnvironmentProgram extends Schema.Class<EnvironmentProgram>("jobscope/memory/EnvironmentProgram")({
  /** Milliseconds. */
  provisionDelay: Schema.Finite.pipe(defaulted(0)),
  /** Provisioning fails half-way: after the first of two resources exists. */
  provisionFailure: Schema.optionalKey(Reason),
  /** So many provisions of this job fail, later ones succeed. */
  provisionFailures: Schema.Int.pipe(defaulted(Number.MAX_SAFE_INTEGER)),
  /** Milliseconds. */
  releaseDelay: Schema.Finite.pipe(defaulted(0)),
  releaseFailure: Schema.optionalKey(Reason),
  /** The environment is the work: it ends by itself with this exit code. */
  completion: Schema.optionalKey(Schema.Int)
}) {}

/** The step's variable that carries a `StepProgram`. */
export const variable = "JOBSCOPE_MEMORY"

/** The job's label that carries an `EnvironmentProgram`. */
export const label = "jobscope-memory"

const StepProgramJson = Schema.fromJsonString(StepProgram)
const EnvironmentProgramJson = Schema.fromJsonString(EnvironmentProgram)

/**
 * The variable for a step: `env: MemoryProgram.forStep({ exit: 3 })`.
 *
 * @category constructors
 */
export const forStep = (
  program: ConstructorParameters<typeof StepProgram>[0]
): Readonly<Record<string, Redacted.Redacted<string>>> => ({
  [variable]: Redacted.make(Schema.encodeSync(StepProgramJson)(new StepProgram(program)))
})

/**
 * The label for a job: `labels: MemoryProgram.forEnvironment({ provisionDelay: 100 })`.
 *
 * @category constructors
 */
export const forEnvironment = (
  program: ConstructorParameters<typeof EnvironmentProgram>[0]
): Readonly<Record<string, string>> => ({
  [label]: Schema.encodeSync(EnvironmentProgramJson)(new EnvironmentProgram(program))
})

/**
 * The program that a step carries; without one it succeeds at once.
 *
 * @category getters
 */
export const ofStep = (step: Step): StepProgram => {
  const text = Object.hasOwn(step.env, variable) ? step.env[variable] : undefined
  return text === undefined ? new StepProgram({}) : Schema.decodeSync(StepProgramJson)(Redacted.value(text))
}

/**
 * The program that a job carries.
 *
 * @category getters
 */
export const ofLabels = (labels: Readonly<Record<string, string>>): EnvironmentProgram => {
  const text = Object.hasOwn(labels, label) ? labels[label] : undefined
  return text === undefined ? new EnvironmentProgram({}) : Schema.decodeSync(EnvironmentProgramJson)(text)
}
