/** From a job to its instance: looks the RGD up, fills the instance's spec, and makes the instance. */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import type { JobSpec } from "../../../domain/Job.ts"
import * as JobError from "../../../domain/JobError.ts"
import { emit } from "../../../domain/JobEvent.ts"
import type { KubeClient } from "../../kubernetes/KubeClient.ts"
import type { KubeError } from "../../kubernetes/KubeError.ts"
import * as InstanceSpec from "../InstanceSpec.ts"
import * as KroCalls from "../KroCalls.ts"
import type { Graph, Graphs } from "../KroGraph.ts"
import type { KroInstance } from "../KroInstance.ts"
import * as KroNames from "../KroNames.ts"
import type { Options } from "../KroOptions.ts"
import type { RunState } from "../KroRun.ts"
import { type Obtained, obtain } from "./obtaining.ts"
import { kindsOf } from "./releasing.ts"
import * as World from "./world.ts"

/** What the backend was made with. */
export interface Setting {
  readonly kube: KubeClient["Service"]
  readonly graphs: Graphs
  readonly namespace: string
  readonly options: Options
  readonly removalCommand: (environment: string) => string
  readonly use: Use
}

/** What instances are for. */
export interface Use {
  /** Steps run in the work's pod; else the work itself is what is run. */
  readonly hosted: boolean
  /** Why a job cannot have such an instance, before it is made. */
  readonly refuse?: (graph: Graph, spec: JobSpec) => JobError.Reason | undefined
}

/** An environment of this process. */
export interface Run {
  readonly graph: Graph
  readonly world: World.World
  /** Of the world: it lives until the environment is released. */
  readonly scope: Scope.Closeable
  /** Names this provisioning, so that a create whose answer was lost is known again. */
  readonly id: string
  readonly spec: JobSpec
  /** Whether children can be seen. */
  visible: boolean
  creating?: Fiber.Fiber<KroInstance, KubeError>
  instance?: KroInstance
  state?: () => RunState
  /** Tells whoever follows it that it is released. */
  abandon?: Effect.Effect<void>
}

/** Follows the children of an instance that may not be there yet. */
export const open = Effect.fnUntraced(function* (
  { kube, namespace }: Setting,
  graph: Graph,
  about: { readonly environment: string; readonly id: string; readonly spec: JobSpec }
): Effect.fn.Return<Run> {
  const scope = yield* Scope.make()
  const world = yield* Scope.provide(World.make(kube, graph, about.environment, namespace), scope)
  return { graph, world, scope, id: about.id, spec: about.spec, visible: false }
})

/** Whether children can be seen; where nothing else would tell the result, a strict backend refuses. */
export const look = Effect.fnUntraced(function* ({ namespace, options, use }: Setting, run: Run) {
  const { graph, world } = run
  run.visible = yield* Effect.mapError(world.childrenKnown, (error) => KroCalls.explain(error, kindsOf(graph)))
  if (use.hosted && !run.visible) {
    const detail = "it is needed for finding the pod that steps run in"
    const place = `the namespace ${namespace}`
    return yield* JobError.fail(new JobError.Forbidden({ verb: "list", resource: "pods", place, detail }))
  }
  if (options.strict === true && !run.visible && graph.resultField === undefined) {
    const detail = `nothing but readiness would tell how the work ends: name the resource that is the work by its annotation ${KroNames.workNodeAnnotation}, or a status field by ${KroNames.resultFieldAnnotation}`
    return yield* refuse(graph, detail)
  }
})

/** Makes the instance. `register` is told what is to be removed before it exists. */
export const provision = Effect.fnUntraced(function* (
  setting: Setting,
  spec: JobSpec,
  environment: string,
  id: string,
  waiting: (reason: string) => Effect.Effect<void>,
  register: (run: Run) => void
): Effect.fn.Return<{ readonly run: Run; readonly obtained: Obtained }, JobError.BackendError> {
  const { graphs, kube, namespace, options, removalCommand } = setting
  if (!/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(environment)) {
    const detail = "KRO puts it into labels: at most 63 lower case letters, digits and hyphens"
    return yield* JobError.fail(new JobError.InvalidInput({ input: `the name ${environment}`, detail }))
  }
  const graph = yield* graphs.resolve(waiting)
  const refused = setting.use.refuse?.(graph, spec)
  if (refused !== undefined) return yield* JobError.fail(refused)
  const filled = yield* fillSpec(setting, graph, spec, environment)
  const run = yield* Effect.uninterruptible(
    Effect.tap(open(setting, graph, { environment, id, spec }), (run) => Effect.sync(() => register(run)))
  )
  yield* look(setting, run)
  const ownerReferences = graph.instances.namespaced ? (options.ownerReferences ?? []) : []
  const ownerUid = ownerReferences[0]?.uid
  const { once } = options
  const obtained = yield* obtain({
    kube,
    graphs,
    graph,
    world: run.world,
    namespace,
    claimant: {
      environment,
      owner: spec.owner,
      provision: id,
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
          [KroNames.provisionAnnotation]: id,
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
  return { run, obtained }
})

const fillSpec = Effect.fnUntraced(function* (
  { namespace, options }: Setting,
  graph: Graph,
  spec: JobSpec,
  environment: string
) {
  const image = spec.container?.image
  if (image !== undefined && !graph.fields.has("image")) {
    return yield* refuse(graph, "its schema declares no field `image`, which the job's container needs")
  }
  const offer = yield* options.offer?.(graph.rgd) ?? Effect.succeed({ offered: {}, otherwise: {} })
  const filled = InstanceSpec.fill(graph.fields, {
    offered: new Map<string, unknown>([
      ["runnerName", environment],
      ["namespace", namespace],
      ["labels", spec.labels],
      ["jobName", spec.name],
      ["owner", spec.owner],
      ...(image === undefined ? [] : ([["image", image]] as const)),
      ...Object.entries(spec.container?.resources ?? {}),
      ...Object.entries(offer.offered)
    ]),
    wanted: new Map(Object.entries(options.values ?? {})),
    otherwise: new Map(Object.entries(offer.otherwise ?? {}))
  })
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

const refuse = (graph: Graph, detail: string) =>
  JobError.fail(new JobError.InvalidInput({ input: `the ResourceGraphDefinition ${graph.rgd.metadata.name}`, detail }))
