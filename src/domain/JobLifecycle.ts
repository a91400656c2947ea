/**
 * The one place where provision, steps and release meet.
 *
 * `run` takes a whole job to its result. `withEnvironment` opens an environment for an Effect program of yours. Both release what they
 * provisioned: on success, failure, time-out, cancellation and defects.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { missingFor } from "./Capabilities.ts"
import { contradiction } from "./internal/contradiction.ts"
import { listedSteps } from "./internal/listedSteps.ts"
import { retrying } from "./internal/retrying.ts"
import { runSteps, type StepsEnded } from "./internal/stepLoop.ts"
import * as Stop from "./internal/stop.ts"
import type { Job, JobSpec } from "./Job.ts"
import { JobBackend } from "./JobBackend.ts"
import type { JobEnvironment } from "./JobEnvironment.ts"
import { BackendDefect, BackendError, fail, TimedOut } from "./JobError.ts"
import { emit, type JobEvent, JobEvents, withNewRun } from "./JobEvent.ts"
import { type Conclusion, JobResult, type StepResult } from "./JobResult.ts"
import type { Step } from "./Step.ts"
import type { StepProgram } from "./StepProgram.ts"

/**
 * Runs a job to its end, and always gives a result: failures of the job, of the infrastructure and of the release are part of it
 * (`JobResult.orFail` makes errors of them).
 *
 * **Details**
 *
 * - Interrupting it cancels the job: the running step is stopped (SIGTERM, `timeouts.stopGrace`, SIGKILL), steps with the conditions
 *   `always` and `cancelled` run, bounded by `timeouts.conclude`, the environment is released, and only then the interruption is done. The
 *   events tell the result.
 * - `timeouts.total` does the same, with the conclusion `timeout`.
 * - What the backend cannot do, and a job that contradicts itself, ends as `error` before anything is provisioned.
 *
 * @category running
 */
export const run = (job: Job): Effect.Effect<JobResult, never, JobBackend> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(start(job), ({ cancel, result }) =>
      Effect.onInterrupt(restore(result), () => Effect.andThen(cancel, Effect.exit(result)))
    )
  )

/**
 * A job that runs on its own.
 *
 * @category models
 */
export interface RunningJob {
  /** Asks it to stop, as interrupting `run` does, and returns at once. The result follows when all is released. */
  readonly cancel: Effect.Effect<void>
  readonly result: Effect.Effect<JobResult>
}

/**
 * Starts a job that does not end with its caller: for programs that need the result of a cancelled job too. Whoever starts it must await
 * `result`, or nobody does.
 *
 * @category running
 */
export const start = (job: Job): Effect.Effect<RunningJob, never, JobBackend> =>
  startProgram(
    job,
    Effect.sync(() => listedSteps(job))
  )

/**
 * Starts a job whose steps a program decides, as they come; the job's own list is left aside. The program is made anew for each attempt.
 *
 * @category running
 */
export const startProgram = Effect.fnUntraced(function* (
  job: Job,
  steps: Effect.Effect<StepProgram>
): Effect.fn.Return<RunningJob, never, JobBackend> {
  const stop = yield* Stop.make
  const fiber = yield* Effect.forkDetach(withNewRun(conduct(job, steps, stop)), { uninterruptible: false })
  return {
    cancel: Effect.asVoid(Deferred.succeed(stop.requested, { _tag: "Cancelled" })),
    result: Fiber.join(fiber)
  }
})

/**
 * Opens an environment, runs a program with it, and releases it.
 *
 * **Details**
 *
 * Provisioning is retried as `job.retry` says. The program is interrupted, and the error says why, when `timeouts.total` is over or the
 * environment is lost. A failed release is told by a `Leaked` event; it never hides what the program gave.
 *
 * **Example**
 *
 * ```ts
 * const version = JobLifecycle.withEnvironment(new JobSpec({ name: "version" }))((environment) =>
 *   JobLifecycle.execute(environment, new ScriptStep({ script: "git --version" })))
 * ```
 *
 * @category running
 */
export const withEnvironment =
  (job: JobSpec) =>
  <A, E, R>(
    use: (environment: JobEnvironment) => Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | BackendError, R | JobBackend> =>
    withNewRun(
      Effect.scopedWith((scope) =>
        Effect.flatMap(Scope.provide(provision(job), scope), (environment) =>
          Effect.raceFirst(use(environment), Effect.andThen(environment.completion, Effect.never))
        ).pipe(
          // Inside the scope: the release does not count, and must not cost the value of a program that was in time.
          Effect.timeoutOrElse({
            duration: job.timeouts.total,
            orElse: () => fail(new TimedOut({ phase: "total", after: job.timeouts.total, waitingFor: job.name }))
          })
        )
      )
    )

/**
 * Runs a job, and gives its events as they happen; the last one is `JobFinished`. A slow reader slows the job down. Leaving the stream
 * early cancels the job, and waits until it is released.
 *
 * @category running
 */
export const events = (job: Job): Stream.Stream<JobEvent, never, JobBackend> =>
  Stream.callback<JobEvent, never, JobBackend>(
    (queue) =>
      Effect.gen(function* () {
        const listening = Effect.provideService(run(job), JobEvents, { emit: (event) => Queue.offer(queue, event) })
        const fiber = yield* Effect.acquireRelease(
          Effect.forkDetach(listening, { uninterruptible: false }),
          // First the queue: nobody reads it any more, and the job must not wait for that.
          (fiber) => Effect.andThen(Queue.shutdown(queue), Fiber.interrupt(fiber))
        )
        yield* Effect.andThen(Fiber.await(fiber), Queue.end(queue))
      }),
    { bufferSize: 64 }
  )

/**
 * Runs a step to its end and collects what it writes, for programs inside `withEnvironment`. All of it is kept in memory: for more than
 * a few megabytes use `environment.start`.
 *
 * @category running
 */
export const execute = (environment: JobEnvironment, step: Step): Effect.Effect<Executed, BackendError> =>
  Effect.scopedWith(
    Effect.fnUntraced(function* (scope) {
      const running = yield* Scope.provide(environment.start(step), scope)
      const text = { stdout: "", stderr: "" }
      const decoder = () => new TextDecoder("utf-8", { ignoreBOM: true })
      const decoders = { stdout: decoder(), stderr: decoder() }
      yield* Stream.runForEach(running.output, ({ bytes, stream }) =>
        Effect.sync(() => {
          text[stream] += decoders[stream].decode(bytes, { stream: true })
        })
      )
      const exitCode = yield* running.exitCode
      return {
        exitCode,
        stdout: text.stdout + decoders.stdout.decode(),
        stderr: text.stderr + decoders.stderr.decode()
      }
    })
  )

/** @category models */
export interface Executed {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

/** Scoped; with retries, the deadline of the phase, and events. */
const provision = (job: JobSpec): Effect.Effect<JobEnvironment, BackendError, JobBackend | Scope.Scope> =>
  Effect.gen(function* () {
    const backend = yield* JobBackend
    const outer = yield* JobEvents
    let waitingFor = `the ${backend.name} backend`
    yield* emit({ _tag: "PhaseStarted", job: job.name, phase: "provision" })
    const environment = yield* retrying(job, "provision", backend.provision(job)).pipe(
      Effect.provideService(JobEvents, {
        emit: (event) => {
          if (event._tag === "Waiting") waitingFor = event.reason
          return outer.emit(event)
        }
      }),
      Effect.timeoutOrElse({
        duration: job.timeouts.provision,
        orElse: () =>
          Effect.suspend(() => fail(new TimedOut({ phase: "provision", after: job.timeouts.provision, waitingFor })))
      })
    )
    yield* emit({ _tag: "EnvironmentReady", job: job.name, environment: environment.name })
    return environment
  })

/** The whole story of one job. Never interrupted: it learns of a cancel through `stop`, and ends in order. */
const conduct = Effect.fnUntraced(function* (
  job: Job,
  makeSteps: Effect.Effect<StepProgram>,
  stop: Stop.Stop
): Effect.fn.Return<JobResult, never, JobBackend> {
  const backend = yield* JobBackend
  const outer = yield* JobEvents
  const leaks: Array<BackendError> = []
  const listening = Effect.provideService(JobEvents, {
    emit: (event) => {
      if (event._tag === "Leaked") leaks.push(event.error)
      return outer.emit(event)
    }
  })
  const startedAt = yield* Clock.currentTimeMillis
  const program = yield* makeSteps
  yield* emit({ _tag: "JobStarted", job: job.name, backend: backend.name, steps: program.length })
  const timers = yield* Effect.forkChild(watchTime(job, stop))

  let ended = yield* listening(attempt(job, program, stop))
  for (let tries = 1; job.retry.rerun && tries < job.retry.attempts && mayRerun(ended); tries++) {
    const error = ended.error!
    yield* emit({ _tag: "Retrying", job: job.name, what: "job", attempt: tries + 1, of: job.retry.attempts, error })
    yield* Effect.timeoutOption(Deferred.await(stop.requested), job.retry.delay)
    ended = yield* listening(attempt(job, yield* makeSteps, stop))
  }
  yield* Fiber.interrupt(timers)
  const result = new JobResult({
    job: job.name,
    ...ended,
    leaks,
    startedAt,
    duration: (yield* Clock.currentTimeMillis) - startedAt
  })
  yield* emit({ _tag: "JobFinished", job: job.name, result })
  return result
})

/** Asks the job to stop when its time is over, and makes the stop final when that takes too long. */
const watchTime = Effect.fnUntraced(function* (job: Job, stop: Stop.Stop) {
  const { conclude, total } = job.timeouts
  const timeout = new BackendError({
    reason: new TimedOut({ phase: "total", after: total, waitingFor: `the steps of ${job.name}` })
  })
  const timer = yield* Effect.forkChild(
    Effect.andThen(Effect.sleep(total), Deferred.succeed(stop.requested, { _tag: "OutOfTime", error: timeout }))
  )
  yield* Deferred.await(stop.requested)
  yield* Fiber.interrupt(timer)
  yield* Effect.sleep(conclude)
  yield* Deferred.succeed(stop.final, undefined)
})

interface Ended {
  readonly conclusion: Conclusion
  readonly outputs?: Readonly<Record<string, string>>
  readonly error?: BackendError
  readonly steps: ReadonlyArray<StepResult>
}

/** Not for a failed provision: that has had its own tries. */
const mayRerun = (ended: Ended) =>
  ended.conclusion === "error" && ended.error?.retryable === true && ended.steps.length > 0

/** Provision, steps, release, once. */
const attempt = Effect.fnUntraced(function* (
  job: Job,
  program: StepProgram,
  stop: Stop.Stop
): Effect.fn.Return<Ended, never, JobBackend> {
  const refused = refusal(job, yield* JobBackend)
  if (refused !== undefined) return { conclusion: "error", error: refused, steps: [] }
  const scope = yield* Scope.make()
  const exit = yield* Effect.exit(attemptIn(job, program, stop, scope))
  // A listener with a defect must not cost the release.
  yield* Effect.ensuring(emit({ _tag: "PhaseStarted", job: job.name, phase: "release" }), Scope.close(scope, exit))
  return Exit.isSuccess(exit) ? exit.value : { ...failedBy(asError(exit.cause)), steps: [] }
})

const attemptIn = Effect.fnUntraced(function* (job: Job, program: StepProgram, stop: Stop.Stop, scope: Scope.Scope) {
  const provisioned = yield* Effect.raceFirst(
    Effect.result(Scope.provide(provision(job), scope)),
    Stop.requested(stop, job.name)
  )
  switch (provisioned._tag) {
    case "Cancelled":
      return { conclusion: "cancelled", steps: [] } satisfies Ended
    case "OutOfTime":
      return { ...failedBy(provisioned.error), steps: [] }
    case "Failure":
      return { ...failedBy(provisioned.failure), steps: [] }
  }
  yield* emit({ _tag: "PhaseStarted", job: job.name, phase: "steps" })
  return concluded(yield* runSteps(job, program, provisioned.success, stop))
})

/** A stop decides; else the first step that did not succeed. */
const concluded = ({ stopped, ...came }: StepsEnded): Ended => {
  if (stopped !== undefined) {
    return stopped._tag === "Cancelled" ? { conclusion: "cancelled", ...came } : { ...failedBy(stopped.error), ...came }
  }
  const decisive = came.steps.find(({ conclusion }) => conclusion !== "success" && conclusion !== "skipped")
  if (decisive === undefined) return { conclusion: "success", ...came }
  return {
    conclusion: decisive.conclusion,
    ...came,
    ...(decisive.error === undefined ? {} : { error: decisive.error })
  }
}

const failedBy = (error: BackendError) => ({
  conclusion: error.reason._tag === "TimedOut" ? ("timeout" as const) : ("error" as const),
  error
})

const asError = (cause: Cause.Cause<unknown>): BackendError =>
  new BackendError({ reason: new BackendDefect({ detail: Cause.pretty(cause) }) })

const refusal = (job: Job, backend: JobBackend["Service"]): BackendError | undefined => {
  const lacking = missingFor(backend.name, backend.capabilities, job) ?? contradiction(job)
  return lacking === undefined ? undefined : new BackendError({ reason: lacking })
}
