/**
 * What a run of a workflow file would do, as far as that can be said before: nothing that only a run can tell is guessed.
 */
import { data } from "@actions/expressions"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Result from "effect/Result"
import type { Range } from "./Diagnostic.ts"
import * as ContextData from "./internal/contextData.ts"
import * as Contexts from "./internal/contexts.ts"
import { type Scope, UnknownUntilRun, unknown } from "./internal/expression.ts"
import { combinationsBefore, contextsBefore } from "./internal/foresight.ts"
import { type PreparedRun, prepareRun } from "./internal/prepareRun.ts"
import { defaultName } from "./internal/stepNames.ts"
import { describe } from "./internal/strategy.ts"
import * as Values from "./internal/values.ts"
import type { OptionInvalid } from "./OptionInvalid.ts"
import type { Options } from "./RunOptions.ts"
import type { WorkflowFile } from "./WorkflowFile.ts"
import type { Condition, JobSyntax, StepSyntax, Tree } from "./WorkflowSyntax.ts"

/**
 * A value, or what it is that only the run tells: the contexts that are missing.
 *
 * @category models
 */
export type Foreseen<A> =
  | { readonly _tag: "Known"; readonly value: A }
  | { readonly _tag: "Unknown"; readonly until: string }
  /** The run will fail over it. */
  | { readonly _tag: "Wrong"; readonly message: string }

/**
 * Whether something runs, provided that nothing before it fails.
 *
 * @category models
 */
export type Verdict = "runs" | "skipped" | "unknown"

/** @category models */
export interface PlannedStep {
  readonly id: string | undefined
  readonly name: string
  readonly range: Range
  readonly verdict: Verdict
  /** The `if`, as it is written. */
  readonly condition: string | undefined
  /** What it uses: an action, an image. */
  readonly uses: string | undefined
  /** Of a composite action. */
  readonly steps: ReadonlyArray<PlannedStep>
}

/** @category models */
export interface PlannedJob {
  readonly id: string
  readonly name: Foreseen<string>
  readonly range: Range
  readonly needs: ReadonlyArray<string>
  readonly verdict: Verdict
  /** Why it is skipped, or not known. */
  readonly why: string | undefined
  readonly condition: string | undefined
  /** Combinations of the matrix, in words; nothing for a job without one. */
  readonly matrix: Foreseen<ReadonlyArray<string>> | undefined
  readonly runsOn: Foreseen<string>
  /** The image. */
  readonly container: Foreseen<string> | undefined
  readonly services: ReadonlyArray<string>
  readonly steps: ReadonlyArray<PlannedStep>
}

/** @category models */
export interface WorkflowPlan {
  readonly workflow: string
  readonly event: string
  /** In an order in which they can run: each after those that it needs. */
  readonly jobs: ReadonlyArray<PlannedJob>
}

/**
 * Plans a run with the same options.
 *
 * @category planning
 */
export const plan = (
  file: WorkflowFile,
  options: Options = {}
): Effect.Effect<WorkflowPlan, OptionInvalid, FileSystem.FileSystem> =>
  Effect.map(prepareRun(file, options), (run) => {
    const planned = new Map<string, PlannedJob>()
    for (const job of inOrder(run.jobs)) planned.set(job.id.value, planJob(run, job, planned))
    return { workflow: Contexts.nameOf(file), event: run.contexts.event.name, jobs: [...planned.values()] }
  })

const inOrder = (jobs: ReadonlyArray<JobSyntax>): ReadonlyArray<JobSyntax> => {
  const byId = new Map(jobs.map((job) => [job.id.value, job]))
  const done = new Set<JobSyntax>()
  const visit = (job: JobSyntax) => {
    if (done.has(job)) return
    for (const need of job.needs) {
      const needed = byId.get(need.value)
      if (needed !== undefined) visit(needed)
    }
    done.add(job)
  }
  for (const job of jobs) visit(job)
  return [...done]
}

const planJob = (run: PreparedRun, job: JobSyntax, planned: ReadonlyMap<string, PlannedJob>): PlannedJob => {
  const { contexts, file, options } = run
  const { file: name } = file.syntax
  const base = contextsBefore(run, job)
  const needed = job.needs.flatMap(({ value }) => planned.get(value) ?? [])
  const verdict = jobVerdict(run, job, needed, { contexts: base, functions: beforeRun })
  const combinations = foreseen(combinationsBefore(run, job, options.matrix))
  const inCombination = (matrix: Scope["contexts"][string]): Scope => ({
    contexts: { ...base, matrix, strategy: unknown, secrets: contexts.secrets }
  })
  const scopes =
    combinations._tag === "Known"
      ? combinations.value.map((combination) => inCombination(ContextData.fromJson(combination)))
      : [inCombination(unknown)]
  /** A text that combinations may have each in its own way. */
  const text = (evaluation: (scope: Scope) => string): Foreseen<string> => {
    const all = scopes.map((scope) => foresee(() => evaluation(scope)))
    const other = all.find((each) => each._tag !== "Known")
    if (other !== undefined) return other
    return {
      _tag: "Known",
      value: [...new Set(all.map((each) => (each._tag === "Known" ? each.value : "")))].join(", ")
    }
  }
  const [first = inCombination(unknown)] = scopes
  const inJob = scopes.length === 1 ? first : inCombination(unknown)
  const inStep: Scope = {
    contexts: { ...inJob.contexts, env: unknown, steps: unknown, job: unknown, runner: unknown },
    functions: beforeRun
  }
  return {
    id: job.id.value,
    name: text((scope) => (job.name === undefined ? job.id.value : Values.string(name, job.name, scope))),
    range: job.id.range,
    needs: job.needs.map(({ value }) => value),
    ...verdict,
    condition: job.if?.text,
    matrix: job.strategy?.matrix === undefined ? undefined : mapped(combinations, (all) => all.map(describe)),
    runsOn: text((scope) => textOf(name, job.runsOn, scope)),
    container: job.container && text((scope) => textOf(name, job.container && imageOf(job.container), scope)),
    services: "kind" in job.services ? [] : job.services.map((service) => service.name.value),
    steps: planSteps(run, name, job.steps, inStep, [])
  }
}

/** Before anything has run nothing has failed; whether something will, is not known. */
const beforeRun: NonNullable<Scope["functions"]> = {
  success: () => new data.BooleanData(true),
  always: () => new data.BooleanData(true),
  failure: () => {
    throw new UnknownUntilRun({ context: "failure()" })
  },
  cancelled: () => {
    throw new UnknownUntilRun({ context: "cancelled()" })
  },
  hashfiles: () => {
    throw new UnknownUntilRun({ context: "hashFiles()" })
  }
}

const jobVerdict = (
  run: PreparedRun,
  job: JobSyntax,
  needed: ReadonlyArray<PlannedJob>,
  scope: Scope
): Pick<PlannedJob, "verdict" | "why"> => {
  const own = foresee(() => Values.holds(run.file.syntax.file, job.if, scope, true))
  if (own._tag === "Known" && !own.value) return { verdict: "skipped", why: "its `if` does not hold" }
  // Only a status function runs a job after one that was skipped.
  const skipped = job.if?.hasStatus === true ? undefined : needed.find(({ verdict }) => verdict === "skipped")
  if (skipped !== undefined) return { verdict: "skipped", why: `${skipped.id} is skipped` }
  const open = job.if?.hasStatus === true ? undefined : needed.find(({ verdict }) => verdict === "unknown")
  if (own._tag === "Unknown") return { verdict: "unknown", why: `its \`if\` asks for ${own.until}` }
  if (own._tag === "Wrong") return { verdict: "unknown", why: own.message }
  return open === undefined
    ? { verdict: "runs", why: undefined }
    : { verdict: "unknown", why: `whether ${open.id} runs is not known` }
}

const planSteps = (
  run: PreparedRun,
  file: string,
  steps: ReadonlyArray<StepSyntax>,
  scope: Scope,
  path: ReadonlyArray<string>
): ReadonlyArray<PlannedStep> =>
  steps.map((step): PlannedStep => {
    const { does } = step
    const action =
      does._tag === "Uses" && does.action._tag === "Local" ? run.file.actions.get(does.action.path) : undefined
    const inside = action?.runs._tag === "Composite" && !path.includes(action.file) ? action.runs.steps : []
    // What it is given is evaluated in the run.
    const within: Scope = { ...scope, contexts: { ...scope.contexts, inputs: unknown } }
    return {
      id: step.id?.value,
      name: defaultName(step),
      range: step.range,
      verdict: stepVerdict(file, step.if, scope),
      condition: step.if?.text,
      uses: does._tag === "Uses" ? does.uses.value : undefined,
      steps: action === undefined ? [] : planSteps(run, action.file, inside, within, [...path, action.file])
    }
  })

const stepVerdict = (file: string, condition: Condition | undefined, scope: Scope): Verdict => {
  const found = foresee(() => Values.holds(file, condition, scope, true))
  return found._tag === "Known" ? (found.value ? "runs" : "skipped") : "unknown"
}

const foresee = <A>(evaluation: () => A): Foreseen<A> => foreseen(Result.try(evaluation))

const foreseen = <A>(result: Result.Result<A, unknown>): Foreseen<A> =>
  Result.match(result, {
    onSuccess: (value): Foreseen<A> => ({ _tag: "Known", value }),
    onFailure: (cause): Foreseen<A> =>
      cause instanceof UnknownUntilRun
        ? { _tag: "Unknown", until: cause.context }
        : { _tag: "Wrong", message: cause instanceof Error ? cause.message : String(cause) }
  })

const mapped = <A, B>(foreseen: Foreseen<A>, map: (value: A) => B): Foreseen<B> =>
  foreseen._tag === "Known" ? { _tag: "Known", value: map(foreseen.value) } : foreseen

const textOf = (file: string, tree: Tree | undefined, scope: Scope): string => {
  if (tree === undefined) return ""
  const value = Values.json(file, tree, scope)
  return typeof value === "object" && value !== null ? JSON.stringify(value) : Values.textOf(value)
}

const imageOf = (tree: Tree): Tree =>
  tree.kind === "mapping" ? (tree.entries.find(({ key }) => key === "image")?.value ?? tree) : tree
