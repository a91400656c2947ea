/**
 * Steps that are not known beforehand: a program is asked for the next one each time one has ended, and so can decide by what came before.
 *
 * The steps of a `Job` are a list, which is what most programs need. This is for those that interpret a language of their own: conditions,
 * variables and scripts that depend on earlier results, steps that register others for the end.
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type { JobEnvironment, OutputChunk } from "./JobEnvironment.ts"
import type { StepResult } from "./JobResult.ts"
import type { Step } from "./Step.ts"

/**
 * What is known when the next step is asked for.
 *
 * @category models
 */
export interface Situation {
  readonly environment: JobEnvironment
  /** Of the steps so far, in order. */
  readonly results: ReadonlyArray<StepResult>
  /** Some step failed, and its failure counts. */
  readonly failed: boolean
  /** The job is being cancelled, or out of time. */
  readonly cancelled: boolean
}

/**
 * Changes what a step writes, before anybody sees it: masks, commands in the output. It has the state of one step.
 *
 * @category models
 */
export interface OutputFilter {
  readonly push: (chunk: OutputChunk) => Uint8Array
  /** The rest, when the step has ended. */
  readonly flush: () => ReadonlyArray<OutputChunk>
}

/**
 * What a step left behind, once it has ended or was stopped.
 *
 * @category models
 */
export interface Left {
  /** Left out for a step that was stopped. */
  readonly exitCode?: number
  /** Contents of its `collect` files, by name. */
  readonly files: ReadonlyMap<string, string>
}

/**
 * What that means.
 *
 * @category models
 */
export interface Meaning {
  readonly outputs: Readonly<Record<string, string>>
  /** Why the step failed although its exit code is 0. */
  readonly failure?: string
}

interface About {
  /** Unique in the job. */
  readonly id: string
  readonly name: string
}

/**
 * The next step: to run, to show as done because nothing is to do, as skipped, or as failed because it cannot even be tried.
 *
 * @category models
 */
export type NextStep =
  | (About & {
      readonly _tag: "Run"
      /** For people, in one line. */
      readonly command: string
      readonly run: Step
      readonly timeout?: Duration.Duration | undefined
      /** A failure shows, but fails neither the job nor, by itself, the steps after it. */
      readonly continueOnError: boolean
      /**
       * What it is when the step cannot be started as it is described (shell, working directory, variables): the step's own `failure`, or, by default, an
       * `error`.
       */
      readonly unstartable?: "failure" | "error" | undefined
      readonly filter?: OutputFilter | undefined
      readonly settle: (left: Left) => Effect.Effect<Meaning>
    })
  | (About & { readonly _tag: "Done"; readonly detail: string; readonly outputs: Readonly<Record<string, string>> })
  | (About & { readonly _tag: "Skip" })
  | (About & { readonly _tag: "Fail"; readonly detail: string; readonly continueOnError: boolean })

/**
 * A program of steps, with the state of one attempt at one job.
 *
 * @category models
 */
export interface StepProgram {
  /** How many steps there will be, as far as that is known: for people. */
  readonly length: number
  /**
   * The next step; nothing ends the job. It is asked again after each, also when nothing can run any more because the environment is lost
   * or the time is over: then its steps are shown as skipped.
   */
  readonly next: (situation: Situation) => Effect.Effect<NextStep | undefined>
  /** What the job hands to those that need it. Asked at the end, unless the environment is lost. */
  readonly outputs?: (situation: Situation) => Effect.Effect<Readonly<Record<string, string>>>
}
