/**
 * The KRO backend for steps: every job gets an instance of a ResourceGraphDefinition (RGD) that the platform team wrote, a pod with whatever the
 * job needs beside it, and its steps run in that pod exactly as in the pods of the pod backend.
 *
 * **Details**
 *
 * - Steps run in the pod that the RGD's annotation `jobscope.dev/work-node` names, else `runnerPod` or `runner`, else its only pod; in the container
 *   that `jobscope.dev/work-container` names, else `runner`, else the first; in the directory that `jobscope.dev/workspace` names, else `/workspace`.
 * - It is ready when that container runs and KRO says that the whole instance is ready.
 * - The template makes the pod: what a job asks of it, an image, resources, is filled into the instance's spec where the RGD declares it, and
 *   refused where not, before anything is made.
 * - An instance or a pod that somebody else deletes, a pod that KRO makes again, a container that starts again: each is a loss.
 *
 * @example
 *
 * ```ts
 * const backend = KroHosted.layer({ rgd: { name: "job-environment" } }).pipe(Layer.provide(KubeClient.layer()))
 * ```
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { BackendDriver, DriverEnvironment } from "../../domain/BackendDriver.ts"
import type { EnvironmentHandle } from "../../domain/EnvironmentHandle.ts"
import type { JobSpec } from "../../domain/Job.ts"
import { fromDriver, JobBackend } from "../../domain/JobBackend.ts"
import * as JobError from "../../domain/JobError.ts"
import { emit } from "../../domain/JobEvent.ts"
import { OwnedResource, type Selector } from "../../domain/OwnedResource.ts"
import type { KubeClient } from "../kubernetes/KubeClient.ts"
import * as HostedPods from "../pod/HostedPods.ts"
import type { PodManifest, Options as PodOptions } from "../pod/PodOptions.ts"
import type { Child } from "./ChildView.ts"
import * as Instances from "./internal/instances.ts"
import { workContainer } from "./internal/podView.ts"
import type { Graph } from "./KroGraph.ts"
import * as KroNames from "./KroNames.ts"
import type { Options as KroOptions } from "./KroOptions.ts"

/** @category options */
export interface Options extends Omit<KroOptions, "once" | "strict"> {
  /**
   * How files get into the pod, how container steps beside it are made, how closely a loss is watched for: as for the pod backend. With a claim
   * (`sharing`) the RGD's template has to mount it.
   */
  readonly pod?: Omit<PodOptions, "namespace" | "nameOf" | "transport" | "initContainers"> | undefined
}

/** @category constructors */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<JobBackend["Service"], never, KubeClient | Scope.Scope> {
  return fromDriver(yield* makeDriver(options))
})

/** @category layers */
export const layer = (options: Options): Layer.Layer<JobBackend, never, KubeClient> =>
  Layer.effect(JobBackend, make(options))

/** The driver's part of a handle: the instance's UID and its pod's, and what the pod's part of the backend needs. */
const HandleData = Schema.Struct({ instance: Schema.String, child: Schema.String, pod: Schema.Json })

/** Where steps work, if neither the job nor the RGD says. */
const defaultWorkspace = "/workspace"

const makeDriver = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<BackendDriver, never, KubeClient | Scope.Scope> {
  const custody = options.pod?.custody ?? "held"
  const instances = yield* Instances.make(
    { ...options, annotations: { ...options.annotations, [KroNames.custodyAnnotation]: custody } },
    { hosted: true, refuse: refusalOf }
  )
  const pods = yield* HostedPods.make("kro", { ...options.pod, namespace: instances.namespace })

  const create = Effect.fnUntraced(function* (
    spec: JobSpec,
    environment: string
  ): Effect.fn.Return<DriverEnvironment, JobError.BackendError, Scope.Scope> {
    const startedAt = yield* Clock.currentTimeMillis
    const { obtained, run } = yield* instances.obtain(spec, environment)
    if (obtained._tag === "Finished") {
      return yield* JobError.fail(new JobError.Conflict({ resource: environment, detail: obtained.detail }))
    }
    const following = yield* instances.follow(run, obtained.instance, startedAt)
    yield* following.online
    const lost = Effect.andThen(following.completion, Effect.never)
    const child = run.world.children.get(following.state().child?.uid ?? "")
    // It was there when it went online; what has happened since is the loss that is about to be told.
    if (child === undefined) return yield* lost
    const told = (reason: string) => emit({ _tag: "Waiting", job: spec.name, phase: "provision", reason })
    const opened = yield* Effect.raceFirst(pods.open(spec, environment, hostedPod(run.graph, child), told), lost)
    return {
      facts: opened.facts,
      start: opened.start,
      data: HandleData.make({
        instance: obtained.instance.metadata.uid,
        child: child.metadata.uid,
        pod: opened.data
      }),
      completion: following.completion,
      handOver: custody === "handed-over" ? Effect.void : instances.markHandedOver(run)
    }
  })

  const attach = Effect.fnUntraced(function* ({
    data,
    environment,
    owner
  }: EnvironmentHandle): Effect.fn.Return<DriverEnvironment, JobError.BackendError, Scope.Scope> {
    const handle = yield* Effect.catchTag(Schema.decodeUnknownEffect(HandleData)(data), "SchemaError", (error) =>
      JobError.fail(new JobError.HandleRejected({ detail: error.message }))
    )
    const opened = yield* pods.attach({ environment, owner, data: handle.pod })
    // Always: KRO makes a pod again that vanishes, under the same name, and steps would run in that one.
    const lost = yield* opened.lost
    if (lost !== undefined) return yield* lost
    const attached = { facts: opened.facts, start: opened.start, data }
    if (options.pod?.vigilance === "on-demand") return { ...attached, completion: Effect.never }
    const { instance, run } = yield* instances.reopen(environment, owner, handle.instance)
    const following = yield* instances.follow(run, instance, yield* Clock.currentTimeMillis, handle.child)
    return { ...attached, completion: following.completion, handOver: instances.markHandedOver(run) }
  })

  /** What one of the two cannot remove does not keep the other from it. */
  const destroy = (selector: Selector) =>
    Effect.flatMap(
      Effect.all([Effect.exit(instances.destroy(selector)), Effect.exit(pods.destroy(selector))], { concurrency: 2 }),
      (exits) => Exit.asVoidAll(exits)
    )

  return {
    name: "kro",
    capabilities: pods.capabilities,
    ...(options.nameOf === undefined ? {} : { nameOf: options.nameOf }),
    create,
    attach,
    destroy,
    list: (selector) =>
      Stream.concat(
        Stream.fromIterableEffect(instances.list(selector)),
        Stream.map(pods.list(selector), (resource) => new OwnedResource({ ...resource, backend: "kro" }))
      ),
    removalCommand: instances.removalCommand
  }
})

const hostedPod = ({ rgd, work }: Graph, child: Child): HostedPods.HostedPod => ({
  // The API's own promise for this kind, which `refusalOf` has looked at.
  pod: child as PodManifest,
  container: workContainer(child, work?.container) ?? "",
  workspace: rgd.metadata.annotations?.[KroNames.workspaceAnnotation] ?? defaultWorkspace
})

/** Why steps cannot run in instances of this RGD, or not those of this job. */
const refusalOf = ({ fields, rgd, work }: Graph, spec: JobSpec): JobError.Reason | undefined => {
  const input = `the ResourceGraphDefinition ${rgd.metadata.name}`
  if (work === undefined || work.kind.group !== "" || work.kind.kind !== "Pod") {
    const why =
      work === undefined
        ? "nothing tells which of its resources is the pod that steps run in"
        : `its resource ${work.node} is a ${work.kind.kind}, and steps need a pod`
    const detail = `${why}: name one by the annotation ${KroNames.workNodeAnnotation}`
    return new JobError.InvalidInput({ input, detail })
  }
  const refused = HostedPods.refusalOf("kro", spec)
  if (refused !== undefined) return refused
  for (const [field, amounts] of Object.entries(spec.container?.resources ?? {})) {
    if (Object.keys(amounts).length === 0 || fields.has(field)) continue
    return new JobError.Unsupported({
      backend: "kro",
      feature: `${field} of resources for the job's container with ${input}`,
      hint: `Leave them out of the job, or declare a field \`${field}\` (map[string]string) in the schema, and use it in the template.`
    })
  }
  return undefined
}
