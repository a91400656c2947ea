/** What the tests of the domain have in common: jobs of the memory backend in few words, and a listener that can be waited for. */
import { assert } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as MemoryBackend from "../../src/backends/memory/MemoryBackend.ts"
import * as MemoryProgram from "../../src/backends/memory/MemoryProgram.ts"
import { type MemoryRecord, MemoryWorld } from "../../src/backends/memory/MemoryWorld.ts"
import type { BackendDriver, DriverEnvironment } from "../../src/domain/BackendDriver.ts"
import { Job, JobSpec, JobStep } from "../../src/domain/Job.ts"
import type { JobBackend } from "../../src/domain/JobBackend.ts"
import type { RunningStep } from "../../src/domain/JobEnvironment.ts"
import type { BackendError, Reason } from "../../src/domain/JobError.ts"
import { type JobEvent, JobEvents } from "../../src/domain/JobEvent.ts"
import * as JobLifecycle from "../../src/domain/JobLifecycle.ts"
import type { JobResult } from "../../src/domain/JobResult.ts"
import type { Selector } from "../../src/domain/OwnedResource.ts"
import { ScriptStep } from "../../src/domain/Step.ts"

type StepProgram = ConstructorParameters<typeof MemoryProgram.StepProgram>[0]
type EnvironmentProgram = ConstructorParameters<typeof MemoryProgram.EnvironmentProgram>[0]
type JobFields = Omit<ConstructorParameters<typeof Job>[0], "name" | "steps" | "labels">

/** A script step that does what its program says. */
export const scriptStep = (program: StepProgram = {}, script = "true"): ScriptStep =>
  new ScriptStep({ script, env: MemoryProgram.forStep(program) })

/** The same in its place in a job; the id is its script too, so that records tell which step they are about. */
export const step = (
  id: string,
  program: StepProgram = {},
  fields: Omit<ConstructorParameters<typeof JobStep>[0], "id" | "run"> = {}
): JobStep => new JobStep({ id, run: scriptStep(program, id), ...fields })

export const job = (steps: ReadonlyArray<JobStep>, fields: JobFields = {}, environment: EnvironmentProgram = {}): Job =>
  new Job({ name: "build", steps, labels: MemoryProgram.forEnvironment(environment), ...fields })

export const spec = (fields: JobFields = {}, environment: EnvironmentProgram = {}): JobSpec =>
  new JobSpec({ name: "build", labels: MemoryProgram.forEnvironment(environment), ...fields })

/** Instructions of programs. */
export const print = (text: string, stream: "stdout" | "stderr" = "stdout") =>
  ({ _tag: "Print", text, stream }) as const
export const sleep = (millis: number) => ({ _tag: "Sleep", millis }) as const
export const output = (text: string) => ({ _tag: "AppendFile", name: "jobscope_output", text }) as const

/** Events as they come. `until` waits for one; `before` runs when one comes, and holds it up meanwhile. */
export interface Listener {
  readonly events: ReadonlyArray<JobEvent>
  readonly emit: (event: JobEvent) => Effect.Effect<void>
  readonly until: (is: (event: JobEvent) => boolean) => Effect.Effect<void>
  readonly of: <Tag extends JobEvent["_tag"]>(tag: Tag) => ReadonlyArray<Extract<JobEvent, { readonly _tag: Tag }>>
}

export const makeListener = (before?: (event: JobEvent) => Effect.Effect<void> | undefined): Listener => {
  const events: Array<JobEvent> = []
  const waiting = new Set<{ readonly is: (event: JobEvent) => boolean; readonly seen: Deferred.Deferred<void> }>()
  return {
    events,
    emit: (event) =>
      Effect.suspend(() => {
        events.push(event)
        for (const waiter of waiting) {
          if (waiter.is(event)) Deferred.doneUnsafe(waiter.seen, Effect.void)
        }
        return before?.(event) ?? Effect.void
      }),
    until: (is) =>
      Effect.suspend(() => {
        if (events.some(is)) return Effect.void
        const waiter = { is, seen: Deferred.makeUnsafe<void>() }
        waiting.add(waiter)
        return Deferred.await(waiter.seen)
      }),
    of: (tag) => events.filter((event): event is Extract<JobEvent, { readonly _tag: typeof tag }> => event._tag === tag)
  }
}

export const stepStarted = (id: string) => (event: JobEvent) => event._tag === "StepStarted" && event.step === id
export const stepFinished = (id: string) => (event: JobEvent) => event._tag === "StepFinished" && event.step === id
export const is =
  <Tag extends JobEvent["_tag"]>(tag: Tag) =>
  (event: JobEvent): event is Extract<JobEvent, { readonly _tag: Tag }> =>
    event._tag === tag

/** Lets every fiber go on until it waits for something that only the test can bring about. */
export const settle = Effect.forEach(Array.from({ length: 100 }), () => Effect.yieldNow, { discard: true })

/** Time passes, in small steps, so that whoever begins to wait on the way waits from then on. */
export const pass = (duration: Duration.Input) =>
  Effect.andThen(settle, Effect.andThen(TestClock.adjust(duration), settle))

/** A job that runs beside the test. */
export const start = (theJob: Job, listener = makeListener()) =>
  Effect.map(
    Effect.forkChild(Effect.provideService(JobLifecycle.run(theJob), JobEvents, listener), { startImmediately: true }),
    (fiber) => ({ fiber, ...listener })
  )

/** Lets time pass, at most a quarter of an hour, until a fiber is done. */
export const driveToExit = Effect.fnUntraced(function* <A, E>(
  fiber: Fiber.Fiber<A, E>
): Effect.fn.Return<Exit.Exit<A, E>> {
  for (let seconds = 0; seconds < 1000; seconds++) {
    yield* settle
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) return exit
    yield* TestClock.adjust("1 second")
  }
  return assert.fail("it never ends")
})

export const drive = <A, E>(fiber: Fiber.Fiber<A, E>): Effect.Effect<A, E> =>
  Effect.flatMap(driveToExit(fiber), (exit) => exit)

/** Runs a job to its end, and lets as much time pass as it needs, a second at a time. */
export const finish = Effect.fnUntraced(function* (
  theJob: Job,
  listener: Listener = makeListener()
): Effect.fn.Return<Listener & { readonly result: JobResult }, never, JobBackend> {
  const { fiber } = yield* start(theJob, listener)
  const result = yield* drive(fiber)
  return { result, ...listener }
})

/** Cancels a job, and lets time pass until it is released; gives the result that the events tell. */
export const cancel = Effect.fnUntraced(function* (running: Listener & { readonly fiber: Fiber.Fiber<JobResult> }) {
  const cancelling = yield* Effect.forkChild(Fiber.interrupt(running.fiber), { startImmediately: true })
  yield* drive(cancelling)
  const exit = yield* Fiber.await(running.fiber)
  assert.isTrue(Exit.hasInterrupts(exit), "an interrupted job gives no result but its interruption")
  return resultOf(running.events)
})

export const resultOf = (events: ReadonlyArray<JobEvent>): JobResult => {
  const finished = events.filter(is("JobFinished"))
  assert.strictEqual(finished.length, 1, "a job finishes once")
  assert.strictEqual(events.at(-1), finished[0], "JobFinished is the last event")
  return finished[0]!.result
}

/** `id:outcome` of every step. */
export const outcomes = (result: JobResult): ReadonlyArray<string> =>
  result.steps.map(({ id, outcome }) => `${id}:${outcome}`)

const reasonOf = (error: BackendError | undefined): Reason => {
  if (error === undefined) return assert.fail("there is no error")
  return error.reason
}

/** The reason, of the one kind that it has to be. */
export const reasonOfTag = <Tag extends Reason["_tag"]>(
  error: BackendError | undefined,
  tag: Tag
): Extract<Reason, { readonly _tag: Tag }> => {
  const reason = reasonOf(error)
  assert.strictEqual(reason._tag, tag)
  return reason as Extract<Reason, { readonly _tag: Tag }>
}

export const records: Effect.Effect<ReadonlyArray<MemoryRecord>, never, MemoryWorld> = Effect.flatMap(
  MemoryWorld,
  (world) => world.records
)

/** The records in short: `StepStarted build`, `StepSignalled build SIGTERM`, `Released`. */
export const story = Effect.map(records, (all) =>
  all.map((record) => {
    switch (record._tag) {
      case "StepStarted":
        return `${record._tag} ${titleOf(record.step)}`
      case "StepSignalled":
        return `${record._tag} ${titleOf(record.step)} ${record.signal}`
      case "StepEnded":
        return `${record._tag} ${titleOf(record.step)} ${record.exitCode}`
      default:
        return record._tag
    }
  })
)

const titleOf = (value: { readonly _tag: string; readonly script?: string; readonly image?: string }) =>
  value.script ?? value.image ?? ""

/** Environments that exist. */
export const existing = Effect.map(MemoryWorld, ({ environments }) => [...environments.keys()])

type FakeDriver = BackendDriver & Required<Pick<BackendDriver, "attach">>

/** A driver that does what a test says, and by default everything at once; `calls` tells what was asked of it. */
export const makeDriver = (
  behaviour: Partial<BackendDriver> & { readonly made?: Partial<DriverEnvironment> } = {}
): { readonly driver: FakeDriver; readonly calls: ReadonlyArray<string> } => {
  const calls: Array<string> = []
  const call = <A, E, R>(text: string, effect: Effect.Effect<A, E, R>) =>
    Effect.suspend(() => {
      calls.push(text)
      return effect
    })
  const { made: changes, ...overrides } = behaviour
  const made: DriverEnvironment = {
    facts: { os: "fake", arch: "fake", libc: "unknown", workspace: "/fake", services: [] },
    data: { fake: true },
    start: () => Effect.succeed(endedStep),
    completion: Effect.never,
    ...changes
  }
  const described = (selector: Selector) =>
    "owner" in selector ? `owner ${selector.owner}` : `environment ${selector.environment}`
  const create = overrides.create ?? (() => Effect.succeed(made))
  const attach = overrides.attach ?? (() => Effect.succeed(made))
  const destroy = overrides.destroy ?? (() => Effect.void)
  const driver: FakeDriver = {
    name: "fake",
    capabilities: MemoryBackend.capabilities,
    nameOf: () => "env-1",
    list: () => Stream.empty,
    removalCommand: (environment) => `remove ${environment}`,
    ...overrides,
    create: (spec, environment) => call(`create ${environment}`, create(spec, environment)),
    attach: (handle) => call(`attach ${handle.environment}`, attach(handle)),
    destroy: (selector) => call(`destroy ${described(selector)}`, destroy(selector))
  }
  return { driver, calls }
}

/** A step that has succeeded, without a word. */
export const endedStep: RunningStep = {
  output: Stream.empty,
  exitCode: Effect.succeed(0),
  signal: () => Effect.void,
  files: Effect.succeed(new Map())
}
