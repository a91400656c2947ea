/**
 * Runs workflows: jobs as soon as what they need has ended, side by side up to a limit, each in an environment of its own.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import * as Semaphore from "effect/Semaphore"
import { type Groups, inGroup, makeGroups } from "./internal/concurrencyGroups.ts"
import { Job } from "./Job.ts"
import type { JobBackend } from "./JobBackend.ts"
import { BackendError, InvalidInput } from "./JobError.ts"
import { emit, withNewRun } from "./JobEvent.ts"
import * as JobLifecycle from "./JobLifecycle.ts"
import { type Conclusion, JobResult } from "./JobResult.ts"
import * as Matrix from "./Matrix.ts"
import {
  badLimit,
  contradiction,
  type JobContext,
  type Needed,
  type NeedsStatus,
  type Workflow,
  type WorkflowJob
} from "./Workflow.ts"
import { WorkflowJobResult, WorkflowResult, worst } from "./WorkflowResult.ts"

/** @category options */
export interface Options {
  /** Jobs, combinations of a matrix counted each, that run at a time. Default 4. */
  readonly parallel?: number | undefined
  /** How long jobs with the conditions `always` and `cancelled` may go on after a cancel. Default 5 minutes. */
  readonly conclude?: Duration.Input | undefined
}

/**
 * A workflow that runs on its own.
 *
 * @category models
 */
export interface RunningWorkflow {
  /** Asks it to stop, and returns at once: running jobs are cancelled, waiting ones are skipped, but for `always` and `cancelled`. */
  readonly cancel: Effect.Effect<void>
  /** Follows when all jobs have ended and all is released. */
  readonly result: Effect.Effect<WorkflowResult>
}

/**
 * Runs a workflow to its end, and always gives a result. Interrupting it cancels the workflow, and is done when everything is released.
 *
 * @category running
 */
export const run = (workflow: Workflow, options: Options = {}): Effect.Effect<WorkflowResult, never, JobBackend> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(start(workflow, options), ({ cancel, result }) =>
      Effect.onInterrupt(restore(result), () => Effect.andThen(cancel, Effect.exit(result)))
    )
  )

/**
 * Starts a workflow that does not end with its caller: for programs that need the result of a cancelled one too.
 *
 * @category running
 */
export const start = Effect.fnUntraced(function* (
  workflow: Workflow,
  options: Options = {}
): Effect.fn.Return<RunningWorkflow, never, JobBackend> {
  const cancelled = yield* Deferred.make<void>()
  const fiber = yield* Effect.forkDetach(conduct(workflow, options, cancelled), { uninterruptible: false })
  return {
    cancel: Effect.asVoid(Deferred.succeed(cancelled, undefined)),
    result: Fiber.join(fiber)
  }
})

/** What the jobs of one run share. */
interface Setting {
  readonly workflow: Workflow
  readonly permits: Semaphore.Semaphore
  /** The workflow is to stop. */
  readonly cancelled: Deferred.Deferred<void>
  /** Its patience with `always` jobs is over. */
  readonly final: Deferred.Deferred<void>
  readonly settled: ReadonlyMap<string, Deferred.Deferred<Settled>>
  readonly groups: Groups
}

interface Settled {
  readonly result: WorkflowJobResult
  /** It, or a job that it needs, however far up, failed. */
  readonly failed: boolean
}

/** The whole story of one workflow. Never interrupted: it learns of a cancel, and ends in order. */
const conduct = Effect.fnUntraced(function* (
  workflow: Workflow,
  options: Options,
  cancelled: Deferred.Deferred<void>
): Effect.fn.Return<WorkflowResult, never, JobBackend> {
  const startedAt = yield* Clock.currentTimeMillis
  const ended = Effect.fnUntraced(function* (
    conclusion: Conclusion,
    jobs: ReadonlyArray<WorkflowJobResult>,
    error?: BackendError
  ) {
    const duration = (yield* Clock.currentTimeMillis) - startedAt
    const why = error === undefined ? {} : { error }
    return new WorkflowResult({ workflow: workflow.name, conclusion, jobs, ...why, startedAt, duration })
  })
  const refused = contradiction(workflow) ?? badLimit("parallel", options.parallel)
  if (refused !== undefined) return yield* ended("error", [], new BackendError({ reason: refused }))

  const setting: Setting = {
    workflow,
    permits: yield* Semaphore.make(options.parallel ?? 4),
    cancelled,
    final: yield* Deferred.make<void>(),
    settled: new Map(workflow.jobs.map(({ id }) => [id, Deferred.makeUnsafe<Settled>()])),
    groups: makeGroups()
  }
  yield* Effect.forkChild(
    Deferred.await(cancelled).pipe(
      Effect.andThen(Effect.sleep(options.conclude ?? "5 minutes")),
      Effect.andThen(Deferred.succeed(setting.final, undefined))
    )
  )
  const jobs = yield* Effect.forEach(workflow.jobs, (job) => settle(setting, job), { concurrency: "unbounded" })
  return yield* ended(worst(jobs.map(({ conclusion }) => conclusion)), jobs)
})

/** Runs a job when its time has come, and tells those that need it. */
const settle = Effect.fnUntraced(function* (setting: Setting, job: WorkflowJob) {
  const needs = yield* Effect.forEach(job.needs, (id) => Deferred.await(setting.settled.get(id)!))
  const failedBefore = needs.some(({ failed }) => failed)
  const status: NeedsStatus = {
    succeeded: needs.every(({ result }) => result.conclusion === "success"),
    failed: failedBefore,
    cancelled: Deferred.isDoneUnsafe(setting.cancelled)
  }
  const context: JobContext = {
    needs: Object.fromEntries(needs.map(({ result }) => [result.id, neededFrom(result)])),
    matrix: {},
    index: 0,
    total: 1
  }
  const result = yield* runJob(setting, job, status, context)
  const failed = failedBefore || isFailure(result.conclusion)
  yield* Deferred.succeed(setting.settled.get(job.id)!, { result, failed })
  return result
})

const isFailure = (conclusion: Conclusion): boolean =>
  conclusion === "failure" || conclusion === "error" || conclusion === "timeout"

const neededFrom = ({ conclusion, outputs }: WorkflowJobResult): Needed => ({ conclusion, outputs })

const runJob = Effect.fnUntraced(function* (
  setting: Setting,
  job: WorkflowJob,
  status: NeedsStatus,
  context: JobContext
) {
  const ask = <A>(field: string, ask: () => A) => asked(`jobs.${job.id}.${field}`, ask)
  const wanted = ask("if", () => holds(job, status, context))
  const notRun = (conclusion: "skipped" | "error", error?: BackendError) =>
    Effect.map(unstarted(nameOf(job, context), conclusion, error), (result) => ended(job, [{ result, excused: false }]))
  if (Result.isFailure(wanted)) return yield* notRun("error", wanted.failure)
  if (!wanted.success) return yield* notRun("skipped")
  const strategy = strategyOf(job, context)
  if (Result.isFailure(strategy)) return yield* notRun("error", strategy.failure)
  const { combinations, failFast, maxParallel } = strategy.success

  const failed = yield* Deferred.make<void>()
  // A job that starts after the cancel does so because it wants to: only the end of all patience stops it.
  const over = status.cancelled ? setting.final : setting.cancelled
  const run = Effect.fnUntraced(function* (combination: Matrix.Combination | undefined, index: number) {
    const own = { ...context, matrix: combination ?? {}, index, total: combinations.length }
    const name = nameOf(job, own, combination)
    const conditions = Result.all({
      excused: ask("continueOnError", () => valueFor(job.continueOnError, own)),
      concurrency: ask("concurrency", () => job.concurrency?.(own))
    })
    if (Result.isFailure(conditions)) {
      return { result: yield* unstarted(name, "error", conditions.failure), excused: false }
    }
    const { concurrency, excused } = conditions.success
    const result = yield* inGroup(setting.groups, concurrency, (displaced) => {
      const stops = [over, failed, ...displaced]
      const stopped = Effect.raceAllFirst(stops.map((stop) => Deferred.await(stop)))
      return setting.permits.withPermits(1)(
        Effect.suspend(() =>
          stops.some(Deferred.isDoneUnsafe)
            ? unstarted(name, "cancelled")
            : runCombination(setting, job, name, own, stopped)
        )
      )
    })
    if (failFast && !excused && isFailure(result.conclusion)) yield* Deferred.succeed(failed, undefined)
    return { result, excused }
  })
  const runs = yield* Effect.forEach(combinations, run, { concurrency: maxParallel ?? "unbounded" })
  return ended(job, runs, Deferred.isDoneUnsafe(failed))
})

const valueFor = <A extends boolean | number | undefined>(
  value: A | ((context: JobContext) => A),
  context: JobContext
): A => (typeof value === "function" ? value(context) : value)

/** Without a matrix there is one combination, that is none. */
const strategyOf = (job: WorkflowJob, context: JobContext) =>
  Result.gen(function* () {
    const matrix = yield* asked(`jobs.${job.id}.matrix`, () =>
      typeof job.matrix === "function" ? job.matrix(context) : job.matrix
    )
    const combinations: ReadonlyArray<Matrix.Combination | undefined> =
      matrix === undefined
        ? [undefined]
        : yield* Result.mapError(Matrix.expand(matrix), (detail) => invalid(`jobs.${job.id}.matrix`, detail))
    const failFast = yield* asked(`jobs.${job.id}.failFast`, () => valueFor(job.failFast, context))
    const maxParallel = yield* asked(`jobs.${job.id}.maxParallel`, () => valueFor(job.maxParallel, context))
    const bad = badLimit(`jobs.${job.id}.maxParallel`, maxParallel)
    return bad === undefined
      ? { combinations, failFast, maxParallel }
      : yield* Result.fail(new BackendError({ reason: bad }))
  })

/** A name that cannot be made is no reason not to say which job it is about. */
const nameOf = (job: WorkflowJob, context: JobContext, combination?: Matrix.Combination): string => {
  const plain = combination === undefined ? job.id : `${job.id} (${Matrix.describe(combination)})`
  return Result.getOrElse(
    asked(job.id, () => job.name?.(context) || plain),
    () => plain
  )
}

const runCombination = Effect.fnUntraced(function* (
  { workflow }: Setting,
  job: WorkflowJob,
  name: string,
  context: JobContext,
  stopped: Effect.Effect<void>
) {
  const definition = asked(`jobs.${job.id}.job`, () => {
    const fields = job.job(context)
    return new Job({ ...fields, env: { ...workflow.env, ...fields.env }, name, owner: workflow.owner })
  })
  if (Result.isFailure(definition)) return yield* unstarted(name, "error", definition.failure)
  const start =
    job.steps === undefined
      ? JobLifecycle.start(definition.success)
      : JobLifecycle.startProgram(definition.success, job.steps(context))
  return yield* Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(start, ({ cancel, result }) =>
      // Interrupted only by a defect elsewhere in the workflow: even then nothing is left.
      Effect.onInterrupt(
        restore(Effect.raceFirst(result, stopped.pipe(Effect.andThen(cancel), Effect.andThen(result)))),
        () => Effect.andThen(cancel, Effect.exit(result))
      )
    )
  )
})

const holds = (job: WorkflowJob, status: NeedsStatus, context: JobContext): boolean => {
  switch (job.if) {
    case "success":
      return status.succeeded && !status.cancelled
    case "failure":
      return status.failed && !status.cancelled
    case "cancelled":
      return status.cancelled
    case "always":
      return true
    default:
      return job.if(status, context)
  }
}

interface Run {
  readonly result: JobResult
  /** It has `continueOnError`: the user's own failures do not count; as for steps, the infrastructure's do. */
  readonly excused: boolean
}

const ended = (job: WorkflowJob, runs: ReadonlyArray<Run>, failedFast = false): WorkflowJobResult => {
  // What was cancelled because a sibling failed says nothing of its own.
  const own = failedFast ? runs.filter(({ result }) => result.conclusion !== "cancelled") : runs
  const results = runs.map(({ result }) => result)
  return new WorkflowJobResult({
    id: job.id,
    outcome: together(own.map(({ result }) => result.conclusion)),
    conclusion: together(own.map(counting)),
    outputs: {
      ...Object.fromEntries(
        Object.entries(job.outputs).map(([name, { output, step }]) => [
          name,
          lastOf(results.map((run) => run.outputsOf(step)[output]))
        ])
      ),
      ...programOutputs(results)
    },
    runs: results
  })
}

const counting = ({ excused, result: { conclusion } }: Run): Conclusion =>
  excused && (conclusion === "failure" || conclusion === "timeout") ? "success" : conclusion

/** A job that was not run at all is skipped; else what it is, is decided by what ran. */
const together = (conclusions: ReadonlyArray<Conclusion>): Conclusion =>
  conclusions.length > 0 && conclusions.every((each) => each === "skipped") ? "skipped" : worst(conclusions)

/** Of several combinations the last one that set it to something. */
const lastOf = (values: ReadonlyArray<string | undefined>): string =>
  values.findLast((value) => value !== undefined && value !== "") ?? ""

const programOutputs = (results: ReadonlyArray<JobResult>): Record<string, string> => {
  const names = new Set(results.flatMap(({ outputs }) => Object.keys(outputs ?? {})))
  return Object.fromEntries(Array.from(names, (name) => [name, lastOf(results.map(({ outputs }) => outputs?.[name]))]))
}

/** The result of what did not run, shown like that of what did. */
const unstarted = (name: string, conclusion: "skipped" | "cancelled" | "error", error?: BackendError) =>
  Effect.gen(function* () {
    const result = new JobResult({
      job: name,
      conclusion,
      steps: [],
      ...(error === undefined ? {} : { error }),
      leaks: [],
      startedAt: yield* Clock.currentTimeMillis,
      duration: 0
    })
    yield* withNewRun(emit({ _tag: "JobFinished", job: name, result }))
    return result
  })

const invalid = (input: string, detail: string) => new BackendError({ reason: new InvalidInput({ input, detail }) })

/** Asks a function of the workflow's author, who may have made a mistake. */
const asked = <A>(input: string, ask: () => A): Result.Result<A, BackendError> =>
  Result.try({ try: ask, catch: (cause) => invalid(input, cause instanceof Error ? cause.message : String(cause)) })
