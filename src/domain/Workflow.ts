/**
 * Several jobs that need each other: a graph, run by `WorkflowEngine`.
 *
 * **Example**
 *
 * ```ts
 * const build = Workflow.job("build", {
 *   outputs: { version: { step: "version", output: "version" } },
 *   job: () => ({ steps: [new JobStep({ id: "version", run: new ScriptStep({ script: "..." }) })] })
 * })
 * const test = Workflow.job("test", {
 *   needs: [build],
 *   matrix: { values: { node: [22, 24] } },
 *   job: ({ matrix, needs }) => ({
 *     env: EnvVars.fromRecord({ VERSION: needs.build.outputs.version, NODE: `${matrix.node}` }),
 *     steps: [new JobStep({ run: new ScriptStep({ script: "npm test" }) })]
 *   })
 * })
 * const workflow = Workflow.make("ci", [build, test])
 * ```
 */
import type * as Effect from "effect/Effect"
import type { EnvVars } from "./EnvVars.ts"
import type { Condition, Job } from "./Job.ts"
import { InvalidInput } from "./JobError.ts"
import type { Conclusion } from "./JobResult.ts"
import { type Combination, Matrix } from "./Matrix.ts"
import type { StepProgram } from "./StepProgram.ts"

/**
 * What came of a job that another one needs.
 *
 * @category models
 */
export interface Needed<Outputs extends string = string> {
  readonly conclusion: Conclusion
  /** Each declared output; empty if the step did not set it, or did not run. */
  readonly outputs: Readonly<Record<Outputs, string>>
}

/**
 * What is known when a job, or one combination of its matrix, is about to start.
 *
 * @category models
 */
export interface JobContext<Needs = Readonly<Record<string, Needed>>, Values = Combination> {
  readonly needs: Needs
  /** The combination; empty for a job without a matrix. */
  readonly matrix: Values
  /** Which of the combinations it is, from 0. */
  readonly index: number
  /** How many there are; 1 for a job without a matrix, and before that is known. */
  readonly total: number
}

/**
 * Jobs of one group run one after the other, also combinations of one matrix.
 *
 * @category models
 */
export interface Concurrency {
  readonly group: string
  /** A newcomer cancels the one that runs. */
  readonly cancelInProgress: boolean
  /** `single`: a newcomer cancels the one that waits; `all`: all wait. */
  readonly queue: "single" | "all"
}

/**
 * Where an output of a job comes from.
 *
 * @category models
 */
export interface OutputSource {
  readonly step: string
  readonly output: string
}

/**
 * A job's own part: what a `Job` has but its name and owner, which the workflow gives.
 *
 * @category models
 */
export type JobDefinition = Omit<ConstructorParameters<typeof Job>[0], "name" | "owner">

/**
 * What decides whether a job runs, looking at the jobs that it needs, all the way up.
 *
 * @category models
 */
export interface NeedsStatus {
  /** All jobs that it needs itself succeeded; one that was skipped did not. */
  readonly succeeded: boolean
  /** Some job failed, however far up. */
  readonly failed: boolean
  readonly cancelled: boolean
}

/**
 * A job in its place. The engine's form: names instead of types; `job` makes one with types.
 *
 * @category models
 */
export interface WorkflowJob {
  readonly id: string
  readonly needs: ReadonlyArray<string>
  /** What a run is called; left out, the id, with the combination. */
  readonly name?: ((context: JobContext) => string) | undefined
  /** As for steps, or a function of the status and of what is known. Default `success`. */
  readonly if: Condition | ((status: NeedsStatus, context: JobContext) => boolean)
  readonly matrix: Matrix | ((context: JobContext) => Matrix | undefined) | undefined
  /** The first combination that fails cancels the others. */
  readonly failFast: boolean | ((context: JobContext) => boolean)
  /** Combinations at a time; left out, as many as the workflow allows. */
  readonly maxParallel: number | undefined | ((context: JobContext) => number | undefined)
  /** A failure shows, but fails neither the workflow nor the jobs that need this one. Asked for each combination. */
  readonly continueOnError: boolean | ((context: JobContext) => boolean)
  readonly concurrency?: ((context: JobContext) => Concurrency | undefined) | undefined
  readonly outputs: Readonly<Record<string, OutputSource>>
  /** The job of one combination. It is asked only when the job is about to start. */
  readonly job: (context: JobContext) => JobDefinition
  /** A program in place of the definition's steps; its outputs are outputs of the job. */
  readonly steps?: ((context: JobContext) => Effect.Effect<StepProgram>) | undefined
}

/**
 * A `WorkflowJob` that the compiler knows: its id, and the names of its outputs.
 *
 * @category models
 */
export interface TypedJob<Id extends string, Outputs extends string> extends WorkflowJob {
  readonly id: Id
  readonly outputs: Readonly<Record<Outputs, OutputSource>>
}

type AnyJob = TypedJob<string, string>
type NeedsOf<Jobs extends ReadonlyArray<AnyJob>> = {
  readonly [J in Jobs[number] as J["id"]]: Needed<keyof J["outputs"] & string>
}
type MatrixInput = ConstructorParameters<typeof Matrix>[0]
type ValuesOf<M> = M extends { readonly values: infer V extends Record<string, ReadonlyArray<unknown>> }
  ? { readonly [K in keyof V]: V[K][number] }
  : Combination

/** @category options */
export interface JobOptions<Jobs extends ReadonlyArray<AnyJob>, M extends MatrixInput, Outputs extends string> {
  readonly needs?: Jobs
  readonly if?: Condition | ((status: NeedsStatus, context: JobContext<NeedsOf<Jobs>>) => boolean)
  /** Values, or a function of what is known, for a matrix that another job has computed. */
  readonly matrix?: M | ((context: JobContext<NeedsOf<Jobs>>) => Matrix)
  /** Default true. */
  readonly failFast?: boolean
  readonly maxParallel?: number
  /** Default false. */
  readonly continueOnError?: boolean
  readonly outputs?: Readonly<Record<Outputs, OutputSource>>
  readonly job: (context: JobContext<NeedsOf<Jobs>, ValuesOf<M>>) => JobDefinition
}

/**
 * A job of a workflow. Its `job` function sees the outputs of the jobs that it needs, by name, and the values of its matrix.
 *
 * @category constructors
 */
export const job = <
  const Id extends string,
  const Jobs extends ReadonlyArray<AnyJob> = readonly [],
  const M extends MatrixInput = MatrixInput,
  Outputs extends string = never
>(
  id: Id,
  options: JobOptions<Jobs, M, Outputs>
): TypedJob<Id, Outputs> => {
  const { matrix } = options
  return {
    id,
    needs: (options.needs ?? []).map((needed) => needed.id),
    if: (options.if ?? "success") as WorkflowJob["if"],
    matrix:
      matrix === undefined || typeof matrix === "function" ? (matrix as WorkflowJob["matrix"]) : new Matrix(matrix),
    failFast: options.failFast ?? true,
    maxParallel: options.maxParallel,
    continueOnError: options.continueOnError ?? false,
    outputs: options.outputs ?? ({} as Readonly<Record<Outputs, OutputSource>>),
    // The engine gives what the types say: results of `needs`, a combination of `matrix`.
    job: options.job as WorkflowJob["job"]
  }
}

/** @category models */
export interface Workflow {
  readonly name: string
  readonly jobs: ReadonlyArray<WorkflowJob>
  /** For every script step of every job; a job's own variables win. */
  readonly env: EnvVars
  /** Who is responsible; each job carries it. Default: the workflow's name. */
  readonly owner: string
}

/**
 * A workflow of jobs, in any order.
 *
 * @category constructors
 */
export const make = (
  name: string,
  jobs: ReadonlyArray<WorkflowJob>,
  options: { readonly env?: EnvVars; readonly owner?: string } = {}
): Workflow => ({ name, jobs, env: options.env ?? {}, owner: options.owner ?? name })

/**
 * What cannot be run in a workflow: an id twice, a need that is not there, a circle of needs, a limit below 1.
 *
 * @category validation
 */
export const contradiction = (workflow: Workflow): InvalidInput | undefined => {
  const byId = new Map<string, WorkflowJob>()
  for (const each of workflow.jobs) {
    if (byId.has(each.id)) {
      return new InvalidInput({ input: `jobs.${each.id}`, detail: "another job has this id too" })
    }
    byId.set(each.id, each)
  }
  for (const each of workflow.jobs) {
    const missing = each.needs.find((id) => !byId.has(id))
    if (missing !== undefined) {
      return new InvalidInput({ input: `jobs.${each.id}.needs`, detail: `there is no job "${missing}"` })
    }
  }
  for (const each of workflow.jobs) {
    if (typeof each.maxParallel === "function") continue
    const bad = badLimit(`jobs.${each.id}.maxParallel`, each.maxParallel)
    if (bad !== undefined) return bad
  }
  const circle = findCircle(byId)
  return circle === undefined
    ? undefined
    : new InvalidInput({ input: `jobs.${circle[0]}.needs`, detail: `a circle: ${circle.join(" needs ")}` })
}

/**
 * A limit that would let nothing run.
 *
 * @category validation
 */
export const badLimit = (input: string, limit: number | undefined): InvalidInput | undefined =>
  limit === undefined || limit >= 1
    ? undefined
    : new InvalidInput({ input, detail: `it is ${limit}, and with less than 1 nothing would ever run` })

/** The ids of a circle, the first one again at the end. */
const findCircle = (jobs: ReadonlyMap<string, WorkflowJob>): ReadonlyArray<string> | undefined => {
  const done = new Set<string>()
  const visit = (id: string, path: ReadonlyArray<string>): ReadonlyArray<string> | undefined => {
    if (path.includes(id)) return [...path.slice(path.indexOf(id)), id]
    if (done.has(id)) return undefined
    for (const need of jobs.get(id)?.needs ?? []) {
      const found = visit(need, [...path, id])
      if (found !== undefined) return found
    }
    done.add(id)
    return undefined
  }
  for (const id of jobs.keys()) {
    const found = visit(id, [])
    if (found !== undefined) return found
  }
  return undefined
}
