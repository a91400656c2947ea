/** Makes an instance, whatever has its name already. */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { Completion } from "../../../domain/JobEnvironment.ts"
import * as JobError from "../../../domain/JobError.ts"
import type { KubeClient } from "../../kubernetes/KubeClient.ts"
import type { KubeError } from "../../kubernetes/KubeError.ts"
import type { ChildView } from "../ChildView.ts"
import * as KroCalls from "../KroCalls.ts"
import * as KroChild from "../KroChild.ts"
import type { Graph, Graphs } from "../KroGraph.ts"
import type { KroInstance, OwnerReference } from "../KroInstance.ts"
import * as KroNames from "../KroNames.ts"
import * as Leftover from "../Leftover.ts"
import { persist } from "./persisting.ts"
import * as Releasing from "./releasing.ts"
import * as World from "./world.ts"

export interface Obtaining {
  readonly kube: KubeClient["Service"]
  readonly graphs: Graphs
  readonly graph: Graph
  readonly world: World.World
  readonly namespace: string
  readonly claimant: Leftover.Claimant
  readonly manifest: object
  readonly ownerReferences: ReadonlyArray<OwnerReference>
  readonly removal: string
  readonly waiting: (reason: string) => Effect.Effect<void>
  /** Told before a create is sent: it must be awaited before anything is removed. */
  readonly creating: (fiber: Fiber.Fiber<KroInstance, KubeError>) => void
}

export type Obtained =
  | { readonly _tag: "Instance"; readonly instance: KroInstance }
  /** An earlier run of the same has already ended so. */
  | { readonly _tag: "Finished"; readonly completion: Completion; readonly detail: string }

export const obtain = Effect.fnUntraced(function* (
  obtaining: Obtaining
): Effect.fn.Return<Obtained, JobError.BackendError> {
  const { claimant, graph, kube, manifest, namespace, waiting, world } = obtaining
  const name = claimant.environment
  const explained = <A, R>(call: Effect.Effect<A, KubeError, R>) =>
    Effect.mapError(call, (error) => KroCalls.explain(error, Releasing.kindsOf(graph)))
  const existing = persist(kube.request({ verb: "get", resource: graph.instances, namespace, name })).pipe(
    Effect.catchReason("KubeError", "NotFound", () => Effect.undefined)
  )
  /** Something may be there: children without an instance have been seen, or a create has failed for it. */
  let look = false
  while (true) {
    if (look || world.children.size > 0) {
      const leftover = yield* explained(existing)
      if (leftover !== undefined) {
        const settled = yield* settle(obtaining, leftover)
        if (settled !== undefined) return settled
        continue
      }
      if (world.children.size > 0) {
        yield* waiting(
          `the end of ${[...world.children.values()].map(({ metadata }) => metadata.name).join(", ")} of an earlier run`
        )
        for (const child of world.children.values()) yield* Releasing.kill(kube, graph, child, 0)
        yield* explained(world.next)
        continue
      }
    }
    // In a fiber of its own: whoever interrupts us must be able to wait for what the server makes of it.
    const fiber = yield* Effect.forkDetach(
      kube.request({ verb: "create", resource: graph.instances, namespace, body: manifest }),
      { startImmediately: true }
    )
    obtaining.creating(fiber)
    const made = yield* Fiber.await(fiber)
    if (Exit.isSuccess(made)) return { _tag: "Instance", instance: made.value }
    const error = Cause.findErrorOption(made.cause)
    if (error._tag === "None") return yield* Effect.failCause(made.cause as Cause.Cause<never>)
    look = error.value.retryable || error.value.reason._tag === "AlreadyExists"
    if (!look) return yield* explained(Effect.fail(error.value))
    if (error.value.retryable) {
      yield* waiting(error.value.message)
      yield* Effect.sleep("1 second")
    }
  }
})

/** What becomes of a leftover; nothing: it is gone. */
const settle = Effect.fnUntraced(function* (
  obtaining: Obtaining,
  leftover: KroInstance
): Effect.fn.Return<Obtained | undefined, JobError.BackendError> {
  const { claimant, graph, kube, namespace, ownerReferences, waiting } = obtaining
  const { name, uid } = leftover.metadata
  const work = workOf(obtaining, uid)
  const decision = Leftover.decide(leftover, claimant, work)
  switch (decision._tag) {
    case "Refuse":
      return yield* JobError.fail(new JobError.Conflict({ resource: `the instance ${name}`, detail: decision.why }))
    case "Finished":
      return decision
    case "Adopt": {
      if (!decision.reown) return { _tag: "Instance", instance: leftover }
      yield* Effect.logInfo(`The instance ${name} of an earlier runner pod is taken over`)
      const adopted = yield* persist(
        kube.request({
          verb: "patch",
          resource: graph.instances,
          namespace,
          name,
          body: { metadata: { uid, ownerReferences } }
        })
      ).pipe(Effect.catch((error) => Effect.as(Effect.logInfo(`It cannot be: ${error.message}`), undefined)))
      if (adopted !== undefined && adopted.metadata.deletionTimestamp === undefined) {
        return { _tag: "Instance", instance: adopted }
      }
      break
    }
    case "Await":
    case "Replace":
      break
  }
  if (work?._tag === "Running")
    yield* Effect.logWarning(`The instance ${name} of an earlier run is removed while its work runs`)
  yield* waiting(`the end of the instance ${name} of an earlier run`)
  yield* Effect.scoped(
    Effect.gen(function* () {
      const other = yield* World.make(kube, graph, name, namespace)
      yield* other.follow(leftover)
      yield* Releasing.release({
        ...obtaining,
        world: other,
        instance: leftover,
        child: undefined,
        // The caller's own deadline is shorter.
        within: Duration.days(1)
      })
    })
  )
  return undefined
})

/** What the leftover's work told last. */
const workOf = ({ graph, world }: Obtaining, uid: string): ChildView | undefined => {
  const { work } = graph
  const child = [...world.children.values()].find(
    ({ metadata: { labels = {} } }) =>
      labels[KroNames.instanceIdLabel] === uid &&
      (labels[KroNames.nodeIdLabel] === undefined || labels[KroNames.nodeIdLabel] === work?.node)
  )
  return work === undefined || child === undefined ? undefined : KroChild.view(work, child, true)
}
