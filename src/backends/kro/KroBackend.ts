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
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type BackendDriver, type DriverEnvironment, destroyEach } from "../../domain/BackendDriver.ts"
import { minimal } from "../../domain/Capabilities.ts"
import type { JobSpec } from "../../domain/Job.ts"
import { fromDriver, JobBackend } from "../../domain/JobBackend.ts"
import * as JobError from "../../domain/JobError.ts"
import { emit } from "../../domain/JobEvent.ts"
import { OwnedResource, type Selector } from "../../domain/OwnedResource.ts"
import { KubeClient } from "../kubernetes/KubeClient.ts"
import type { KubeError } from "../kubernetes/KubeError.ts"
import * as InstanceSpec from "./InstanceSpec.ts"
import { follow } from "./internal/following.ts"
import * as Graphs from "./internal/graph.ts"
import { obtain } from "./internal/obtaining.ts"
import { persist } from "./internal/persisting.ts"
import * as Releasing from "./internal/releasing.ts"
import { epochMillis } from "./internal/times.ts"
import * as World from "./internal/world.ts"
import * as KroCalls from "./KroCalls.ts"
import type { KroInstance, OwnerReference } from "./KroInstance.ts"
import * as KroNames from "./KroNames.ts"
import type { RunState } from "./KroRun.ts"

/** @category options */
export interface Options {
  /** Which RGD: by its name, or the only one with these labels. */
  readonly rgd: Graphs.RgdSelector
  /** Default: the client's. */
  readonly namespace?: string | undefined
  /** Fields of the instance's spec. The RGD has to declare them. */
  readonly values?: Readonly<Record<string, unknown>> | undefined
  /** Fields that are filled only where the RGD declares them, beside `runnerName`, `namespace`, `image` and `labels` of the job. */
  readonly offered?: Readonly<Record<string, unknown>> | undefined
  /** On every instance, beside the labels of the job. */
  readonly labels?: Readonly<Record<string, string>> | undefined
  readonly annotations?: Readonly<Record<string, string>> | undefined
  /** Who takes every instance along when it is deleted. Not for cluster-wide kinds, which nothing in a namespace can own. */
  readonly ownerReferences?: ReadonlyArray<OwnerReference> | undefined
  /** The environment's name, which is the instance's. Default: a random one. */
  readonly nameOf?: ((spec: JobSpec) => string) | undefined
  /** A fingerprint of what an instance uses up: a leftover of the same name with the same one is followed, not made again. */
  readonly once?: string | undefined
  /** Refuse RGDs that tell only by readiness that the work ended. Default false. */
  readonly strict?: boolean | undefined
  /** How long the work may stand before something that hardly heals, such as a wrong image. Default 1 minute. */
  readonly stuckAfter?: Duration.Input | undefined
  /** Is told every change of every instance. */
  readonly onChange?: ((environment: string, state: RunState) => Effect.Effect<void>) | undefined
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

/** An environment of this process. */
interface Run {
  readonly graph: Graphs.Graph
  readonly world: World.World
  readonly scope: Scope.Closeable
  readonly provision: string
  readonly spec: JobSpec
  creating?: Fiber.Fiber<KroInstance, KubeError>
  instance?: KroInstance
  state?: () => RunState
}

const makeDriver = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<BackendDriver, never, KubeClient | Scope.Scope> {
  const kube = yield* KubeClient
  const namespace = options.namespace ?? kube.namespace
  const graphs = Graphs.make(kube, options.rgd)
  const runs = new Map<string, Run>()
  // Not scopes forked from ours: those would close before environments in the same scope are released.
  yield* Effect.addFinalizer((exit) =>
    Effect.forEach(runs.values(), ({ scope }) => Scope.close(scope, exit), { discard: true })
  )
  /** The last one that was used: what is left over can still be named and removed when the RGD is gone. */
  let lastGraph: Graphs.Graph | undefined

  const removalCommand = (environment: string): string => {
    const kind = lastGraph === undefined ? kindByRgd(options.rgd) : resourceName(lastGraph)
    return `kubectl --namespace ${namespace} delete ${kind} ${environment}`
  }

  const create = Effect.fnUntraced(function* (
    spec: JobSpec,
    environment: string
  ): Effect.fn.Return<DriverEnvironment, JobError.BackendError, Scope.Scope> {
    const startedAt = yield* Clock.currentTimeMillis
    let waitingFor = ""
    const waiting = (phase: "provision" | "steps") => (reason: string) => {
      if (reason === waitingFor) return Effect.void
      waitingFor = reason
      return emit({ _tag: "Waiting", job: spec.name, phase, reason })
    }
    const provisioning = waiting("provision")
    const { provision, total } = spec.timeouts
    const inTime = <A, R>(effect: Effect.Effect<A, JobError.BackendError, R>) =>
      Effect.timeoutOrElse(effect, {
        duration: provision,
        orElse: () => JobError.fail(new JobError.TimedOut({ phase: "provision", after: provision, waitingFor }))
      })

    const id = yield* Effect.map(Random.nextIntBetween(0, Number.MAX_SAFE_INTEGER), (n) => n.toString(36))
    const prepared = yield* inTime(prepare(spec, environment, id, provisioning))
    const { graph, obtained, run, visible } = prepared
    if (obtained._tag === "Finished") {
      return workItself(environment, Effect.succeed(obtained.completion))
    }
    const { instance } = obtained
    yield* run.world.follow(instance)
    const following = yield* follow(
      run.world,
      {
        rgd: graph.rgd.metadata.name,
        instance: { name: environment, uid: instance.metadata.uid },
        ...(graph.work === undefined ? {} : { work: graph.work }),
        childrenVisible: visible,
        ...(graph.resultField === undefined ? {} : { resultField: graph.resultField }),
        strict: options.strict ?? false,
        startedAt,
        limits: {
          provision: Duration.toMillis(provision),
          total: Duration.toMillis(total),
          stuck: Duration.toMillis(Duration.fromInputUnsafe(options.stuckAfter ?? "1 minute")),
          settle: 5000
        }
      },
      Effect.fnUntraced(function* (state) {
        yield* waiting(state.phase === "provisioning" ? "provision" : "steps")(state.waitingFor)
        yield* options.onChange?.(environment, state) ?? Effect.void
      })
    )
    run.state = following.state
    yield* following.online
    return workItself(environment, following.completion)
  })

  /** Everything up to the instance. */
  const prepare = Effect.fnUntraced(function* (
    spec: JobSpec,
    environment: string,
    provision: string,
    waiting: (reason: string) => Effect.Effect<void>
  ) {
    if (!/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(environment)) {
      const detail = "KRO puts it into labels: at most 63 lower case letters, digits and hyphens"
      return yield* JobError.fail(new JobError.InvalidInput({ input: `the name ${environment}`, detail }))
    }
    const graph = yield* graphs.resolve(waiting)
    lastGraph = graph
    const filled = yield* fillSpec(graph, spec, environment)
    const own = yield* Scope.make()
    const world = yield* Scope.provide(World.make(kube, graph, environment, namespace), own)
    const run: Run = { graph, world, scope: own, provision, spec }
    runs.set(environment, run)
    const visible = yield* Effect.mapError(world.childrenKnown, (error) =>
      KroCalls.explain(error, Releasing.kindsOf(graph))
    )
    if (options.strict === true && !visible && graph.resultField === undefined) {
      const detail = `nothing but readiness would tell how the work ends: name the resource that is the work by its annotation ${KroNames.workNodeAnnotation}, or a status field by ${KroNames.resultFieldAnnotation}`
      return yield* invalidRgd(graph, detail)
    }
    const ownerReferences = graph.instances.namespaced ? (options.ownerReferences ?? []) : []
    const ownerUid = ownerReferences[0]?.uid
    const { once } = options
    const obtained = yield* obtain({
      kube,
      graphs,
      graph,
      world,
      namespace,
      claimant: {
        environment,
        owner: spec.owner,
        provision,
        ...(once === undefined ? {} : { once }),
        ...(ownerUid === undefined ? {} : { ownerUid })
      },
      manifest: {
        apiVersion: `${graph.kind.group}/${graph.kind.version}`,
        kind: graph.kind.kind,
        metadata: {
          name: environment,
          ...(graph.instances.namespaced ? { namespace } : {}),
          labels: { ...spec.labels, ...options.labels, [KroNames.environmentLabel]: environment },
          annotations: {
            ...options.annotations,
            [KroNames.ownerAnnotation]: spec.owner,
            [KroNames.provisionAnnotation]: provision,
            ...(once === undefined ? {} : { [KroNames.onceAnnotation]: once })
          },
          ownerReferences
        },
        spec: filled
      },
      ownerReferences,
      removal: removalCommand(environment),
      waiting,
      creating: (fiber) => {
        run.creating = fiber
      }
    })
    if (obtained._tag === "Instance") run.instance = obtained.instance
    return { graph, obtained, run, visible }
  })

  const fillSpec = Effect.fnUntraced(function* (graph: Graphs.Graph, spec: JobSpec, environment: string) {
    const image = spec.container?.image
    if (image !== undefined && !graph.fields.has("image")) {
      return yield* invalidRgd(graph, "its schema declares no field `image`, which the job's container needs")
    }
    const offered: Record<string, unknown> = {
      runnerName: environment,
      namespace,
      labels: spec.labels,
      ...(image === undefined ? {} : { image }),
      ...options.offered
    }
    const filled = InstanceSpec.fill(
      graph.fields,
      new Map(Object.entries(offered)),
      new Map(Object.entries(options.values ?? {}))
    )
    if (Result.isFailure(filled)) {
      const detail = filled.failure.map((problem) => `spec.${problem.field}: ${problem.detail}`).join("; ")
      return yield* JobError.fail(new JobError.InvalidInput({ input: `the instance of ${graph.kind.kind}`, detail }))
    }
    const templates = JSON.stringify(graph.rgd.spec.resources ?? [])
    for (const field of filled.success.open) {
      if (new RegExp(`\\bschema\\.spec\\.${field}\\b`).test(templates)) {
        const message = `Nothing fills spec.${field}, which the ResourceGraphDefinition ${graph.rgd.metadata.name} uses: without a default it may wait for it for ever`
        yield* emit({ _tag: "Warning", job: spec.name, message })
      }
    }
    return filled.success.spec
  })

  const destroyRun = Effect.fnUntraced(function* (environment: string, run: Run) {
    const { creating, graph, provision, spec, world } = run
    const release = Effect.gen(function* () {
      // What the server has been asked to make is made or not when this has ended.
      if (creating !== undefined) yield* Fiber.await(creating)
      const instance = run.instance ?? (creating === undefined ? undefined : yield* find(graph, environment))
      if (instance === undefined) return
      if (run.instance === undefined && instance.metadata.annotations?.[KroNames.provisionAnnotation] !== provision)
        return
      if (world.instance() === undefined && run.state === undefined) yield* world.follow(instance)
      yield* Releasing.release({
        kube,
        graphs,
        graph,
        world,
        instance,
        child: run.state?.().child?.uid,
        // Before the contract's own deadline, which could not tell what is in the way.
        within: Duration.millis(Duration.toMillis(spec.timeouts.release) * 0.95),
        removal: removalCommand(environment),
        waiting: (reason) => emit({ _tag: "Waiting", job: spec.name, phase: "release", reason })
      })
    })
    yield* Effect.ensuring(
      release,
      Effect.suspend(() => {
        runs.delete(environment)
        return Scope.close(run.scope, Exit.void)
      })
    )
  })

  /** Of an environment that this process does not know. */
  const destroyFound = (graph: Graphs.Graph, instance: KroInstance) =>
    Effect.scoped(
      Effect.gen(function* () {
        const { name } = instance.metadata
        const world = yield* World.make(kube, graph, name, namespace)
        yield* world.follow(instance)
        yield* Effect.mapError(world.childrenKnown, (error) => KroCalls.explain(error, Releasing.kindsOf(graph)))
        yield* Releasing.release({
          kube,
          graphs,
          graph,
          world,
          instance,
          child: undefined,
          within: Duration.days(1),
          removal: removalCommand(name),
          waiting: (reason) => Effect.logDebug(`Waiting for ${reason}`)
        })
      })
    )

  const find = (graph: Graphs.Graph, name: string) =>
    persist(kube.request({ verb: "get", resource: graph.instances, namespace, name })).pipe(
      Effect.catchReason("KubeError", "NotFound", () => Effect.undefined),
      Effect.mapError((error) => KroCalls.explain(error, Releasing.kindsOf(graph))),
      Effect.map((instance) => (instance !== undefined && isOurs(instance) ? instance : undefined))
    )

  /** For what exists: also an RGD that makes nothing new any more has a kind. */
  const known = Effect.gen(function* () {
    if (lastGraph !== undefined) return lastGraph
    lastGraph = yield* Effect.flatMap(graphs.find(), graphs.describe)
    return lastGraph
  })

  const instances = Effect.fnUntraced(function* (graph: Graphs.Graph, selector: Selector | undefined) {
    if (selector !== undefined && "environment" in selector) {
      const one = yield* find(graph, selector.environment)
      return one === undefined ? [] : [one]
    }
    const { items } = yield* Effect.mapError(
      kube.list({ resource: graph.instances, namespace, query: { labelSelector: KroNames.environmentLabel } }),
      (error) => KroCalls.explain(error, Releasing.kindsOf(graph))
    )
    return items.filter((instance) => selector === undefined || ownerOf(instance) === selector.owner)
  })

  const destroy = Effect.fnUntraced(function* (selector: Selector) {
    if ("environment" in selector) {
      const run = runs.get(selector.environment)
      if (run !== undefined) return yield* destroyRun(selector.environment, run)
    }
    const graph = yield* known
    if (graph === undefined) return
    yield* destroyEach(yield* instances(graph, selector), (instance) => {
      const run = runs.get(instance.metadata.name)
      return run === undefined ? destroyFound(graph, instance) : destroyRun(instance.metadata.name, run)
    })
  })

  const list = Effect.fnUntraced(function* (selector: Selector | undefined) {
    const graph = yield* known
    if (graph === undefined) return []
    return (yield* instances(graph, selector)).map(
      (instance) =>
        new OwnedResource({
          backend: "kro",
          kind: graph.kind.kind,
          name: instance.metadata.name,
          environment: instance.metadata.name,
          owner: ownerOf(instance),
          // An owner reference takes it along when its owner is gone; without one nobody can tell.
          custody: runs.has(instance.metadata.name) ? "held" : "unknown",
          createdAt: epochMillis(instance.metadata.creationTimestamp ?? "") || 0
        })
    )
  })

  return {
    name: "kro",
    // Whether the RGD takes the image of a container is known only when it is resolved.
    capabilities: { ...minimal, containerJobs: true, runToCompletion: true },
    ...(options.nameOf === undefined ? {} : { nameOf: options.nameOf }),
    create,
    destroy,
    list: (selector) => Stream.fromIterableEffect(list(selector)),
    removalCommand
  }
})

/** An environment that is the work itself. */
const workItself = (name: string, completion: DriverEnvironment["completion"]): DriverEnvironment => ({
  facts: { os: "unknown", arch: "unknown", libc: "unknown", workspace: "/", services: [] },
  data: { name },
  start: () =>
    JobError.fail(
      new JobError.Unsupported({
        backend: "kro",
        feature: "steps in an instance that is the work itself",
        hint: "Await `completion`, or use a backend that runs steps."
      })
    ),
  completion
})

const isOurs = ({ metadata: { labels = {}, name } }: KroInstance) =>
  labels[KroNames.environmentLabel] === name || labels[KroNames.runnerNameLabel] === name

const ownerOf = ({ metadata }: KroInstance) => metadata.annotations?.[KroNames.ownerAnnotation] ?? ""

const resourceName = ({ instances: { group, plural } }: Graphs.Graph) => `${plural}.${group}`

/** For a shell: the kind, asked from the RGD. */
const kindByRgd = (selector: Graphs.RgdSelector): string => {
  const [which, path] =
    "name" in selector
      ? [selector.name, ".spec.schema.kind"]
      : [
          `--selector ${Object.entries(selector.labels)
            .map(([key, value]) => `${key}=${value}`)
            .join(",")}`,
          ".items[*].spec.schema.kind"
        ]
  return `"$(kubectl get resourcegraphdefinitions.kro.run ${which} --output jsonpath={${path}})"`
}

const invalidRgd = (graph: Graphs.Graph, detail: string) =>
  JobError.fail(new JobError.InvalidInput({ input: `the ResourceGraphDefinition ${graph.rgd.metadata.name}`, detail }))
