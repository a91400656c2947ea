import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Job } from "../Job.ts"
import type { JobEnvironment, OutputChunk, RunningStep } from "../JobEnvironment.ts"
import { BackendError, TimedOut } from "../JobError.ts"
import { emit } from "../JobEvent.ts"
import { type Conclusion, StepResult } from "../JobResult.ts"
import type { NextStep, Situation, StepProgram } from "../StepProgram.ts"
import { retrying } from "./retrying.ts"
import * as Stop from "./stop.ts"
import { makeTail } from "./tail.ts"

/** What became of the steps; `stopped` only if the stop came before they were through. */
export interface StepsEnded {
  readonly steps: ReadonlyArray<StepResult>
  readonly outputs?: Readonly<Record<string, string>>
  readonly stopped?: Stop.StopReason
}

/** Runs the steps in order. It is never interrupted: `stop` ends it early. */
export const runSteps = Effect.fnUntraced(function* (
  job: Job,
  program: StepProgram,
  environment: JobEnvironment,
  stop: Stop.Stop
) {
  const steps: Array<StepResult> = []
  let stopped: Stop.StopReason | undefined
  let lost = false
  const situation = (): Situation => ({
    environment,
    results: steps,
    failed: steps.some(({ conclusion }) => conclusion !== "success" && conclusion !== "skipped"),
    cancelled: stopped !== undefined || Deferred.isDoneUnsafe(stop.requested)
  })
  while (true) {
    const next = yield* program.next(situation())
    // A stop that comes after the last step stops nothing.
    if (next === undefined) break
    stopped ??= yield* Stop.current(stop, job.name)
    const over: boolean = lost || Deferred.isDoneUnsafe(stop.final)
    const result: StepResult =
      over || next._tag === "Skip"
        ? yield* unrun(next, "skipped")
        : next._tag !== "Run"
          ? yield* untried(job, next)
          : yield* runStep(job, environment, next, stop, stopped !== undefined)
    steps.push(result)
    lost ||= result.error?.reason._tag === "EnvironmentLost"
    if (result.outcome === "cancelled") stopped ??= yield* Stop.current(stop, job.name)
    yield* emit({ _tag: "StepFinished", job: job.name, step: result.id, result })
  }
  const outputs = program.outputs === undefined || lost ? undefined : yield* program.outputs(situation())
  return {
    steps,
    ...(outputs === undefined ? {} : { outputs }),
    ...(stopped === undefined ? {} : { stopped })
  } satisfies StepsEnded
})

const unrun = ({ id, name }: NextStep, outcome: Conclusion) =>
  Effect.map(
    Clock.currentTimeMillis,
    (startedAt) =>
      new StepResult({ id, name, outcome, conclusion: outcome, outputs: {}, tail: [], startedAt, duration: 0 })
  )

/** A step with nothing to run starts and ends at once, so that it shows where it would have run. */
const untried = Effect.fnUntraced(function* (job: Job, next: Extract<NextStep, { readonly _tag: "Done" | "Fail" }>) {
  const { detail, id, name } = next
  yield* emit({ _tag: "StepStarted", job: job.name, step: id, name, command: next._tag === "Done" ? detail : name })
  const result = yield* unrun(next, next._tag === "Done" ? "success" : "failure")
  return next._tag === "Done"
    ? new StepResult({ ...result, outputs: next.outputs })
    : new StepResult({ ...result, conclusion: counts("failure", next.continueOnError), detail })
})

/** What the step did, before it is known what counts. */
interface Outcome {
  readonly outcome: Conclusion
  readonly exitCode?: number
  readonly error?: BackendError
  readonly detail?: string
  readonly outputs?: Readonly<Record<string, string>>
}

const runStep = Effect.fnUntraced(function* (
  job: Job,
  environment: JobEnvironment,
  next: Extract<NextStep, { readonly _tag: "Run" }>,
  stop: Stop.Stop,
  concluding: boolean
) {
  const { command, filter, id, name, run, unstartable } = next
  const startedAt = yield* Clock.currentTimeMillis
  const tail = makeTail()
  yield* emit({ _tag: "StepStarted", job: job.name, step: id, name, command })
  const timeout = next.timeout ?? job.timeouts.step
  const halt = Effect.raceFirst(
    concluding ? Effect.as(Deferred.await(stop.final), cancelled) : Effect.map(Stop.requested(stop, job.name), halted),
    timeout === undefined ? Effect.never : Effect.as(Effect.sleep(timeout), timedOut(name, timeout))
  )
  const showOne = (stream: OutputChunk["stream"], bytes: Uint8Array) => {
    if (bytes.length === 0) return Effect.void
    tail.push(stream, bytes)
    return emit({ _tag: "StepOutput", job: job.name, step: id, stream, bytes })
  }
  const show = (running: RunningStep) =>
    Stream.runForEach(running.output, (chunk) =>
      showOne(chunk.stream, filter === undefined ? chunk.bytes : filter.push(chunk))
    )
  const rest = Effect.suspend(() =>
    Effect.forEach(filter?.flush() ?? [], ({ bytes, stream }) => showOne(stream, bytes), { discard: true })
  )
  const ended = yield* Effect.scopedWith(
    Effect.fnUntraced(function* (scope) {
      const started = yield* Effect.raceFirst(
        Effect.result(Scope.provide(retrying(job, `step ${name}`, environment.start(run), mayStart), scope)),
        halt
      )
      if (!Result.isResult(started)) return started
      if (Result.isFailure(started)) {
        const { failure } = started
        return unstartable === "failure" && failure.reason._tag === "StepStartFailed" && !failure.retryable
          ? { outcome: "failure" as const, detail: failure.message }
          : failedBy(failure)
      }
      const running = started.success
      const shown = yield* Effect.forkIn(show(running), scope)
      const first = yield* Effect.raceFirst(Effect.exit(running.exitCode), halt)
      if (Exit.isExit(first)) {
        if (Exit.isFailure(first)) return failedBy(yield* Effect.flip(first))
        // Everything that it wrote, before it counts as finished.
        const read = yield* Fiber.await(shown)
        if (Exit.isFailure(read)) return failedBy(yield* Effect.flip(read))
        yield* rest
        return yield* settled(job, next, running, first.value)
      }
      if (!(yield* stopRunning(running, job.timeouts.stopGrace))) return first
      // What it said and set until then counts.
      yield* Effect.timeoutOption(Fiber.await(shown), killPatience)
      yield* rest
      const files = yield* Effect.timeoutOption(Effect.result(running.files), killPatience)
      return Option.isSome(files) && Result.isSuccess(files.value)
        ? { ...first, outputs: (yield* next.settle({ files: files.value.success })).outputs }
        : first
    })
  )
  return new StepResult({
    id,
    name,
    ...ended,
    outputs: ended.outputs ?? {},
    conclusion: counts(ended.outcome, next.continueOnError),
    tail: tail.lines(),
    startedAt,
    duration: (yield* Clock.currentTimeMillis) - startedAt
  })
})

/** An infrastructure error, or a cancel, is never excused by `continueOnError`: it is not the step's. */
const counts = (outcome: Conclusion, continueOnError: boolean): Conclusion =>
  continueOnError && (outcome === "failure" || outcome === "timeout") ? "success" : outcome

const cancelled: Outcome = { outcome: "cancelled" }

const halted = (reason: Stop.StopReason): Outcome =>
  reason._tag === "Cancelled" ? cancelled : { outcome: "cancelled", error: reason.error }

const timedOut = (name: string, after: Duration.Duration): Outcome => ({
  outcome: "timeout",
  error: new BackendError({ reason: new TimedOut({ phase: "step", after, waitingFor: `the end of "${name}"` }) })
})

/** A lost environment does not come back: only a new one would help. */
const mayStart = ({ reason, retryable }: BackendError): boolean => retryable && reason._tag !== "EnvironmentLost"

const failedBy = (error: BackendError): Outcome => ({ outcome: "error", error })

/** How long the end is waited for after SIGKILL, before closing the step's scope takes over. */
const killPatience = Duration.seconds(2)

/** Politely first, and all the time its last words are still read. Tells whether it has ended. */
const stopRunning = (running: RunningStep, grace: Duration.Duration) => {
  const endAfter = (signal: "SIGTERM" | "SIGKILL", patience: Duration.Duration) =>
    Effect.andThen(Effect.ignore(running.signal(signal)), Effect.timeoutOption(Effect.exit(running.exitCode), patience))
  return Effect.flatMap(endAfter("SIGTERM", grace), (ended) =>
    Option.isSome(ended) ? Effect.succeed(true) : Effect.map(endAfter("SIGKILL", killPatience), Option.isSome)
  )
}

/** The step has ended by itself: reads its outputs, after a failure too. */
const settled = Effect.fnUntraced(function* (
  job: Job,
  { name, settle }: Extract<NextStep, { readonly _tag: "Run" }>,
  running: RunningStep,
  exitCode: number
) {
  const files = yield* Effect.result(running.files)
  if (Result.isFailure(files)) return { ...failedBy(files.failure), exitCode }
  const { failure, outputs } = yield* settle({ exitCode, files: files.success })
  if (failure !== undefined) {
    yield* emit({ _tag: "Warning", job: job.name, message: `${name}: ${failure}` })
    return { outcome: "failure", exitCode, detail: failure, outputs } satisfies Outcome
  }
  const outcome: Outcome = { outcome: exitCode === 0 ? "success" : "failure", exitCode, outputs }
  return outcome
})
