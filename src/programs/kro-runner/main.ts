/**
 * `kro-runner`: the program of a runner pod of ARC whose runner runs in a KRO instance. Only wiring, and the signals.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as KroCalls from "../../backends/kro/KroCalls.ts"
import * as KubeClient from "../../backends/kubernetes/KubeClient.ts"
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
let pod: RunnerPod | undefined
let fiber: Fiber.Fiber<number, unknown> | undefined
let cleanup = Duration.minutes(5)
/** kro-actions-runner's exit code, whatever happened once it had access to the cluster. */
let legacyExit = false

const main = Effect.fnUntraced(function* (args: Arguments.Arguments) {
  const settings = yield* Settings.read(args)
  cleanup = settings.cleanupTimeout
  const redact = Output.redactorOf(settings.jitConfig)
  const output = Output.layer(settings, redact)
  if (args.command === "check" || args.command === "role") {
    return yield* Check.run(settings, args.command).pipe(Effect.provide(Layer.merge(Access.layer(settings), output)))
  }
  return yield* Effect.gen(function* () {
    legacyExit = settings.legacyExit
    yield* Effect.forEach(settings.warnings, (warning) => Effect.logWarning(warning), { discard: true })
    const ended = yield* Effect.exit(
      Runner.run(settings, (found) => {
        pod = found
      })
    )
    const outcome = Outcome.of(ended, signal, settings)
    const log = outcome.exitCode === 0 ? Effect.logInfo : signal === undefined ? Effect.logError : Effect.logWarning
    yield* log(outcome.message).pipe(Effect.annotateLogs({ outcome: outcome.reason, exit: outcome.exitCode }))
    yield* Report.termination(settings.terminationLog, outcome, redact)
    if (pod !== undefined) yield* Report.event(yield* KubeClient.KubeClient, pod, outcome, redact)
    return legacyExit ? 0 : outcome.exitCode
  }).pipe(
    Effect.provide(Access.layer(settings)),
    Effect.catchTag("KubeError", (error) => Effect.as(Effect.logError(KroCalls.explain(error).message), 1)),
    Effect.provide(output)
  )
})

/** The first one stops in order, within what the pod's grace period leaves; a second one does not wait. */
const onSignal = (name: Outcome.StopSignal) => {
  const code = name === "SIGINT" ? 130 : 143
  if (signal !== undefined) {
    Output.write(`${name} again: not waiting for the release`)
    process.exit(legacyExit ? 0 : code)
  }
  signal = name
  fiber?.interruptUnsafe(fiber.id)
  const grace = Duration.subtract(Duration.seconds(pod?.gracePeriod ?? 30), margin)
  const budget = Duration.max(least, Duration.min(cleanup, grace))
  Effect.runFork(
    Effect.andThen(
      Effect.sleep(budget),
      Effect.sync(() => {
        Output.write(
          `The release is not over after ${Duration.format(budget)}: it is left to KRO and the garbage collector`
        )
        process.exit(legacyExit ? 0 : code)
      })
    )
  )
}

const start = (args: Arguments.Arguments) => {
  fiber = Effect.runFork(
    Effect.catch(main(args), (problem) =>
      Effect.sync(() => {
        Output.write(typeof problem === "string" ? `error: ${problem}` : `error: ${String(problem)}`)
        return 2
      })
    )
  )
  fiber.addObserver((ended) => process.exit(Exit.isSuccess(ended) ? ended.value : signal === undefined ? 1 : 143))
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
