/** Waiting for a pod to be ready, telling what for, and giving up when it is hopeless. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import {
  type BackendError,
  EnvironmentLost,
  fail,
  ProvisionFailed,
  type Reason,
  ServiceUnhealthy
} from "../../../domain/JobError.ts"
import { fromKubeError } from "../../kubernetes/BackendErrors.ts"
import type { KubeClient } from "../../kubernetes/KubeClient.ts"
import type { ContainerRole, Options, PodManifest } from "../PodOptions.ts"
import { type PodStatus, statusOf } from "../PodStatus.ts"
import type { PodWatch, Sight } from "./podWatch.ts"

/** Lines of a container's log that an error carries. */
const lastLines = 20

/** The end of a container's log, empty if there is none to be had. */
export const logTail = (kube: KubeClient["Service"], namespace: string, pod: string, container: string) =>
  kube.logs({ namespace, pod, container, tailLines: lastLines, limitBytes: 64 * 1024 }).pipe(
    Stream.runCollect,
    Effect.map((chunks) => Buffer.concat(chunks).toString("utf8").trimEnd()),
    Effect.map((text): ReadonlyArray<string> => (text === "" ? [] : text.split("\n"))),
    Effect.timeoutOrElse({ duration: "3 seconds", orElse: () => Effect.succeed<ReadonlyArray<string>>([]) }),
    Effect.orElseSucceed((): ReadonlyArray<string> => [])
  )

/**
 * Waits until `enough` says so, of a pod that was just created or exists. Fails with the reason why it will never be.
 */
export const awaitPod = Effect.fnUntraced(function* (options: {
  readonly kube: KubeClient["Service"]
  readonly watch: PodWatch
  readonly namespace: string
  readonly pod: PodManifest
  readonly roles: ReadonlyMap<string, ContainerRole>
  readonly grace: Pick<Options, "imagePullGrace" | "scheduleGrace">
  readonly told: (what: string) => Effect.Effect<void>
  /** Default: it is ready. */
  readonly enough?: (pod: PodManifest, status: PodStatus) => boolean
}): Effect.fn.Return<PodManifest, BackendError> {
  const { enough = (_, status) => status._tag === "Ready", grace, kube, namespace, pod, roles, told, watch } = options
  const name = pod.metadata?.name ?? ""
  let before = ""
  let troubleSince: number | undefined

  let last: Sight = pod

  const judge = Effect.fnUntraced(function* (sight: Sight): Effect.fn.Return<PodManifest | undefined, BackendError> {
    last = sight
    if (sight === "Gone") {
      return yield* fail(
        new EnvironmentLost({ cause: "Deleted", detail: `the pod ${name} was deleted while it started` })
      )
    }
    const status = statusOf(sight, roles)
    if (enough(sight, status)) return sight
    if (status._tag === "Broken") return yield* broken(status.reason, status.container)
    if (status._tag === "Ready") return undefined
    if (status.on !== before) {
      before = status.on
      yield* told(status.on)
    }
    const { trouble } = status
    if (trouble === undefined) {
      troubleSince = undefined
      return undefined
    }
    const now = yield* Clock.currentTimeMillis
    troubleSince ??= now
    const allowed = trouble.kind === "pull" ? (grace.imagePullGrace ?? 0) : (grace.scheduleGrace ?? Duration.infinity)
    if (now - troubleSince >= Duration.toMillis(Duration.fromInputUnsafe(allowed))) return yield* broken(trouble.reason)
    return undefined
  })

  /** With what the container itself has said last. */
  const broken = Effect.fnUntraced(function* (
    reason: Reason,
    container?: string
  ): Effect.fn.Return<never, BackendError> {
    if (container === undefined) return yield* fail(reason)
    if (reason._tag === "ServiceUnhealthy") {
      const log = yield* logTail(kube, namespace, name, container)
      return yield* fail(new ServiceUnhealthy({ service: reason.service, detail: reason.detail, log }))
    }
    if (reason._tag === "ProvisionFailed") {
      const log = yield* logTail(kube, namespace, name, container)
      const detail = [reason.detail, ...log.map((line) => `  ${container} | ${line}`)].join("\n")
      return yield* fail(new ProvisionFailed({ detail, transient: reason.transient }))
    }
    return yield* fail(reason)
  })

  const sights = Stream.concat(
    Stream.succeed<Sight>(pod),
    Stream.mapError(watch.follow(name, pod.metadata?.resourceVersion), fromKubeError)
  )
  // A pod in trouble may not change any more: it is looked at again when its grace is over.
  const again = Stream.map(Stream.tick("1 second"), () => last)
  const found = yield* Stream.merge(sights, again, { haltStrategy: "left" }).pipe(
    Stream.mapEffect(judge),
    Stream.filter((ready) => ready !== undefined),
    Stream.runHead
  )
  return yield* Option.match(found, {
    onNone: () => fail(new EnvironmentLost({ cause: "Unknown", detail: `nothing more was heard of the pod ${name}` })),
    onSome: Effect.succeed
  })
})
