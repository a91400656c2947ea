import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, layer } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import * as Yaml from "effect/encoding/Yaml"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import { TestNamespace, layer as testNamespace } from "../support/testNamespace.ts"
import { cel, pod } from "./support/rgds.ts"
import { nothingLeft, scene, startRunner } from "./support/runner.ts"

const clusterRoles = KubeResource.make<object>({
  group: "rbac.authorization.k8s.io",
  plural: "clusterroles",
  namespaced: false
})
const clusterRoleBindings = KubeResource.make<object>({
  group: "rbac.authorization.k8s.io",
  plural: "clusterrolebindings",
  namespaced: false
})

interface Rule {
  readonly apiGroups: ReadonlyArray<string>
  readonly resources: ReadonlyArray<string>
  readonly verbs: ReadonlyArray<string>
}

/** A service account with these rights, and a kubeconfig for it. */
const account = Effect.fnUntraced(function* (name: string, rules: ReadonlyArray<Rule>, ofCluster: ReadonlyArray<Rule>) {
  const kube = yield* KubeClient.KubeClient
  const namespace = (yield* TestNamespace).name
  const group = "rbac.authorization.k8s.io"
  const subjects = [{ kind: "ServiceAccount", name, namespace }]
  const create = <A>(resource: KubeResource.KubeResource<A>, body: object) =>
    kube.request({
      verb: "create",
      resource,
      namespace,
      body: { apiVersion: `${group}/v1`, metadata: { name }, ...body }
    })
  yield* create(KubeResource.serviceAccounts, { apiVersion: "v1", kind: "ServiceAccount" })
  yield* create(KubeResource.roles, { kind: "Role", rules })
  yield* create(KubeResource.roleBindings, {
    kind: "RoleBinding",
    subjects,
    roleRef: { apiGroup: group, kind: "Role", name }
  })
  const wide = `${namespace}-${name}`
  for (const [resource, body] of [
    [clusterRoles, { kind: "ClusterRole", rules: ofCluster }],
    [
      clusterRoleBindings,
      { kind: "ClusterRoleBinding", subjects, roleRef: { apiGroup: group, kind: "ClusterRole", name: wide } }
    ]
  ] as const) {
    yield* Effect.acquireRelease(create(resource, { ...body, metadata: { name: wide } }), () =>
      Effect.orDie(kube.request({ verb: "delete", resource, name: wide }))
    )
  }
  const token = yield* kube.request({
    verb: "create",
    resource: KubeResource.make<{ readonly status: { readonly token: string } }>({
      plural: "serviceaccounts",
      subresource: "token"
    }),
    namespace,
    name,
    body: { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: {} }
  })
  const directory = mkdtempSync(join(tmpdir(), "kro-account-"))
  yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(directory, { recursive: true, force: true })))
  const file = join(directory, "kubeconfig")
  const own = Yaml.parse(readFileSync(process.env.KUBECONFIG ?? "", "utf8")) as {
    readonly users: ReadonlyArray<{ readonly name: string }>
  }
  const users = own.users.map(({ name }) => ({
    name,
    user: { token: Redacted.value(Redacted.make(token.status.token)) }
  }))
  writeFileSync(file, JSON.stringify({ ...own, users }), { mode: 0o600 })
  return file
})

const least: ReadonlyArray<Rule> = [{ apiGroups: [""], resources: ["pods"], verbs: ["get"] }]
const readRgds: ReadonlyArray<Rule> = [
  { apiGroups: ["kro.run"], resources: ["resourcegraphdefinitions"], verbs: ["list"] }
]

/** The rules in what `kro-runner role` prints. */
const rolesIn = (text: string) =>
  text
    .split(/^---$/m)
    .map((document) => Yaml.parse(document) as { readonly kind: string; readonly rules: ReadonlyArray<Rule> })

layer(testNamespace, { excludeTestServices: true, timeout: "3 minutes" })("kro-runner's rights", (it) => {
  it.effect("names the right that is missing, and what it is for", () =>
    Effect.gen(function* () {
      const { kind } = yield* scene("few", { resources: [pod("exit 0")] })
      const plural = `${kind.toLowerCase()}s.kro.run`

      const none = yield* startRunner("few", { kubeconfig: yield* account("none", [], []) })
      assert.match(
        (yield* none.ended).termination,
        /^Forbidden: Not allowed to get pods in the namespace \S+: it is needed for reading the runner pod/
      )

      const noRgds = yield* startRunner("few", { kubeconfig: yield* account("no-rgds", least, []) })
      assert.match(
        (yield* noRgds.ended).termination,
        /^Forbidden: Not allowed to list resourcegraphdefinitions\.kro\.run in the cluster: it is needed for finding/
      )

      const kubeconfig = yield* account("no-create", least, readRgds)
      const noCreate = yield* startRunner("few", { kubeconfig })
      const ended = yield* noCreate.ended
      assert.strictEqual(ended.code, 1)
      assert.include(ended.termination, `Forbidden: Not allowed to create ${plural} in the namespace`)
      assert.include(ended.termination, "it is needed for making an instance")
      assert.match(ended.stderr, /No right to list pods .*only the instance tells how the work ends/)

      const check = yield* startRunner("few", { kubeconfig, args: ["check"] })
      const checked = yield* check.ended
      assert.strictEqual(checked.code, 1)
      assert.include(checked.stdout, `error   no right to create ${plural}: making an instance`)
      assert.include(checked.stdout, "warning no right to create events: telling the outcome as an Event")
      assert.include(checked.stdout, "These rules are missing:")
      assert.include(checked.stdout, `resources: ["${plural.split(".")[0]}"]`)
    })
  )

  it.effect("runs with the Roles that it prints, and nothing more", () =>
    Effect.gen(function* () {
      const { kind } = yield* scene("enough", {
        spec: { runnerName: "string | required=true", jitConfigSecretName: "string" },
        resources: [
          pod('test "$JIT" = "$JIT2" -a -n "$JIT"', {
            pod: {
              containers: [
                {
                  name: "runner",
                  image: "busybox:latest",
                  imagePullPolicy: "IfNotPresent",
                  command: ["sh", "-c", 'test "$JIT" = "$JIT2" -a -n "$JIT"'],
                  env: [".jitconfig", "jitToken"].map((key, index) => ({
                    name: index === 0 ? "JIT" : "JIT2",
                    valueFrom: { secretKeyRef: { name: cel("schema.spec.jitConfigSecretName"), key } }
                  }))
                }
              ]
            }
          })
        ]
      })
      const printing = yield* startRunner("enough", { args: ["role"] })
      const [wide, narrow] = rolesIn((yield* printing.ended).stdout)
      assert.deepStrictEqual([wide?.kind, narrow?.kind], ["ClusterRole", "Role"])
      const kubeconfig = yield* account("enough", narrow?.rules ?? [], wide?.rules ?? [])
      const checking = yield* startRunner("enough", { kubeconfig, args: ["check"] })
      const checked = yield* checking.ended
      assert.strictEqual(checked.code, 0, checked.stdout)
      assert.include(checked.stdout, "every right that may be used is there")
      const runner = yield* startRunner("enough", { kubeconfig })
      const ended = yield* runner.ended
      assert.strictEqual(ended.code, 0, ended.stderr)
      assert.notMatch(ended.stderr, / 403$/m)
      yield* nothingLeft(kind, "enough")
    })
  )

  it.effect("does without what is not required", () =>
    Effect.gen(function* () {
      const { kind } = yield* scene("modest", { resources: [pod("sleep 1; exit 4")] })
      const plural = `${kind.toLowerCase()}s`
      const kubeconfig = yield* account(
        "modest",
        [
          { apiGroups: [""], resources: ["pods"], verbs: ["get", "list"] },
          { apiGroups: ["kro.run"], resources: [plural], verbs: ["create", "get", "list", "delete"] }
        ],
        readRgds
      )
      const runner = yield* startRunner("modest", { kubeconfig })
      const ended = yield* runner.ended
      assert.strictEqual(ended.code, 1, ended.stderr)
      assert.match(ended.termination, /^RunnerFailed: .*exit code 4/)
      yield* nothingLeft(kind, "modest")
    })
  )

  it.effect("says what to change where it may not make the Secret that a template needs", () =>
    Effect.gen(function* () {
      const { kind } = yield* scene("secretless", {
        spec: { runnerName: "string | required=true", jitConfigSecretName: "string" },
        resources: [
          pod("exit 0", {
            pod: {
              hostname: cel("schema.spec.jitConfigSecretName"),
              volumes: [
                {
                  name: "jit",
                  secret: {
                    secretName: cel("schema.spec.jitConfigSecretName"),
                    items: [{ key: ".jitconfig", path: "jit" }]
                  }
                }
              ]
            }
          })
        ]
      })
      const kubeconfig = yield* account("secretless", least, readRgds)
      const runner = yield* startRunner("secretless", { kubeconfig })
      const ended = yield* runner.ended
      assert.strictEqual(ended.code, 1)
      assert.match(ended.termination, /No right to create secrets .*kro-runner role.*from \.jitconfig to jitToken/s)
      yield* nothingLeft(kind, "secretless")
    })
  )
})
