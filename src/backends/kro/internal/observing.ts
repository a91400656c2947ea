/** What happens to the objects of a kind, also for those who may list them but not watch. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { KubeClient } from "../../kubernetes/KubeClient.ts"
import type { KubeError } from "../../kubernetes/KubeError.ts"
import type { WatchEvent, WatchOptions } from "../../kubernetes/KubeWatch.ts"

/** Between two looks where watching is not allowed. */
const pollInterval = Duration.seconds(2)

interface KubeObject {
  readonly metadata: { readonly uid: string; readonly resourceVersion?: string }
}

/** As `KubeClient.watch`; polls, if that is all that is allowed. An outage of the API server is waited out for an hour. */
export const observe = <A extends KubeObject>(
  kube: KubeClient["Service"],
  options: WatchOptions<A>
): Stream.Stream<WatchEvent<A>, KubeError> =>
  Stream.suspend(() => {
    const known = new Map<string, A>()
    return kube.watch({ patience: "1 hour", ...options }).pipe(
      Stream.tap((event) =>
        Effect.sync(() => {
          if (event._tag === "Deleted") known.delete(event.object.metadata.uid)
          else if (event._tag !== "Synced") known.set(event.object.metadata.uid, event.object)
        })
      ),
      Stream.catch((error) =>
        error.reason._tag === "Forbidden" && error.reason.target.verb === "watch"
          ? poll(kube, options, known)
          : Stream.fail(error)
      )
    )
  })

const poll = <A extends KubeObject>(
  kube: KubeClient["Service"],
  { fieldSelector, labelSelector, namespace, resource }: WatchOptions<A>,
  known: Map<string, A>
): Stream.Stream<WatchEvent<A>, KubeError> => {
  const look = Effect.gen(function* () {
    const { items, metadata } = yield* kube.list({ resource, namespace, query: { fieldSelector, labelSelector } })
    const events: Array<WatchEvent<A>> = []
    const gone = new Map(known)
    for (const object of items) {
      const { resourceVersion, uid } = object.metadata
      const before = known.get(uid)
      gone.delete(uid)
      known.set(uid, object)
      if (before === undefined) events.push({ _tag: "Added", object })
      else if (before.metadata.resourceVersion !== resourceVersion) events.push({ _tag: "Modified", object })
    }
    for (const [uid, object] of gone) {
      known.delete(uid)
      events.push({ _tag: "Deleted", object })
    }
    events.push({ _tag: "Synced", resourceVersion: metadata.resourceVersion ?? "" })
    return events
  })
  // An outage is no reason to stop looking.
  const patient = Effect.catchIf(
    look,
    (error) => error.retryable,
    () => Effect.succeed<ReadonlyArray<WatchEvent<A>>>([])
  )
  return Stream.flattenIterable(
    Stream.concat(Stream.fromEffect(patient), Stream.fromEffectRepeat(Effect.delay(patient, pollInterval)))
  )
}
