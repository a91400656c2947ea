/**
 * What is asked: the environment a job needs (`JobSpec`), and the steps to run in it (`Job`).
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import { ContainerSettings, HealthCheck, Mount, Port, RegistryCredentials, Resources, Volume } from "./Container.ts"
import { EnvVars } from "./EnvVars.ts"
import { defaulted } from "./internal/defaulted.ts"
import { Step } from "./Step.ts"

/**
 * The container that script steps run in. A job without one runs on the backend's host: this machine, or the runner.
 *
 * @category schemas
 */
export class JobContainer extends Schema.Class<JobContainer>("jobscope/JobContainer")({
  image: Schema.NonEmptyString,
  credentials: Schema.optionalKey(RegistryCredentials),
  /** Keeps the container alive; left out, the backend brings its own. */
  entryPoint: Schema.optionalKey(Schema.Array(Schema.String)),
  args: Schema.Array(Schema.String).pipe(defaulted([])),
  /** `uid`, `uid:gid` or a name of the image. */
  user: Schema.optionalKey(Schema.NonEmptyString),
  ports: Schema.Array(Port).pipe(defaulted([])),
  mounts: Schema.Array(Mount).pipe(defaulted([])),
  resources: Schema.optionalKey(Resources),
  settings: Schema.optionalKey(ContainerSettings)
}) {}

/**
 * Something that steps talk to while the job runs: a database, a cache, a server under test.
 *
 * @category schemas
 */
export class Service extends Schema.Class<Service>("jobscope/Service")({
  /** Unique in the job. */
  name: Schema.NonEmptyString,
  /** Left out, `command` runs on the host, where the backend can do that. */
  image: Schema.optionalKey(Schema.NonEmptyString),
  credentials: Schema.optionalKey(RegistryCredentials),
  /** Replaces the image's own. Only with an image. */
  entryPoint: Schema.optionalKey(Schema.Array(Schema.String)),
  /** With an image: the arguments of its entry point, empty for the image's own. Without: the command and its arguments. */
  command: Schema.Array(Schema.String).pipe(defaulted([])),
  /** `uid`, `uid:gid` or a name of the image. Only with an image. */
  user: Schema.optionalKey(Schema.NonEmptyString),
  /** Left out, the image's own. Only with an image. */
  workingDirectory: Schema.optionalKey(Schema.NonEmptyString),
  env: EnvVars.pipe(defaulted({})),
  ports: Schema.Array(Port).pipe(defaulted([])),
  mounts: Schema.Array(Mount).pipe(defaulted([])),
  resources: Schema.optionalKey(Resources),
  /** Left out, a service counts as ready when its ports accept a connection, or at once if it declares none. */
  healthCheck: Schema.optionalKey(HealthCheck),
  settings: Schema.optionalKey(ContainerSettings)
}) {}

/**
 * The directory that steps work in. A job without one gets an empty directory, gone with the environment.
 *
 * @category schemas
 */
export class Workspace extends Schema.Class<Workspace>("jobscope/Workspace")({
  /** Absolute path on the machine that asks for the job. */
  path: Schema.NonEmptyString,
  /** `in-place`: steps see and change the directory itself, and release leaves it. `copy`: they get a copy, gone after. */
  mode: Schema.Literals(["in-place", "copy"]).pipe(defaulted("copy"))
}) {}

/**
 * How long each part of a job may take. What runs out of time ends as `timeout`, is cleaned up, and says what it waited for.
 *
 * @category schemas
 */
export class Timeouts extends Schema.Class<Timeouts>("jobscope/Timeouts")({
  /** From the request to the first step, retries included. */
  provision: Schema.DurationFromString.pipe(defaulted(Duration.minutes(10))),
  /** For each step that has none of its own. Left out, only `total` bounds a step. */
  step: Schema.optionalKey(Schema.DurationFromString),
  /** Everything but the release. GitHub's default is the same. */
  total: Schema.DurationFromString.pipe(defaulted(Duration.hours(6))),
  /** Between the polite signal to a step that is stopped and SIGKILL for what is left of it. */
  stopGrace: Schema.DurationFromString.pipe(defaulted(Duration.seconds(5))),
  /** For the `always` and `cancelled` steps after a cancel or a total time-out. */
  conclude: Schema.DurationFromString.pipe(defaulted(Duration.minutes(5))),
  /** After it the environment counts as leaked, and is reported so. */
  release: Schema.DurationFromString.pipe(defaulted(Duration.minutes(1)))
}) {}

/**
 * What is tried again, by itself, when the infrastructure fails. The user's own failures never are.
 *
 * @category schemas
 */
export class Retry extends Schema.Class<Retry>("jobscope/Retry")({
  /** Tries to provision, and to start a step whose script has not started; 1 turns retries off. */
  attempts: Schema.Int.check(Schema.isGreaterThan(0)).pipe(defaulted(3)),
  /** Before the second try; doubled each time, with jitter. */
  delay: Schema.DurationFromString.pipe(defaulted(Duration.seconds(1))),
  /**
   * Also when a script has already started: the environment is released, and the whole job starts over in a new one. Only for
   * jobs whose scripts may run twice.
   */
  rerun: Schema.Boolean.pipe(defaulted(false))
}) {}

/**
 * The environment that a job needs.
 *
 * @category schemas
 */
export class JobSpec extends Schema.Class<JobSpec>("jobscope/JobSpec")({
  /** For people and for names of resources; need not be unique. */
  name: Schema.NonEmptyString,
  /** Who is responsible: everything that is provisioned carries it, and `release({ owner })` finds it by that alone. */
  owner: Schema.NonEmptyString.pipe(defaulted("jobscope")),
  container: Schema.optionalKey(JobContainer),
  services: Schema.Array(Service).pipe(defaulted([])),
  /** For every script step. */
  env: EnvVars.pipe(defaulted({})),
  /** Of script steps: absolute, or relative to the workspace, which is the default. */
  workingDirectory: Schema.optionalKey(Schema.NonEmptyString),
  workspace: Schema.optionalKey(Workspace),
  volumes: Schema.Array(Volume).pipe(defaulted([])),
  /** Put on everything that is provisioned, where the backend has labels. */
  labels: Schema.Record(Schema.String, Schema.String).pipe(defaulted({})),
  timeouts: Timeouts.pipe(defaulted(new Timeouts({}))),
  retry: Retry.pipe(defaulted(new Retry({})))
}) {}

/**
 * When a step runs, looking at what came before it: GitHub's status functions.
 *
 * `success`: nothing failed (the default). `failure`: something failed. `cancelled`: the job is being cancelled or ran out of
 * time. `always`: in any case, as long as there is an environment.
 *
 * @category schemas
 */
export const Condition = Schema.Literals(["success", "failure", "cancelled", "always"])

/** @category models */
export type Condition = typeof Condition.Type

/**
 * An output of an earlier step.
 *
 * @category schemas
 */
export class OutputReference extends Schema.Class<OutputReference>("jobscope/OutputReference")({
  step: Schema.NonEmptyString,
  output: Schema.NonEmptyString
}) {}

/**
 * A step in its place: what to run, when, and what its failure means.
 *
 * **Details**
 *
 * A step that writes `name=value` lines to the file that `$JOBSCOPE_OUTPUT` names has these outputs (`StepOutputs`).
 *
 * @category schemas
 */
export class JobStep extends Schema.Class<JobStep>("jobscope/JobStep")({
  /** Unique in the job; left out, `step-1`, `step-2`, … by position. */
  id: Schema.optionalKey(Schema.NonEmptyString),
  /** For people; left out, the first line of the script or the image. */
  name: Schema.optionalKey(Schema.NonEmptyString),
  run: Step,
  if: Condition.pipe(defaulted("success")),
  /** A failure shows, but does not fail the job, nor stop the steps after it. */
  continueOnError: Schema.Boolean.pipe(defaulted(false)),
  timeout: Schema.optionalKey(Schema.DurationFromString),
  /** Variables filled from outputs of earlier steps; an output that was never set is the empty string, as on GitHub. */
  envFrom: Schema.Record(Schema.String, OutputReference).pipe(defaulted({}))
}) {}

/**
 * An environment and the steps to run in it, in order.
 *
 * @category schemas
 */
export class Job extends JobSpec.extend<Job>("jobscope/Job")({
  steps: Schema.Array(JobStep)
}) {}

/**
 * A step with what `JobStep` leaves open filled in.
 *
 * @category models
 */
export interface IdentifiedStep {
  readonly id: string
  readonly name: string
  /** What it runs, in one line, for people: the first line of the script, or the image and its arguments. */
  readonly command: string
  readonly step: JobStep
}

/**
 * The steps with their ids and names filled in.
 *
 * @category getters
 */
export const identifiedSteps = (job: Job): ReadonlyArray<IdentifiedStep> =>
  job.steps.map((step, index) => {
    const command = commandOf(step.run)
    return { id: step.id ?? `step-${index + 1}`, name: step.name ?? shortened(command), command, step }
  })

const commandOf = (step: Step): string =>
  step._tag === "ContainerStep"
    ? [step.image, ...(step.entryPoint ?? []), ...step.args].join(" ")
    : (step.script
        .split("\n")
        .map((text) => text.trim())
        .find((text) => text !== "" && !text.startsWith("#")) ?? "(empty script)")

const shortened = (line: string): string => (line.length > 60 ? `${line.slice(0, 59)}…` : line)
