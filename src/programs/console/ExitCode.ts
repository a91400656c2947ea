/**
 * What the process tells its caller, as a number.
 *
 * | Code | Meaning |
 * | --- | --- |
 * | 0 | every job succeeded |
 * | 1 | a step failed: look at the job |
 * | 2 | the input is not valid, or the backend cannot do it: nothing has run |
 * | 3 | the infrastructure failed, or a program has a defect: look at the platform |
 * | 4 | out of time |
 * | 129, 130, 143 | cancelled by SIGHUP, SIGINT, SIGTERM; 130 also when cancelled from inside |
 * | 141 | cancelled because nobody reads the output any more, as by SIGPIPE |
 */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Runtime from "effect/Runtime"
import { type Conclusion, JobResult } from "../../domain/JobResult.ts"
import { WorkflowResult } from "../../domain/WorkflowResult.ts"

/** @category models */
export type StopSignal = "SIGHUP" | "SIGINT" | "SIGTERM"

export const success = 0
export const failure = 1
export const invalidInput = 2
export const infrastructure = 3
export const timeout = 4
export const cancelled = 130
export const outputClosed = 141

/** @category getters */
export const ofSignal = (signal: StopSignal): number => 128 + { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 }[signal]

/**
 * The worst of several codes; none is 0.
 *
 * **Details**
 *
 * From worst to best: cancelled (above 128), 2, 3, 4, 1, 0. The less a code says about the user's own work, the worse it is: after a
 * cancel, or input that cannot be run, nothing is known; after 1 everything is. A code of the caller's own is worse than 1 and better
 * than 4. Of two that are equally bad, the first counts.
 *
 * @category getters
 */
export const worst = (codes: ReadonlyArray<number>): number =>
  codes.reduce((found, code) => (badness(code) > badness(found) ? code : found), success)

const badness = (code: number): number => {
  if (code > 128) return 6
  switch (code) {
    case success:
      return 0
    case failure:
      return 1
    case timeout:
      return 3
    case infrastructure:
      return 4
    case 2:
      return 5
    default:
      return 2
  }
}

/** @category getters */
export const ofResult = (result: JobResult): number =>
  ofConclusion(result.conclusion, () =>
    result.error === undefined ? infrastructure : Runtime.getErrorExitCode(result.error)
  )

const ofConclusion = (conclusion: Conclusion, ofError: () => number): number => {
  switch (conclusion) {
    case "success":
    case "skipped":
      return success
    case "failure":
      return failure
    case "timeout":
      return timeout
    case "cancelled":
      return cancelled
    case "error":
      return ofError()
  }
}

/**
 * The code of a program that did not succeed: the worst of all that is in the cause.
 *
 * **Details**
 *
 * An error tells its code by `[Runtime.errorExitCode]`, as everywhere in Effect; one that does not is 1. A defect is 3. An interruption
 * counts only where there is nothing else: it is mostly what a failure did to its siblings.
 *
 * @category getters
 */
export const ofCause = (cause: Cause.Cause<unknown>): number => {
  const codes = cause.reasons
    .filter((reason) => !Cause.isInterruptReason(reason))
    .map((reason) => (Cause.isFailReason(reason) ? Runtime.getErrorExitCode(reason.error) : infrastructure))
  return codes.length === 0 ? cancelled : worst(codes)
}

/**
 * What programs give: the result of one job, of several, or of a workflow.
 *
 * @category models
 */
export type Results = JobResult | ReadonlyArray<JobResult> | WorkflowResult

/**
 * The workflow decides, not the worst of its runs: failures may be excused, and siblings of a failure are cancelled.
 *
 * @category getters
 */
export const ofWorkflow = (result: WorkflowResult): number =>
  ofConclusion(result.conclusion, () =>
    worst(result.runs.filter(({ conclusion }) => conclusion === "error").map(ofResult))
  )

/** @category getters */
export const ofExit = (exit: Exit.Exit<Results, unknown>): number =>
  Exit.match(exit, {
    onFailure: ofCause,
    onSuccess: (value) => (value instanceof WorkflowResult ? ofWorkflow(value) : worst(resultsOf(value).map(ofResult)))
  })

/**
 * The results of jobs in what a program gave.
 *
 * @category getters
 */
export const resultsOf = (value: Results): ReadonlyArray<JobResult> =>
  value instanceof WorkflowResult ? value.runs : value instanceof JobResult ? [value] : value
