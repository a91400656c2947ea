/**
 * Everything that happens to jobs, as values. Terminal output, annotations, traces, reports and metrics are folds over them.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import { BackendError } from "./JobError.ts"
import { JobResult, StepResult } from "./JobResult.ts"

const about = {
  /** Unique for each run of a job: two jobs of one name may run at the same time. */
  run: Schema.String,
  /** The job's name. */
  job: Schema.String,
  /** Milliseconds since 1970. */
  at: Schema.Finite
}
const aboutStep = { ...about, step: Schema.String }

/** @category schemas */
export const Phase = Schema.Literals(["provision", "steps", "release"])

/** @category models */
export type Phase = typeof Phase.Type

/**
 * One event. They come in the order in which things happened; `StepOutput` keeps the order of the step's own writing within each
 * of its two streams.
 *
 * @category schemas
 */
export const JobEvent = Schema.TaggedUnion({
  JobStarted: { ...about, backend: Schema.String, steps: Schema.Int },
  PhaseStarted: { ...about, phase: Phase },
  /** What a phase waits for; sent again when that changes. */
  Waiting: { ...about, phase: Phase, reason: Schema.String },
  /** From here on there may be something to release; `removal` is the command for it, should this process not live to do it. */
  EnvironmentRequested: { ...about, environment: Schema.String, removal: Schema.String },
  EnvironmentReady: { ...about, environment: Schema.String },
  /** `command`: the first line of the script, or the image and its arguments. */
  StepStarted: { ...aboutStep, name: Schema.String, command: Schema.String },
  /** Bytes as the step wrote them: not cut at lines, nor at characters. */
  StepOutput: { ...aboutStep, stream: Schema.Literals(["stdout", "stderr"]), bytes: Schema.Uint8ArrayFromBase64 },
  StepFinished: { ...aboutStep, result: StepResult },
  /** An infrastructure failure is tried again. */
  Retrying: { ...about, what: Schema.String, attempt: Schema.Int, of: Schema.Int, error: BackendError },
  Warning: { ...about, message: Schema.String },
  /** The job stops before its end: running steps are stopped, `always` and `cancelled` steps still run. */
  Stopping: { ...about, why: Schema.String },
  EnvironmentHandedOver: { ...about, environment: Schema.String },
  EnvironmentReleased: { ...about, environment: Schema.String },
  /** A release failed: `error` says what is left, and how to remove it. */
  Leaked: { ...about, environment: Schema.String, error: BackendError },
  JobFinished: { ...about, result: JobResult }
})

/** @category models */
export type JobEvent = typeof JobEvent.Type

type Bare<Event> = Event extends JobEvent ? Omit<Event, "at" | "run"> : never

/**
 * Where events go.
 *
 * **Details**
 *
 * `emit` may wait: a slow listener slows the job down and costs no memory. Without a listener warnings and leaks are logged, so that
 * they are never lost.
 *
 * @category services
 */
export const JobEvents = Context.Reference<{ readonly emit: (event: JobEvent) => Effect.Effect<void> }>(
  "jobscope/domain/JobEvents",
  {
    defaultValue: () => ({
      emit: (event) =>
        event._tag === "Leaked"
          ? Effect.logWarning(`${event.error.message}. ${event.error.advice}`)
          : event._tag === "Warning"
            ? Effect.logWarning(event.message)
            : Effect.void
    })
  }
)

/**
 * The run that events belong to; `JobLifecycle` sets it.
 *
 * @category services
 */
export const CurrentRun = Context.Reference<string>("jobscope/domain/CurrentRun", { defaultValue: () => "" })

/**
 * Gives what an effect emits a run of its own.
 *
 * @category combinators
 */
export const withNewRun = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(Random.nextIntBetween(0, Number.MAX_SAFE_INTEGER), (id) =>
    Effect.provideService(effect, CurrentRun, id.toString(36))
  )

/**
 * Sends an event, with the current run and the time of the `Clock`.
 *
 * @category constructors
 */
export const emit = (event: Bare<JobEvent>): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { emit } = yield* JobEvents
    const run = yield* CurrentRun
    const at = yield* Clock.currentTimeMillis
    return yield* emit({ ...event, run, at } as JobEvent)
  })
