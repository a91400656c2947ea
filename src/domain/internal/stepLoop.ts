import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type Condition, type IdentifiedStep, identifiedSteps, type Job, type JobStep } from "../Job.ts"
import type { JobEnvironment, RunningStep } from "../JobEnvironment.ts"
import { BackendError, TimedOut } from "../JobError.ts"
import { emit } from "../JobEvent.ts"
import { type Conclusion, StepResult } from "../JobResult.ts"
import { ContainerStep, ScriptStep, type Step, StepFile } from "../Step.ts"
import * as StepOutputs from "../StepOutputs.ts"
import { retrying } from "./retrying.ts"
import * as Stop from "./stop.ts"
import { makeTail } from "./tail.ts"

/** What became of the steps; `stopped` only if the stop came before they were through. */
export interface StepsEnded {
  readonly steps: ReadonlyArray<StepResult>
  readonly stopped?: Stop.StopReason
}

/** Runs the steps in order. It is never interrupted: `stop` ends it early. */
export const runSteps = Effect.fnUntraced(function* (job: Job, environment: JobEnvironment, stop: Stop.Stop) {
  const steps: Array<StepResult> = []
  let stopped: Stop.StopReason | undefined
  let lost = false
  for (const identified of identifiedSteps(job)) {
    stopped ??= yield* Stop.current(stop, job.name)
    const status = {
      failed: steps.some(({ conclusion }) => conclusion !== "success" && conclusion !== "skipped"),
      cancelled: stopped !== undefined
    }
    const over: boolean = lost || Deferred.isDoneUnsafe(stop.final)
    const result: StepResult =
      !over && holds(identified.step.if, status)
        ? yield* runStep(job, environment, identified, steps, stop, stopped !== undefined)
        : yield* skipped(identified)
    steps.push(result)
    lost ||= result.error?.reason._tag === "EnvironmentLost"
    if (result.outcome === "cancelled") stopped ??= yield* Stop.current(stop, job.name)
    yield* emit({ _tag: "StepFinished", job: job.name, step: result.id, result })
  }
  return { steps, ...(stopped === undefined ? {} : { stopped }) } satisfies StepsEnded
})

const holds = (condition: Condition, status: { readonly failed: boolean; readonly cancelled: boolean }): boolean => {
  switch (condition) {
    case "always":
      return true
    case "cancelled":
      return status.cancelled
    case "failure":
      return status.failed && !status.cancelled
    case "success":
      return !status.failed && !status.cancelled
  }
}

const skipped = ({ id, name }: IdentifiedStep) =>
  Effect.map(
    Clock.currentTimeMillis,
    (startedAt) =>
      new StepResult({
        id,
        name,
        outcome: "skipped",
        conclusion: "skipped",
        outputs: {},
        tail: [],
        startedAt,
        duration: 0
      })
  )

/** What the step did, before it is known what counts. */
interface Outcome {
  readonly outcome: Conclusion
  readonly exitCode?: number
  readonly error?: BackendError
  readonly detail?: string
  readonly outputs?: Record<string, string>
}

const runStep = Effect.fnUntraced(function* (
  job: Job,
  environment: JobEnvironment,
  { command, id, name, step }: IdentifiedStep,
  soFar: ReadonlyArray<StepResult>,
  stop: Stop.Stop,
  concluding: boolean
) {
  const startedAt = yield* Clock.currentTimeMillis
  const tail = makeTail()
  yield* emit({ _tag: "StepStarted", job: job.name, step: id, name, command })
  const timeout = step.timeout ?? job.timeouts.step
  const halt = Effect.raceFirst(
    concluding ? Effect.as(Deferred.await(stop.final), cancelled) : Effect.map(Stop.requested(stop, job.name), halted),
    timeout === undefined ? Effect.never : Effect.as(Effect.sleep(timeout), timedOut(name, timeout))
  )
  const show = (running: RunningStep) =>
    Stream.runForEach(running.output, ({ bytes, stream }) => {
      tail.push(stream, bytes)
      return emit({ _tag: "StepOutput", job: job.name, step: id, stream, bytes })
    })
  const ended = yield* Effect.scopedWith(
    Effect.fnUntraced(function* (scope) {
      const started = yield* Effect.raceFirst(
        Effect.result(
          Scope.provide(retrying(job, `step ${name}`, environment.start(prepared(step, soFar)), mayStart), scope)
        ),
        halt
      )
      if (!Result.isResult(started)) return started
      if (Result.isFailure(started)) return failedBy(started.failure)
      const running = started.success
      const shown = yield* Effect.forkIn(show(running), scope)
      const first = yield* Effect.raceFirst(Effect.exit(running.exitCode), halt)
      if (Exit.isExit(first)) {
        if (Exit.isFailure(first)) return failedBy(yield* Effect.flip(first))
        // Everything that it wrote, before it counts as finished.
        const read = yield* Fiber.await(shown)
        if (Exit.isFailure(read)) return failedBy(yield* Effect.flip(read))
        return yield* settled(job, name, running, first.value)
      }
      yield* stopRunning(running, job.timeouts.stopGrace)
      return first
    })
  )
  return new StepResult({
    id,
    name,
    outputs: {},
    ...ended,
    conclusion: counts(ended.outcome, step.continueOnError),
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

/** Politely first, and all the time its last words are still read. */
const stopRunning = (running: RunningStep, grace: Duration.Duration) => {
  const endAfter = (signal: "SIGTERM" | "SIGKILL", patience: Duration.Duration) =>
    Effect.andThen(Effect.ignore(running.signal(signal)), Effect.timeoutOption(Effect.exit(running.exitCode), patience))
  return Effect.flatMap(endAfter("SIGTERM", grace), (ended) =>
    Option.isSome(ended) ? Effect.void : endAfter("SIGKILL", killPatience)
  )
}

/** The step has ended by itself: reads its outputs, after a failure too. */
const settled = Effect.fnUntraced(function* (job: Job, name: string, running: RunningStep, exitCode: number) {
  const files = yield* Effect.result(running.files)
  if (Result.isFailure(files)) return { ...failedBy(files.failure), exitCode }
  const outputs = StepOutputs.parse(files.success.get(StepOutputs.fileName) ?? "")
  if (Result.isFailure(outputs)) {
    const detail = `the output file (${StepOutputs.variable}) cannot be read: ${outputs.failure}`
    yield* emit({ _tag: "Warning", job: job.name, message: `${name}: ${detail}` })
    return { outcome: "failure", exitCode, detail } satisfies Outcome
  }
  const outcome: Outcome = {
    outcome: exitCode === 0 ? "success" : "failure",
    exitCode,
    outputs: outputs.success
  }
  return outcome
})

/** The step as the backend gets it: with outputs of earlier steps, and a file for its own. */
const prepared = (step: JobStep, soFar: ReadonlyArray<StepResult>): Step => {
  const { run } = step
  const outputFile = new StepFile({ name: StepOutputs.fileName, variable: StepOutputs.variable, collect: true })
  const fromOutputs = Object.entries(step.envFrom).map(([name, { output, step: id }]) => {
    const outputs = soFar.find((result) => result.id === id)?.outputs ?? {}
    // Own ones only: `constructor` is an output that was never set.
    return [name, Redacted.make(Object.hasOwn(outputs, output) ? outputs[output]! : "")] as const
  })
  const changes = { env: { ...run.env, ...Object.fromEntries(fromOutputs) }, files: [...run.files, outputFile] }
  return run._tag === "ScriptStep" ? new ScriptStep({ ...run, ...changes }) : new ContainerStep({ ...run, ...changes })
}
