/** Steps in pods that KRO makes, on a real KRO: what can be lost, what is refused, how files get in and out. */
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, type Scope, Stream } from "effect"
import * as KroHosted from "jobscope/backends/kro/KroHosted"
import * as Rgd from "jobscope/backends/kro/ResourceGraphDefinition"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import { JobSpec } from "jobscope/domain/Job"
import { JobBackend } from "jobscope/domain/JobBackend"
import type { EnvironmentLost } from "jobscope/domain/JobError"
import { ContainerStep, ScriptStep } from "jobscope/domain/Step"
import { failureAfter, listen, run } from "../pod/support.ts"
import { nodeIsHere, sharedDirectory } from "../support/sharedDirectory.ts"
import { kube, suiteNamespace } from "../support/suiteNamespace.ts"
import { host, hostPod, hostSpec, suiteRgd } from "./support/hosts.ts"
import { cel } from "./support/rgds.ts"
import { instancesOf } from "./support/runner.ts"

const namespace = suiteNamespace()
const plain = suiteRgd(host())

/** A process that may not write to the root directory, with a volume where files go. */
const rootless = suiteRgd(
  host({
    resources: [
      hostPod({
        spec: {
          restartPolicy: "Always",
          securityContext: { runAsUser: 1000, runAsGroup: 1000, fsGroup: 1000 },
          volumes: [{ name: "files", emptyDir: {} }],
          hostAliases: [{ ip: "10.9.8.7", hostnames: ["far-away"] }]
        },
        container: { volumeMounts: [{ name: "files", mountPath: "/files" }] }
      })
    ]
  })
)
const withoutImage = suiteRgd(
  host({ spec: { runnerName: hostSpec.runnerName }, resources: [hostPod({ container: { image: "busybox:latest" } })] })
)
const withoutPod = suiteRgd(
  host({
    resources: [
      {
        id: "settings",
        template: {
          apiVersion: "v1",
          kind: "ConfigMap",
          metadata: { name: cel("schema.spec.runnerName"), namespace: cel("schema.metadata.namespace") }
        }
      }
    ]
  })
)
const shellless = suiteRgd(
  host({
    resources: [
      hostPod({ container: { command: ["/bin/tail", "-f", "/dev/null"], env: [{ name: "PATH", value: "/nowhere" }] } })
    ]
  })
)
/** A template that mounts a claim, of which this machine has the files. */
const shared = nodeIsHere ? sharedDirectory(namespace, "work") : undefined
const claiming = suiteRgd(
  host({
    resources: [
      hostPod({
        spec: { volumes: [{ name: "work", persistentVolumeClaim: { claimName: "work" } }] },
        container: { volumeMounts: [{ name: "work", mountPath: "/claim" }] }
      })
    ]
  })
)
/** A container that ends when a step makes a file. */
const until = "until [ -e /workspace/end ]; do sleep 0.1; done; exit 3"
const ending = suiteRgd(host({ resources: [hostPod({ container: { command: ["sh", "-c", until] } })] }))

const backend = (rgd: string, more: Partial<KroHosted.Options> = {}) =>
  KroHosted.layer({ rgd: { name: rgd }, namespace, ...more })

const using = <A, E>(
  layer: Layer.Layer<JobBackend, never, KubeClient.KubeClient>,
  body: Effect.Effect<A, E, JobBackend | KubeClient.KubeClient | Scope.Scope>
) => Effect.scoped(body).pipe(Effect.provide(Layer.provideMerge(layer, kube)))

const provision = (fields: Partial<ConstructorParameters<typeof JobSpec>[0]> = {}) =>
  Effect.flatMap(JobBackend, (backend) => backend.provision(new JobSpec({ name: "hosted", ...fields })))

const script = (text: string, more: Partial<ConstructorParameters<typeof ScriptStep>[0]> = {}) =>
  new ScriptStep({ script: text, shell: "sh {0}", ...more })

/** What the namespace has of this environment, also when it is over. */
const left = Effect.fnUntraced(function* (environment: string) {
  const client = yield* KubeClient.KubeClient
  const pods = yield* client.list({ resource: KubeResource.pods, namespace })
  return pods.items.map(({ metadata }) => metadata?.name ?? "").filter((name) => name.startsWith(environment))
})

const removePod = (name: string) =>
  Effect.flatMap(KubeClient.KubeClient, (client) =>
    client.request({
      verb: "delete",
      resource: KubeResource.pods,
      namespace,
      name,
      query: { gracePeriodSeconds: 0 }
    })
  )

const removeInstance = (rgd: string, name: string) =>
  Effect.gen(function* () {
    const client = yield* KubeClient.KubeClient
    const { spec } = yield* client.request({ verb: "get", resource: Rgd.definitions, name: rgd })
    yield* client.request({ verb: "delete", resource: instancesOf(spec.schema.kind), namespace, name })
  })

describe.concurrent("a loss in the middle of a step", () => {
  for (const [what, remove, told] of [
    ["a pod that is deleted, and made again by KRO", removePod, /deleted/],
    ["an instance that is deleted", (name: string) => removeInstance(plain, name), /deleted/]
  ] as const) {
    it.live(what, () =>
      using(
        backend(plain),
        Effect.gen(function* () {
          const environment = yield* provision()
          const step = yield* environment.start(script("echo begun; exec sleep 1000"))
          const heard = yield* listen(step)
          yield* heard.until("begun")
          const { error, milliseconds } = yield* failureAfter(step, remove(environment.name))
          assert.strictEqual(error.reason._tag, "EnvironmentLost")
          assert.strictEqual((error.reason as EnvironmentLost).cause, "Deleted")
          assert.match(error.message, told)
          assert.isBelow(milliseconds, 10_000)
          const again = yield* Effect.flip(environment.start(script("echo never")))
          assert.strictEqual(again.reason._tag, "EnvironmentLost")
          return environment.name
        })
      ).pipe(
        Effect.flatMap(left),
        Effect.tap((names) => Effect.sync(() => assert.deepStrictEqual(names, []))),
        Effect.provide(kube)
      )
    )
  }

  it.live("a pod that KRO has made again is not taken for the one that was handed over", () =>
    using(
      backend(plain, { pod: { vigilance: "on-demand" } }),
      Effect.gen(function* () {
        const environment = yield* provision()
        const handle = yield* environment.handOver
        const jobs = yield* JobBackend
        yield* removePod(environment.name)
        const client = yield* KubeClient.KubeClient
        yield* Effect.repeat(
          Effect.exit(client.request({ verb: "get", resource: KubeResource.pods, namespace, name: environment.name })),
          { until: (exit) => exit._tag === "Success" && exit.value.status?.phase === "Running" }
        )
        const error = yield* Effect.flip(jobs.adopt(handle))
        assert.strictEqual(error.reason._tag, "EnvironmentLost")
        assert.include(error.message, "another one has its name")
        yield* jobs.release(handle)
        assert.deepStrictEqual(yield* left(environment.name), [])
      })
    )
  )

  it.live("a container that ends, though nobody has asked it to", () =>
    using(
      backend(ending),
      Effect.gen(function* () {
        const environment = yield* provision()
        const step = yield* environment.start(script("exec sleep 1000"))
        const { error } = yield* failureAfter(step, Effect.exit(run(environment, script("touch end"))))
        assert.strictEqual(error.reason._tag, "EnvironmentLost")
        assert.include(error.message, "ended with exit code 3")
      })
    )
  )
})

describe.concurrent("what the template cannot give is refused before anything is made", () => {
  const refusals: ReadonlyArray<readonly [string, string, object, string, RegExp]> = [
    ["services", plain, { services: [{ name: "redis", image: "redis" }] }, "Unsupported", /services from images/],
    [
      "an image that the RGD has no field for",
      withoutImage,
      { container: { image: "alpine" } },
      "InvalidInput",
      /no field `image`/
    ],
    ["a user", plain, { container: { image: "alpine", user: "1" } }, "Unsupported", /the user 1/],
    [
      "a privilege",
      plain,
      { container: { image: "alpine", settings: { privileged: true } } },
      "Unsupported",
      /privileged/
    ],
    [
      "limits",
      plain,
      { container: { image: "alpine", resources: { limits: { cpu: "1" } } } },
      "Unsupported",
      /limits of resources/
    ],
    ["an RGD without a pod", withoutPod, {}, "InvalidInput", /jobscope\.dev\/work-node/]
  ]
  for (const [what, rgd, fields, tag, told] of refusals) {
    it.live(what, () =>
      using(
        backend(rgd),
        Effect.gen(function* () {
          const error = yield* Effect.flip(provision({ owner: `refused ${what}`, ...fields }))
          assert.strictEqual(error.reason._tag, tag)
          assert.match(error.message, told)
          const jobs = yield* JobBackend
          assert.deepStrictEqual(yield* Stream.runCollect(jobs.list({ owner: `refused ${what}` })), [])
        })
      )
    )
  }
})

describe.concurrent("files", () => {
  const source = (): string => {
    const root = mkdtempSync(join(tmpdir(), "jobscope-hosted-"))
    mkdirSync(join(root, "inner"))
    writeFileSync(join(root, "inner/file"), "from here")
    mkdirSync(join(root, "tools"))
    writeFileSync(join(root, "tools/tool"), "ours")
    return root
  }

  it.live("mounts of a directory and of one in it show the same files, which come back", () =>
    Effect.acquireUseRelease(
      Effect.sync(source),
      (root) =>
        using(
          backend(plain, { pod: { sharing: { _tag: "Copy", returned: ["inner/**"] } } }),
          Effect.gen(function* () {
            const environment = yield* provision({
              container: {
                image: "busybox:latest",
                mounts: [
                  { source: root, target: "/mounted" },
                  { source: join(root, "inner"), target: "/elsewhere/inner" },
                  { source: join(root, "tools"), target: "/bin", readOnly: true },
                  { source: "cache", target: "/cache" }
                ]
              } as never,
              volumes: [{ name: "cache" }] as never
            })
            const made = yield* run(
              environment,
              script(
                "cat /elsewhere/inner/file; echo changed >/elsewhere/inner/file; cat /mounted/inner/file; echo kept >/cache/x; ls /bin/busybox"
              )
            )
            assert.deepStrictEqual([made.exitCode, made.stdout], [0, "from herechanged\n/bin/busybox\n"], made.stderr)
            assert.strictEqual(readFileSync(join(root, "inner/file"), "utf8"), "changed\n")
            assert.strictEqual((yield* run(environment, script("cat /cache/x"))).stdout, "kept\n")
          })
        ),
      (root) => Effect.sync(() => rmSync(root, { recursive: true }))
    )
  )

  it.live("a user who may write nowhere but to a volume and /tmp; names of the template in a container step", () =>
    using(
      backend(rootless),
      Effect.gen(function* () {
        const environment = yield* provision({ workingDirectory: "/files" })
        const made = yield* run(environment, script("id -u; pwd; echo here >made"))
        assert.deepStrictEqual([made.exitCode, made.stdout], [0, "1000\n/files\n"], made.stderr)
        const hosts = new ContainerStep({
          image: "busybox:latest",
          entryPoint: ["grep"],
          args: ["far-away", "/etc/hosts"]
        })
        assert.match((yield* run(environment, hosts)).stdout, /^10\.9\.8\.7\s+far-away\n$/)
      })
    )
  )

  it.live("a place that cannot be made is told, with what to do", () =>
    using(
      backend(rootless),
      Effect.gen(function* () {
        const error = yield* Effect.flip(provision())
        assert.strictEqual(error.reason._tag, "ProvisionFailed")
        assert.match(error.message, /\/workspace cannot be made.*the template has to mount a volume there/)
      })
    )
  )

  it.live("an image without a shell is told", () =>
    using(
      backend(shellless),
      Effect.gen(function* () {
        const error = yield* Effect.flip(provision())
        assert.strictEqual(error.reason._tag, "ProvisionFailed")
        assert.include(error.message, "script steps need a shell (`sh`) in the image")
        assert.isFalse(error.retryable)
      })
    )
  )

  it.live.skipIf(shared === undefined)("a claim that the template mounts: nothing is copied, all see the same", () =>
    Effect.gen(function* () {
      const root = shared ?? ""
      mkdirSync(join(root, "place/inner"), { recursive: true })
      chmodSync(join(root, "place"), 0o777)
      writeFileSync(join(root, "place/inner/file"), "of the claim")
      const sharing = { _tag: "Claim", claim: "work", root } as const
      yield* using(
        backend(claiming, { pod: { sharing } }),
        Effect.gen(function* () {
          const environment = yield* provision({
            workspace: { path: join(root, "place"), mode: "in-place" } as never,
            container: {
              image: "busybox:latest",
              mounts: [{ source: join(root, "place/inner"), target: "/elsewhere" }]
            } as never
          })
          const made = yield* run(environment, script("cat inner/file /elsewhere/file; echo new >made"))
          assert.deepStrictEqual([made.exitCode, made.stdout], [0, "of the claimof the claim"], made.stderr)
          assert.strictEqual(readFileSync(join(root, "place/made"), "utf8"), "new\n")
          const step = new ContainerStep({
            image: "busybox:latest",
            entryPoint: ["cat"],
            args: ["made"],
            workingDirectory: environment.facts.workspace
          })
          assert.strictEqual((yield* run(environment, step)).stdout, "new\n")
        })
      )
      yield* using(
        backend(plain, { pod: { sharing } }),
        Effect.gen(function* () {
          const error = yield* Effect.flip(provision({ workspace: { path: root, mode: "in-place" } as never }))
          assert.strictEqual(error.reason._tag, "InvalidInput")
          assert.match(error.message, /does not mount that part of the claim work/)
        })
      )
    })
  )

  it.live("a container step has the workspace, and leaves nothing", () =>
    using(
      backend(plain),
      Effect.gen(function* () {
        const environment = yield* provision()
        yield* run(environment, script("echo from the script >file"))
        const step = new ContainerStep({
          image: "busybox:latest",
          entryPoint: ["sh", "-c"],
          args: ["cat file; echo from the container >file; exit 4"],
          workingDirectory: environment.facts.workspace
        })
        const ended = yield* run(environment, step)
        assert.deepStrictEqual([ended.exitCode, ended.stdout], [4, "from the script\n"], ended.stderr)
        assert.strictEqual((yield* run(environment, script("cat file"))).stdout, "from the container\n")
        return environment.name
      })
    ).pipe(
      Effect.flatMap(left),
      Effect.tap((names) => Effect.sync(() => assert.deepStrictEqual(names, []))),
      Effect.provide(kube)
    )
  )
})
