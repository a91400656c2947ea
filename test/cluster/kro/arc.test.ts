import { readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import { bundled } from "../../support/bundled.ts"
import { TestNamespace, layer as testNamespace } from "../support/testNamespace.ts"
import { customResources, pod } from "./support/rgds.ts"
import { all, eventually, forceDelete, nothingLeft, runnerPod, scene, startRunner, startsOf } from "./support/runner.ts"

interface EphemeralRunner {
  readonly metadata: { readonly name: string; readonly uid: string }
}

const ephemeralRunners = KubeResource.make<EphemeralRunner>({
  group: "actions.github.com",
  version: "v1alpha1",
  plural: "ephemeralrunners"
})

/** ARC's kind, as far as the runner looks at it, unless the cluster has it. */
const arcKinds = Layer.effectDiscard(
  Effect.gen(function* () {
    const kube = yield* KubeClient.KubeClient
    const name = "ephemeralrunners.actions.github.com"
    yield* kube
      .request({
        verb: "create",
        resource: customResources,
        body: {
          apiVersion: "apiextensions.k8s.io/v1",
          kind: "CustomResourceDefinition",
          metadata: { name },
          spec: {
            group: "actions.github.com",
            scope: "Namespaced",
            names: {
              kind: "EphemeralRunner",
              plural: "ephemeralrunners",
              singular: "ephemeralrunner",
              listKind: "EphemeralRunnerList"
            },
            versions: [
              {
                name: "v1alpha1",
                served: true,
                storage: true,
                subresources: { status: {} },
                schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } }
              }
            ]
          }
        }
      })
      .pipe(Effect.catchReason("KubeError", "AlreadyExists", () => Effect.undefined))
    yield* Effect.repeat(
      Effect.delay(Effect.isSuccess(kube.list({ resource: ephemeralRunners, namespace: "default" })), "100 millis"),
      { until: (served) => served }
    )
  })
).pipe(Layer.orDie, Layer.provideMerge(testNamespace))

/** As ARC has it: a runner, its Secret and its pod have one name. */
const arcRunner = Effect.fnUntraced(function* (name: string) {
  const kube = yield* KubeClient.KubeClient
  const namespace = (yield* TestNamespace).name
  const body = { apiVersion: "actions.github.com/v1alpha1", kind: "EphemeralRunner", metadata: { name } }
  const made = yield* kube.request({ verb: "create", resource: ephemeralRunners, namespace, body })
  const { uid } = made.metadata
  const owner = {
    apiVersion: "actions.github.com/v1alpha1",
    kind: "EphemeralRunner",
    name,
    uid,
    controller: true,
    blockOwnerDeletion: true
  }
  const metadata = {
    labels: {
      "actions.github.com/scale-set-name": name,
      "actions.github.com/scale-set-namespace": namespace,
      "actions-ephemeral-runner": "True"
    },
    annotations: { "actions.github.com/runner-group-name": "Default" },
    ownerReferences: [owner]
  }
  return {
    uid,
    /** What ARC's controller makes, and makes again. */
    makePod: (spec?: object) => runnerPod(name, metadata, spec),
    assignJob: kube.request({
      verb: "patch",
      resource: { ...ephemeralRunners, subresource: "status" },
      namespace,
      name,
      body: { status: { jobId: "job-17" } }
    }),
    remove: kube.request({ verb: "delete", resource: ephemeralRunners, namespace, name })
  }
})

const patient = "trap 'exit 0' TERM; sleep 600 & wait"

layer(arcKinds, { excludeTestServices: true, timeout: "3 minutes" })("kro-runner under ARC", (it) => {
  it.effect("does not start a second runner with a JIT configuration that got a job", () =>
    Effect.gen(function* () {
      const { kind } = yield* scene("used", { resources: [pod("exit 0")] }, { pod: false })
      const arc = yield* arcRunner("used")
      yield* arc.makePod()
      yield* arc.assignJob
      const starts = yield* startsOf("used")
      const runner = yield* startRunner("used")
      const ended = yield* runner.ended
      assert.strictEqual(ended.code, 1)
      assert.match(ended.termination, /the job job-17 was assigned to this runner already/)
      assert.strictEqual(starts.size, 0)
      yield* nothingLeft(kind, "used")
    })
  )

  it.effect("finds the scale set by the pod's label, and tells the RGD what it asks for", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      const namespace = (yield* TestNamespace).name
      const fields = [
        "runnerName",
        "scaleSetName",
        "scaleSetNamespace",
        "runnerGroup",
        "jitConfigSecretKey",
        "httpsProxy",
        "noProxy"
      ]
      const { instances } = yield* scene(
        "told",
        {
          spec: { ...Object.fromEntries(fields.map((field) => [field, "string"])), labels: "map[string]string" },
          resources: [pod("sleep 1")]
        },
        { pod: false }
      )
      const arc = yield* arcRunner("told")
      yield* arc.makePod()
      const runner = yield* startRunner("told", { env: { https_proxy: "http://proxy:3128" } })
      yield* runner.says("POST /apis/kro.run")
      const { spec } = yield* kube.request({ verb: "get", resource: instances, namespace, name: "told" })
      assert.deepStrictEqual(spec, {
        runnerName: "told",
        scaleSetName: "told",
        scaleSetNamespace: namespace,
        runnerGroup: "Default",
        jitConfigSecretKey: "jitToken",
        httpsProxy: "http://proxy:3128",
        noProxy: "",
        labels: {
          "runner-pod": "told",
          "actions.github.com/scale-set-name": "told",
          "actions.github.com/scale-set-namespace": namespace
        }
      })
      assert.strictEqual((yield* runner.ended).code, 0)
    })
  )

  it.effect("keeps a running job through a drain of the runner pod, and goes on in the next one", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      const namespace = (yield* TestNamespace).name
      const { instances, kind } = yield* scene("drained", { resources: [pod("sleep 12; exit 0")] }, { pod: false })
      const arc = yield* arcRunner("drained")
      yield* arc.makePod()
      const starts = yield* startsOf("drained")
      const options = { jit: "the-same-jit", env: { KAR_OWNER: "ephemeralrunner" } }
      const first = yield* startRunner("drained", options)
      yield* first.says("The runner runs")
      const instance = yield* kube.request({ verb: "get", resource: instances, namespace, name: "drained" })
      assert.deepInclude(instance.metadata.ownerReferences?.[0], {
        kind: "EphemeralRunner",
        uid: arc.uid,
        controller: false
      })
      first.process.kill("SIGTERM")
      assert.strictEqual((yield* first.ended).code, 143)
      yield* forceDelete("drained")
      yield* arc.makePod()
      const second = yield* startRunner("drained", options)
      const ended = yield* second.ended
      assert.strictEqual(ended.code, 0, ended.stderr)
      assert.strictEqual(starts.size, 1)
      yield* nothingLeft(kind, "drained")
    })
  )

  it.effect("releases a runner that ARC removes, whoever owns the instance", () =>
    Effect.gen(function* () {
      const { kind } = yield* scene("removed", { resources: [pod(patient)] }, { pod: false })
      const arc = yield* arcRunner("removed")
      yield* arc.makePod()
      const runner = yield* startRunner("removed", { env: { KAR_OWNER: "ephemeralrunner" } })
      yield* runner.says("The runner runs")
      yield* arc.remove
      runner.process.kill("SIGTERM")
      assert.strictEqual((yield* runner.ended).code, 143)
      yield* nothingLeft(kind, "removed")
    })
  )

  it.effect("runs in its pod, with its service account, and ends with it", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      const namespace = (yield* TestNamespace).name
      const { kind } = yield* scene("inside", { resources: [pod(patient)] }, { pod: false })
      const plural = `${kind.toLowerCase()}s`
      const create = <A>(resource: KubeResource.KubeResource<A>, body: object) =>
        kube.request({ verb: "create", resource, namespace, body })
      const group = "rbac.authorization.k8s.io"
      const metadata = { name: "inside" }
      yield* create(KubeResource.serviceAccounts, { apiVersion: "v1", kind: "ServiceAccount", metadata })
      yield* create(KubeResource.roles, {
        apiVersion: `${group}/v1`,
        kind: "Role",
        metadata,
        rules: [
          { apiGroups: [""], resources: ["pods"], verbs: ["get", "list", "watch"] },
          { apiGroups: ["kro.run"], resources: [plural], verbs: ["create", "get", "list", "watch", "delete"] }
        ]
      })
      const subjects = [{ kind: "ServiceAccount", name: "inside", namespace }]
      const roleRef = { apiGroup: group, kind: "Role", name: "inside" }
      yield* create(KubeResource.roleBindings, {
        apiVersion: `${group}/v1`,
        kind: "RoleBinding",
        metadata,
        subjects,
        roleRef
      })
      // The cluster's own role for whoever may look at RGDs.
      const wide = { name: `${namespace}-inside` }
      const clusterRoles = KubeResource.make<object>({ group, plural: "clusterroles", namespaced: false })
      const clusterRoleBindings = KubeResource.make<object>({ group, plural: "clusterrolebindings", namespaced: false })
      const rules = [{ apiGroups: ["kro.run"], resources: ["resourcegraphdefinitions"], verbs: ["get", "list"] }]
      const temporary = (resource: KubeResource.KubeResource<object>, body: object) =>
        Effect.acquireRelease(create(resource, { apiVersion: `${group}/v1`, metadata: wide, ...body }), () =>
          Effect.orDie(kube.request({ verb: "delete", resource, name: wide.name }))
        )
      yield* temporary(clusterRoles, { kind: "ClusterRole", rules })
      yield* temporary(clusterRoleBindings, {
        kind: "ClusterRoleBinding",
        subjects,
        roleRef: { apiGroup: group, kind: "ClusterRole", name: wide.name }
      })

      const data = { "index.js": readFileSync(join(bundled("kro-runner"), "index.js"), "utf8") }
      yield* create(KubeResource.make<object>({ plural: "configmaps" }), {
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata,
        data
      })
      const arc = yield* arcRunner("inside")
      yield* arc.makePod({
        automountServiceAccountToken: true,
        serviceAccountName: "inside",
        securityContext: { runAsUser: 10001, runAsGroup: 10001, runAsNonRoot: true },
        containers: [
          {
            name: "runner",
            image: "node:22",
            imagePullPolicy: "IfNotPresent",
            command: ["node", "/opt/kar/index.js"],
            securityContext: {
              readOnlyRootFilesystem: true,
              allowPrivilegeEscalation: false,
              capabilities: { drop: ["ALL"] }
            },
            env: [
              { name: "RUNNER_NAME", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
              { name: "ACTIONS_RUNNER_INPUT_JITCONFIG", value: "jit-of-the-test" }
            ],
            volumeMounts: [{ name: "kar", mountPath: "/opt/kar" }]
          }
        ],
        volumes: [{ name: "kar", configMap: { name: "inside" } }]
      })
      yield* eventually(
        "the job's pod runs",
        Effect.map(all(KubeResource.pods), (pods) =>
          pods.some(({ metadata, status }) => metadata?.name === "inside-job" && status?.phase === "Running")
        )
      )
      yield* kube.request({
        verb: "delete",
        resource: KubeResource.pods,
        namespace,
        name: "inside",
        query: { gracePeriodSeconds: 20 }
      })
      let last: { readonly exitCode: number; readonly message?: string } | undefined
      yield* eventually(
        "the runner's pod is gone",
        kube.request({ verb: "get", resource: KubeResource.pods, namespace, name: "inside" }).pipe(
          Effect.map(({ status }) => {
            last = status?.containerStatuses?.[0]?.state?.terminated ?? last
            return false
          }),
          Effect.catchReason("KubeError", "NotFound", () => Effect.succeed(true))
        )
      )
      assert.deepInclude(last, { exitCode: 143 })
      assert.match(last?.message ?? "", /^Stopped: /)
      yield* nothingLeft(kind, "inside")
    })
  )
})
