/**
 * Seconds of a container step of a Dockerfile by each builder that is at hand, beside ordinary steps of the same base image: `node run.ts
 * [runs]`, with the cluster of KUBECONFIG, prints medians as JSON.
 *
 * `plain` copies a file and runs a line; `installing` stands for one that installs packages: its RUN writes 2,000 files and sleeps a second.
 * An ordinary step does the same work in its own command, so that what a builder adds is the difference. `cold` has a base image on the node
 * and nothing else; `warm` has been built before.
 *
 * Builders besides inline are those of test/cluster/dockerfile/builders.test.ts, by the same variables.
 */
import { randomUUID } from "node:crypto"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Context, Effect, Layer, Schedule, Stream } from "effect"
import * as Builder from "jobscope/backends/dockerfile/Builder"
import * as ImageConfig from "jobscope/backends/dockerfile/ImageConfig"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import * as PodBackend from "jobscope/backends/pod/PodBackend"
import { JobContainer, JobSpec } from "jobscope/domain/Job"
import { JobBackend } from "jobscope/domain/JobBackend"
import type { JobEnvironment } from "jobscope/domain/JobEnvironment"
import { ContainerStep } from "jobscope/domain/Step"

const runs = Number(process.argv[2] ?? 3)
const image = "docker.io/library/ubuntu:latest"
const work = "i=0; while [ $i -lt 2000 ]; do echo $i >/srv/$i; i=$((i + 1)); done; sleep 1"
const kinds = { plain: "true", installing: work }
type Kind = keyof typeof kinds

const folder = mkdtempSync(join(tmpdir(), "jobscope-bench-"))

/** A Dockerfile that nobody has built, unless it is asked for by the same name again. */
const dockerfile = (kind: Kind, name: string): string => {
  const directory = join(folder, kind, name)
  mkdirSync(directory, { recursive: true })
  writeFileSync(join(directory, "entrypoint.sh"), "#!/bin/sh\necho done\n", { mode: 0o755 })
  const lines = [`FROM ${image}`, `RUN echo ${name}; ${kinds[kind]}`, "COPY entrypoint.sh /entrypoint.sh"]
  writeFileSync(join(directory, "Dockerfile"), `${lines.join("\n")}\nENTRYPOINT ["/entrypoint.sh"]\n`)
  return join(directory, "Dockerfile")
}

const {
  JOBSCOPE_TEST_BUILDAH_IMAGE: buildah,
  JOBSCOPE_TEST_BUILDKIT_ADDR: address,
  JOBSCOPE_TEST_BUILDKIT_TLS_DIR: certificates = "",
  JOBSCOPE_TEST_BUILDKIT_REPOSITORY: repository = ""
} = process.env
const pem = (name: string) => readFileSync(join(certificates, name), "utf8")

const cache = "layers"

/** What is measured, by which builder, and whether it has been built before. Inline keeps nothing, so it is the same. */
const builders: ReadonlyArray<{
  readonly name: string
  readonly options: Builder.Options
  readonly times: ReadonlyArray<"cold" | "warm">
}> = [
  { name: "inline", options: { builder: "inline" }, times: ["cold"] },
  ...(buildah === undefined
    ? []
    : ([
        { name: "buildah", options: { builder: "buildah", buildah: { image: buildah } }, times: ["cold"] },
        {
          name: "buildah",
          options: { builder: "buildah", buildah: { image: buildah, cacheClaim: cache } },
          times: ["warm"]
        }
      ] as const)),
  ...(address === undefined
    ? []
    : ([
        {
          name: "buildkit",
          options: {
            builder: "buildkit",
            buildkit: {
              address,
              repository,
              insecure: true,
              tls: { ca: pem("ca.pem"), cert: pem("cert.pem"), key: pem("key.pem") }
            }
          },
          times: ["cold", "warm"]
        }
      ] as const))
]

/** From the request to the exit code, in ms. */
const measure = Effect.fnUntraced(function* (environment: JobEnvironment, step: ContainerStep) {
  const before = performance.now()
  return yield* Effect.scoped(
    Effect.gen(function* () {
      const running = yield* environment.start(step)
      const output = yield* Stream.runCollect(running.output)
      const code = yield* running.exitCode
      if (code === 0) return performance.now() - before
      const said = Buffer.concat(output.map(({ bytes }) => bytes)).toString()
      return yield* Effect.die(new Error(`a step ended with exit code ${code}:\n${said}`))
    })
  )
})

/** A namespace that can have pods, with a claim for layers in a directory of the node. */
const namespaced = Effect.gen(function* () {
  const kube = yield* KubeClient.KubeClient
  const name = `jobscope-bench-${randomUUID().slice(0, 8)}`
  const volumes = KubeResource.make<object>({ plural: "persistentvolumes", namespaced: false })
  yield* Effect.acquireRelease(
    kube.request({
      verb: "create",
      resource: KubeResource.namespaces,
      body: { apiVersion: "v1", kind: "Namespace", metadata: { name } }
    }),
    () => Effect.ignore(kube.request({ verb: "delete", resource: KubeResource.namespaces, name }))
  )
  yield* Effect.retry(
    kube.request({ verb: "get", resource: KubeResource.serviceAccounts, namespace: name, name: "default" }),
    { times: 100, schedule: Schedule.spaced("100 millis") }
  )
  if (buildah === undefined) return name
  const claim = { accessModes: ["ReadWriteOnce"], storageClassName: "", resources: { requests: { storage: "1Gi" } } }
  const path = `/var/tmp/${name}`
  yield* Effect.acquireRelease(
    kube.request({
      verb: "create",
      resource: volumes,
      body: {
        metadata: { name },
        spec: {
          capacity: { storage: "1Gi" },
          accessModes: claim.accessModes,
          storageClassName: "",
          claimRef: { namespace: name, name: cache },
          hostPath: { path, type: "DirectoryOrCreate" }
        }
      }
    }),
    () => Effect.ignore(kube.request({ verb: "delete", resource: volumes, name }))
  )
  yield* kube.request({
    verb: "create",
    resource: KubeResource.claims,
    namespace: name,
    body: { apiVersion: "v1", kind: "PersistentVolumeClaim", metadata: { name: cache }, spec: claim }
  })
  yield* Effect.addFinalizer(() => Effect.ignore(sweep(kube, name, path)))
  return name
})

/** Kubernetes leaves directories of nodes to whoever made them. */
const sweep = Effect.fnUntraced(function* (kube: KubeClient.KubeClient["Service"], namespace: string, path: string) {
  yield* kube.request({
    verb: "create",
    resource: KubeResource.pods,
    namespace,
    body: {
      metadata: { name: "sweeper" },
      spec: {
        restartPolicy: "Never",
        volumes: [{ name: "host", hostPath: { path: "/var/tmp" } }],
        containers: [
          {
            name: "main",
            image: "docker.io/library/busybox:latest",
            imagePullPolicy: "IfNotPresent",
            command: ["rm", "-rf", path.replace("/var/tmp", "/host")],
            volumeMounts: [{ name: "host", mountPath: "/host" }]
          }
        ]
      }
    }
  })
  yield* Effect.repeat(kube.request({ verb: "get", resource: KubeResource.pods, namespace, name: "sweeper" }), {
    schedule: Schedule.spaced("200 millis"),
    until: (pod) => pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed"
  })
})

const median = (values: ReadonlyArray<number>) => [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN

const program = Effect.gen(function* () {
  const namespace = yield* namespaced
  const taken = new Map<string, Array<number>>()
  const note = (what: string, ms: number) => taken.set(what, [...(taken.get(what) ?? []), ms])
  const environments = yield* Effect.forEach(
    builders,
    Effect.fnUntraced(function* ({ name, options, times }) {
      // One scope for all: that of a layer which is provided to an effect ends with it.
      const context = yield* Layer.build(
        PodBackend.layer({ namespace, builder: Effect.succeed(Builder.make(options, ImageConfig.make())) })
      )
      const environment = yield* Context.get(context, JobBackend).provision(
        new JobSpec({ name: "bench", container: new JobContainer({ image: "docker.io/library/busybox:latest" }) })
      )
      return { name, times, environment }
    })
  )
  const first = environments[0]?.environment
  if (first === undefined) return
  // In turns, so that what else the machine does meets all of them; the first turn pulls images.
  for (let run = 0; run <= runs; run++) {
    for (const kind of ["plain", "installing"] as const) {
      const ordinary = new ContainerStep({ image, entryPoint: ["sh", "-c", `${kinds[kind]}; echo done`] })
      const ms = yield* measure(first, ordinary)
      if (run > 0) note(`ordinary ${kind}`, ms)
      for (const { environment, name, times } of environments) {
        for (const time of times) {
          const made = dockerfile(kind, time === "warm" ? "warm" : `cold-${randomUUID()}`)
          const ms = yield* measure(environment, new ContainerStep({ dockerfile: made }))
          if (run > 0) note(`${name} ${kind} ${time}`, ms)
        }
      }
    }
  }
  console.log(JSON.stringify(Object.fromEntries(Array.from(taken, ([what, all]) => [what, median(all)]))))
}).pipe(
  Effect.scoped,
  Effect.provide(KubeClient.layer({ sources: ["kubeconfig"] })),
  Effect.ensuring(Effect.sync(() => rmSync(folder, { recursive: true, force: true })))
)

// A signal ends it as its end does: nothing is left on the cluster.
NodeRuntime.runMain(program)
