import { assert, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { JobSpec, Retry, Timeouts } from "../../domain/Job.ts"
import { JobBackend } from "../../domain/JobBackend.ts"
import type { JobEnvironment } from "../../domain/JobEnvironment.ts"
import type { BackendError } from "../../domain/JobError.ts"
import type { Step } from "../../domain/Step.ts"

/** What a test says of a job. */
export type JobFields = Partial<ConstructorParameters<typeof JobSpec>[0]>

/** What the suite has to know beyond `JobBackend.capabilities`. */
export interface ContractCapabilities<R = never, E = never> {
  /** Steps are real processes; false only for backends that play them. Default true. */
  readonly processes?: boolean
  /** What changed its session is found too when a step is stopped; false for backends that know only process groups. Default true. */
  readonly sessions?: boolean
  /** The backend as another process has it, in the same world; needed for the tests of hand-over. */
  readonly secondProcess?: Layer.Layer<JobBackend, E, R>
  /** What every job of the suite needs on this backend, such as a container. */
  readonly job?: JobFields
  /** A job whose provision fails after something of it exists. */
  readonly brokenJob?: JobFields
  /** At how many points of a program interruptions are tried; at all of them, if there are fewer. Default 60. */
  readonly interruptions?: number
  /** Lines of the large-output tests. Default 100,000. */
  readonly lines?: number
  /** Tests run at the same time, each in a world of its own: for backends that mostly wait. Default false. */
  readonly concurrent?: boolean
}

/** What a test of the suite gets. */
export interface Setting {
  readonly backend: JobBackend["Service"]
  /** Of this test alone. */
  readonly owner: string
  readonly spec: (fields?: JobFields) => JobSpec
  /** What there is of this owner, in words. */
  readonly resources: Effect.Effect<ReadonlyArray<string>, BackendError>
}

/** Registers one promise: the body, and that nothing of its owner is left after it. */
export type Registrar<R> = <E>(
  title: string,
  body: (setting: Setting) => Effect.Effect<unknown, E, JobBackend | R>,
  options?: {
    readonly skip?: boolean | undefined
    readonly timeout?: number
    /** It measures this process, in which nothing else may run meanwhile. */
    readonly alone?: boolean
  }
) => void

/** Short, so that a promise that does not hold shows soon. */
const timeouts = new Timeouts({
  provision: Duration.seconds(60),
  stopGrace: Duration.millis(300),
  release: Duration.seconds(20),
  total: Duration.minutes(2)
})

export const promiseOn =
  <R, E>(layer: Layer.Layer<JobBackend | R, E>, capabilities: ContractCapabilities<R, E>): Registrar<R> =>
  (title, body, { alone = false, skip = false, timeout = 60_000 } = {}) =>
    it.live.skipIf(skip)(
      title,
      () =>
        Effect.gen(function* () {
          const backend = yield* JobBackend
          const owner = `contract-${(yield* Random.nextIntBetween(0, 0xffff_ffff)).toString(36)}`
          const resources = Effect.map(Stream.runCollect(backend.list({ owner })), (found) =>
            found.map(({ custody, kind, name }) => `${kind} ${name} (${custody})`)
          )
          const spec = (fields: JobFields = {}) =>
            new JobSpec({
              name: "contract",
              owner,
              timeouts,
              retry: new Retry({ attempts: 1 }),
              ...capabilities.job,
              ...fields
            })
          yield* Effect.andThen(
            Effect.orDie(body({ backend, owner, spec, resources })),
            Effect.map(resources, (left) => assert.deepStrictEqual(left, [], "something is left"))
          ).pipe(Effect.ensuring(Effect.ignore(backend.release({ owner }))))
        }).pipe(Effect.provide(layer)),
      { timeout, concurrent: capabilities.concurrent === true && !alone }
    )

/** What a step came to. */
export interface Ended {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
  readonly files: ReadonlyMap<string, string>
}

/** Runs a step to its end; text is decoded only when all of it is there. */
export const runToEnd = (environment: JobEnvironment, step: Step): Effect.Effect<Ended, BackendError> =>
  Effect.scopedWith((scope) =>
    Effect.gen(function* () {
      const running = yield* Scope.provide(environment.start(step), scope)
      const chunks = yield* Stream.runCollect(running.output)
      const text = (stream: "stdout" | "stderr") =>
        Buffer.concat(chunks.filter((chunk) => chunk.stream === stream).map(({ bytes }) => bytes)).toString()
      return {
        exitCode: yield* running.exitCode,
        stdout: text("stdout"),
        stderr: text("stderr"),
        files: yield* running.files
      }
    })
  )

/** Provisions for the body alone. */
export const within = <A, E, R>(
  { backend, spec }: Setting,
  body: (environment: JobEnvironment) => Effect.Effect<A, E, R>,
  fields?: JobFields
): Effect.Effect<A, E | BackendError, R> =>
  Effect.scopedWith((scope) => Effect.flatMap(Scope.provide(backend.provision(spec(fields)), scope), body))

/** The reason's tag of the error that an effect must fail with. */
export const reasonOf = <A, R>(effect: Effect.Effect<A, BackendError, R>): Effect.Effect<string, A, R> =>
  Effect.map(Effect.flip(effect), (error) => error.reason._tag)
