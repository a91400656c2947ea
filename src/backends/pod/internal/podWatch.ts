/** What happens to single pods: by one watch for all of them where the Role allows it, else by asking. */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { KubeClient } from "../../kubernetes/KubeClient.ts"
import type { KubeError } from "../../kubernetes/KubeError.ts"
import * as KubeResource from "../../kubernetes/KubeResource.ts"
import type { PodManifest } from "../PodOptions.ts"

/** A pod as it is now, or that there is none. */
export type Sight = PodManifest | "Gone"

export interface PodWatch {
  /** What a pod is now, and whenever it changes; with a version, only what comes after it. The pod exists, or has existed. */
  readonly follow: (pod: string, resourceVersion?: string) => Stream.Stream<Sight, KubeError>
  /** Whether nothing has said yet that the Role forbids to watch. */
  readonly mayWatch: () => boolean
  /** Somebody knows that the Role forbids it: it is not tried. */
  readonly onlyPoll: () => void
}

/** Between two looks where watching is not allowed: no pod starts sooner than the first, most do soon after. */
const pollingDelay = (looks: number) => (looks === 1 ? 400 : Math.min(2000, 200 * 1.3 ** Math.max(0, looks - 5)))

/** Who waits for a pod to be ready follows it again at once, for its loss. */
const lingering = "5 seconds"

/** The scope is the watch's: it runs as long as somebody follows a pod. */
export const makePodWatch = Effect.fnUntraced(function* (
  kube: KubeClient["Service"],
  namespace: string,
  /** Which pods the one watch is for; `undefined`: each follower watches its own pod. */
  labelSelector: string | undefined
): Effect.fn.Return<PodWatch, never, Scope.Scope> {
  const scope = yield* Effect.scope
  /** What a follower of each pod is told. */
  const followers = new Map<string, Set<Queue.Queue<Sight, KubeError | Cause.Done>>>()
  let watching: { readonly fiber: Fiber.Fiber<void>; readonly synced: Deferred.Deferred<void, KubeError> } | undefined
  let forbidden = false

  const look = (pod: string): Effect.Effect<Sight, KubeError> =>
    Effect.catchReason(
      kube.request({ verb: "get", resource: KubeResource.pods, namespace, name: pod }),
      "KubeError",
      "NotFound",
      () => Effect.succeed<Sight>("Gone")
    )

  /** With a version what the pod is now is known. */
  const poll = (pod: string, resourceVersion: string | undefined): Stream.Stream<Sight, KubeError> =>
    Stream.unfold(resourceVersion === undefined ? 0 : 1, (looks) =>
      Effect.map(
        Effect.andThen(looks === 0 ? Effect.void : Effect.sleep(pollingDelay(looks)), look(pod)),
        (sight) => [sight, looks + 1] as const
      )
    )

  const own = (pod: string, resourceVersion: string | undefined): Stream.Stream<Sight, KubeError> => {
    let seen = resourceVersion !== undefined
    return kube
      .watch({ resource: KubeResource.pods, namespace, fieldSelector: `metadata.name=${pod}`, resourceVersion })
      .pipe(
        Stream.flatMap((event): Stream.Stream<Sight> => {
          if (event._tag === "Synced") return seen ? Stream.empty : Stream.succeed<Sight>("Gone")
          seen = true
          return Stream.succeed<Sight>(event._tag === "Deleted" ? "Gone" : event.object)
        })
      )
  }

  const begin = Effect.fnUntraced(function* () {
    const synced = Deferred.makeUnsafe<void, KubeError>()
    const events = kube.watch({ resource: KubeResource.pods, namespace, labelSelector })
    const run = Stream.runForEach(events, (event) => {
      if (event._tag === "Synced") return Deferred.succeed(synced, undefined)
      const queues = followers.get(event.object.metadata?.name ?? "") ?? []
      const sight = event._tag === "Deleted" ? "Gone" : event.object
      return Effect.sync(() => {
        for (const queue of queues) Queue.offerUnsafe(queue, sight)
      })
    })
    const fiber = yield* Effect.forkIn(
      Effect.catch(Effect.asVoid(run), (error) =>
        Effect.sync(() => {
          watching = undefined
          Deferred.doneUnsafe(synced, Effect.fail(error))
          for (const queue of [...followers.values()].flatMap((queues) => [...queues]))
            Queue.failCauseUnsafe(queue, Cause.fail(error))
        })
      ),
      scope
    )
    watching = { fiber, synced }
    return watching
  })

  const endIfIdle = Effect.suspend(() => {
    const idle = followers.size === 0 ? watching : undefined
    if (idle === undefined) return Effect.void
    watching = undefined
    return Fiber.interrupt(idle.fiber)
  })

  const shared = (pod: string): Stream.Stream<Sight, KubeError> =>
    Stream.callback<Sight, KubeError>(
      (queue) =>
        Effect.gen(function* () {
          const queues = followers.get(pod) ?? new Set()
          followers.set(pod, queues.add(queue))
          yield* Effect.addFinalizer(() =>
            Effect.suspend(() => {
              queues.delete(queue)
              if (queues.size === 0) followers.delete(pod)
              return followers.size === 0 ? Effect.forkIn(Effect.delay(endIfIdle, lingering), scope) : Effect.void
            })
          )
          const { synced } = watching ?? (yield* begin())
          yield* Effect.catch(
            Effect.andThen(
              Deferred.await(synced),
              Effect.flatMap(look(pod), (sight) => Queue.offer(queue, sight))
            ),
            (error) => Queue.fail(queue, error)
          )
        }),
      // Only what a pod is now matters.
      { bufferSize: 16, strategy: "sliding" }
    )

  const follow = (pod: string, resourceVersion?: string): Stream.Stream<Sight, KubeError> =>
    Stream.suspend(() => {
      if (forbidden) return poll(pod, resourceVersion)
      return Stream.catch(labelSelector === undefined ? own(pod, resourceVersion) : shared(pod), (error) => {
        if (error.reason._tag !== "Forbidden" || error.reason.target.verb !== "watch") return Stream.fail(error)
        forbidden = true
        return Stream.unwrap(
          Effect.as(Effect.logDebug(`${error.message}: the pod is polled`), poll(pod, resourceVersion))
        )
      })
    })

  return {
    follow,
    mayWatch: () => !forbidden,
    onlyPoll: () => {
      forbidden = true
    }
  }
})
