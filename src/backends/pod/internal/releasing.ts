/** Finding and removing what belongs to environments: pods, secrets, directories of the shared volume. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { BackendError } from "../../../domain/JobError.ts"
import { OwnedResource, type Selector } from "../../../domain/OwnedResource.ts"
import { fromKubeError } from "../../kubernetes/BackendErrors.ts"
import type { KubeClient } from "../../kubernetes/KubeClient.ts"
import type { KubeError } from "../../kubernetes/KubeError.ts"
import * as KubeResource from "../../kubernetes/KubeResource.ts"
import { custodyOf, environmentLabel, labelSelector, labelValue, ownerLabel } from "../PodNames.ts"
import type { Options, Sharing } from "../PodOptions.ts"
import * as channels from "./channels.ts"

interface Where {
  readonly kube: KubeClient["Service"]
  readonly namespace: string
  readonly options: Options
  readonly sharing: Sharing
}

/** Enough for a container that is told to end to do so; the supervisor ends at once. */
const grace = 1

/** Between two looks whether all is gone: kubelet needs 1.1 s at least (measured), so that is when the first one is worth its request. */
const pause = (looks: number) => (looks === 0 ? 1100 : Math.min(1000, 200 + 50 * looks))

/** With an owner label of the caller's, it also finds what others made for that owner. */
const selectorOf = ({ options }: Where, selector: Selector | undefined): string =>
  selector !== undefined && "owner" in selector && options.ownerLabel !== undefined
    ? `${options.ownerLabel}=${selector.owner}`
    : labelSelector(selector)

const podsOf = ({ kube, namespace }: Where, selector: string) =>
  Effect.map(
    kube.list({ resource: KubeResource.pods, namespace, query: { labelSelector: selector } }),
    ({ items }) => items
  )

const secretsOf = ({ kube, namespace }: Where, selector: string) =>
  Effect.map(
    kube.list({ resource: KubeResource.secrets, namespace, query: { labelSelector: selector } }),
    ({ items }) => items
  )

const gone = <A>(effect: Effect.Effect<A, KubeError>): Effect.Effect<void, KubeError> =>
  Effect.catchReason(Effect.asVoid(effect), "KubeError", "NotFound", () => Effect.void)

export const destroy = (where: Where, selector: Selector): Effect.Effect<void, BackendError> =>
  Effect.gen(function* () {
    const { kube, namespace, sharing } = where
    const labels = selectorOf(where, selector)
    const [pods, secrets] = yield* Effect.all([podsOf(where, labels), secretsOf(where, labels)], { concurrency: 2 })
    const removals = [
      ...pods.map((pod) =>
        kube.request({
          verb: "delete",
          resource: KubeResource.pods,
          namespace,
          name: pod.metadata?.name ?? "",
          query: { gracePeriodSeconds: grace }
        })
      ),
      ...secrets.map((secret) =>
        kube.request({ verb: "delete", resource: KubeResource.secrets, namespace, name: secret.metadata?.name ?? "" })
      )
    ]
    // One that cannot be removed does not keep the others.
    const exits = yield* Effect.forEach(removals, (removal) => Effect.exit(gone(removal)), { concurrency: 8 })
    const left = channels
      .found(sharing)
      .filter(({ environment, owner }) =>
        "owner" in selector ? owner === selector.owner : channels.isOf(environment, selector.environment)
      )
    yield* Effect.forEach(exits, (exit) => exit)
    for (let looks = 0; pods.length > 0; looks++) {
      yield* Effect.sleep(pause(looks))
      if ((yield* podsOf(where, labels)).length === 0) break
    }
    return left
  }).pipe(
    Effect.mapError(fromKubeError),
    Effect.flatMap((left) => Effect.forEach(left, ({ path }) => channels.remove(path), { discard: true }))
  )

export const list = (where: Where, selector?: Selector): Stream.Stream<OwnedResource, BackendError> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const labels = selectorOf(where, selector)
      const [pods, secrets] = yield* Effect.all([podsOf(where, labels), secretsOf(where, labels)], { concurrency: 2 })
      const resource = (kind: string) => (object: (typeof pods)[number] | (typeof secrets)[number]) => {
        const { annotations, creationTimestamp, labels = {}, name = "" } = object.metadata ?? {}
        return new OwnedResource({
          backend: "pod",
          kind,
          name,
          environment: labels[environmentLabel] ?? name,
          owner: annotations?.[ownerLabel] ?? labels[ownerLabel] ?? "",
          custody: custodyOf(object),
          createdAt: creationTimestamp === undefined ? 0 : Date.parse(creationTimestamp)
        })
      }
      // Nobody but the pod tells who looks after its directory.
      const custodies = new Map(pods.map((pod) => [pod.metadata?.labels?.[environmentLabel] ?? "", custodyOf(pod)]))
      const directories = channels
        .found(where.sharing)
        .filter(({ environment, owner }) =>
          selector === undefined
            ? true
            : "owner" in selector
              ? owner === selector.owner
              : channels.isOf(environment, selector.environment)
        )
        .map(
          ({ createdAt, environment, owner, path }) =>
            new OwnedResource({
              backend: "pod",
              kind: "Directory",
              name: path,
              environment,
              owner,
              custody: custodies.get(labelValue(environment)) ?? "unknown",
              createdAt
            })
        )
      return Stream.fromIterable([...pods.map(resource("Pod")), ...secrets.map(resource("Secret")), ...directories])
    }).pipe(Effect.mapError(fromKubeError))
  )

/** For people who have only kubectl. */
export const removalCommand = ({ namespace }: Where, environment: string): string =>
  `kubectl --namespace ${namespace} delete pods,secrets --selector ${labelSelector({ environment })}`
