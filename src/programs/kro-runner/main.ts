/**
 * `kro-runner`: the program of a runner pod of ARC whose runner runs in a KRO instance. Only wiring, and the signals.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as KroCalls from "../../backends/kro/KroCalls.ts"
import * as KubeClient from "../../backends/kubernetes/KubeClient.ts"
import type { Completion } from "../../domain/JobEnvironment.ts"
import type { BackendError } from "../../domain/JobError.ts"
import { version } from "../version.ts"
import * as Access from "./Access.ts"
import * as Arguments from "./Arguments.ts"
import * as Check from "./Check.ts"
import * as Outcome from "./Outcome.ts"
import * as Output from "./Output.ts"
import * as Report from "./Report.ts"
import * as Runner from "./Runner.ts"
import type { RunnerPod } from "./RunnerPod.ts"
import * as Settings from "./Settings.ts"

/** Before the grace period of the pod is over: the kubelet's kill must find nobody. */
const margin = Duration.seconds(2)

/** The least that a delete request gets, also where the release gets no time. */
const least = Duration.seconds(1)

let signal: Outcome.StopSignal | undefined
let settings: Settings.Settings | undefined
let pod: RunnerPod | undefined
let work: Fiber.Fiber<Completion, BackendError> | undefined
let completion: Completion | undefined
/** kro-actions-runner's exit code, whatever happens once there is access to the cluster. */
let legacyExit = false

/** What came of it; the runner's own word is the first one. */
const outcomeOf = (ended: Exit.Exit<Completion, BackendError>) =>
  Outcome.of(completion === undefined ? ended : Exit.succeed(completion), signal, {
    returnVersionDeprecated: settings?.returnVersionDeprecated ?? false
  })

const main = Effect.fnUntraced(function* (args: Arguments.Arguments) {
  const told = yield* Settings.read(args)
  settings = told
  const redact = Output.redactorOf(told.jitConfig)
  const output = Output.layer(told, redact)
  if (args.command === "check" || args.command === "role") {
    return yield* Check.run(told, args.command).pipe(Effect.provide(Layer.merge(Access.layer(told), output)))
  }
  return yield* Effect.gen(function* () {
    legacyExit = told.legacyExit
    yield* Effect.forEach(told.warnings, (warning) => Effect.logWarning(warning), { discard: true })
    const observer: Runner.Observer = {
      found: (found) => {
        pod = found
      },
      completed: (ended) => {
        completion = ended
      }
    }
    // Only this fiber is interrupted by a signal: what comes of it is still told.
    work = yield* Effect.forkDetach(Runner.run(told, observer))
    if (signal !== undefined) work.interruptUnsafe()
    const outcome = outcomeOf(yield* Fiber.await(work))
    const log = outcome.exitCode === 0 ? Effect.logInfo : signal === undefined ? Effect.logError : Effect.logWarning
    yield* log(outcome.message).pipe(Effect.annotateLogs({ outcome: outcome.reason, exit: outcome.exitCode }))
    yield* Report.termination(told.terminationLog, outcome, redact)
    if (pod !== undefined) yield* Report.event(yield* KubeClient.KubeClient, pod, outcome, redact)
    return legacyExit ? 0 : outcome.exitCode
  }).pipe(
    Effect.provide(Access.layer(told)),
    Effect.catchTag("KubeError", (error) => Effect.as(Effect.logError(KroCalls.explain(error).message), 1)),
    Effect.provide(output)
  )
})

/** The first one stops in order, within what the pod's grace period leaves; a second one does not wait. */
const onSignal = (name: Outcome.StopSignal) => {
  if (signal !== undefined) return abandon(`${name} again: the release is not waited for`)
  signal = name
  work?.interruptUnsafe()
  const grace = Duration.subtract(Duration.seconds(pod?.gracePeriod ?? 30), margin)
  const budget = Duration.max(least, Duration.min(settings?.cleanupTimeout ?? grace, grace))
  Effect.runFork(
    Effect.delay(
      Effect.sync(() => abandon(`the release is not over after ${Duration.format(budget)}`)),
      budget
    )
  )
}

/** The instance goes with the runner pod, its owner. */
const abandon = (why: string) => {
  const outcome = outcomeOf(Exit.interrupt())
  const message = `${outcome.message}; ${why}: it is left to KRO and the garbage collector`
  Output.write(message)
  if (settings !== undefined) {
    const redact = Output.redactorOf(settings.jitConfig)
    Effect.runSync(Report.termination(settings.terminationLog, { ...outcome, message }, redact))
  }
  process.exit(legacyExit ? 0 : outcome.exitCode)
}

const start = (args: Arguments.Arguments) => {
  const told = Effect.catch(main(args), (problem) =>
    Effect.sync(() => {
      Output.write(`error: ${String(problem)}`)
      return 2
    })
  )
  Effect.runFork(told).addObserver((ended) => process.exit(Exit.isSuccess(ended) ? ended.value : 1))
  process.on("SIGTERM", () => onSignal("SIGTERM"))
  process.on("SIGINT", () => onSignal("SIGINT"))
  // A program that waits for nothing more has a defect; it has not succeeded.
  process.on("beforeExit", () => process.exit(1))
}

const args = Arguments.parse(process.argv.slice(2))
if (Result.isFailure(args)) {
  Output.write(`error: ${args.failure}\nSee kro-runner --help`)
  process.exitCode = 2
} else if (args.success.command === "help" || args.success.command === "version") {
  process.stdout.write(args.success.command === "help" ? Arguments.help : `kro-runner ${version}\n`)
} else {
  start(args.success)
}
