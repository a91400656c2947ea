/**
 * A small Kubernetes cluster in this process, for tests: an API server that answers as the real one does, and a node whose pods are
 * processes of this machine.
 *
 * **When to use**
 *
 * For fast tests of what talks to Kubernetes, also from other processes (`kubeconfig`), with everything that goes wrong in clusters:
 * evictions, lost nodes, missing rights, broken connections. What it cannot show is a real kernel's, network's or registry's behaviour.
 *
 * **Details**
 *
 * - Objects: pods, secrets, config maps, events, claims, namespaces, service accounts, roles and bindings, jobs (stored only): with uids,
 *   versions, selectors, pages, preconditions, finalizers, owners and garbage collection, quotas, watches with bookmarks and 410. Custom
 *   resources by `kinds`; nothing happens to a pod with a `schedulerName`: a test can play their controller, and its kubelet.
 * - Pods run for real: init containers, sidecars, probes, variables, volumes, restarts, graceful ends; exec and logs are theirs. Each
 *   container has a mount and a process namespace: programs and libraries are this machine's, read only, all else is its own.
 * - Rights are rules by token, or Roles and RoleBindings. `requests` tells every call, for budgets.
 * - Time is real, also where a test has `TestClock`.
 *
 * **Gotchas**
 *
 * Containers need Linux, and root or user namespaces: skip tests that run pods when `unsupported()` gives a reason. All pods share this
 * machine's network: two cannot listen on one port. Limits of resources are not enforced, and users other than root need root.
 *
 * @example
 *
 * ```ts
 * it.live("a pod says hello", () =>
 *   Effect.gen(function* () {
 *     const kubernetes = yield* FakeKubernetes.FakeKubernetes
 *     const kube = yield* KubeClient.KubeClient
 *     const spec = { restartPolicy: "Never", containers: [{ name: "main", image: "alpine", command: ["echo", "hello"] }] }
 *     yield* kube.request({ verb: "create", resource: KubeResource.pods, body: { metadata: { name: "greeter" }, spec } })
 *     yield* kubernetes.phase("greeter", "Succeeded")
 *     assert.strictEqual(yield* Stream.mkString(Stream.decodeText(kube.logs({ pod: "greeter" }))), "hello\n")
 *     assert.lengthOf(kubernetes.requests, 2)
 *   }).pipe(Effect.provide(FakeKubernetes.layer()))
 * )
 * ```
 */
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Process from "node:process"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import type { ClusterAccess } from "../../backends/kubernetes/ClusterAccess.ts"
import * as KubeClient from "../../backends/kubernetes/KubeClient.ts"
import type { Fault } from "./FakeFault.ts"
import * as FakeImage from "./FakeImage.ts"
import type { Rule } from "./FakeRights.ts"
import { type SeenRequest, serveApi } from "./internal/apiServer.ts"
import { reconcile } from "./internal/controllers.ts"
import { makeFaults } from "./internal/faults.ts"
import type { KubeObject } from "./internal/KubeObject.ts"
import { builtIn, events, type Kind, namespaces, pods, serviceAccounts } from "./internal/kinds.ts"
import { kubeconfigOf } from "./internal/kubeconfigText.ts"
import { makeKubelet } from "./internal/kubelet.ts"
import * as Namespaces from "./internal/namespaces.ts"
import { makeObjectCalls, type Quota } from "./internal/objectCalls.ts"
import { makeObjectStore } from "./internal/objectStore.ts"
import { makeUsers } from "./internal/users.ts"

export type { SeenRequest } from "./internal/apiServer.ts"
export type { Kind } from "./internal/kinds.ts"
export type { Quota } from "./internal/objectCalls.ts"

/** @category options */
export interface Options {
  /** What calls without a namespace go to; it exists. Default `default`. */
  readonly namespace?: string | undefined
  /** Of custom resources, each with a status of its own. Who plays their controller is the test. */
  readonly kinds?: ReadonlyArray<Kind> | undefined
  /** Added to `FakeImage.defaults`. */
  readonly images?: FakeImage.FakeImages | undefined
  /** Directories of this machine that are the content of claims, by the claim's name. Default: new ones. */
  readonly claims?: Readonly<Record<string, string>> | undefined
  /** The node's name and labels. Default `node-1`. */
  readonly node?: { readonly name?: string; readonly labels?: Readonly<Record<string, string>> } | undefined
  /** Exec speaks only these. Default v5 and v4. */
  readonly protocols?: ReadonlyArray<"v5.channel.k8s.io" | "v4.channel.k8s.io"> | undefined
  /** A certificate and its key: the server then speaks TLS. Default: plain HTTP. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined
  /** Between the end of a pod's containers and its phase; real clusters need about a second. Default 20 ms. */
  readonly phaseDelay?: Duration.Input | undefined
  /** Until a failed pull, start or run is tried again. Default 200 ms. */
  readonly retryDelay?: Duration.Input | undefined
  /** How long a second of probes is. Default 1 second. */
  readonly probeSecond?: Duration.Input | undefined
  /** Of a watch on which nothing happens. Default 1 minute. */
  readonly bookmarkInterval?: Duration.Input | undefined
  /** Of what is left to chance: faults with a probability, generated names. Default: another one each time. */
  readonly seed?: number | string | undefined
}

/** @category services */
export class FakeKubernetes extends Context.Service<
  FakeKubernetes,
  {
    /** As administrator. */
    readonly access: ClusterAccess
    /** As a user with these rights, or with those of a service account. */
    readonly accessAs: (who: Who) => ClusterAccess
    /** A kubeconfig for an access. */
    readonly kubeconfig: (access?: ClusterAccess) => Effect.Effect<string>
    readonly namespace: string
    readonly port: number
    /** What was called, in order. */
    readonly requests: ReadonlyArray<SeenRequest>
    /** What an effect calls, and anybody else meanwhile. */
    readonly counted: <A, E, R>(
      effect: Effect.Effect<A, E, R>
    ) => Effect.Effect<readonly [A, ReadonlyArray<SeenRequest>], E, R>
    /** From now on. Several may be there; the first that fits hits. */
    readonly inject: (fault: Fault) => Effect.Effect<void>
    readonly clearFaults: Effect.Effect<void>
    /** Nobody has this right any more. */
    readonly deny: (rule: Rule) => Effect.Effect<void>
    readonly clearDenials: Effect.Effect<void>
    readonly limit: (quota: Quota) => Effect.Effect<void>
    /** Adds an image, or replaces one. */
    readonly addImage: (name: string, image: FakeImage.FakeImage) => Effect.Effect<void>
    /** The directory of a claim. */
    readonly claimDirectory: (claim: string, namespace?: string) => string
    /** All objects but events and what every cluster has, as `pods default/build-1`: for "nothing is left". */
    readonly left: Effect.Effect<ReadonlyArray<string>>
    /** Waits until a pod has one of the phases. */
    readonly phase: (pod: string, ...phases: ReadonlyArray<string>) => Effect.Effect<void>
    /** Waits until a pod's object is gone. */
    readonly gone: (pod: string) => Effect.Effect<void>
    /** The node is short of something: the pod fails, and stays. */
    readonly evict: (pod: string, message?: string) => Effect.Effect<void>
    /** The kernel kills a container, which is told as OOMKilled; all of them if none is named. */
    readonly oomKill: (pod: string, container?: string) => Effect.Effect<void>
    /** A more important pod needs the place: the pod is told why, then deleted with its grace. */
    readonly preempt: (pod: string) => Effect.Effect<void>
    /** No new pods are scheduled. */
    readonly cordon: (cordoned: boolean) => Effect.Effect<void>
    /** The node loses its connection: no status, no exec, no log, no end of a deletion. Its containers go on. */
    readonly disconnectNode: Effect.Effect<void>
    readonly reconnectNode: Effect.Effect<void>
    /** Versions before now are forgotten: watches and pages that continue from one get 410. */
    readonly compact: Effect.Effect<void>
  }
>()("jobscope/testing/kubernetes/FakeKubernetes") {}

/** @category models */
export type Who =
  | { readonly user?: string; readonly rules: ReadonlyArray<Rule> }
  | { readonly serviceAccount: string; readonly namespace?: string }

/**
 * Why pods cannot run on this machine, or nothing.
 *
 * @category getters
 */
export const unsupported = (): string | undefined => Namespaces.unsupported()

/**
 * A cluster until the scope closes; then its processes and directories are gone.
 *
 * @category constructors
 */
export const make = (options: Options = {}): Effect.Effect<FakeKubernetes["Service"], never, Scope.Scope> => {
  // A cluster's time is not the test's.
  const clock = Clock.Clock.defaultValue()
  const seeded =
    options.seed === undefined ? build(options, clock) : Random.withSeed(build(options, clock), options.seed)
  return Effect.provideService(seeded, Clock.Clock, clock)
}

/**
 * A cluster, and a client of its administrator.
 *
 * @category layers
 */
export const layer = (options: Options = {}): Layer.Layer<FakeKubernetes | KubeClient.KubeClient> =>
  Layer.effect(
    KubeClient.KubeClient,
    FakeKubernetes.use(({ access }) => KubeClient.make(access))
  ).pipe(Layer.provideMerge(Layer.effect(FakeKubernetes, make(options))))

const build = Effect.fnUntraced(function* (options: Options, clock: Clock.Clock) {
  const generator = yield* Random.Random
  const random = () => generator.nextDoubleUnsafe()
  // Of their own, so that names that were made meanwhile do not change what is hit.
  const chance = yield* Random.withSeed(Random.Random, options.seed ?? random())
  const namespace = options.namespace ?? "default"
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "jobscope-fake-"))),
    (made) => Effect.sync(() => Fs.rmSync(made, { recursive: true, force: true, maxRetries: 5 }))
  )
  const prefix = `${Math.floor(random() * 2 ** 32)
    .toString(16)
    .padStart(8, "0")}-0000-4000-8000`
  const store = makeObjectStore(clock, prefix, [...builtIn, ...(options.kinds ?? [])])
  const users = makeUsers(store, random)
  const faults = makeFaults(() => chance.nextDoubleUnsafe())
  const quotas: Array<Quota> = []
  let images: FakeImage.FakeImages = { ...FakeImage.defaults, ...options.images }
  let cordoned = false
  let variables: Readonly<Record<string, string>> = {}
  const seen: Array<SeenRequest> = []

  const claimDirectory = (claim: string, inNamespace = namespace) =>
    options.claims?.[claim] ?? Path.join(directory, "claims", inNamespace, claim)
  yield* Effect.acquireRelease(
    Effect.sync(() => store.subscribe((change) => reconcile(store, change))),
    (unsubscribe) => Effect.sync(unsubscribe)
  )
  const nodeName = options.node?.name ?? "node-1"
  const kubelet = yield* makeKubelet({
    store,
    clock,
    directory: Path.join(directory, "pods"),
    node: {
      name: nodeName,
      labels: { "kubernetes.io/hostname": nodeName, "kubernetes.io/os": Process.platform, ...options.node?.labels },
      cordoned: () => cordoned
    },
    images: () => images,
    variables: () => variables,
    timings: {
      phase: Duration.fromInputUnsafe(options.phaseDelay ?? "20 millis"),
      again: Duration.fromInputUnsafe(options.retryDelay ?? "200 millis"),
      second: Duration.fromInputUnsafe(options.probeSecond ?? "1 second")
    },
    claimDirectory: (inNamespace, claim) => claimDirectory(claim, inNamespace),
    token: users.tokenOf,
    authority: options.tls?.cert
  })
  const objects = makeObjectCalls({ store, random, quotas: () => quotas, token: users.tokenOf })
  const port = yield* serveApi({
    store,
    users,
    kubelet,
    faults,
    answer: objects.answer,
    seen,
    tls: options.tls,
    protocols: options.protocols ?? ["v5.channel.k8s.io", "v4.channel.k8s.io"],
    bookmarks: Duration.fromInputUnsafe(options.bookmarkInterval ?? "1 minute")
  })
  // In-cluster access is always over TLS.
  if (options.tls !== undefined) {
    variables = { KUBERNETES_SERVICE_HOST: "127.0.0.1", KUBERNETES_SERVICE_PORT: String(port) }
  }
  for (const name of new Set(["default", namespace])) {
    store.create(namespaces, undefined, name, { status: { phase: "Active" } })
    store.create(serviceAccounts, name, "default", {})
  }

  const accessWith = (token: string): ClusterAccess => ({
    source: "the fake cluster",
    server: `${options.tls === undefined ? "http" : "https"}://127.0.0.1:${port}`,
    namespace,
    tls: options.tls === undefined ? {} : { ca: options.tls.cert },
    headers: () => Effect.succeed({ authorization: `Bearer ${token}` })
  })
  const access = accessWith(users.add({ name: "admin", rules: "all" }))

  const uidOf = (pod: string) => store.get(pods, namespace, pod)?.metadata.uid ?? ""
  const when = (holds: () => boolean) =>
    Effect.callback<void>((resume) => {
      if (holds()) return resume(Effect.void)
      const unsubscribe = store.subscribe(() => {
        if (!holds()) return
        unsubscribe()
        resume(Effect.void)
      })
      return Effect.sync(unsubscribe)
    })
  const isEverywhere = (kind: Kind, { metadata }: KubeObject) =>
    kind === events || kind === namespaces || (kind === serviceAccounts && metadata.name === "default")

  return FakeKubernetes.of({
    access,
    accessAs: (who) =>
      accessWith(
        "rules" in who
          ? users.add({ name: who.user ?? "user", rules: who.rules })
          : users.tokenOf(who.namespace ?? namespace, who.serviceAccount)
      ),
    kubeconfig: (given = access) => kubeconfigOf(given),
    namespace,
    port,
    requests: seen,
    counted: Effect.fnUntraced(function* (effect) {
      const before = seen.length
      const result = yield* effect
      return [result, seen.slice(before)] as const
    }),
    inject: (fault) => Effect.sync(() => faults.inject(fault)),
    clearFaults: Effect.sync(faults.clear),
    deny: (rule) => Effect.sync(() => users.deny(rule)),
    clearDenials: Effect.sync(users.allowAll),
    limit: (quota) => Effect.sync(() => void quotas.push(quota)),
    addImage: (name, image) =>
      Effect.sync(() => {
        images = { ...images, [name]: image }
      }),
    claimDirectory,
    left: Effect.sync(() =>
      store.kinds.flatMap((kind) =>
        store
          .list(kind, undefined)
          .filter((object) => !isEverywhere(kind, object))
          .map(({ metadata }) => `${kind.plural} ${metadata.namespace}/${metadata.name}`)
      )
    ),
    phase: (pod, ...phases) =>
      when(() => {
        const status = store.get(pods, namespace, pod)?.status
        return (
          typeof status === "object" && status !== null && "phase" in status && phases.includes(String(status.phase))
        )
      }),
    gone: (pod) => when(() => store.get(pods, namespace, pod) === undefined),
    evict: (pod, message = "The node was low on resource: memory.") =>
      Effect.sync(() => kubelet.stop(uidOf(pod), { _tag: "Failed", reason: "Evicted", message, killed: "Error" })),
    oomKill: (pod, container) =>
      Effect.forEach(
        kubelet.record(uidOf(pod))?.containers ?? [],
        (record) => {
          if (record.process === undefined || (container !== undefined && record.spec.name !== container))
            return Effect.void
          record.killedAs = "OOMKilled"
          return record.process.signal("SIGKILL")
        },
        { discard: true }
      ),
    preempt: Effect.fnUntraced(function* (pod) {
      const uid = uidOf(pod)
      const record = kubelet.record(uid)
      if (record !== undefined) {
        record.disruption = {
          reason: "PreemptionByScheduler",
          message: "default-scheduler: preempting to accommodate a higher priority pod"
        }
      }
      yield* kubelet.publish(uid)
      const object = store.withUid(uid)
      if (object !== undefined) store.destroy(pods, object)
    }),
    cordon: (now) =>
      Effect.sync(() => {
        cordoned = now
      }),
    disconnectNode: kubelet.setConnected(false),
    reconnectNode: kubelet.setConnected(true),
    compact: Effect.sync(() => {
      store.compact()
      objects.expirePages()
    })
  })
})
