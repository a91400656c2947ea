/** The jobs of a file as jobs of the engine: everything that is computed is asked for when its time has come. */
import { data } from "@actions/expressions"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import { JobContainer, Timeouts, Workspace } from "../../../domain/Job.ts"
import type { Conclusion } from "../../../domain/JobResult.ts"
import type { JobContext, JobDefinition, NeedsStatus, WorkflowJob } from "../../../domain/Workflow.ts"
import type { ConcurrencySyntax, JobSyntax } from "../WorkflowSyntax.ts"
import { containersOf } from "./containers.ts"
import * as ContextData from "./contextData.ts"
import * as Contexts from "./contexts.ts"
import type { Scope } from "./expression.ts"
import * as Images from "./images.ts"
import { makeJobProgram } from "./jobProgram.ts"
import type { PreparedRun } from "./prepareRun.ts"
import { isCheckout } from "./readSteps.ts"
import type { StepSummary } from "./stepRunner.ts"
import { asMatrix, combinationsOf, describe } from "./strategy.ts"
import * as Values from "./values.ts"

/** What the jobs of a run share, besides what was prepared. */
interface Shared {
  /** The directory whose files the jobs get. */
  readonly workspace: string
  /** Of jobs without a container, where every job needs an image. */
  readonly images: Images.Images | undefined
  readonly onSummary: (summary: StepSummary) => void
}

export const jobsOf = (run: PreparedRun, shared: Shared): ReadonlyArray<WorkflowJob> => {
  const ids = new Set(run.jobs.map(({ id }) => id.value))
  return run.jobs.map((job) => jobOf(run, job, ids, shared))
}

const jobOf = (
  run: PreparedRun,
  job: JobSyntax,
  selected: ReadonlySet<string>,
  { images, onSummary, workspace }: Shared
): WorkflowJob => {
  const { contexts, file, options } = run
  const { file: name } = file.syntax
  const masker = run.newMasker()
  /** Messages of what is wrong may show values. */
  const masked = <A>(evaluation: () => A): A => {
    try {
      return evaluation()
    } catch (cause) {
      throw new Values.ValueProblem({ message: masker.mask(cause instanceof Error ? cause.message : String(cause)) })
    }
  }
  const scope = (context: JobContext, more: Scope["contexts"] = {}): Scope => ({
    contexts: {
      github: Contexts.githubContext(contexts, { job: job.id.value }),
      inputs: contexts.inputs,
      vars: contexts.vars,
      needs: needsContext(job, context),
      ...more
    }
  })
  const runScope = (context: JobContext): Scope =>
    scope(context, {
      strategy: strategyContext(context),
      matrix: ContextData.fromJson(context.matrix),
      secrets: contexts.secrets
    })
  const strategyContext = (context: JobContext) =>
    ContextData.fromJson({
      "fail-fast": failFast(context),
      "job-index": context.index,
      "job-total": context.total,
      "max-parallel": maxParallel(context) ?? context.total
    })
  const failFast = (context: JobContext) =>
    Values.boolean(name, job.strategy?.failFast, "`fail-fast`", scope(context)) ?? true
  const maxParallel = (context: JobContext) => {
    const found = Values.number(name, job.strategy?.maxParallel, "`max-parallel`", scope(context))
    return found === undefined ? undefined : Math.max(1, Math.floor(found))
  }
  const inPlace = options.workspace === "in-place"
  const hasFiles = inPlace || checksOut(job)
  const containers = (context: JobContext) => {
    const within = runScope(context)
    const value = (tree: NonNullable<JobSyntax["container"]>) => Values.json(name, tree, within)
    const { container, services } = job
    const place = (what: string, { range }: { readonly range: JobSyntax["range"] }) => ({ file: name, range, what })
    const listed =
      "kind" in services
        ? Object.entries(asRecord(Values.json(name, services, within))).map(([id, each]) => ({
            name: id,
            place: place(`the service "${id}"`, services),
            value: each
          }))
        : services.map(({ container, name: { value: id } }) => ({
            name: id,
            place: place(`the service "${id}"`, container),
            value: value(container)
          }))
    return containersOf(
      container === undefined ? undefined : { place: place("the container", container), value: value(container) },
      listed
    )
  }
  /** Of a job without a container. */
  const ownImage = (context: JobContext): JobContainer | undefined => {
    if (images === undefined) return undefined
    const labels = Images.labelsOf(name, job, runScope(context))
    const image = Images.imageFor(images, labels)
    if (image !== undefined) return new JobContainer({ image })
    if (!Images.needsImage(file, job)) return undefined
    const { hint, message } = Images.complaint(job.id.value, labels)
    const { column, line } = job.runsOn?.range ?? job.id.range
    throw new Values.ValueProblem({ message: `${name}:${line}:${column}: ${message}. ${hint}` })
  }
  const definition = (context: JobContext): JobDefinition => {
    const { container = ownImage(context), services, volumes } = containers(context)
    const total = Values.minutes(name, job.timeoutMinutes, "`timeout-minutes`", runScope(context))
    return {
      steps: [],
      services,
      volumes,
      ...(container === undefined ? {} : { container }),
      ...(hasFiles ? { workspace: new Workspace({ path: workspace, mode: inPlace ? "in-place" : "copy" }) } : {}),
      timeouts: new Timeouts({
        total: total ?? Duration.hours(6),
        ...(options.conclude === undefined ? {} : { conclude: Duration.fromInputUnsafe(options.conclude) })
      })
    }
  }
  const displayName = (context: JobContext): string => {
    const combination = Object.keys(context.matrix).length === 0 ? "" : ` (${describe(context.matrix)})`
    const { name: given } = job
    if (given === undefined) return `${job.id.value}${combination}`
    const plain = masker.mask(Values.string(name, given, runScope(context)))
    return given.parts.length === 0 ? `${plain}${combination}` : plain
  }
  return {
    id: job.id.value,
    needs: job.needs.map(({ value }) => value).filter((id) => selected.has(id)),
    name: (context) => masked(() => displayName(context)),
    if: (status, context) =>
      masked(() => {
        const within = { ...scope(context), functions: statusFunctions(status) }
        return Values.holds(name, job.if, within, status.succeeded && !status.cancelled)
      }),
    matrix: (context) =>
      masked(() =>
        job.strategy?.matrix === undefined
          ? undefined
          : asMatrix(combinationsOf(name, job.strategy, scope(context), options.matrix))
      ),
    failFast: (context) => masked(() => failFast(context)),
    maxParallel: (context) => masked(() => maxParallel(context)),
    continueOnError: (context) =>
      masked(() => Values.boolean(name, job.continueOnError, "`continue-on-error`", runScope(context)) ?? false),
    concurrency: (context) => masked(() => concurrencyOf(name, job.concurrency, runScope(context))),
    outputs: {},
    job: (context) => masked(() => definition(context)),
    steps: (context) =>
      Effect.sync(() => {
        const { container, env } = containers(context)
        return makeJobProgram({
          file,
          job,
          name: displayName(context),
          contexts: {
            run: contexts,
            jobId: job.id.value,
            needs: needsContext(job, context),
            strategy: strategyContext(context),
            matrix: ContextData.fromJson(context.matrix),
            debug: options.debug ?? false,
            container: container !== undefined
          },
          // What a step masks is masked in its own job.
          masker: run.newMasker(),
          baseEnv: options.env ?? {},
          containerEnv: env,
          hasFiles,
          onSummary
        })
      })
  }
}

/** A step of the job is an `actions/checkout`. */
export const checksOut = ({ steps }: JobSyntax): boolean =>
  steps.some(({ does }) => does._tag === "Uses" && does.action._tag === "Remote" && isCheckout(does.action.repository))

const asRecord = (value: Schema.Json) => (Values.isRecord(value) ? value : {})

/** GitHub's word for a conclusion. */
const wordOf = (conclusion: Conclusion): string =>
  conclusion === "error" || conclusion === "timeout" ? "failure" : conclusion

/** A need that is not part of the run counts as successful, with empty outputs. */
const needsContext = (job: JobSyntax, { needs }: JobContext) =>
  new ContextData.Dictionary(
    job.needs.map(({ value: id }) => {
      const needed = Object.hasOwn(needs, id) ? needs[id] : undefined
      return [
        id,
        ContextData.fromJson({
          result: needed === undefined ? "success" : wordOf(needed.conclusion),
          outputs: { ...needed?.outputs }
        })
      ]
    })
  )

const statusFunctions = ({ cancelled, failed, succeeded }: NeedsStatus): NonNullable<Scope["functions"]> => {
  const is = (holds: boolean) => () => new data.BooleanData(holds)
  return {
    success: is(succeeded && !cancelled),
    failure: is(failed && !cancelled),
    cancelled: is(cancelled),
    always: is(true)
  }
}

const concurrencyOf = (file: string, concurrency: ConcurrencySyntax | undefined, scope: Scope) => {
  if (concurrency === undefined) return undefined
  const group = Values.string(file, concurrency.group, scope)
  if (group === "") return undefined
  const cancelInProgress = Values.boolean(file, concurrency.cancelInProgress, "`cancel-in-progress`", scope) ?? false
  return { group, cancelInProgress, queue: concurrency.queue === "max" ? ("all" as const) : ("single" as const) }
}
