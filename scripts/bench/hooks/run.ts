/**
 * Measures a hook from inside a runner's pod, as the runner calls it: `node run.ts <options as JSON>`, one JSON object on stdout.
 *
 * The pod has the rights that Actions Runner Controller gives, its service account's token, and the runner's own Node 20.
 */
import { randomUUID } from "node:crypto"
import { readFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Schedule, Stream } from "effect"
import * as esbuild from "esbuild"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"

export interface Options {
  /** The bundle. */
  readonly hook: string
  readonly mode: "claim" | "claim-exec" | "copy"
  readonly files?: number
  readonly gigabyte?: boolean
  /** Another bundle, called in turn with the first. */
  readonly other?: string
  /** No steps. */
  readonly only?: "prepare"
}

const runnerImage = "ghcr.io/actions/actions-runner:latest"
const node = "/home/runner/externals/node20/bin/node"

const volumes = KubeResource.make<object>({ plural: "persistentvolumes", namespaced: false })

/** As in the chart gha-runner-scale-set, for the container modes `kubernetes` and `kubernetes-novolume`. */
const rules = [
  { apiGroups: [""], resources: ["pods"], verbs: ["get", "list", "create", "delete"] },
  { apiGroups: [""], resources: ["pods/exec"], verbs: ["get", "create"] },
  { apiGroups: [""], resources: ["pods/log"], verbs: ["get", "list", "watch"] },
  { apiGroups: ["batch"], resources: ["jobs"], verbs: ["get", "list", "create", "delete"] },
  { apiGroups: [""], resources: ["secrets"], verbs: ["get", "list", "create", "delete"] }
]

/** A program of this folder for the runner's Node. */
const bundled = async (file: string): Promise<string> => {
  const { outputFiles } = await esbuild.build({
    entryPoints: [join(import.meta.dirname, file)],
    bundle: true,
    write: false,
    minify: true,
    platform: "node",
    target: "node20",
    format: "cjs"
  })
  return outputFiles[0]?.text ?? ""
}

const program = Effect.gen(function* () {
  const options: Options = JSON.parse(process.argv[2] ?? "{}")
  const kube = yield* KubeClient.KubeClient
  const namespace = `jobscope-bench-${randomUUID().slice(0, 8)}`
  const claimMode = options.mode !== "copy"
  const create = (resource: KubeResource.KubeResource<unknown>, body: object, inside = true) =>
    kube.request({ verb: "create", resource, body, ...(inside ? { namespace } : {}) })
  yield* Effect.acquireRelease(
    create(KubeResource.namespaces, { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } }, false),
    () => Effect.orDie(kube.request({ verb: "delete", resource: KubeResource.namespaces, name: namespace }))
  )
  yield* Effect.retry(
    kube.request({ verb: "get", resource: KubeResource.serviceAccounts, namespace, name: "default" }),
    { schedule: Schedule.spaced("100 millis"), times: 300 }
  )
  const group = "rbac.authorization.k8s.io"
  yield* create(KubeResource.roles, { apiVersion: `${group}/v1`, kind: "Role", metadata: { name: "arc" }, rules })
  yield* create(KubeResource.roleBindings, {
    apiVersion: `${group}/v1`,
    kind: "RoleBinding",
    metadata: { name: "arc" },
    subjects: [{ kind: "ServiceAccount", name: "default", namespace }],
    roleRef: { apiGroup: group, kind: "Role", name: "arc" }
  })
  if (claimMode) {
    yield* Effect.acquireRelease(
      create(
        volumes,
        {
          apiVersion: "v1",
          kind: "PersistentVolume",
          metadata: { name: namespace },
          spec: {
            capacity: { storage: "10Gi" },
            accessModes: ["ReadWriteOnce"],
            storageClassName: "",
            hostPath: { path: join(tmpdir(), namespace), type: "DirectoryOrCreate" }
          }
        },
        false
      ),
      () => Effect.orDie(kube.request({ verb: "delete", resource: volumes, name: namespace }))
    )
    yield* create(KubeResource.claims, {
      apiVersion: "v1",
      kind: "PersistentVolumeClaim",
      metadata: { name: "runner-work" },
      spec: {
        accessModes: ["ReadWriteOnce"],
        storageClassName: "",
        volumeName: namespace,
        resources: { requests: { storage: "10Gi" } }
      }
    })
  }
  const runner = (name: string) =>
    create(KubeResource.pods, {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name },
      spec: {
        restartPolicy: "Never",
        terminationGracePeriodSeconds: 0,
        initContainers: [
          {
            name: "open",
            image: "busybox:latest",
            imagePullPolicy: "IfNotPresent",
            command: ["chmod", "777", "/w"],
            volumeMounts: [{ name: "work", mountPath: "/w" }]
          }
        ],
        containers: [
          {
            name: "runner",
            image: runnerImage,
            imagePullPolicy: "IfNotPresent",
            command: ["sleep", "3600"],
            env: [
              { name: "ACTIONS_RUNNER_POD_NAME", value: name },
              { name: "ACTIONS_RUNNER_KUBERNETES_NAMESPACE", value: namespace },
              { name: "ACTIONS_RUNNER_IMAGE", value: runnerImage },
              { name: "ACTIONS_RUNNER_CONTAINER_HOOKS", value: "/tmp/hook/index.js" }
            ],
            volumeMounts: [{ name: "work", mountPath: "/home/runner/_work" }]
          }
        ],
        volumes: [
          claimMode
            ? { name: "work", persistentVolumeClaim: { claimName: "runner-work" } }
            : { name: "work", emptyDir: {} }
        ]
      }
    })
  yield* runner("runner")
  if (options.other !== undefined) yield* runner("other")
  const started = (name: string) =>
    Effect.retry(
      Effect.flatMap(kube.request({ verb: "get", resource: KubeResource.pods, namespace, name }), (pod) =>
        pod.status?.phase === "Running" ? Effect.void : Effect.fail("not yet")
      ),
      { schedule: Schedule.spaced("200 millis"), times: 300 }
    )
  yield* started("runner")
  if (options.other !== undefined) yield* started("other")

  const place = { namespace, pod: "runner", container: "runner" }
  const inPod = (command: ReadonlyArray<string>, stdin?: Uint8Array) =>
    Effect.scoped(
      Effect.gen(function* () {
        const process = yield* kube.exec({ ...place, command, stdin: stdin !== undefined })
        if (stdin !== undefined) yield* Stream.run(Stream.succeed(stdin), process.stdin)
        const chunks = yield* Stream.runCollect(process.output)
        const textOf = (stream: string) =>
          Buffer.concat(chunks.filter((chunk) => chunk.stream === stream).map(({ bytes }) => bytes)).toString()
        const code = yield* process.exitCode
        if (code !== 0) return yield* Effect.die(new Error(`${command[0]} exited with ${code}:\n${textOf("stderr")}`))
        return textOf("stdout")
      })
    )
  const put = (path: string, content: string | Uint8Array) =>
    inPod(["sh", "-c", 'mkdir -p "$(dirname "$0")" && cat >"$0"', path], Buffer.from(content))
  yield* put("/tmp/hook/index.js", readFileSync(options.hook))
  if (options.other !== undefined) yield* put("/tmp/other/index.js", readFileSync(options.other))
  yield* put("/tmp/driver.cjs", yield* Effect.promise(() => bundled("driver.ts")))
  yield* put("/tmp/bareExec.cjs", yield* Effect.promise(() => bundled("bareExec.ts")))
  const arguments_ = {
    ...options,
    hook: "/tmp/hook/index.js",
    ...(options.other === undefined ? {} : { other: "/tmp/other/index.js" }),
    bareExec: "/tmp/bareExec.cjs",
    jobImage: "docker.io/library/ubuntu:latest",
    stepImage: "docker.io/library/alpine:latest"
  }
  process.stdout.write(yield* inPod([node, "/tmp/driver.cjs", JSON.stringify(arguments_)]))
})

const stopping = new AbortController()
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => stopping.abort())
await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(KubeClient.layer({ sources: ["kubeconfig"] }))), {
  signal: stopping.signal
})
