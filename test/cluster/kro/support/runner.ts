/** Runs kro-runner from its sources as a process of its own, for a runner pod that stands in for ARC's. */
import { randomUUID } from "node:crypto"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { assert } from "@effect/vitest"
import { Effect, Stream } from "effect"
import type { KroInstance } from "jobscope/backends/kro/KroInstance"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import { type Ended, type Running, start } from "../../../programs/console/process.ts"
import { TestNamespace } from "../../support/testNamespace.ts"
import { makeRgd, type Wanted } from "./rgds.ts"

const root = dirname(dirname(dirname(dirname(import.meta.dirname))))
const main = join(root, "src/programs/kro-runner/main.ts")
const node = join(root, "node_modules/.bin/node")

export const instancesOf = (kind: string): KubeResource.KubeResource<KroInstance> =>
  KubeResource.make({ group: "kro.run", version: "v1alpha1", plural: `${kind.toLowerCase()}s` })

/** The pod that the runner program would run in. */
export const runnerPod = Effect.fnUntraced(function* (name: string, metadata: object = {}, spec: object = {}) {
  const kube = yield* KubeClient.KubeClient
  const namespace = (yield* TestNamespace).name
  return yield* kube.request({
    verb: "create",
    resource: KubeResource.pods,
    namespace,
    body: {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name, ...metadata },
      spec: {
        restartPolicy: "Never",
        automountServiceAccountToken: false,
        terminationGracePeriodSeconds: 30,
        containers: [
          { name: "runner", image: "busybox:latest", imagePullPolicy: "IfNotPresent", command: ["sleep", "3600"] }
        ],
        ...spec
      }
    }
  })
})

interface Runner {
  readonly process: Running
  readonly jit: string
  /** Waits for the end, and asserts that nothing showed the JIT configuration. */
  readonly ended: Effect.Effect<Ended & { readonly termination: string }>
  readonly says: (text: string) => Effect.Effect<void>
}

/** Starts it; it is killed when the scope closes. */
export const startRunner = Effect.fnUntraced(function* (
  name: string,
  options: {
    readonly env?: Readonly<Record<string, string>>
    readonly args?: ReadonlyArray<string>
    readonly jit?: string
    readonly kubeconfig?: string
    /** A bundle, for many at once: it starts faster than the sources. */
    readonly program?: string
  } = {}
) {
  const namespace = (yield* TestNamespace).name
  const directory = mkdtempSync(join(tmpdir(), "kro-runner-"))
  yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(directory, { recursive: true, force: true })))
  const terminationLog = join(directory, "termination-log")
  writeFileSync(terminationLog, "")
  const jit = options.jit ?? `jit-${randomUUID()}`
  const process = yield* Effect.acquireRelease(
    Effect.sync(() =>
      start(
        [
          node,
          "--conditions=@jobscope/source",
          options.program ?? main,
          ...(options.args ?? []),
          "--namespace",
          namespace
        ],
        {
          env: {
            RUNNER_NAME: name,
            ACTIONS_RUNNER_INPUT_JITCONFIG: jit,
            KAR_TERMINATION_LOG: terminationLog,
            KAR_LOG_LEVEL: "debug",
            ...(options.kubeconfig === undefined ? {} : { KUBECONFIG: options.kubeconfig }),
            ...options.env
          }
        }
      )
    ),
    (running) => Effect.sync(() => running.kill("SIGKILL"))
  )
  const runner: Runner = {
    process,
    jit,
    ended: Effect.map(
      Effect.promise(() => process.ended),
      (ended) => {
        const termination = readFileSync(terminationLog, "utf8")
        assert.notInclude(ended.stdout + ended.stderr + termination, jit, "the JIT configuration was shown")
        return { ...ended, termination }
      }
    ),
    says: (text) => Effect.promise(() => process.says(text))
  }
  return runner
})

/** What is there of a kind. */
export const all = Effect.fnUntraced(function* <A>(resource: KubeResource.KubeResource<A>) {
  const kube = yield* KubeClient.KubeClient
  const namespace = (yield* TestNamespace).name
  return (yield* kube.list({ resource, namespace })).items
})

/** Nothing of the instance `name` is left: no instance, no pod of KRO, no Secret. */
export const nothingLeft = Effect.fnUntraced(function* (kind: string, name: string) {
  const kube = yield* KubeClient.KubeClient
  const namespace = (yield* TestNamespace).name
  const names = (items: ReadonlyArray<{ readonly metadata?: { readonly name?: string } }>) =>
    items.map(({ metadata }) => metadata?.name).filter((found) => found?.startsWith(name))
  const pods = yield* kube.list({
    resource: KubeResource.pods,
    namespace,
    query: { labelSelector: `kro.run/instance-name=${name}` }
  })
  assert.deepStrictEqual(names(yield* all(instancesOf(kind))), [], "instances")
  assert.deepStrictEqual(names(pods.items), [], "pods")
  assert.deepStrictEqual(names(yield* all(KubeResource.secrets)), [], "secrets")
})

/** Every container `runner` of a pod of the instance that ever started, by the pod's UID. Follows from now on. */
export const startsOf = Effect.fnUntraced(function* (name: string) {
  const kube = yield* KubeClient.KubeClient
  const namespace = (yield* TestNamespace).name
  const uids = new Set<string>()
  yield* Effect.forkScoped(
    kube.watch({ resource: KubeResource.pods, namespace, labelSelector: `kro.run/instance-name=${name}` }).pipe(
      Stream.runForEach((event) =>
        Effect.sync(() => {
          if (event._tag === "Synced") return
          const { metadata, status } = event.object
          const state = status?.containerStatuses?.find((container) => container.name === "runner")?.state
          if (state?.running !== undefined || state?.terminated !== undefined) uids.add(metadata?.uid ?? "")
        })
      )
    )
  )
  return uids
})

/** Waits until it holds. */
export const eventually = <E, R>(what: string, holds: Effect.Effect<boolean, E, R>) =>
  Effect.repeat(Effect.delay(holds, "50 millis"), { until: (held) => held }).pipe(
    Effect.timeoutOrElse({ duration: "60 seconds", orElse: () => Effect.die(new Error(`never: ${what}`)) })
  )

/** An RGD of a scale set of its own, and a runner pod of it. */
export const scene = Effect.fnUntraced(function* (
  name: string,
  wanted: Wanted = {},
  { pod = true }: { readonly pod?: boolean } = {}
) {
  const label = { "actions.github.com/scale-set-name": name }
  const rgd = yield* makeRgd({ ...wanted, labels: label })
  const own = pod ? yield* runnerPod(name, { labels: label }) : undefined
  return {
    kind: rgd.spec.schema.kind,
    rgd: rgd.metadata.name,
    uid: own?.metadata?.uid ?? "",
    instances: instancesOf(rgd.spec.schema.kind)
  }
})

/** Deletes a pod as somebody else would. */
export const forceDelete = Effect.fnUntraced(function* (name: string, gracePeriodSeconds = 0) {
  const kube = yield* KubeClient.KubeClient
  const namespace = (yield* TestNamespace).name
  yield* kube.request({ verb: "delete", resource: KubeResource.pods, namespace, name, query: { gracePeriodSeconds } })
})
