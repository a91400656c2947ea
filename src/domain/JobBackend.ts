/**
 * The contract of every backend: provision an environment, run steps in it, release it, find what is left.
 *
 * **Call order**
 *
 * `provision` or `adopt`, then any number of `start` (also at the same time), then the scope closes, or `release` is called.
 * Every method may be called at any time and concurrently, for different environments and for the same; each may be interrupted
 * at any point, and leaves nothing then that `release({ owner })` does not find.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { BackendDriver, DriverEnvironment } from "./BackendDriver.ts"
import { type Capabilities, missingFor, missingForStep } from "./Capabilities.ts"
import { EnvironmentHandle } from "./EnvironmentHandle.ts"
import { within } from "./internal/within.ts"
import type { JobSpec } from "./Job.ts"
import type { JobEnvironment, RunningStep } from "./JobEnvironment.ts"
import { BackendDefect, BackendError, fail, HandleRejected, ReleaseFailed, TimedOut, Unsupported } from "./JobError.ts"
import { emit } from "./JobEvent.ts"
import type { OwnedResource, Selector } from "./OwnedResource.ts"
import type { Step } from "./Step.ts"

/** @category services */
export class JobBackend extends Context.Service<
  JobBackend,
  {
    readonly name: string
    readonly capabilities: Capabilities
    /**
     * Makes an environment that is ready to run steps, services up.
     *
     * Closing the scope releases it, unless it was handed over: uninterruptibly, awaited, within `timeouts.release`. A release that
     * fails, or takes longer, is told by a `Leaked` event. What the backend cannot do is `Unsupported` before anything is made. After
     * a failure or an interruption half-way nothing is left.
     */
    readonly provision: (spec: JobSpec) => Effect.Effect<JobEnvironment, BackendError, Scope.Scope>
    /**
     * Attaches to an environment that another process handed over; its steps have the job's variables and working directory. Closing the scope detaches; it does not release. An environment
     * that is gone is `EnvironmentLost`, a foreign handle `HandleRejected`.
     */
    readonly adopt: (handle: EnvironmentHandle) => Effect.Effect<JobEnvironment, BackendError, Scope.Scope>
    /**
     * Removes an environment, or all of an owner, and returns when all is really gone. Idempotent: nothing there is success; works
     * also after a failed provision, and while another process still uses the environment. A failure is `ReleaseFailed` and names what
     * is left.
     */
    readonly release: (what: EnvironmentHandle | Selector) => Effect.Effect<void, BackendError>
    /** Everything that carries our mark: for `ps`, the reaper, and the tests' "nothing left". */
    readonly list: (selector?: Selector) => Stream.Stream<OwnedResource, BackendError>
  }
>()("jobscope/domain/JobBackend") {}

/**
 * A call that the contract forbids: a mistake of the calling program, hence a defect.
 *
 * @category errors
 */
export class ProtocolViolation extends Data.TaggedError("ProtocolViolation")<{ readonly message: string }> {}

/**
 * Makes the full contract out of a driver.
 *
 * @category constructors
 */
export const fromDriver = (driver: BackendDriver): JobBackend["Service"] => {
  const release = (what: EnvironmentHandle | Selector): Effect.Effect<void, BackendError> => {
    if (what instanceof EnvironmentHandle && what.backend !== driver.name) return fail(foreign(driver, what))
    const selector: Selector = what instanceof EnvironmentHandle ? { environment: what.environment } : what
    return Effect.catch(Effect.asVoid(driver.destroy(selector)), (error) =>
      Effect.flatMap(releaseFailed(selector, error), fail)
    )
  }

  const releaseFailed = (selector: Selector, error: BackendError): Effect.Effect<ReleaseFailed> =>
    error.reason._tag === "ReleaseFailed"
      ? Effect.succeed(error.reason)
      : Effect.map(
          // A look at what is left must not itself hang or hide why the release failed.
          within(
            Effect.catchCause(Stream.runCollect(driver.list(selector)), () => Effect.succeed([])),
            lookAround,
            []
          ),
          (left) => {
            const environment = "environment" in selector ? selector.environment : (left[0]?.environment ?? "")
            return new ReleaseFailed({
              environment: environment === "" && "owner" in selector ? `of owner ${selector.owner}` : environment,
              left,
              detail: error.message,
              removal: driver.removalCommand(environment)
            })
          }
        )

  /** For finalizers: bounded, never fails, tells a failure as an event. */
  const releaseOrReport = (spec: JobSpec, environment: string): Effect.Effect<void> => {
    const { release: deadline } = spec.timeouts
    const overdue = new BackendError({
      reason: new TimedOut({ phase: "release", after: deadline, waitingFor: `the end of ${environment}` })
    })
    return Effect.flatMap(
      within(Effect.exit(release({ environment })), deadline, Exit.fail(overdue)),
      Exit.match({
        onSuccess: () => emit({ _tag: "EnvironmentReleased", job: spec.name, environment }),
        onFailure: (cause) =>
          Effect.flatMap(releaseFailed({ environment }, asBackendError(cause)), (reason) =>
            emit({ _tag: "Leaked", job: spec.name, environment, error: new BackendError({ reason }) })
          )
      })
    )
  }

  const provision = Effect.fnUntraced(function* (spec: JobSpec) {
    const lacking = missingFor(driver.name, driver.capabilities, spec)
    if (lacking !== undefined) return yield* fail(lacking)
    const environment = driver.nameOf?.(spec) ?? (yield* randomName(spec.name))
    const custody: Custody = { released: false, handedOver: false }
    return yield* Effect.uninterruptibleMask(
      Effect.fnUntraced(function* (restore) {
        // A scope of its own inside the caller's: a failed provision is undone at once, not when the caller's scope ends.
        const scope = yield* Scope.fork(yield* Effect.scope)
        yield* Scope.addFinalizer(
          scope,
          Effect.suspend(() => {
            custody.released = true
            return custody.handedOver
              ? emit({ _tag: "EnvironmentHandedOver", job: spec.name, environment })
              : releaseOrReport(spec, environment)
          })
        )
        const removal = driver.removalCommand(environment)
        yield* emit({ _tag: "EnvironmentRequested", job: spec.name, environment, removal })
        return yield* restore(driver.create(spec, environment)).pipe(
          Effect.flatMap((made) => guarded(driver, made, { environment, owner: spec.owner }, custody)),
          Scope.provide(scope),
          Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
        )
      })
    )
  })

  const adopt = Effect.fnUntraced(function* (handle: EnvironmentHandle) {
    if (handle.backend !== driver.name) return yield* fail(foreign(driver, handle))
    if (!driver.capabilities.handOver || driver.attach === undefined) return yield* fail(noHandOver(driver))
    const custody: Custody = { released: false, handedOver: true }
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        custody.released = true
      })
    )
    return yield* guarded(driver, yield* driver.attach(handle), handle, custody)
  })

  return {
    name: driver.name,
    capabilities: driver.capabilities,
    provision,
    adopt,
    release,
    list: driver.list
  }
}

interface Custody {
  /** The scope is closed: using the environment now is a mistake. */
  released: boolean
  handedOver: boolean
}

/** Adds to a driver's environment what all of them need: assertions, hand-over, and that a loss reaches every running step. */
const guarded = Effect.fnUntraced(function* (
  driver: BackendDriver,
  made: DriverEnvironment,
  identity: { readonly environment: string; readonly owner: string },
  custody: Custody
) {
  const lost = yield* Deferred.make<never, BackendError>()
  const ended = yield* Effect.forkScoped(
    Effect.tapCause(made.completion, (cause) =>
      Cause.hasInterruptsOnly(cause) ? Effect.void : Deferred.fail(lost, asBackendError(cause))
    ),
    { startImmediately: true, uninterruptible: false }
  )
  const unlessLost = <A, R>(effect: Effect.Effect<A, BackendError, R>) => Effect.raceFirst(effect, Deferred.await(lost))

  const start = (step: Step): Effect.Effect<RunningStep, BackendError, Scope.Scope> => {
    if (custody.released) {
      return Effect.die(
        new ProtocolViolation({ message: `start in ${identity.environment} after its scope was closed` })
      )
    }
    const lacking = missingForStep(driver.name, driver.capabilities, step)
    if (lacking !== undefined) return fail(lacking)
    if (Deferred.isDoneUnsafe(lost)) return Deferred.await(lost)
    return Effect.map(
      unlessLost(made.start(step)),
      (running): RunningStep => ({
        ...running,
        // Not `Stream.interruptWhen`: in effect 4.1.0 it hangs when a fiber yields while the stream ends.
        output: Stream.transformPull(running.output, (pull) =>
          Effect.succeed(Effect.raceFirst(pull, Deferred.await(lost)))
        ),
        exitCode: unlessLost(running.exitCode)
      })
    )
  }

  const environment: JobEnvironment = {
    name: identity.environment,
    facts: made.facts,
    start,
    completion: Fiber.join(ended),
    handOver: Effect.suspend(() => {
      if (!driver.capabilities.handOver) return fail(noHandOver(driver))
      const handle = new EnvironmentHandle({ version: 1, backend: driver.name, ...identity, data: made.data })
      if (custody.handedOver) return Effect.succeed(handle)
      if (custody.released) {
        return Effect.die(
          new ProtocolViolation({ message: `handOver of ${identity.environment} after its scope was closed` })
        )
      }
      return Effect.uninterruptible(
        Effect.map(made.handOver ?? Effect.void, () => {
          custody.handedOver = true
          return handle
        })
      )
    })
  }
  return environment
})

const lookAround = Duration.seconds(5)

const randomName = (job: string): Effect.Effect<string> =>
  Effect.map(Random.nextIntBetween(0, 0xffff_ffff), (id) => {
    const slug = job
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, "-")
      .replace(/^-+/, "")
      .slice(0, 40)
      .replace(/-+$/, "")
    return `${slug === "" ? "job" : slug}-${id.toString(16).padStart(8, "0")}`
  })

/** A driver's defect must not pass for a loss of the environment without a word. */
const asBackendError = (cause: Cause.Cause<BackendError>): BackendError => {
  const error = Cause.squash(cause)
  return error instanceof BackendError
    ? error
    : new BackendError({ reason: new BackendDefect({ detail: Cause.pretty(cause) }) })
}

const foreign = (driver: BackendDriver, handle: EnvironmentHandle) =>
  new HandleRejected({ detail: `it belongs to the ${handle.backend} backend, and this is the ${driver.name} backend` })

const noHandOver = (driver: BackendDriver) =>
  new Unsupported({
    backend: driver.name,
    feature: "hand-over of environments",
    hint: "Run all steps from the process that provisioned the environment."
  })
