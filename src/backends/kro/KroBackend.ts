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
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type BackendDriver, type DriverEnvironment, destroyEach } from "../../domain/BackendDriver.ts"
import { minimal } from "../../domain/Capabilities.ts"
import type { EnvironmentHandle } from "../../domain/EnvironmentHandle.ts"
import { JobSpec } from "../../domain/Job.ts"
import { fromDriver, JobBackend } from "../../domain/JobBackend.ts"
import * as JobError from "../../domain/JobError.ts"
import { emit } from "../../domain/JobEvent.ts"
import { OwnedResource, type Selector } from "../../domain/OwnedResource.ts"
import { KubeClient } from "../kubernetes/KubeClient.ts"
import type { KubeError } from "../kubernetes/KubeError.ts"
import { follow } from "./internal/following.ts"
import { persist } from "./internal/persisting.ts"
import * as Provisioning from "./internal/provisioning.ts"
import * as Releasing from "./internal/releasing.ts"
import { epochMillis } from "./internal/times.ts"
import * as KroCalls from "./KroCalls.ts"
import * as KroGraph from "./KroGraph.ts"
import type { KroInstance } from "./KroInstance.ts"
import * as KroNames from "./KroNames.ts"
import type { Options, RgdSelector } from "./KroOptions.ts"

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
  const kube = yield* KubeClient
  const namespace = options.namespace ?? kube.namespace
  const graphs = KroGraph.make(kube, options.rgd)
  const runs = new Map<string, Provisioning.Run>()
  // Not scopes forked from ours: those would close before environments in the same scope are released.
  yield* Effect.addFinalizer((exit) =>
    Effect.forEach(runs.values(), ({ scope }) => Scope.close(scope, exit), { discard: true })
  )
  /** The last one that was used: what is left over can still be named and removed when the RGD is gone. */
  let lastGraph: KroGraph.Graph | undefined

  const removalCommand = (environment: string): string => {
    const kind =
      lastGraph === undefined ? kindByRgd(options.rgd) : `${lastGraph.instances.plural}.${lastGraph.instances.group}`
    return `kubectl --namespace ${namespace} delete ${kind} ${environment}`
  }
  const setting: Provisioning.Setting = { kube, graphs, namespace, options, removalCommand }
  const explained = (graph: KroGraph.Graph) =>
    Effect.mapError((error: KubeError) => KroCalls.explain(error, Releasing.kindsOf(graph)))

  // ---- making and following

  const create = Effect.fnUntraced(function* (
    spec: JobSpec,
    environment: string
  ): Effect.fn.Return<DriverEnvironment, JobError.BackendError, Scope.Scope> {
    const startedAt = yield* Clock.currentTimeMillis
    const id = yield* Effect.map(Random.nextIntBetween(0, Number.MAX_SAFE_INTEGER), (n) => n.toString(36))
    const { provision } = spec.timeouts
    let waitingFor = "Kubernetes"
    const { obtained, run } = yield* Provisioning.provision(
      setting,
      spec,
      environment,
      id,
      (reason) => {
        if (reason === waitingFor) return Effect.void
        waitingFor = reason
        return emit({ _tag: "Waiting", job: spec.name, phase: "provision", reason })
      },
      (run) => {
        runs.set(environment, run)
        lastGraph = run.graph
      }
    ).pipe(
      Effect.timeoutOrElse({
        duration: provision,
        orElse: () => JobError.fail(new JobError.TimedOut({ phase: "provision", after: provision, waitingFor }))
      })
    )
    return obtained._tag === "Finished"
      ? workItself("", Effect.succeed(obtained.completion))
      : yield* followed(run, obtained.instance, startedAt)
  })

  const attach = Effect.fnUntraced(function* ({
    data,
    environment,
    owner
  }: EnvironmentHandle): Effect.fn.Return<DriverEnvironment, JobError.BackendError, Scope.Scope> {
    const { uid } = yield* Effect.catchTag(Schema.decodeUnknownEffect(HandleData)(data), "SchemaError", (error) =>
      JobError.fail(new JobError.HandleRejected({ detail: error.message }))
    )
    const graph = yield* known
    const instance = graph === undefined ? undefined : yield* find(graph, environment)
    if (graph === undefined || instance === undefined || instance.metadata.uid !== uid) {
      const detail = `there is no instance ${environment} with the UID ${uid} any more`
      return yield* JobError.fail(new JobError.EnvironmentLost({ cause: "Deleted", detail }))
    }
    const id = instance.metadata.annotations?.[KroNames.provisionAnnotation] ?? ""
    const spec = new JobSpec({ name: environment, owner })
    const run = yield* Provisioning.open(setting, graph, { environment, id, spec })
    yield* Effect.addFinalizer((exit) => Scope.close(run.scope, exit))
    yield* Provisioning.look(setting, run)
    return yield* followed(run, instance, yield* Clock.currentTimeMillis)
  })

  const followed = Effect.fnUntraced(function* (run: Provisioning.Run, instance: KroInstance, startedAt: number) {
    const { graph, spec, world } = run
    let waitingFor = ""
    yield* world.follow(instance)
    const following = yield* follow(
      world,
      {
        rgd: graph.rgd.metadata.name,
        instance: { name: world.name, uid: instance.metadata.uid },
        ...(graph.work === undefined ? {} : { work: graph.work }),
        childrenVisible: run.visible,
        ...(graph.resultField === undefined ? {} : { resultField: graph.resultField }),
        strict: options.strict ?? false,
        startedAt,
        limits: {
          provision: Duration.toMillis(spec.timeouts.provision),
          total: Duration.toMillis(spec.timeouts.total),
          stuck: Duration.toMillis(Duration.fromInputUnsafe(options.stuckAfter ?? "1 minute")),
          settle: 5000
        }
      },
      Effect.fnUntraced(function* (state) {
        yield* options.onChange?.(world.name, state) ?? Effect.void
        if (state.phase !== "ended" && state.waitingFor !== waitingFor) {
          waitingFor = state.waitingFor
          const phase = state.phase === "provisioning" ? "provision" : "steps"
          yield* emit({ _tag: "Waiting", job: spec.name, phase, reason: waitingFor })
        }
      })
    )
    run.state = following.state
    yield* following.online
    return workItself(instance.metadata.uid, following.completion)
  })

  // ---- finding

  /** For what exists: also an RGD that makes nothing new any more has a kind. */
  const known = Effect.gen(function* () {
    lastGraph ??= yield* Effect.flatMap(graphs.find, graphs.describe)
    return lastGraph
  })

  const find = (graph: KroGraph.Graph, name: string) =>
    persist(kube.request({ verb: "get", resource: graph.instances, namespace, name })).pipe(
      Effect.catchReason("KubeError", "NotFound", () => Effect.undefined),
      explained(graph),
      Effect.map((instance) => (instance !== undefined && isOurs(instance) ? instance : undefined))
    )

  const instances = Effect.fnUntraced(function* (graph: KroGraph.Graph, selector: Selector | undefined) {
    if (selector !== undefined && "environment" in selector) {
      const one = yield* find(graph, selector.environment)
      return one === undefined ? [] : [one]
    }
    const query = { labelSelector: KroNames.environmentLabel }
    const { items } = yield* explained(graph)(kube.list({ resource: graph.instances, namespace, query }))
    return items.filter((instance) => selector === undefined || ownerOf(instance) === selector.owner)
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

  // ---- releasing

  const destroyRun = Effect.fnUntraced(function* (environment: string, run: Provisioning.Run) {
    const { creating, graph, spec, world } = run
    const release = Effect.gen(function* () {
      // What the server has been asked to make is made or not when this has ended.
      if (creating !== undefined) yield* Fiber.await(creating)
      const found = run.instance ?? (creating === undefined ? undefined : yield* find(graph, environment))
      if (found === undefined) return
      if (run.instance === undefined && found.metadata.annotations?.[KroNames.provisionAnnotation] !== run.id) return
      if (world.instance() === undefined && run.state === undefined) yield* world.follow(found)
      yield* Releasing.release({
        kube,
        graphs,
        graph,
        world,
        instance: found,
        child: run.state?.().child?.uid,
        // Before the contract's own deadline, which could not tell what is in the way.
        within: Duration.millis(Duration.toMillis(spec.timeouts.release) * 0.9),
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
  const destroyFound = (graph: KroGraph.Graph, instance: KroInstance) =>
    Effect.scoped(
      Effect.gen(function* () {
        const { name } = instance.metadata
        const spec = new JobSpec({ name })
        const run = yield* Provisioning.open(setting, graph, { environment: name, id: "", spec })
        yield* Effect.addFinalizer((exit) => Scope.close(run.scope, exit))
        yield* explained(graph)(run.world.childrenKnown)
        yield* run.world.follow(instance)
        yield* Releasing.release({
          kube,
          graphs,
          graph,
          world: run.world,
          instance,
          child: undefined,
          within: Duration.days(1),
          removal: removalCommand(name),
          waiting: (reason) => Effect.logDebug(`Waiting for ${reason}`)
        })
      })
    )

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

  return {
    name: "kro",
    // Whether the RGD takes the image of a container is known only when it is resolved.
    capabilities: { ...minimal, containerJobs: true, handOver: true, runToCompletion: true },
    ...(options.nameOf === undefined ? {} : { nameOf: options.nameOf }),
    create,
    attach,
    destroy,
    list: (selector) => Stream.fromIterableEffect(list(selector)),
    removalCommand
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
        hint: "Await `completion`, or use a backend that runs steps."
      })
    ),
  completion
})

const isOurs = ({ metadata: { labels = {}, name } }: KroInstance) =>
  labels[KroNames.environmentLabel] === name || labels[KroNames.runnerNameLabel] === name

const ownerOf = ({ metadata }: KroInstance) => metadata.annotations?.[KroNames.ownerAnnotation] ?? ""

/** For a shell: the kind, asked from the RGD. */
const kindByRgd = (selector: RgdSelector): string => {
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
