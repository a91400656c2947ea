/**
 * What ARC is told about the end of a runner, as an exit code; and people, as an Event and a termination message. Pure.
 *
 * | Code | Meaning | What ARC does |
 * | --- | --- | --- |
 * | 0 | the runner finished, its job green or red | done |
 * | 1 | it did not | tries again with back-off; once a job was assigned, drops the runner |
 * | 7 | it is too old, and ARC asked to be told so | stops the scale set |
 * | 130, 143 | stopped by SIGINT, SIGTERM, after the release | as 1, or nothing where ARC itself deletes the pod |
 */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import type { Completion } from "../../domain/JobEnvironment.ts"
import { BackendError } from "../../domain/JobError.ts"
import type { Settings } from "./Settings.ts"

/** @category models */
export interface Outcome {
  readonly exitCode: number
  /** One word, as Events have it. */
  readonly reason: string
  readonly message: string
}

/** @category models */
export type StopSignal = "SIGINT" | "SIGTERM"

/**
 * The outcome of a run. What the runner itself told counts, also if a signal came while all was released.
 *
 * @category constructors
 */
export const of = (
  exit: Exit.Exit<Completion, BackendError>,
  signal: StopSignal | undefined,
  settings: Pick<Settings, "returnVersionDeprecated">
): Outcome => {
  if (signal !== undefined && Exit.isFailure(exit)) {
    const exitCode = signal === "SIGINT" ? 130 : 143
    return { exitCode, reason: "Stopped", message: `Stopped by ${signal} before the runner had finished` }
  }
  if (Exit.isSuccess(exit)) return ofCompletion(exit.value, settings)
  const error = Cause.squash(exit.cause)
  if (error instanceof BackendError) {
    return { exitCode: 1, reason: error.reason._tag, message: `${error.message}. ${error.advice} See ${error.anchor}` }
  }
  return { exitCode: 1, reason: "Defect", message: Cause.pretty(exit.cause) }
}

const ofCompletion = (
  { evidence, exitCode }: Completion,
  { returnVersionDeprecated }: Pick<Settings, "returnVersionDeprecated">
): Outcome => {
  if (exitCode === 0) {
    return {
      exitCode: 0,
      reason: "RunnerFinished",
      message:
        evidence === "inferred"
          ? "The runner is taken to have finished: nothing told more than that"
          : "The runner has finished"
    }
  }
  if (exitCode === 7 && returnVersionDeprecated) {
    return { exitCode: 7, reason: "RunnerDeprecated", message: "The runner's version is too old for the service" }
  }
  return {
    exitCode: 1,
    reason: "RunnerFailed",
    message: `The runner ended with exit code ${exitCode}, so it did not do its work; a job that fails ends with 0`
  }
}
