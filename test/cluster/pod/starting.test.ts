/** Pods that do not start, or not with everything: what is told of it, and when. And the rights that the backend has. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeConfig from "jobscope/backends/kubernetes/KubeConfig"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import * as PodBackend from "jobscope/backends/pod/PodBackend"
import type { Options } from "jobscope/backends/pod/PodOptions"
import { HealthCheck, Port, Resources } from "jobscope/domain/Container"
import * as EnvVars from "jobscope/domain/EnvVars"
import { JobContainer, JobSpec, Service } from "jobscope/domain/Job"
import { JobBackend } from "jobscope/domain/JobBackend"
import { type JobEvent, JobEvents } from "jobscope/domain/JobEvent"
import { ContainerStep, ScriptStep } from "jobscope/domain/Step"
import { FakeRights } from "jobscope/testing"
import { kube, suiteNamespace } from "../support/suiteNamespace.ts"
import { podsIn, run } from "./support.ts"

const namespace = suiteNamespace()

const backend = (options: Options = {}) => Layer.provideMerge(PodBackend.layer({ namespace, ...options }), kube)

const job = (
  container: Partial<ConstructorParameters<typeof JobContainer>[0]> = {},
  more: Partial<ConstructorParameters<typeof JobSpec>[0]> = {}
) => new JobSpec({ name: "starting", container: new JobContainer({ image: "busybox:latest", ...container }), ...more })

/** Provisions, runs a script there, releases; with what was told meanwhile, and how long it took. */
const attempt = (spec: JobSpec, script = "echo on") =>
  Effect.gen(function* () {
    const told: Array<JobEvent> = []
    const since = performance.now()
    const exit = yield* Effect.scoped(
      Effect.flatMap(
        JobBackend.use(({ provision }) => provision(spec)),
        (environment) => run(environment, new ScriptStep({ script }))
      )
    ).pipe(
      Effect.provideService(JobEvents, { emit: (event) => Effect.sync(() => void told.push(event)) }),
      Effect.result
    )
    const waits = told.flatMap((event) => (event._tag === "Waiting" ? [event.reason] : []))
    return { exit, milliseconds: performance.now() - since, waits }
  })

const failing = (spec: JobSpec) =>
  Effect.map(attempt(spec), ({ exit, ...rest }) => {
    if (exit._tag === "Success") assert.fail("it started")
    return { error: exit.failure, ...rest }
  })

const nothingLeft = Effect.map(podsIn(namespace), (pods) => assert.lengthOf(pods, 0))

describe("what does not start says why", () => {
  it.live("no node takes it: told at once, and an error when its grace is over", () =>
    Effect.gen(function* () {
      const { error, milliseconds, waits } = yield* failing(job())
      assert.strictEqual(error.reason._tag, "Unschedulable")
      assert.match(error.message, /node/)
      assert.isAbove(milliseconds, 1900)
      assert.isTrue(waits.some((reason) => reason.startsWith("a node: ")))
      yield* nothingLeft
    }).pipe(
      Effect.provide(
        backend({
          scheduleGrace: "2 seconds",
          adjust: (pod) => ({ ...pod, spec: { containers: [], ...pod.spec, nodeSelector: { "no-such": "node" } } })
        })
      )
    )
  )

  it.live("more than any node has", () =>
    Effect.gen(function* () {
      const { error } = yield* failing(job({ resources: new Resources({ requests: { cpu: "5k" }, limits: {} }) }))
      assert.strictEqual(error.reason._tag, "Unschedulable")
      assert.include(error.message, "cpu")
      yield* nothingLeft
    }).pipe(Effect.provide(backend({ scheduleGrace: 0 })))
  )

  it.live("an image that is nowhere: at once, with the reason", () =>
    Effect.gen(function* () {
      const { error, milliseconds } = yield* failing(job({ image: "localhost:1/no/such:image" }))
      assert.strictEqual(error.reason._tag, "ImagePullFailed")
      assert.include(error.message, "localhost:1/no/such:image")
      assert.isBelow(milliseconds, 10_000)
      yield* nothingLeft
    }).pipe(Effect.provide(backend()))
  )

  it.live("an image that is nowhere, where pulls are believed to heal", () =>
    Effect.gen(function* () {
      const { error, milliseconds, waits } = yield* failing(job({ image: "localhost:1/no/such:image" }))
      assert.strictEqual(error.reason._tag, "ImagePullFailed")
      assert.isAbove(milliseconds, 3000)
      assert.isTrue(waits.some((reason) => reason.startsWith("the image localhost:1/no/such:image: ")))
      yield* nothingLeft
    }).pipe(Effect.provide(backend({ imagePullGrace: "3 seconds" })))
  )

  it.live("a name that is none of an image", () =>
    Effect.gen(function* () {
      const { error } = yield* failing(job({ image: "Not/An:Image:Name" }))
      assert.strictEqual(error.reason._tag, "ImagePullFailed")
      assert.include(error.message, "Not/An:Image:Name")
      yield* nothingLeft
    }).pipe(Effect.provide(backend()))
  )

  it.live("an image without a shell", () =>
    Effect.gen(function* () {
      const image = yield* shellless
      if (image === undefined) return
      const { error } = yield* failing(job({ image }))
      assert.strictEqual(error.reason._tag, "ProvisionFailed")
      assert.include(error.message, "sh")
      assert.include(error.message, "script steps need a shell")
      yield* nothingLeft
    }).pipe(Effect.provide(backend()))
  )

  it.live("a container before the job's that fails: its log is in the error", () =>
    Effect.gen(function* () {
      const { error, milliseconds } = yield* failing(job())
      assert.strictEqual(error.reason._tag, "ProvisionFailed")
      assert.include(error.message, "the container bring")
      assert.include(error.message, "exit code 3")
      assert.include(error.message, "\n  bring | no room left")
      assert.isBelow(milliseconds, 15_000)
      yield* nothingLeft
    }).pipe(
      Effect.provide(
        backend({
          initContainers: [
            { name: "bring", image: "busybox:latest", command: ["sh", "-c", "echo no room left >&2; exit 3"] }
          ]
        })
      )
    )
  )

  it.live("an entry point that ends at once: its log is in the error", () =>
    Effect.gen(function* () {
      const { error } = yield* failing(job({ entryPoint: ["sh"], args: ["-c", "echo bad flag >&2; exit 4"] }))
      assert.strictEqual(error.reason._tag, "ProvisionFailed", error.message)
      assert.include(error.message, "exit code 4")
      assert.include(error.message, "\n  job | bad flag")
      yield* nothingLeft
    }).pipe(Effect.provide(backend()))
  )

  it.live("a user that the image knows by name only", () =>
    Effect.gen(function* () {
      const { error } = yield* failing(job({ user: "nobody" }))
      assert.strictEqual(error.reason._tag, "InvalidInput")
      assert.include(error.message, "number")
    }).pipe(Effect.provide(backend()))
  )

  it.live("a quota", () =>
    Effect.gen(function* () {
      const client = yield* KubeClient.KubeClient
      const quotas = KubeResource.make<unknown>({ plural: "resourcequotas" })
      yield* Effect.acquireRelease(
        client.request({
          verb: "create",
          resource: quotas,
          namespace,
          body: { apiVersion: "v1", kind: "ResourceQuota", metadata: { name: "q" }, spec: { hard: { pods: "0" } } }
        }),
        () => Effect.orDie(client.request({ verb: "delete", resource: quotas, namespace, name: "q" }))
      )
      // It holds once its status is there.
      const error = yield* Effect.repeat(attempt(job()), { until: ({ exit }) => exit._tag === "Failure" })
      if (error.exit._tag === "Success") return assert.fail("it started")
      assert.strictEqual(error.exit.failure.reason._tag, "QuotaExceeded", error.exit.failure.message)
      yield* nothingLeft
    }).pipe(Effect.scoped, Effect.provide(backend()))
  )
})

describe("services", () => {
  const service = (more: Partial<ConstructorParameters<typeof Service>[0]> = {}) =>
    new Service({ name: "db", image: "busybox:latest", ...more })

  it.live("one that crashes: its log is in the error", () =>
    Effect.gen(function* () {
      const { error, milliseconds } = yield* failing(
        job(
          {},
          {
            services: [
              service({
                entryPoint: ["sh", "-c", "echo cannot open the data >&2; exit 3"],
                ports: [new Port({ container: 1 })]
              })
            ]
          }
        )
      )
      assert.strictEqual(error.reason._tag, "ServiceUnhealthy")
      assert.include(error.message, "exit code 3")
      assert.include(error.message, "cannot open the data")
      assert.isBelow(milliseconds, 15_000)
      yield* nothingLeft
    }).pipe(Effect.provide(backend()))
  )

  it.live("one that becomes healthy late is waited for", () =>
    Effect.gen(function* () {
      const { exit, waits } = yield* attempt(
        job(
          {},
          {
            services: [
              service({
                entryPoint: ["sh", "-c", "trap 'exit 0' TERM; sleep 3; touch /tmp/up; while :; do sleep 0.2; done"],
                healthCheck: new HealthCheck({ command: "test -e /tmp/up" })
              })
            ]
          }
        )
      )
      if (exit._tag === "Failure") assert.fail(exit.failure.message)
      assert.include(waits.join(), "db to become ready")
      yield* nothingLeft
    }).pipe(Effect.provide(backend()))
  )

  it.live("one that never becomes healthy is not waited for for ever", () =>
    Effect.gen(function* () {
      const { error, milliseconds } = yield* failing(
        job(
          {},
          {
            services: [
              service({
                entryPoint: ["sh", "-c", "trap 'exit 0' TERM; echo still starting; while :; do sleep 0.2; done"],
                healthCheck: new HealthCheck({ command: "false", retries: 3 })
              })
            ]
          }
        )
      )
      assert.strictEqual(error.reason._tag, "ServiceUnhealthy")
      assert.include(error.message, "health")
      assert.include(error.message, "still starting")
      assert.isBelow(milliseconds, 25_000)
      yield* nothingLeft
    }).pipe(Effect.provide(backend()))
  )

  it.live("two of one image, each under its own name", () =>
    Effect.gen(function* () {
      const serve = (port: number) => [
        "sh",
        "-c",
        `trap 'exit 0' TERM; while :; do echo port ${port} | nc -l -p ${port}; done & while :; do sleep 0.2; done`
      ]
      const { exit } = yield* attempt(
        job({}, { services: [8081, 8082].map((port) => service({ name: `web-${port}`, entryPoint: serve(port) })) }),
        "for i in 1 2 3 4 5 6 7 8 9 10; do nc -w 2 web-8081 8081 </dev/null && break; sleep 0.2; done; nc -w 2 web-8082 8082 </dev/null"
      )
      if (exit._tag === "Failure") assert.fail(exit.failure.message)
      assert.strictEqual(exit.success.stdout, "port 8081\nport 8082\n")
    }).pipe(Effect.provide(backend()))
  )
})

/** An image of this cluster that has nothing but its program: the one that holds pods together. */
const shellless = Effect.flatMap(KubeClient.KubeClient, (client) =>
  Effect.map(
    client.list({
      resource: KubeResource.make<{
        readonly status?: { readonly images?: ReadonlyArray<{ readonly names?: ReadonlyArray<string> }> }
      }>({ plural: "nodes", namespaced: false })
    }),
    ({ items }) =>
      items
        .flatMap(({ status }) => status?.images ?? [])
        .flatMap(({ names }) => names ?? [])
        .find((name) => /\/pause:/.test(name))
  )
)

/** A client with the rights of a Role. */
const withRights = Effect.fnUntraced(function* (name: string, rules: ReadonlyArray<FakeRights.Rule>) {
  const client = yield* KubeClient.KubeClient
  const create = <A>(resource: KubeResource.KubeResource<A>, body: object) =>
    client.request({ verb: "create", resource, namespace, body: { metadata: { name }, ...body } })
  yield* create(KubeResource.serviceAccounts, { apiVersion: "v1", kind: "ServiceAccount" })
  const apiVersion = "rbac.authorization.k8s.io/v1"
  yield* create(KubeResource.roles, {
    apiVersion,
    kind: "Role",
    rules: rules.map(({ group, resource, verbs }) => ({ apiGroups: [group], resources: [resource], verbs }))
  })
  yield* create(KubeResource.roleBindings, {
    apiVersion,
    kind: "RoleBinding",
    subjects: [{ kind: "ServiceAccount", name, namespace }],
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name }
  })
  const { status } = yield* client.request({
    verb: "create",
    resource: KubeResource.make<{ readonly status: { readonly token: string } }>({
      plural: "serviceaccounts",
      subresource: "token"
    }),
    namespace,
    name,
    body: { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: {} }
  })
  const administrator = yield* KubeConfig.load({ sources: ["kubeconfig"] })
  const { cert: _, key: __, ...tls } = administrator.tls
  return yield* KubeClient.make({
    ...administrator,
    tls,
    headers: () => Effect.succeed({ authorization: `Bearer ${status.token}` })
  })
})

describe("rights", () => {
  const backendWith = Effect.fnUntraced(function* (
    name: string,
    rules: ReadonlyArray<FakeRights.Rule>,
    options: Options = {}
  ) {
    const client = yield* withRights(name, rules)
    return yield* Effect.provideService(PodBackend.make({ namespace, ...options }), KubeClient.KubeClient, client)
  })

  it.live("with Actions Runner Controller's Role only: polling, no patch, no events", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const made = yield* backendWith("arc", FakeRights.actionsRunnerController, { custody: "handed-over" })
        const spec = job({}, { services: [new Service({ name: "redis", image: "redis:latest" })], owner: "arc" })
        const environment = yield* made.provision(spec)
        const script = yield* run(environment, new ScriptStep({ script: "echo script; exit 3" }))
        assert.deepStrictEqual([script.stdout, script.exitCode], ["script\n", 3])
        const container = yield* run(
          environment,
          new ContainerStep({ image: "alpine:latest", entryPoint: ["sh", "-c", "echo container; exit 4"] })
        )
        assert.deepStrictEqual([container.stdout, container.exitCode], ["container\n", 4])
        const { handOver } = environment
        assert.strictEqual((yield* handOver).environment, environment.name)
        yield* made.release({ owner: "arc" })
        yield* nothingLeft
      })
    ).pipe(Effect.provide(kube))
  )

  for (const [verb, resource] of [
    ["create", "pods"],
    ["create", "pods/exec"],
    ["get", "pods/exec"],
    ["create", "secrets"]
  ] as const) {
    it.live(`without the right to ${verb} ${resource}: the error names verb, resource and namespace`, () =>
      Effect.scoped(
        Effect.gen(function* () {
          const rules = FakeRights.actionsRunnerController.map((rule) =>
            rule.resource === resource ? { ...rule, verbs: rule.verbs.filter((one) => one !== verb) } : rule
          )
          const made = yield* backendWith(`no-${verb}-${resource.replace("/", "-")}`, rules)
          const error = yield* Effect.flip(made.provision(job({}, { env: EnvVars.fromRecord({ SECRET: "x" }) })))
          assert.strictEqual(error.reason._tag, "Forbidden", error.message)
          assert.include(error.message, `${verb} ${resource}`, error.message)
          assert.include(error.message, namespace)
          yield* nothingLeft
        })
      ).pipe(Effect.provide(kube))
    )
  }
})
