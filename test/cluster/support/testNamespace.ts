/** A namespace for one suite, in the cluster of KUBECONFIG, with a pod to run commands in; gone afterwards. */
import { randomUUID } from "node:crypto"
import { Context, Effect, Layer, Stream } from "effect"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"

export class TestNamespace extends Context.Service<TestNamespace, { readonly name: string }>()(
  "jobscope/test/TestNamespace"
) {}

export const layer: Layer.Layer<KubeClient.KubeClient | TestNamespace> = Layer.effect(
  TestNamespace,
  Effect.gen(function* () {
    const kube = yield* KubeClient.KubeClient
    const name = `jobscope-test-${randomUUID().slice(0, 8)}`
    yield* Effect.acquireRelease(
      kube.request({
        verb: "create",
        resource: KubeResource.namespaces,
        body: { apiVersion: "v1", kind: "Namespace", metadata: { name, labels: { "jobscope-test": "true" } } }
      }),
      () => Effect.orDie(kube.request({ verb: "delete", resource: KubeResource.namespaces, name }))
    )
    return { name }
  })
).pipe(Layer.provideMerge(KubeClient.layer({ sources: ["kubeconfig"] })), Layer.orDie)

const manifest = (name: string, command: ReadonlyArray<string>) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name },
  spec: {
    restartPolicy: "Never",
    terminationGracePeriodSeconds: 0,
    automountServiceAccountToken: false,
    containers: [{ name: "main", image: "busybox:latest", imagePullPolicy: "IfNotPresent", command }]
  }
})

export const createPod = Effect.fnUntraced(function* (name: string, command: ReadonlyArray<string>) {
  const kube = yield* KubeClient.KubeClient
  const namespace = (yield* TestNamespace).name
  return yield* kube.request({ verb: "create", resource: KubeResource.pods, namespace, body: manifest(name, command) })
})

export const deletePod = Effect.fnUntraced(function* (name: string) {
  const kube = yield* KubeClient.KubeClient
  const namespace = (yield* TestNamespace).name
  return yield* kube.request({
    verb: "delete",
    resource: KubeResource.pods,
    namespace,
    name,
    query: { gracePeriodSeconds: 0 }
  })
})

/** Waits until a pod has one of the phases. */
export const inPhase = Effect.fnUntraced(function* (name: string, ...phases: ReadonlyArray<string>) {
  const kube = yield* KubeClient.KubeClient
  const namespace = (yield* TestNamespace).name
  yield* kube.watch({ resource: KubeResource.pods, namespace, fieldSelector: `metadata.name=${name}` }).pipe(
    Stream.takeUntil((event) => event._tag !== "Synced" && phases.includes(event.object.status?.phase ?? "")),
    Stream.runDrain
  )
})
