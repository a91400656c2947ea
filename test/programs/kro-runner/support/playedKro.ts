/**
 * KRO and a kubelet, played on a fake cluster: an instance gets its pod, the pod its status, all of it as the real ones were seen to do it
 * (finalizer first, a pod made again at once when somebody deletes it, its end before its phase, a second look at what is deleted only now
 * and then). No container runs, so a test decides when and how the work ends.
 */
import { Deferred, Effect, Stream } from "effect"
import type { KroInstance } from "jobscope/backends/kro/KroInstance"
import * as Rgd from "jobscope/backends/kro/ResourceGraphDefinition"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import type { FakeKubernetes } from "jobscope/testing"

/** What instances are. */
export interface InstanceKind {
  readonly group: string
  readonly version: string
  readonly plural: string
  readonly kind: string
  readonly namespaced: boolean
}

export const usual: InstanceKind = {
  group: "kro.run",
  version: "v1alpha1",
  plural: "fakerunners",
  kind: "FakeRunner",
  namespaced: true
}

/** For `FakeKubernetes.Options`. */
export const kindsWith = (kind: InstanceKind): ReadonlyArray<FakeKubernetes.Kind> => [
  {
    group: "kro.run",
    version: "v1alpha1",
    plural: "resourcegraphdefinitions",
    kind: "ResourceGraphDefinition",
    namespaced: false
  },
  kind
]

export interface Options {
  readonly kind?: InstanceKind
  /** How the work ends; default: with 0, as soon as it runs. */
  readonly work?: Effect.Effect<number>
  /** What an instance's status is when the work runs, and when it has ended. */
  readonly conditions?: (ready: boolean) => ReadonlyArray<object>
  /** Between two looks at an instance that is deleted. */
  readonly requeue?: number
}

interface PlayedKro {
  readonly instances: KubeResource.KubeResource<KroInstance>
  /** Each start of the work: the pod's UID. */
  readonly starts: ReadonlyArray<string>
  readonly running: Effect.Effect<void>
  /** It does nothing any more, as when the RGD is gone. */
  readonly stop: Effect.Effect<void>
}

const finalizer = "kro.run/finalizer"

const builtIn = (ready: boolean) => [
  { type: "ResourcesReady", status: ready ? "True" : "False", reason: ready ? "AllResourcesReady" : "NotReady" },
  { type: "Ready", status: ready ? "True" : "False", reason: ready ? "Ready" : "NotReady" }
]

interface Pod {
  readonly metadata: {
    readonly name: string
    readonly namespace: string
    readonly uid: string
    readonly labels: Readonly<Record<string, string>>
    readonly deletionTimestamp?: string
  }
  readonly status?: { readonly phase?: string }
}
const pods = KubeResource.make<Pod>({ plural: "pods" })

/** An RGD of `kind` whose only resource is the work's pod. */
export const rgdOf = (kind: InstanceKind, labels: Readonly<Record<string, string>>) => ({
  apiVersion: "kro.run/v1alpha1",
  kind: "ResourceGraphDefinition",
  metadata: { name: "fake", labels, finalizers: [finalizer] },
  spec: {
    schema: {
      group: kind.group,
      apiVersion: kind.version,
      kind: kind.kind,
      ...(kind.namespaced ? {} : { scope: "Cluster" }),
      spec: { runnerName: "string | required=true", namespace: "string" }
    },
    resources: [
      {
        id: "runnerPod",
        template: {
          apiVersion: "v1",
          kind: "Pod",
          metadata: { name: "work" },
          spec: { restartPolicy: "Never", containers: [{ name: "runner", image: "busybox" }] }
        }
      }
    ]
  },
  status: {
    state: "Active",
    conditions: ["GraphAccepted", "KindReady", "ControllerReady", "Ready"].map((type) => ({ type, status: "True" }))
  }
})

/** Plays until the scope closes. */
export const play = Effect.fnUntraced(function* (options: Options = {}) {
  const kube = yield* KubeClient.KubeClient
  const kind = options.kind ?? usual
  const instances = KubeResource.make<KroInstance>(kind)
  const starts: Array<string> = []
  const running = yield* Deferred.make<void>()
  let stopped = false
  const known = new Map<string, KroInstance>()
  const children = new Map<string, Pod>()

  const podOf = ({ metadata }: KroInstance) =>
    [...children.values()].find(({ metadata: { labels } }) => labels["kro.run/instance-id"] === metadata.uid)
  const namespaceOf = ({ metadata, spec }: KroInstance) => metadata.namespace ?? String(spec?.namespace)

  const tell = (instance: KroInstance, state: string, ready: boolean) =>
    kube.request({
      verb: "patch",
      resource: { ...instances, subresource: "status" },
      namespace: instance.metadata.namespace,
      name: instance.metadata.name,
      body: { status: { state, conditions: (options.conditions ?? builtIn)(ready) } }
    })

  const reconcile = Effect.fnUntraced(function* (instance: KroInstance) {
    const { deletionTimestamp, finalizers = [], name, namespace, uid } = instance.metadata
    const pod = podOf(instance)
    if (deletionTimestamp !== undefined) {
      if (pod !== undefined && pod.metadata.deletionTimestamp === undefined) {
        const place = { namespace: pod.metadata.namespace, name: pod.metadata.name }
        yield* kube.request({ verb: "delete", resource: pods, ...place, query: { gracePeriodSeconds: 0 } })
      } else if (pod === undefined && finalizers.includes(finalizer)) {
        const left = finalizers.filter((one) => one !== finalizer)
        const body = { metadata: { uid, finalizers: left } }
        yield* kube.request({ verb: "patch", resource: instances, namespace, name, body })
      }
      return
    }
    if (!finalizers.includes(finalizer)) {
      const body = { metadata: { uid, finalizers: [...finalizers, finalizer] } }
      yield* kube.request({ verb: "patch", resource: instances, namespace, name, body })
    } else if (pod === undefined) {
      const labels = {
        "kro.run/instance-id": uid,
        "kro.run/instance-name": name,
        "kro.run/node-id": "runnerPod",
        "kro.run/owned": "true"
      }
      const spec = {
        restartPolicy: "Never",
        schedulerName: "the-test",
        containers: [{ name: "runner", image: "busybox" }]
      }
      const body = { metadata: { name: `${name}-job`, labels }, spec }
      yield* kube.request({ verb: "create", resource: pods, namespace: namespaceOf(instance), body })
      yield* tell(instance, "IN_PROGRESS", false)
    } else if (pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed") {
      yield* tell(instance, "ACTIVE", true)
    }
  })
  // Others change things meanwhile: the next event, or the next look, tells what there is.
  const look = (instance: KroInstance) => (stopped ? Effect.void : Effect.ignore(reconcile(instance)))
  const lookAtAll = Effect.suspend(() => Effect.forEach([...known.values()], look, { discard: true }))

  /** The life of one pod. */
  const live = Effect.fnUntraced(function* ({ metadata: { name, namespace, uid } }: Pod) {
    const status = (body: object) =>
      kube.request({
        verb: "patch",
        resource: { ...pods, subresource: "status" },
        namespace,
        name,
        body: { metadata: { uid }, status: body }
      })
    const runner = (state: object) => [{ name: "runner", ready: false, restartCount: 0, image: "busybox", state }]
    yield* status({ phase: "Running", containerStatuses: runner({ running: {} }) })
    starts.push(uid)
    yield* Deferred.succeed(running, undefined)
    const exitCode = yield* options.work ?? Effect.succeed(0)
    yield* status({ phase: "Running", containerStatuses: runner({ terminated: { exitCode } }) })
    yield* Effect.sleep("50 millis")
    yield* status({
      phase: exitCode === 0 ? "Succeeded" : "Failed",
      containerStatuses: runner({ terminated: { exitCode } })
    })
  })

  yield* kube.watch({ resource: pods, namespace: "*", labelSelector: "kro.run/owned=true" }).pipe(
    Stream.runForEach((event) =>
      Effect.gen(function* () {
        if (event._tag === "Synced") return
        const { uid } = event.object.metadata
        if (event._tag === "Deleted") children.delete(uid)
        else children.set(uid, event.object)
        if (event._tag === "Added") yield* Effect.forkChild(Effect.ignore(live(event.object)))
        const owner = [...known.values()].find(
          ({ metadata }) => metadata.uid === event.object.metadata.labels["kro.run/instance-id"]
        )
        // The end of a child of a deleted instance is seen only at the next look.
        if (owner !== undefined && owner.metadata.deletionTimestamp === undefined) yield* look(owner)
      })
    ),
    Effect.forkScoped
  )
  yield* kube.watch({ resource: instances, namespace: kind.namespaced ? "*" : undefined }).pipe(
    Stream.runForEach((event) =>
      Effect.gen(function* () {
        if (event._tag === "Synced") return
        const { uid } = event.object.metadata
        if (event._tag === "Deleted") return void known.delete(uid)
        known.set(uid, event.object)
        yield* look(event.object)
      })
    ),
    Effect.forkScoped
  )
  yield* Effect.forkScoped(Effect.forever(Effect.delay(lookAtAll, options.requeue ?? 100)))

  const played: PlayedKro = {
    instances,
    starts,
    running: Deferred.await(running),
    stop: Effect.sync(() => {
      stopped = true
    })
  }
  return played
})

/** What a runner needs beside KRO: its RGD, and its own pod, which waits for a node. */
export const scaleSet = Effect.fnUntraced(function* (kind: InstanceKind = usual) {
  const kube = yield* KubeClient.KubeClient
  const labels = { "actions.github.com/scale-set-name": "set" }
  yield* kube.request({ verb: "create", resource: Rgd.definitions, body: rgdOf(kind, labels) })
  const spec = { schedulerName: "the-test", containers: [{ name: "runner", image: "busybox" }] }
  yield* kube.request({ verb: "create", resource: pods, body: { metadata: { name: "r", labels }, spec } })
})
