/** What expressions see while a job runs. */
import { data } from "@actions/expressions"
import type { Situation } from "../../../domain/StepProgram.ts"
import type { ActionSyntax, StepSyntax } from "../WorkflowSyntax.ts"
import * as ContextData from "./contextData.ts"
import type { RunContexts } from "./contexts.ts"
import * as Contexts from "./contexts.ts"
import type { Scope } from "./expression.ts"
import { FilesNeeded } from "./values.ts"

/** What became of a step, for the `steps` context. */
export interface Entry {
  readonly outputs: Readonly<Record<string, string>>
  readonly outcome: string
  readonly conclusion: string
}

/** The steps of the job, or of a composite action that one of them uses. */
export interface Frame {
  /** What messages call the file that the steps are written in. */
  readonly file: string
  readonly steps: ReadonlyArray<StepSyntax>
  index: number
  /** Before the ids of its steps. */
  readonly prefix: string
  readonly entries: Map<string, Entry>
  readonly inputs: data.ExpressionData
  /** Variables of the steps that use it. */
  readonly env: Readonly<Record<string, string>>
  failed: boolean
  readonly composite?: Composite
}

export interface Composite {
  readonly action: ActionSyntax
  /** In the environment. */
  readonly path: string
  readonly parent: Frame
  readonly step: StepSyntax
  readonly id: string
  readonly name: string
  /** Its own, or that of an action around it. */
  readonly excused: boolean
  readonly continueOnError: boolean
  /** Milliseconds since 1970. */
  readonly deadline: number | undefined
}

/** What is the same for all expressions of a job. */
export interface JobContexts {
  readonly run: RunContexts
  readonly jobId: string
  readonly needs: data.ExpressionData
  readonly strategy: data.ExpressionData
  readonly matrix: data.ExpressionData
  readonly debug: boolean
  readonly container: boolean
}

export interface Moment {
  readonly situation: Situation
  readonly frame: Frame
  readonly rootFailed: boolean
  readonly env: Readonly<Record<string, string>>
  /** `github.action`. */
  readonly action: string
  /** Files that were looked at for this step. */
  readonly hashes: ReadonlyMap<string, string>
}

const statusOf = (failed: boolean, cancelled: boolean): "success" | "failure" | "cancelled" =>
  cancelled ? "cancelled" : failed ? "failure" : "success"

export const scopeOf = (job: JobContexts, moment: Moment): Scope => {
  const { frame, situation } = moment
  const { facts } = situation.environment
  const status = statusOf(frame.failed, situation.cancelled)
  const inAction = frame.composite !== undefined
  const is = (holds: boolean) => () => new data.BooleanData(holds)
  return {
    contexts: {
      github: Contexts.githubContext(job.run, githubMore(job, moment)),
      env: Contexts.envContext(moment.env),
      job: Contexts.jobContext(statusOf(moment.rootFailed, situation.cancelled), facts, job.container),
      steps: stepsContext(frame),
      runner: ContextData.fromJson(Contexts.runnerTexts(facts, job.debug)),
      inputs: frame.inputs,
      strategy: job.strategy,
      matrix: job.matrix,
      ...(inAction ? {} : { needs: job.needs, vars: job.run.vars, secrets: job.run.secrets })
    },
    functions: {
      success: is(status === "success"),
      failure: is(status === "failure"),
      cancelled: is(status === "cancelled"),
      always: is(true),
      hashfiles: (...patterns) => {
        const wanted = patterns.map((pattern) => pattern.coerceString())
        const hash = moment.hashes.get(wanted.join("\n"))
        if (hash === undefined) throw new FilesNeeded({ patterns: wanted })
        return new data.StringData(hash)
      }
    }
  }
}

/** Properties of the `github` context that belong to the job and the step. */
export const githubMore = (job: JobContexts, { action, frame, situation }: Omit<Moment, "env" | "hashes">) => ({
  job: job.jobId,
  workspace: situation.environment.facts.workspace,
  action,
  ...(frame.composite === undefined
    ? {}
    : {
        action_path: frame.composite.path,
        action_status: statusOf(frame.failed, situation.cancelled)
      })
})

const stepsContext = ({ entries }: Frame): data.ExpressionData =>
  new ContextData.Dictionary(
    Array.from(entries, ([id, { conclusion, outcome, outputs }]) => [
      id,
      ContextData.fromJson({ outputs: { ...outputs }, outcome, conclusion })
    ])
  )
