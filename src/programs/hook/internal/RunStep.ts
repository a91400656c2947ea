/**
 * `run_script_step` and `run_container_step`: one step in the job's environment, its output as it comes, its exit code as ours.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { JobBackend } from "../../../domain/JobBackend.ts"
import type { BackendError } from "../../../domain/JobError.ts"
import { type JobEvent, JobEvents } from "../../../domain/JobEvent.ts"
import type { Step } from "../../../domain/Step.ts"
import type { HookProcess } from "./HookMain.ts"
import type { HookState } from "./HookState.ts"

/** How long a cancelled step may take to end by SIGINT; SIGTERM and SIGKILL follow, and the runner waits 10 s in all. */
const interruptGrace = "3 seconds"

/** A wait that is longer than this is told. */
const patience = "5 seconds"

/** What a step waits for is told only if that lasts: a step's log is its own. */
const quietly = Effect.fnUntraced(function* <A>(
  starting: Effect.Effect<A, BackendError, Scope.Scope>,
  hook: HookProcess
): Effect.fn.Return<A, BackendError, Scope.Scope> {
  const outer = yield* JobEvents
  let waiting: JobEvent | undefined
  const telling = yield* Effect.forkChild(
    Effect.forever(
      Effect.andThen(
        Effect.sleep(patience),
        Effect.suspend(() => {
          const told = waiting === undefined ? Effect.void : outer.emit(waiting)
          waiting = undefined
          return told
        })
      )
    )
  )
  return yield* Effect.provideService(starting, JobEvents, {
    emit: (event) => {
      if (event._tag !== "Waiting") return outer.emit(event)
      waiting = event
      return hook.say("debug", `Waiting for ${event.reason}`)
    }
  }).pipe(Effect.ensuring(Fiber.interrupt(telling)))
})

/** Gives the step's own exit code. When the runner cancels, the step is told by SIGINT first, as a terminal would. */
export const runStep = Effect.fnUntraced(function* (
  backend: JobBackend["Service"],
  { handle }: HookState,
  step: Step,
  hook: HookProcess
): Effect.fn.Return<number, BackendError> {
  return yield* Effect.scoped(
    Effect.gen(function* () {
      const environment = yield* backend.adopt(handle)
      // A start may wait for an image, for a node, for the API: its scope ends what there is of it.
      const running = yield* Effect.raceFirst(
        quietly(environment.start(step), hook),
        Effect.as(hook.cancelled, undefined)
      )
      if (running === undefined) return 1
      const finished = yield* Effect.forkScoped(
        Effect.andThen(
          Stream.runForEach(running.output, ({ bytes }) => hook.write(bytes)),
          running.exitCode
        )
      )
      const code = yield* Effect.raceFirst(Fiber.join(finished), hook.cancelled)
      if (code !== undefined) return code
      yield* Effect.ignore(running.signal("SIGINT"))
      // The step's scope does the rest. No code counts any more: a cancelled step has not worked.
      yield* Effect.timeoutOption(Fiber.await(finished), interruptGrace)
      return 1
    })
  )
})
