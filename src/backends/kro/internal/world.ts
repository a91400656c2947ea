/** What is known of one instance and its children: as watches tell it, in memory, and as observations for whoever follows. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { KubeClient } from "../../kubernetes/KubeClient.ts"
import type { KubeError } from "../../kubernetes/KubeError.ts"
import type { Child } from "../ChildView.ts"
import type { Graph } from "../KroGraph.ts"
import type { KroInstance } from "../KroInstance.ts"
import * as KroNames from "../KroNames.ts"
import type { Observation } from "../KroRun.ts"
import { observe } from "./observing.ts"

export interface World {
  readonly name: string
  readonly namespace: string | undefined
  /** As it was seen last; nothing before `follow`, and once it is gone. */
  readonly instance: () => KroInstance | undefined
  /** Of the kind that is the work, of whatever instance of this name, by UID. */
  readonly children: ReadonlyMap<string, Child>
  /** Completes with whether children can be seen, when they are known. */
  readonly childrenKnown: Effect.Effect<boolean, KubeError>
  /** Follows this instance, from this version on. */
  readonly follow: (instance: KroInstance) => Effect.Effect<void>
  /** What happens, in the order in which it became known. For one reader at a time. */
  readonly next: Effect.Effect<Observation, KubeError>
  /** Makes `next` return. */
  readonly tick: Effect.Effect<unknown>
}

/** Follows the children of the instance that has, had or will have this name. Everything ends with the scope. */
export const make = Effect.fnUntraced(function* (
  kube: KubeClient["Service"],
  graph: Graph,
  name: string,
  namespaceOfInstance: string
): Effect.fn.Return<World, never, Scope.Scope> {
  const scope = yield* Effect.scope
  const namespace = graph.instances.namespaced ? namespaceOfInstance : undefined
  const queue = yield* Queue.unbounded<Observation, KubeError>()
  const children = new Map<string, Child>()
  const childrenKnown = yield* Deferred.make<boolean, KubeError>()
  let instance: KroInstance | undefined

  const onChild = (tag: "Child" | "ChildGone", child: Child) => {
    if (tag === "Child") children.set(child.metadata.uid, child)
    else children.delete(child.metadata.uid)
    return Queue.offer(queue, { _tag: tag, child })
  }

  if (graph.work === undefined) yield* Deferred.succeed(childrenKnown, false)
  else {
    // Children of a cluster-wide instance may be anywhere.
    const options = {
      resource: graph.work.resource,
      namespace: namespace ?? "*",
      labelSelector: `${KroNames.instanceNameLabel}=${name}`
    }
    yield* observe<Child>(kube, options).pipe(
      Stream.runForEach((event) => {
        switch (event._tag) {
          case "Added":
          case "Modified":
            return onChild("Child", event.object)
          case "Deleted":
            return onChild("ChildGone", event.object)
          case "Synced":
            return Deferred.succeed(childrenKnown, true)
        }
      }),
      Effect.catchReason("KubeError", "Forbidden", (reason, error) =>
        // Later on a right that is taken away is a failure, not a way to go on blindly.
        Effect.flatMap(Deferred.succeed(childrenKnown, false), (first) =>
          first
            ? Effect.logWarning(`${reason.message}: only the instance tells how the work ends`)
            : Queue.fail(queue, error)
        )
      ),
      Effect.catch((error) => Effect.andThen(Deferred.fail(childrenKnown, error), Queue.fail(queue, error))),
      Effect.forkIn(scope, { startImmediately: true })
    )
  }

  const follow = Effect.fnUntraced(function* (first: KroInstance) {
    instance = first
    yield* Queue.offer(queue, { _tag: "Instance", instance: first })
    let seen = false
    const gone = Effect.suspend(() => {
      instance = undefined
      return Queue.offer(queue, { _tag: "InstanceGone" })
    })
    const options = {
      resource: graph.instances,
      namespace,
      fieldSelector: `metadata.name=${name}`,
      resourceVersion: first.metadata.resourceVersion
    }
    yield* observe<KroInstance>(kube, options).pipe(
      Stream.runForEach((event) => {
        switch (event._tag) {
          case "Added":
          case "Modified": {
            seen = true
            // Another one of this name is not ours; the reader has to know of it all the same.
            instance = event.object.metadata.uid === first.metadata.uid ? event.object : undefined
            return Queue.offer(queue, { _tag: "Instance", instance: event.object })
          }
          case "Deleted":
            return gone
          case "Synced":
            // A list that became necessary before anything was told: without the instance it is gone.
            return seen ? Effect.void : gone
        }
      }),
      Effect.catch((error) => Queue.fail(queue, error)),
      Effect.forkIn(scope, { startImmediately: true })
    )
  })

  return {
    name,
    namespace,
    instance: () => instance,
    children,
    childrenKnown: Deferred.await(childrenKnown),
    follow,
    next: Queue.take(queue),
    tick: Queue.offer(queue, { _tag: "Tick" })
  }
})
