/** How objects behave, on any cluster. */
import { assert } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import type { Register } from "./behaviour.ts"
import { Cluster, createPod, gone, podOf, shell } from "./support.ts"

const { pods, secrets } = KubeResource
const configMaps = KubeResource.make<{
  readonly metadata: {
    readonly name: string
    readonly uid: string
    readonly resourceVersion: string
    readonly labels?: Readonly<Record<string, string>>
    readonly deletionTimestamp?: string
  }
  readonly data?: Readonly<Record<string, string>>
}>({ plural: "configmaps" })

const createMap = Effect.fnUntraced(function* (name: string, metadata: object = {}) {
  const kube = yield* KubeClient.KubeClient
  const body = { apiVersion: "v1", kind: "ConfigMap", metadata: { name, ...metadata }, data: { a: "1" } }
  return yield* kube.request({ verb: "create", resource: configMaps, body })
})

const reasonOf = <A, R>(
  effect: Effect.Effect<A, { readonly reason: { readonly _tag: string }; readonly message: string }, R>
) => Effect.map(Effect.flip(effect), ({ message, reason }) => ({ tag: reason._tag, message }))

export const objects = (it: Register): void => {
  it("are created once, found, and gone once deleted", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      const made = yield* createMap("life")
      assert.match(made.metadata.uid, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/)
      const again = yield* reasonOf(createMap("life"))
      assert.strictEqual(again.tag, "AlreadyExists")
      assert.include(again.message, 'configmaps "life" already exists')
      const get = kube.request({ verb: "get", resource: configMaps, name: "life" })
      assert.strictEqual((yield* get).metadata.uid, made.metadata.uid)
      yield* kube.request({ verb: "delete", resource: configMaps, name: "life" })
      const missing = yield* reasonOf(get)
      assert.strictEqual(missing.tag, "NotFound")
      assert.include(missing.message, 'configmaps "life" not found')
    }))

  it("stay until their last finalizer is gone", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      yield* createMap("kept", { finalizers: ["acme.io/one", "acme.io/two"] })
      const get = kube.request({ verb: "get", resource: configMaps, name: "kept" })
      const hold = (finalizers: ReadonlyArray<string> | null) =>
        kube.request({ verb: "patch", resource: configMaps, name: "kept", body: { metadata: { finalizers } } })
      yield* kube.request({ verb: "delete", resource: configMaps, name: "kept" })
      yield* hold(["acme.io/two"])
      assert.isDefined((yield* get).metadata.deletionTimestamp)
      assert.strictEqual((yield* reasonOf(createMap("kept"))).tag, "AlreadyExists")
      yield* hold(null)
      assert.strictEqual((yield* reasonOf(get)).tag, "NotFound")

      const name = "kept-pod"
      yield* createPod(name, { schedulerName: "nobody", containers: [shell("true")] }, { finalizers: ["acme.io/one"] })
      yield* kube.request({ verb: "delete", resource: pods, name, query: { gracePeriodSeconds: 0 } })
      assert.isDefined((yield* kube.request({ verb: "get", resource: pods, name })).metadata?.deletionTimestamp)
      yield* kube.request({ verb: "patch", resource: pods, name, body: { metadata: { finalizers: null } } })
      yield* gone(pods, name)
    }))

  it("get a name of their own after generateName", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      const body = { apiVersion: "v1", kind: "ConfigMap", metadata: { generateName: "made-" } }
      const { metadata } = yield* kube.request({ verb: "create", resource: configMaps, body })
      assert.match(metadata.name, /^made-[a-z0-9]{5}$/)
    }))

  it("are listed page by page, by their labels and by their names", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      for (const [index, name] of ["page-a", "page-b", "page-c"].entries()) {
        yield* createMap(name, { labels: { page: "yes", odd: index === 1 ? "no" : "yes" } })
      }
      const names = (query: Readonly<Record<string, string | number>>) =>
        Effect.map(kube.list({ resource: configMaps, query }), ({ items }) =>
          items.map(({ metadata }) => metadata.name)
        )
      const first = yield* kube.request({
        verb: "list",
        resource: configMaps,
        query: { labelSelector: "page", limit: 2 }
      })
      assert.deepStrictEqual([first.items.length, first.metadata.remainingItemCount ?? 1], [2, 1])
      assert.deepStrictEqual(yield* names({ labelSelector: "page", limit: 1 }), ["page-a", "page-b", "page-c"])
      assert.deepStrictEqual(yield* names({ labelSelector: "page=yes,odd!=no" }), ["page-a", "page-c"])
      assert.deepStrictEqual(yield* names({ labelSelector: "page,odd in (no,never)" }), ["page-b"])
      assert.deepStrictEqual(yield* names({ fieldSelector: "metadata.name=page-c" }), ["page-c"])
    }))

  it("of a wrong name, or with wrong containers, are refused with the field", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      const long = "a".repeat(64)
      const refused = (name: string, spec: object) =>
        reasonOf(kube.request({ verb: "create", resource: pods, body: podOf(name, { ...spec }) }))
      const named = yield* refused("Upper", { containers: [shell("true")] })
      assert.strictEqual(named.tag, "Invalid")
      assert.include(
        named.message,
        'metadata.name: Invalid value: "Upper": a lowercase RFC 1123 subdomain must consist'
      )
      const containers = yield* refused("wrong", {
        containers: [shell("true"), shell("true"), shell("true", { name: "Bad" }), shell("true", { name: long })]
      })
      assert.strictEqual(containers.tag, "Invalid")
      assert.include(containers.message, 'spec.containers[1].name: Duplicate value: "main"')
      assert.include(
        containers.message,
        'spec.containers[2].name: Invalid value: "Bad": a lowercase RFC 1123 label must consist'
      )
      assert.include(
        containers.message,
        `spec.containers[3].name: Invalid value: "${long}": must be no more than 63 characters`
      )
      const mounts = yield* refused("wrong", {
        containers: [shell("true", { volumeMounts: [{ name: "none", mountPath: "/x" }] })]
      })
      assert.include(mounts.message, 'spec.containers[0].volumeMounts[0].name: Not found: "none"')
      const imageless = yield* refused("wrong", { containers: [{ name: "main" }] })
      assert.include(imageless.message, "spec.containers[0].image: Required value")
      const labels = yield* reasonOf(createMap("labels", { labels: { long: "x".repeat(64), odd: "no spaces" } }))
      assert.include(labels.message, "metadata.labels: Invalid value")
    }))

  it("of an unknown kind are not found", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      const things = KubeResource.make<object>({ group: "nosuch.example", plural: "things" })
      assert.strictEqual((yield* reasonOf(kube.request({ verb: "list", resource: things }))).tag, "NotFound")
    }))

  it("cannot be made in a namespace that does not exist", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      const body = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "lost" } }
      const lost = yield* reasonOf(
        kube.request({ verb: "create", resource: configMaps, namespace: "jobscope-test-nowhere", body })
      )
      assert.strictEqual(lost.tag, "NotFound")
      assert.include(lost.message, 'namespaces "jobscope-test-nowhere" not found')
    }))

  it("are deleted only with the uid that was meant", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      const { metadata } = yield* createMap("meant")
      const remove = (uid: string) =>
        kube.request({ verb: "delete", resource: configMaps, name: "meant", body: { preconditions: { uid } } })
      const other = "00000000-0000-4000-8000-00000000ffff"
      const refused = yield* reasonOf(remove(other))
      assert.strictEqual(refused.tag, "Conflict")
      assert.include(
        refused.message,
        `the UID in the precondition (${other}) does not match the UID in record (${metadata.uid})`
      )
      yield* remove(metadata.uid)
    }))

  it("that changed meanwhile are not overwritten", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      const made = yield* createMap("contended")
      const patched = yield* kube.request({
        verb: "patch",
        resource: configMaps,
        name: "contended",
        body: { data: { a: null, b: "2" } }
      })
      assert.deepStrictEqual(patched.data, { b: "2" })
      const late = yield* reasonOf(
        kube.request({ verb: "update", resource: configMaps, name: "contended", body: { ...made, data: { c: "3" } } })
      )
      assert.strictEqual(late.tag, "Conflict")
      assert.include(
        late.message,
        "the object has been modified; please apply your changes to the latest version and try again"
      )
    }))

  it("go with their owner, and at once if it has gone before", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      const { metadata } = yield* createMap("owner")
      const ownerReferences = [{ apiVersion: "v1", kind: "ConfigMap", name: "owner", uid: metadata.uid }]
      yield* kube.request({
        verb: "create",
        resource: secrets,
        body: { apiVersion: "v1", kind: "Secret", metadata: { name: "owned", ownerReferences }, stringData: { k: "v" } }
      })
      const secret = yield* kube.request({ verb: "get", resource: secrets, name: "owned" })
      assert.deepStrictEqual(secret.data, { k: "dg==" })
      yield* kube.request({ verb: "delete", resource: configMaps, name: "owner" })
      yield* gone(secrets, "owned")
      yield* createMap("orphan", { ownerReferences })
      yield* gone(configMaps, "orphan")
    }))

  it("are watched: what comes, changes, leaves the selection, goes", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      yield* createMap("before", { labels: { seen: "yes" } })
      const watching = yield* Effect.forkChild(
        kube.watch({ resource: configMaps, labelSelector: "seen=yes" }).pipe(
          Stream.map((event) => (event._tag === "Synced" ? "Synced" : `${event._tag} ${event.object.metadata.name}`)),
          Stream.tap((told) => (told === "Synced" ? Effect.forkChild(changes) : Effect.void)),
          Stream.takeUntil((told) => told === "Deleted later"),
          Stream.runCollect
        )
      )
      const label = (name: string, seen: string) =>
        kube.request({ verb: "patch", resource: configMaps, name, body: { metadata: { labels: { seen } } } })
      const changes = Effect.gen(function* () {
        yield* createMap("later", { labels: { seen: "no" } })
        yield* label("later", "yes")
        yield* kube.request({ verb: "patch", resource: configMaps, name: "later", body: { data: { b: "2" } } })
        yield* label("before", "no")
        yield* kube.request({ verb: "delete", resource: configMaps, name: "later" })
      })
      assert.deepStrictEqual(yield* Fiber.join(watching), [
        "Added before",
        "Synced",
        "Added later",
        "Modified later",
        "Deleted before",
        "Deleted later"
      ])
    }))

  it("are for those who have the right, by Role and RoleBinding", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      const { as, namespace } = yield* Cluster
      const create = <A>(resource: KubeResource.KubeResource<A>, body: object) =>
        kube.request({ verb: "create", resource, body })
      const rbac = "rbac.authorization.k8s.io"
      yield* create(KubeResource.serviceAccounts, {
        apiVersion: "v1",
        kind: "ServiceAccount",
        metadata: { name: "reader" }
      })
      yield* create(KubeResource.roles, {
        apiVersion: `${rbac}/v1`,
        kind: "Role",
        metadata: { name: "read" },
        rules: [{ apiGroups: [""], resources: ["pods"], verbs: ["get", "list"] }]
      })
      yield* create(KubeResource.roleBindings, {
        apiVersion: `${rbac}/v1`,
        kind: "RoleBinding",
        metadata: { name: "read" },
        roleRef: { apiGroup: rbac, kind: "Role", name: "read" },
        subjects: [{ kind: "ServiceAccount", name: "reader", namespace }]
      })
      const tokens = KubeResource.make<{ readonly status: { readonly token: string } }>({
        plural: "serviceaccounts",
        subresource: "token"
      })
      const { status } = yield* kube.request({
        verb: "create",
        resource: tokens,
        name: "reader",
        body: { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: { expirationSeconds: 600 } }
      })
      const reader = yield* as(status.token)
      yield* reader.request({ verb: "list", resource: pods })
      const user = `User "system:serviceaccount:${namespace}:reader" cannot`
      const where = `in API group "" in the namespace "${namespace}"`
      const deleting = yield* reasonOf(reader.request({ verb: "delete", resource: pods, name: "any" }))
      assert.strictEqual(deleting.tag, "Forbidden")
      assert.include(deleting.message, `pods "any" is forbidden: ${user} delete resource "pods" ${where}`)
      const listing = yield* reasonOf(reader.request({ verb: "list", resource: secrets }))
      assert.include(listing.message, `secrets is forbidden: ${user} list resource "secrets" ${where}`)
      const watching = yield* reasonOf(Stream.runDrain(reader.watch({ resource: pods })))
      assert.include(watching.message, `${user} watch resource "pods" ${where}`)
      yield* createPod("secretive", { containers: [shell("sleep 100")] })
      const exec = yield* reasonOf(Effect.scoped(reader.exec({ pod: "secretive", command: ["true"] })))
      assert.include(exec.message, `pods "secretive" is forbidden: ${user} get resource "pods/exec" ${where}`)
      assert.strictEqual(
        (yield* reasonOf((yield* as("wrong")).request({ verb: "list", resource: pods }))).tag,
        "Unauthorized"
      )
    }))
}
