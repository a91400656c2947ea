/** What suites need that run on the fake and on a real cluster. */
import { Context, Effect, type Layer, Stream } from "effect"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import type { ExecOptions } from "jobscope/backends/kubernetes/KubeExec"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"

const { pods } = KubeResource

/** The cluster under test: a client of its administrator, in a namespace of this suite. */
export class Cluster extends Context.Service<
  Cluster,
  {
    readonly namespace: string
    /** A client with the token of a service account. */
    readonly as: (token: string) => Effect.Effect<KubeClient.KubeClient["Service"]>
  }
>()("jobscope/test/Cluster") {}

export type ClusterLayer = Layer.Layer<Cluster | KubeClient.KubeClient>

export type Spec = Readonly<Record<string, unknown>>

/** A pod of one container that runs a script. */
export const shell = (script: string, more: Spec = {}): Spec => ({
  name: "main",
  image: "busybox",
  imagePullPolicy: "IfNotPresent",
  command: ["sh", "-c", script],
  ...more
})

export const podOf = (name: string, spec: Spec, metadata: Spec = {}) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, ...metadata },
  spec: { restartPolicy: "Never", terminationGracePeriodSeconds: 1, automountServiceAccountToken: false, ...spec }
})

export const createPod = Effect.fnUntraced(function* (name: string, spec: Spec, metadata: Spec = {}) {
  const kube = yield* KubeClient.KubeClient
  return yield* kube.request({ verb: "create", resource: pods, body: podOf(name, spec, metadata) })
})

export const getPod = (name: string) =>
  KubeClient.KubeClient.use((kube) => kube.request({ verb: "get", resource: pods, name }))

export type Pod = Effect.Success<ReturnType<typeof getPod>>

/** The pod, once it is as wanted; told by a watch. */
export const until = (name: string, holds: (pod: Pod) => boolean) =>
  KubeClient.KubeClient.use((kube) =>
    Effect.flatMap(
      Stream.runHead(
        kube.watch({ resource: pods, fieldSelector: `metadata.name=${name}` }).pipe(
          Stream.flatMap((event) => (event._tag === "Synced" ? Stream.empty : Stream.succeed(event.object))),
          Stream.filter(holds)
        )
      ),
      Effect.fromOption
    )
  ).pipe(Effect.orDie)

export const phase = (name: string, ...phases: ReadonlyArray<string>) =>
  until(name, ({ status }) => phases.includes(status?.phase ?? ""))

/** Waits until an object is gone. */
export const gone = <A>(resource: KubeResource.KubeResource<A>, name: string) =>
  KubeClient.KubeClient.use((kube) =>
    Effect.match(kube.request({ verb: "get", resource, name }), {
      onFailure: ({ reason }) => reason._tag === "NotFound",
      onSuccess: () => false
    })
  ).pipe(eventually(`${name} is gone`))

/** Until it holds, or a minute is over. */
export const eventually =
  (what: string) =>
  <E, R>(holds: Effect.Effect<boolean, E, R>): Effect.Effect<void, E, R> =>
    Effect.repeat(Effect.delay(holds, "50 millis"), { until: (held) => held }).pipe(
      Effect.timeoutOrElse({ duration: "1 minute", orElse: () => Effect.die(new Error(`never: ${what}`)) }),
      Effect.asVoid
    )

export const remove = (name: string, graceSeconds?: number) =>
  KubeClient.KubeClient.use((kube) =>
    kube.request({
      verb: "delete",
      resource: pods,
      name,
      ...(graceSeconds === undefined ? {} : { body: { gracePeriodSeconds: graceSeconds } })
    })
  )

export const logs = (pod: string, options: object = {}) =>
  KubeClient.KubeClient.use((kube) => Stream.mkString(Stream.decodeText(kube.logs({ pod, ...options }))))

/** Runs a script in a pod to its end. */
export const run = (pod: string, script: string, options: Partial<ExecOptions> = {}) =>
  Effect.scoped(
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      const process = yield* kube.exec({ pod, command: ["sh", "-c", script], ...options })
      const out = { stdout: "", stderr: "" }
      yield* Stream.runForEach(process.output, ({ bytes, stream }) =>
        Effect.sync(() => {
          out[stream] += Buffer.from(bytes).toString()
        })
      )
      return { ...out, code: yield* process.exitCode }
    })
  )

/** What a container is now. */
export const stateOf = (pod: Pod, container = "main") =>
  [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])].find(
    ({ name }) => name === container
  )?.state
