/**
 * Interrupts a program at a given point of its execution, to try all of them.
 */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberModule from "effect/Fiber"
import { MixedScheduler, Scheduler } from "effect/Scheduler"

/** Counts the operations of all fibers that run on it; at one of them that fiber yields, and something happens meanwhile. */
class CountingScheduler extends MixedScheduler {
  count = 0
  private readonly at: number
  private readonly act: () => void
  constructor(at: number, act: () => void) {
    super()
    this.at = at
    this.act = act
  }
  override shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    this.count++
    if (this.count !== this.at) return super.shouldYield(fiber)
    queueMicrotask(this.act)
    return true
  }
}

/**
 * Runs a program in a fiber of its own and interrupts that fiber at the n-th operation of the program and all its children: every point
 * at which an interruption can arrive is among them. Gives the exit, and how many operations there were.
 */
const interruptedAt = <A, E, R>(
  program: Effect.Effect<A, E, R>,
  operation: number
): Effect.Effect<{ readonly exit: Exit.Exit<A, E>; readonly operations: number }, never, R> =>
  Effect.gen(function* () {
    let fiber: Fiber.Fiber<A, E> | undefined
    const scheduler = new CountingScheduler(operation, () => fiber?.interruptUnsafe())
    fiber = yield* Effect.forkDetach(Effect.provideService(program, Scheduler, scheduler), { uninterruptible: false })
    const exit = yield* FiberModule.await(fiber)
    return { exit, operations: scheduler.count }
  })

/**
 * Interrupts a program at every operation, or at so many that are evenly spread, and runs a check after each.
 */
export const interruptEverywhere = <A, E, R, E2, R2>(
  program: Effect.Effect<A, E, R>,
  check: (operation: number) => Effect.Effect<void, E2, R2>,
  most: number
): Effect.Effect<{ readonly tried: number; readonly interrupted: number }, E2, R | R2> =>
  Effect.gen(function* () {
    const { operations } = yield* interruptedAt(program, Number.POSITIVE_INFINITY)
    yield* check(0)
    const stride = Math.max(1, operations / most)
    let tried = 0
    let interrupted = 0
    for (let at = 1; at <= operations; at += stride) {
      const { exit } = yield* interruptedAt(program, Math.round(at))
      tried++
      if (exit._tag === "Failure") interrupted++
      yield* check(Math.round(at))
    }
    return { tried, interrupted }
  })
