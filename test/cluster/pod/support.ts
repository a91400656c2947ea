/** What the suites of pods on a real cluster share. */
import { Effect, type Exit, Fiber, Stream } from "effect"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import type { JobEnvironment, RunningStep } from "jobscope/domain/JobEnvironment"
import type { BackendError } from "jobscope/domain/JobError"
import type { Step } from "jobscope/domain/Step"

/** Runs a step to its end. */
export const run = (environment: JobEnvironment, step: Step) =>
  Effect.scoped(
    Effect.gen(function* () {
      const running = yield* environment.start(step)
      const chunks = yield* Stream.runCollect(running.output)
      const text = (stream: "stdout" | "stderr") =>
        Buffer.concat(chunks.filter((chunk) => chunk.stream === stream).map(({ bytes }) => bytes)).toString()
      return { exitCode: yield* running.exitCode, stdout: text("stdout"), stderr: text("stderr") }
    })
  )

/** Reads the output of a step in the background; gives what was read so far. */
export const listen = Effect.fnUntraced(function* (running: RunningStep) {
  let text = ""
  const waiting = new Map<string, () => void>()
  const fiber = yield* Effect.forkChild(
    Effect.exit(
      Stream.runForEach(running.output, ({ bytes }) =>
        Effect.sync(() => {
          text += Buffer.from(bytes).toString()
          for (const [part, found] of waiting) if (text.includes(part)) found()
        })
      )
    ),
    { startImmediately: true }
  )
  return {
    get text() {
      return text
    },
    until: (part: string) =>
      Effect.callback<void>((resume) => {
        const found = () => resume(Effect.void)
        if (text.includes(part)) return found()
        waiting.set(part, found)
      }),
    end: Fiber.join(fiber)
  }
})

/** How a step failed, and how long after something was done to it. */
export const failureAfter = <E, R>(running: RunningStep, act: Effect.Effect<unknown, E, R>) =>
  Effect.gen(function* () {
    const ended = yield* Effect.forkChild(Effect.exit(running.exitCode), { startImmediately: true })
    yield* act
    const since = performance.now()
    const exit: Exit.Exit<number, BackendError> = yield* Fiber.join(ended)
    const error = yield* Effect.flip(exit)
    return { error, milliseconds: performance.now() - since }
  })

/** The pods of a namespace. */
export const podsIn = (namespace: string) =>
  Effect.flatMap(KubeClient.KubeClient, (kube) =>
    Effect.map(kube.list({ resource: KubeResource.pods, namespace }), ({ items }) => items)
  )
