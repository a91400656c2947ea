/** Removes an instance, and returns when it and all that KRO made for it are gone. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { BackendError, ReleaseFailed } from "../../../domain/JobError.ts"
import { OwnedResource } from "../../../domain/OwnedResource.ts"
import type { KubeClient } from "../../kubernetes/KubeClient.ts"
import type { KubeError } from "../../kubernetes/KubeError.ts"
import type { KubeResource } from "../../kubernetes/KubeResource.ts"
import type { Child } from "../ChildView.ts"
import * as Conditions from "../Conditions.ts"
import * as KroCalls from "../KroCalls.ts"
import type { Graph, Graphs } from "../KroGraph.ts"
import { isSuspended, type KroInstance } from "../KroInstance.ts"
import * as KroNames from "../KroNames.ts"
import * as Rgd from "../ResourceGraphDefinition.ts"
import { persist } from "./persisting.ts"
import { epochMillis } from "./times.ts"
import type { World } from "./world.ts"

export interface Releasing {
  readonly kube: KubeClient["Service"]
  readonly graphs: Graphs
  readonly graph: Graph
  readonly world: World
  readonly instance: KroInstance
  /** The only child that may end in its own time; every other one is a second start, and is killed. */
  readonly child: string | undefined
  /** The work only held a pod for steps: it is ended with this grace, in seconds, and not with the one of its template. */
  readonly grace?: number
  /** After it the release fails, and tells what is in the way. */
  readonly within: Duration.Duration
  readonly removal: string
  readonly waiting: (reason: string) => Effect.Effect<void>
}

/** How long KRO may take before it is asked whether the RGD is still there. */
const suspicious = 6_000

export const release = (releasing: Releasing): Effect.Effect<void, BackendError> =>
  Effect.scoped(
    Effect.gen(function* () {
      const { graph, instance, kube, waiting, within, world } = releasing
      const { uid } = instance.metadata
      const startedAt = yield* Clock.currentTimeMillis
      const killed = new Set<string>()
      let rgdGone = false
      let childrenBefore = 0
      let asked = false
      let told = ""
      yield* Effect.forkScoped(Effect.forever(Effect.delay(world.tick, "1 second")))
      yield* Effect.forkScoped(Effect.delay(world.tick, within))

      const explained = <A>(call: Effect.Effect<A, KubeError>) =>
        Effect.mapError(call, (error) => KroCalls.explain(error, kindsOf(graph)))
      const childrenOf = () =>
        [...world.children.values()].filter(({ metadata }) => metadata.labels?.[KroNames.instanceIdLabel] === uid)
      /** Before KRO does it: a pod that ends already in its own time is not ended sooner. */
      const endWork = Effect.suspend(() =>
        Effect.forEach(
          releasing.grace === undefined ? [] : childrenOf().filter((child) => isWork(graph, child)),
          (child) => {
            if (killed.has(child.metadata.uid)) return Effect.void
            killed.add(child.metadata.uid)
            return kill(kube, graph, child, releasing.grace)
          },
          { discard: true }
        )
      )
      yield* endWork
      yield* explained(remove(kube, graph.instances, instance))

      while (true) {
        const left = world.instance()?.metadata.uid === uid ? world.instance() : undefined
        const children = childrenOf()
        yield* endWork
        // KRO starts nothing more for an instance that is deleted; what it started again just before must not run.
        for (const child of children) {
          const again = releasing.child !== undefined && child.metadata.uid !== releasing.child && isWork(graph, child)
          if ((again || rgdGone) && !killed.has(child.metadata.uid)) {
            killed.add(child.metadata.uid)
            yield* kill(kube, graph, child, again ? 0 : undefined)
          }
        }
        if (left === undefined && children.length === 0) break
        if (left?.metadata.deletionTimestamp !== undefined) {
          // What depends on one another KRO removes one after the other.
          if (children.length < childrenBefore) yield* hurry(kube, graph, left)
          childrenBefore = children.length
        }
        const elapsed = (yield* Clock.currentTimeMillis) - startedAt
        if (left !== undefined && elapsed > suspicious && !asked) {
          asked = true
          rgdGone = yield* isGone(releasing)
          continue
        }
        const blocking = whatBlocks(left, children, rgdGone ? graph.rgd.metadata.name : undefined)
        // Nobody else will remove the finalizer: no sense in waiting on.
        if ((rgdGone && children.length === 0) || elapsed >= Duration.toMillis(within)) {
          return yield* failed(releasing, left, children, blocking)
        }
        if (blocking !== told && elapsed > 1000) {
          told = blocking
          yield* waiting(blocking)
        }
        yield* explained(world.next)
      }
      const elapsed = (yield* Clock.currentTimeMillis) - startedAt
      yield* explained(othersGone(releasing, uid)).pipe(
        Effect.timeoutOrElse({
          duration: Math.max(0, Duration.toMillis(within) - elapsed),
          orElse: () => failed(releasing, undefined, [], "other resources of the instance")
        })
      )
    })
  )

/** With the UID as a precondition: what has this name by now may be another one. */
const remove = (kube: KubeClient["Service"], resource: KubeResource<KroInstance>, { metadata }: KroInstance) =>
  persist(
    kube.request({
      verb: "delete",
      resource,
      namespace: metadata.namespace,
      name: metadata.name,
      body: { kind: "DeleteOptions", apiVersion: "v1", preconditions: { uid: metadata.uid } }
    })
  ).pipe(Effect.asVoid, Effect.catchReasons("KubeError", { NotFound: () => Effect.void, Conflict: () => Effect.void }))

/** Versions of KRO that do not label the resource cannot be asked. */
const isWork = ({ work }: Graph, { metadata }: Child) =>
  [work?.node, undefined].includes(metadata.labels?.[KroNames.nodeIdLabel])

/** As far as it is allowed; KRO does the same, in time. Without a grace, in seconds, it is the object's own. */
export const kill = (kube: KubeClient["Service"], { work }: Graph, { metadata }: Child, grace?: number) =>
  work === undefined
    ? Effect.void
    : Effect.catch(
        Effect.asVoid(
          kube.request({
            verb: "delete",
            resource: work.resource,
            namespace: metadata.namespace,
            name: metadata.name,
            body: {
              kind: "DeleteOptions",
              apiVersion: "v1",
              preconditions: { uid: metadata.uid },
              ...(grace === undefined ? {} : { gracePeriodSeconds: grace })
            }
          })
        ),
        (error) => Effect.logDebug(`Could not remove ${metadata.name}: ${error.message}`)
      )

/**
 * KRO looks at an instance whose children end only every 3 seconds, but at once when this annotation changes; it does not keep KRO from
 * removing the instance.
 */
const hurry = (kube: KubeClient["Service"], graph: Graph, instance: KroInstance) => {
  const { name, namespace, uid } = instance.metadata
  const value = isSuspended(instance) ? "enabled" : "suspended"
  return kube
    .request({
      verb: "patch",
      resource: graph.instances,
      namespace,
      name,
      body: { metadata: { uid, annotations: { [KroNames.reconcileAnnotation]: value } } }
    })
    .pipe(Effect.catch((error) => Effect.logDebug(`KRO is not hurried: ${error.message}`)))
}

const isGone = ({ graph, kube }: Releasing) =>
  kube.request({ verb: "get", resource: Rgd.definitions, name: graph.rgd.metadata.name }).pipe(
    Effect.map(({ metadata }) => metadata.uid !== graph.rgd.metadata.uid),
    Effect.catchReason("KubeError", "NotFound", () => Effect.succeed(true)),
    // Who may not look relies on KRO.
    Effect.orElseSucceed(() => false)
  )

/** The other kinds of the graph, one look each: KRO removes them before the instance, unless something went wrong in it. */
const othersGone = Effect.fnUntraced(function* ({ graph, graphs, kube, waiting, world }: Releasing, uid: string) {
  const kinds = new Map<string, Rgd.GroupVersionKind>()
  for (const { template } of graph.rgd.spec.resources ?? []) {
    const kind = template === undefined ? undefined : Rgd.kindOfTemplate(template)
    if (kind === undefined || (kind.group === graph.work?.kind.group && kind.kind === graph.work.kind.kind)) continue
    kinds.set(`${kind.group}/${kind.kind}`, kind)
  }
  const look = Effect.fnUntraced(function* (kind: Rgd.GroupVersionKind) {
    const resource = yield* graphs.discover(kind)
    if (resource === undefined) return []
    const query = { labelSelector: `${KroNames.instanceIdLabel}=${uid}` }
    const { items } = yield* kube.list<Child>({ resource, namespace: world.namespace ?? "*", query })
    return items.map(({ metadata }) => `the ${kind.kind} ${metadata.name}`)
  })
  for (const kind of kinds.values()) {
    while (true) {
      const left = yield* Effect.catchReasons(look(kind), "KubeError", {
        // Who may not look relies on KRO.
        Forbidden: () => Effect.succeed([]),
        NotFound: () => Effect.succeed([])
      })
      if (left.length === 0) break
      yield* waiting(`the end of ${left.join(", ")}`)
      yield* Effect.sleep("1 second")
    }
  }
})

const whatBlocks = (
  instance: KroInstance | undefined,
  children: ReadonlyArray<Child>,
  missingRgd: string | undefined
): string => {
  const parts = children.map(({ metadata }) =>
    metadata.finalizers === undefined || metadata.finalizers.length === 0
      ? metadata.name
      : `${metadata.name}, which keeps the finalizer ${metadata.finalizers.join(", ")}`
  )
  if (instance === undefined) return `the end of ${parts.join("; ")}`
  const finalizers = instance.metadata.finalizers ?? []
  const why = instance.status?.conditions?.find(({ message, status }) => status !== "True" && (message ?? "") !== "")
  const about = [
    ...(finalizers.length === 0 ? [] : [`it keeps the finalizer ${finalizers.join(", ")}`]),
    ...(missingRgd === undefined
      ? []
      : [`its ResourceGraphDefinition ${missingRgd} is gone, and only with it KRO removes that finalizer`]),
    ...(why === undefined ? [] : [Conditions.tell(why)])
  ]
  const itself = `the instance ${instance.metadata.name}${about.length === 0 ? "" : ` (${about.join("; ")})`}`
  return `the end of ${[itself, ...parts].join("; ")}`
}

const failed = (
  { graph, removal, within, world }: Releasing,
  instance: KroInstance | undefined,
  children: ReadonlyArray<Child>,
  blocking: string
) => {
  const owned = (kind: string, { metadata }: KroInstance | Child) =>
    new OwnedResource({
      backend: "kro",
      kind,
      name: metadata.name,
      environment: world.name,
      owner: "",
      custody: "unknown",
      createdAt: epochMillis(metadata.creationTimestamp ?? "") || 0
    })
  return new BackendError({
    reason: new ReleaseFailed({
      environment: world.name,
      left: [
        ...(instance === undefined ? [] : [owned(graph.kind.kind, instance)]),
        ...children.map((child) => owned(graph.work?.kind.kind ?? "", child))
      ],
      detail: `after ${Duration.format(within)} it still waits for ${blocking}`,
      removal
    })
  })
}

export const kindsOf = ({ instances, work }: Graph): KroCalls.Kinds => ({
  instances,
  ...(work === undefined ? {} : { work: work.resource })
})
