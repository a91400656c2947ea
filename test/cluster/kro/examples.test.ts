import { readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as Yaml from "effect/encoding/Yaml"
import * as Rgd from "jobscope/backends/kro/ResourceGraphDefinition"
import * as RgdLint from "jobscope/backends/kro/RgdLint"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import { TestNamespace, layer as testNamespace } from "../support/testNamespace.ts"
import { customResources, removeRgd } from "./support/rgds.ts"
import { eventually, runnerPod, startRunner, startsOf } from "./support/runner.ts"

const folder = join(dirname(dirname(dirname(import.meta.dirname))), "examples/kro")

// biome-ignore lint/suspicious/noExplicitAny: examples are looked at from outside
type Document = any

const documents = (file: string): ReadonlyArray<Document> =>
  readFileSync(join(folder, file), "utf8")
    .split(/^---$/m)
    .map((text) => Yaml.parse(text))

/** Applies an RGD, changed where the test has no real runner, and waits until it is active. */
const apply = Effect.fnUntraced(function* (file: string, change: (rgd: Document) => void = () => {}) {
  const kube = yield* KubeClient.KubeClient
  const [rgd] = documents(file)
  change(rgd)
  const { name } = rgd.metadata
  yield* Effect.acquireRelease(kube.request({ verb: "create", resource: Rgd.definitions, body: rgd }), () =>
    Effect.orDie(removeRgd(name))
  )
  let problem: Rgd.Problem | undefined
  // KRO knows a new kind (the stubs below) some seconds later than the API.
  yield* eventually(
    `${file} is active`,
    Effect.map(kube.request({ verb: "get", resource: Rgd.definitions, name }), (seen) => {
      problem = Rgd.problemOf(seen)
      return problem === undefined
    })
  ).pipe(Effect.catchDefect(() => Effect.die(new Error(problem?.detail))))
  return rgd
})

/** A custom resource definition as KRO needs it: with types for what templates look at. */
const stub = Effect.fnUntraced(function* (
  group: string,
  version: string,
  kind: string,
  plural: string,
  status: object
) {
  const kube = yield* KubeClient.KubeClient
  const name = `${plural}.${group}`
  const open = { type: "object", "x-kubernetes-preserve-unknown-fields": true }
  yield* Effect.acquireRelease(
    kube.request({
      verb: "create",
      resource: customResources,
      body: {
        apiVersion: "apiextensions.k8s.io/v1",
        kind: "CustomResourceDefinition",
        metadata: { name },
        spec: {
          group,
          scope: "Namespaced",
          names: { kind, plural, singular: kind.toLowerCase(), listKind: `${kind}List` },
          versions: [
            {
              name: version,
              served: true,
              storage: true,
              subresources: { status: {} },
              schema: {
                openAPIV3Schema: {
                  type: "object",
                  properties: { spec: open, status: { type: "object", properties: status } }
                }
              }
            }
          ]
        }
      }
    }),
    () => Effect.orDie(kube.request({ verb: "delete", resource: customResources, name }))
  )
  const resource = KubeResource.make<Document>({ group, version, plural })
  yield* Effect.repeat(Effect.delay(Effect.isSuccess(kube.list({ resource, namespace: "default" })), "100 millis"), {
    until: (served) => served
  })
  return resource
})

/** The runner pod and the Secret, as ARC makes them. */
const arcPod = Effect.fnUntraced(function* (name: string, scaleSet: string) {
  const kube = yield* KubeClient.KubeClient
  const namespace = (yield* TestNamespace).name
  yield* runnerPod(name, { labels: { "actions.github.com/scale-set-name": scaleSet } })
  const body = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name },
    stringData: { jitToken: `jit-of-${name}`, runnerName: name }
  }
  yield* Effect.acquireRelease(kube.request({ verb: "create", resource: KubeResource.secrets, namespace, body }), () =>
    Effect.orDie(kube.request({ verb: "delete", resource: KubeResource.secrets, namespace, name }))
  )
  return { jit: `jit-of-${name}` }
})

/** In place of run.sh, which the test's images do not have. */
const standIn = (script: string) => (rgd: Document) => {
  const { containers } = rgd.spec.resources.find(({ id }: Document) => id === "runnerPod").template.spec
  assert.deepStrictEqual(containers[0].command, ["/home/runner/run.sh"])
  Object.assign(containers[0], { command: ["sh", "-c", script], imagePullPolicy: "IfNotPresent" })
}

layer(testNamespace, { excludeTestServices: true, timeout: "3 minutes" })("examples/kro", (it) => {
  for (const [what, code, exit] of [
    ["green", 0, 0],
    ["red", 4, 1]
  ] as const) {
    it.effect(`pod-runner.yaml: a ${what} runner`, () =>
      Effect.gen(function* () {
        const script = `test "$ACTIONS_RUNNER_INPUT_JITCONFIG" = jit-of-pod-${what} || exit 99; exit ${code}`
        yield* apply("pod-runner.yaml", standIn(script))
        const { jit } = yield* arcPod(`pod-${what}`, "pod-runner")
        const starts = yield* startsOf(`pod-${what}`)
        const runner = yield* startRunner(`pod-${what}`, { jit, args: ["--set", "image=busybox:latest"] })
        const ended = yield* runner.ended
        assert.strictEqual(ended.code, exit, ended.stderr)
        assert.include(ended.stderr, `ended with exit code ${code}`)
        assert.strictEqual(starts.size, 1)
      })
    )
  }

  for (const file of ["pod-runner.yaml", "pod-with-redis.yaml", "kubevirt-vm.yaml", "ec2.yaml"]) {
    it(`${file}: has none of the known mistakes`, () => {
      assert.deepStrictEqual(RgdLint.lint(documents(file)[0], { kroVersion: "v0.9.4" }), [])
    })
  }

  it.effect("rbac.yaml: has the rights that pod-runner.yaml needs", () =>
    Effect.gen(function* () {
      yield* apply("pod-runner.yaml")
      const role = yield* startRunner("nobody", { args: ["role", "-s", "pod-runner"] })
      const printed = (yield* role.ended).stdout.split(/^---$/m).map((text): Document => Yaml.parse(text))
      const given = documents("rbac.yaml")
      for (const kind of ["ClusterRole", "Role"]) {
        const of = (all: ReadonlyArray<Document>) => all.find((document) => document.kind === kind).rules
        assert.deepStrictEqual(of(given), of(printed), kind)
      }
    })
  )

  it.effect("arc-values.yaml: makes a pod that the API accepts, with what kro-runner needs", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      const namespace = (yield* TestNamespace).name
      const { spec } = documents("arc-values.yaml")[0].template
      const account = { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: spec.serviceAccountName } }
      yield* kube.request({ verb: "create", resource: KubeResource.serviceAccounts, namespace, body: account })
      const made = yield* kube.request({
        verb: "create",
        resource: KubeResource.pods,
        namespace,
        query: { dryRun: "All", fieldValidation: "Strict" },
        body: { apiVersion: "v1", kind: "Pod", metadata: { name: "values" }, spec: { restartPolicy: "Never", ...spec } }
      })
      const [container] = made.spec?.containers ?? []
      assert.strictEqual(container?.name, "runner")
      assert.strictEqual(
        container?.env?.find(({ name }) => name === "RUNNER_NAME")?.valueFrom?.fieldRef?.fieldPath,
        "metadata.name"
      )
    })
  )

  it.effect("pod-with-redis.yaml: the runner talks to a Redis that is there for it alone", () =>
    Effect.gen(function* () {
      yield* apply("pod-with-redis.yaml", (rgd) => {
        standIn('test "$(redis-cli -h "$REDIS_HOST" incr runs)" = 1')(rgd)
        for (const { template } of rgd.spec.resources) template.spec.containers[0].imagePullPolicy = "IfNotPresent"
      })
      for (const name of ["redis-one", "redis-two"]) {
        const { jit } = yield* arcPod(name, "redis-runner")
        const runner = yield* startRunner(name, { jit, args: ["--set", "image=redis:latest"] })
        const ended = yield* runner.ended
        assert.strictEqual(ended.code, 0, ended.stderr)
        const kube = yield* KubeClient.KubeClient
        const namespace = (yield* TestNamespace).name
        const query = { labelSelector: `kro.run/instance-name=${name}` }
        assert.deepStrictEqual((yield* kube.list({ resource: KubeResource.pods, namespace, query })).items, [])
      }
    })
  )

  it.effect("kubevirt-vm.yaml: follows the machine to its end (KubeVirt played by the test)", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      const namespace = (yield* TestNamespace).name
      const machines = yield* stub("kubevirt.io", "v1", "VirtualMachineInstance", "virtualmachineinstances", {
        phase: { type: "string" }
      })
      yield* apply("kubevirt-vm.yaml")
      const { jit } = yield* arcPod("vm", "vm-runner")
      const runner = yield* startRunner("vm", { jit })
      const get = kube.request({ verb: "get", resource: machines, namespace, name: "vm-vm" })
      yield* eventually("the machine", Effect.isSuccess(get))
      const machine = yield* get
      assert.notInclude(JSON.stringify(machine), jit)
      assert.deepInclude(machine.spec.volumes[1], { name: "jit", secret: { secretName: "vm" } })
      const phase = (phase: string) =>
        kube.request({
          verb: "patch",
          resource: { ...machines, subresource: "status" },
          namespace,
          name: "vm-vm",
          body: { status: { phase } }
        })
      yield* phase("Scheduling")
      yield* runner.says("Waiting for the VirtualMachineInstance vm-vm to start (Scheduling)")
      yield* phase("Running")
      yield* runner.says("The runner runs")
      yield* phase("Succeeded")
      const ended = yield* runner.ended
      assert.strictEqual(ended.code, 0, ended.stderr)
      assert.deepStrictEqual((yield* kube.list({ resource: machines, namespace })).items, [])
    })
  )

  it.effect("ec2.yaml: follows the machine to its end (AWS played by the test)", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      const namespace = (yield* TestNamespace).name
      const conditions = {
        type: "array",
        items: {
          type: "object",
          properties: { type: { type: "string" }, status: { type: "string" }, message: { type: "string" } }
        }
      }
      const state = { type: "object", properties: { name: { type: "string" } } }
      const machines = yield* stub("ec2.services.k8s.aws", "v1alpha1", "Instance", "instances", {
        conditions,
        state,
        instanceID: { type: "string" }
      })
      const pushes = yield* stub("external-secrets.io", "v1alpha1", "PushSecret", "pushsecrets", { conditions })
      yield* apply("ec2.yaml")
      const { jit } = yield* arcPod("aws", "ec2-runner")

      const lacking = yield* startRunner("aws", { jit })
      assert.match(
        (yield* lacking.ended).termination,
        /spec\.parameterPath: it is required.*spec\.subnetID: it is required/
      )

      const spec = { subnetID: "subnet-1", securityGroupID: "sg-1", imageID: "ami-1", parameterPath: "/runners" }
      const runner = yield* startRunner("aws", { jit, env: { KAR_SPEC: JSON.stringify(spec) } })
      const status = (resource: KubeResource.KubeResource<Document>, name: string, status: object) =>
        kube.request({
          verb: "patch",
          resource: { ...resource, subresource: "status" },
          namespace,
          name,
          body: { status }
        })
      yield* eventually(
        "the parameter",
        Effect.isSuccess(kube.request({ verb: "get", resource: pushes, namespace, name: "aws" }))
      )
      yield* status(pushes, "aws", { conditions: [{ type: "Ready", status: "True", message: "pushed" }] })
      const get = kube.request({ verb: "get", resource: machines, namespace, name: "aws-vm" })
      yield* eventually("the machine", Effect.isSuccess(get))
      const machine = yield* get
      assert.notInclude(JSON.stringify(machine), jit)
      const script = Buffer.from(machine.spec.userData, "base64").toString()
      assert.include(script, "--name /runners/aws)\n")
      assert.notInclude(script, jit)
      yield* status(machines, "aws-vm", { state: { name: "running" }, instanceID: "i-1" })
      yield* runner.says("The runner runs")
      yield* status(machines, "aws-vm", { state: { name: "terminated" } })
      const ended = yield* runner.ended
      assert.strictEqual(ended.code, 0, ended.stderr)
      for (const resource of [machines, pushes])
        assert.deepStrictEqual((yield* kube.list({ resource, namespace })).items, [])
    })
  )
})
