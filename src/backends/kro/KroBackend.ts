/**
 * The KRO backend: every job gets an instance of a ResourceGraphDefinition (RGD) that the platform team wrote, whatever that makes: a pod, a
 * pod with its database, a virtual machine, a cloud machine.
 *
 * **Details**
 *
 * The instance is the work itself, and `completion` tells how it ended. The result comes from, in this order: the status field that the RGD
 * names (annotation `jobscope.dev/result-field`, or `exitCode`), the end of the resource that is the work (annotation
 * `jobscope.dev/work-node`, or a pod `runnerPod`), and only where there is neither, the instance's readiness.
 *
 * @example
 *
 * ```ts
 * const program = Effect.gen(function* () {
 *   const backend = yield* JobBackend.JobBackend
 *   const environment = yield* backend.provision(new JobSpec({ name: "nightly" }))
 *   return yield* environment.completion
 * }).pipe(Effect.scoped, Effect.provide(KroBackend.layer({ rgd: { name: "nightly-load" } })), Effect.provide(KubeClient.layer()))
 * ```
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { BackendDriver, DriverEnvironment } from "../../domain/BackendDriver.ts"
import { minimal } from "../../domain/Capabilities.ts"
import type { EnvironmentHandle } from "../../domain/EnvironmentHandle.ts"
import type { JobSpec } from "../../domain/Job.ts"
import { fromDriver, JobBackend } from "../../domain/JobBackend.ts"
import * as JobError from "../../domain/JobError.ts"
import type { KubeClient } from "../kubernetes/KubeClient.ts"
import * as Instances from "./internal/instances.ts"
import type { Options } from "./KroOptions.ts"

/** @category constructors */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<JobBackend["Service"], never, KubeClient | Scope.Scope> {
  return fromDriver(yield* makeDriver(options))
})

/** @category layers */
export const layer = (options: Options): Layer.Layer<JobBackend, never, KubeClient> =>
  Layer.effect(JobBackend, make(options))

/** The driver's part of a handle. */
const HandleData = Schema.Struct({ uid: Schema.String })

const makeDriver = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<BackendDriver, never, KubeClient | Scope.Scope> {
  const instances = yield* Instances.make(options, { hosted: false })

  const create = Effect.fnUntraced(function* (
    spec: JobSpec,
    environment: string
  ): Effect.fn.Return<DriverEnvironment, JobError.BackendError, Scope.Scope> {
    const startedAt = yield* Clock.currentTimeMillis
    const { obtained, run } = yield* instances.obtain(spec, environment)
    if (obtained._tag === "Finished") return workItself("", Effect.succeed(obtained.completion))
    const following = yield* instances.follow(run, obtained.instance, startedAt)
    yield* following.online
    return workItself(obtained.instance.metadata.uid, following.completion)
  })

  const attach = Effect.fnUntraced(function* ({
    data,
    environment,
    owner
  }: EnvironmentHandle): Effect.fn.Return<DriverEnvironment, JobError.BackendError, Scope.Scope> {
    const { uid } = yield* Effect.catchTag(Schema.decodeUnknownEffect(HandleData)(data), "SchemaError", (error) =>
      JobError.fail(new JobError.HandleRejected({ detail: error.message }))
    )
    const { instance, run } = yield* instances.reopen(environment, owner, uid)
    const following = yield* instances.follow(run, instance, yield* Clock.currentTimeMillis)
    yield* following.online
    return workItself(uid, following.completion)
  })

  return {
    name: "kro",
    // Whether the RGD takes the image of a container is known only when it is resolved.
    capabilities: { ...minimal, containerJobs: true, handOver: true, runToCompletion: true },
    ...(options.nameOf === undefined ? {} : { nameOf: options.nameOf }),
    create,
    attach,
    destroy: instances.destroy,
    list: (selector) => Stream.fromIterableEffect(instances.list(selector)),
    removalCommand: instances.removalCommand
  }
})

/** An environment that is the work itself. */
const workItself = (uid: string, completion: DriverEnvironment["completion"]): DriverEnvironment => ({
  facts: { os: "unknown", arch: "unknown", libc: "unknown", workspace: "/", services: [] },
  data: { uid },
  start: () =>
    JobError.fail(
      new JobError.Unsupported({
        backend: "kro",
        feature: "steps in an instance that is the work itself",
        hint: "Await `completion`, or use the KRO backend for steps (KroHosted)."
      })
    ),
  completion
})
