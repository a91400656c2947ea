/** Runs the state machine of an instance on what the world tells. */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type { Completion } from "../../../domain/JobEnvironment.ts"
import { BackendError, type Reason } from "../../../domain/JobError.ts"
import * as KroCalls from "../KroCalls.ts"
import * as KroRun from "../KroRun.ts"
import type { World } from "./world.ts"

export interface Following {
  /** Completes when the work runs, or has ended. */
  readonly online: Effect.Effect<void, BackendError>
  readonly completion: Effect.Effect<Completion, BackendError>
  readonly state: () => KroRun.RunState
  /** Ends it as lost, and leaves the world to another reader. */
  readonly abandon: (reason: Reason) => Effect.Effect<void>
}

/** Follows until the end, or until the scope closes. `onChange` is told every state that is not the one before. */
export const follow = Effect.fnUntraced(function* (
  world: World,
  plan: KroRun.Plan,
  onChange: (state: KroRun.RunState) => Effect.Effect<void>
): Effect.fn.Return<Following, never, Scope.Scope> {
  let state = KroRun.initial
  const online = yield* Deferred.make<void, BackendError>()
  const completion = yield* Deferred.make<Completion, BackendError>()

  const conclude = Effect.fnUntraced(function* (end: KroRun.End) {
    if (end._tag === "Finished") {
      yield* Deferred.succeed(online, undefined)
      yield* Deferred.succeed(completion, end.completion)
    } else {
      const error = new BackendError({ reason: end.reason })
      yield* Deferred.fail(online, error)
      yield* Deferred.fail(completion, error)
    }
  })

  const loop = Effect.gen(function* () {
    let timer: { readonly at: number; readonly fiber: Fiber.Fiber<unknown> } | undefined
    while (state.end === undefined) {
      const deadline = KroRun.nextDeadline(plan, state)
      if (timer?.at !== deadline) {
        if (timer !== undefined) yield* Fiber.interrupt(timer.fiber)
        timer = undefined
        if (Number.isFinite(deadline)) {
          const wait = Math.max(0, deadline - (yield* Clock.currentTimeMillis))
          timer = { at: deadline, fiber: yield* Effect.forkScoped(Effect.delay(world.tick, wait)) }
        }
      }
      const observation = yield* world.next
      const before = state
      state = KroRun.advance(plan, before, observation, yield* Clock.currentTimeMillis)
      if (state !== before) yield* onChange(state)
      if (state.phase !== "provisioning" && state.end === undefined) yield* Deferred.succeed(online, undefined)
    }
    yield* conclude(state.end)
  })

  const reading = yield* Effect.forkScoped(
    Effect.catch(loop, (error) => conclude({ _tag: "Lost", reason: KroCalls.explain(error).reason })),
    { startImmediately: true }
  )
  return {
    online: Deferred.await(online),
    completion: Deferred.await(completion),
    state: () => state,
    abandon: (reason) => Effect.andThen(conclude({ _tag: "Lost", reason }), Fiber.interrupt(reading))
  }
})
