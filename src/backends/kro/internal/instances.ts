/** Instances of one RGD: made, followed, found, removed. What they are for is the business of the backends above. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import { destroyEach } from "../../../domain/BackendDriver.ts"
import { JobSpec } from "../../../domain/Job.ts"
import * as JobError from "../../../domain/JobError.ts"
import { emit } from "../../../domain/JobEvent.ts"
import { type Custody, OwnedResource, type Selector } from "../../../domain/OwnedResource.ts"
import { KubeClient } from "../../kubernetes/KubeClient.ts"
import type { KubeError } from "../../kubernetes/KubeError.ts"
import * as KroCalls from "../KroCalls.ts"
import * as KroGraph from "../KroGraph.ts"
import type { KroInstance } from "../KroInstance.ts"
import * as KroNames from "../KroNames.ts"
import type { Options, RgdSelector } from "../KroOptions.ts"
import { type Following, follow as followWorld } from "./following.ts"
import type { Obtained } from "./obtaining.ts"
import { persist } from "./persisting.ts"
import * as Provisioning from "./provisioning.ts"
import * as Releasing from "./releasing.ts"
import { epochMillis } from "./times.ts"

export interface Instances {
  readonly kube: KubeClient["Service"]
  readonly namespace: string
  /** Makes one, within the job's time to provision. */
  readonly obtain: (
    spec: JobSpec,
    environment: string
  ) => Effect.Effect<{ readonly run: Provisioning.Run; readonly obtained: Obtained }, JobError.BackendError>
  /** Follows it as long as the scope is open. `expected`: the UID of its work, where that is known. */
  readonly follow: (
    run: Provisioning.Run,
    instance: KroInstance,
    startedAt: number,
    expected?: string
  ) => Effect.Effect<Following, never, Scope.Scope>
  /** One that another process has made. */
  readonly reopen: (
    environment: string,
    owner: string,
    uid: string
  ) => Effect.Effect<
    { readonly run: Provisioning.Run; readonly instance: KroInstance },
    JobError.BackendError,
    Scope.Scope
  >
  readonly markHandedOver: (run: Provisioning.Run) => Effect.Effect<void, JobError.BackendError>
  readonly destroy: (selector: Selector) => Effect.Effect<void, JobError.BackendError>
  readonly list: (selector: Selector | undefined) => Effect.Effect<ReadonlyArray<OwnedResource>, JobError.BackendError>
  readonly removalCommand: (environment: string) => string
}

export const make = Effect.fnUntraced(function* (
  options: Options,
  use: Provisioning.Use
): Effect.fn.Return<Instances, never, KubeClient | Scope.Scope> {
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
  const setting: Provisioning.Setting = { kube, graphs, namespace, options, removalCommand, use }
  const explained = (graph: KroGraph.Graph) =>
    Effect.mapError((error: KubeError) => KroCalls.explain(error, Releasing.kindsOf(graph)))

  // ---- making and following

  const obtain: Instances["obtain"] = Effect.fnUntraced(function* (spec, environment) {
    const id = yield* Effect.map(Random.nextIntBetween(0, Number.MAX_SAFE_INTEGER), (n) => n.toString(36))
    const { provision } = spec.timeouts
    let waitingFor = "Kubernetes"
    return yield* Provisioning.provision(
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
  })

  const follow: Instances["follow"] = Effect.fnUntraced(function* (run, instance, startedAt, expected) {
    const { graph, spec, world } = run
    let waitingFor = ""
    yield* world.follow(instance)
    const following = yield* followWorld(
      world,
      {
        rgd: graph.rgd.metadata.name,
        instance: { name: world.name, uid: instance.metadata.uid },
        ...(graph.work === undefined ? {} : { work: graph.work }),
        childrenVisible: run.visible,
        ...(graph.resultField === undefined ? {} : { resultField: graph.resultField }),
        strict: options.strict ?? false,
        hosted: use.hosted,
        ...(expected === undefined ? {} : { expected }),
        startedAt,
        limits: {
          // What was handed over has been ready once.
          provision: expected === undefined ? Duration.toMillis(spec.timeouts.provision) : Number.POSITIVE_INFINITY,
          // Whoever runs steps in it counts for itself, and may be another process.
          total: use.hosted ? Number.POSITIVE_INFINITY : Duration.toMillis(spec.timeouts.total),
          stuck: Duration.toMillis(Duration.fromInputUnsafe(options.stuckAfter ?? "1 minute")),
          settle: 5000
        }
      },
      Effect.fnUntraced(function* (state) {
        yield* options.onChange?.(world.name, state) ?? Effect.void
        if (state.phase === "ended" || expected !== undefined || (use.hosted && state.phase === "online")) return
        if (state.waitingFor !== waitingFor) {
          waitingFor = state.waitingFor
          const phase = state.phase === "provisioning" ? "provision" : "steps"
          yield* emit({ _tag: "Waiting", job: spec.name, phase, reason: waitingFor })
        }
      })
    )
    run.state = following.state
    const detail = `the environment ${world.name} was released`
    run.abandon = following.abandon(new JobError.EnvironmentLost({ cause: "Deleted", detail }))
    return following
  })

  const reopen: Instances["reopen"] = Effect.fnUntraced(function* (environment, owner, uid) {
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
    return { run, instance }
  })

  const markHandedOver: Instances["markHandedOver"] = ({ graph, world }) =>
    kube
      .request({
        verb: "patch",
        resource: graph.instances,
        namespace,
        name: world.name,
        body: { metadata: { annotations: { [KroNames.custodyAnnotation]: "handed-over" } } }
      })
      .pipe(explained(graph), Effect.asVoid)

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

  const select = Effect.fnUntraced(function* (graph: KroGraph.Graph, selector: Selector | undefined) {
    if (selector !== undefined && "environment" in selector) {
      const one = yield* find(graph, selector.environment)
      return one === undefined ? [] : [one]
    }
    const query = { labelSelector: KroNames.environmentLabel }
    const { items } = yield* explained(graph)(kube.list({ resource: graph.instances, namespace, query }))
    return items.filter((instance) => selector === undefined || ownerOf(instance) === selector.owner)
  })

  /** An owner reference takes it along when its owner is gone; without one nobody but its annotation can tell. */
  const custodyOf = ({ metadata: { annotations = {}, name } }: KroInstance): Custody => {
    const said = annotations[KroNames.custodyAnnotation]
    return said === "held" || said === "handed-over" ? said : runs.has(name) ? "held" : "unknown"
  }

  const list: Instances["list"] = Effect.fnUntraced(function* (selector) {
    const graph = yield* known
    if (graph === undefined) return []
    return (yield* select(graph, selector)).map(
      (instance) =>
        new OwnedResource({
          backend: "kro",
          kind: graph.kind.kind,
          name: instance.metadata.name,
          environment: instance.metadata.name,
          owner: ownerOf(instance),
          custody: custodyOf(instance),
          createdAt: epochMillis(instance.metadata.creationTimestamp ?? "") || 0
        })
    )
  })

  // ---- releasing

  /** Its time is over when nobody needs it any more, and pods that only hold a place take theirs. */
  const grace = use.hosted ? { grace: 1 } : {}

  const destroyRun = Effect.fnUntraced(function* (environment: string, run: Provisioning.Run) {
    const { creating, graph, spec, world } = run
    const release = Effect.gen(function* () {
      yield* run.abandon ?? Effect.void
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
        ...grace,
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
          ...grace,
          within: Duration.days(1),
          removal: removalCommand(name),
          waiting: (reason) => Effect.logDebug(`Waiting for ${reason}`)
        })
      })
    )

  const destroy: Instances["destroy"] = Effect.fnUntraced(function* (selector) {
    if ("environment" in selector) {
      const run = runs.get(selector.environment)
      if (run !== undefined) return yield* destroyRun(selector.environment, run)
    }
    const graph = yield* known
    if (graph === undefined) return
    yield* destroyEach(yield* select(graph, selector), (instance) => {
      const run = runs.get(instance.metadata.name)
      return run === undefined ? destroyFound(graph, instance) : destroyRun(instance.metadata.name, run)
    })
  })

  return { kube, namespace, obtain, follow, reopen, markHandedOver, destroy, list, removalCommand }
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
