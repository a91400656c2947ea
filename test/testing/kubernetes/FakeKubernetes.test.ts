import { execFileSync, spawn } from "node:child_process"
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Ref, type Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as KubeCalls from "jobscope/backends/kubernetes/KubeCalls"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeConfig from "jobscope/backends/kubernetes/KubeConfig"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import { FakeFault, FakeImage, FakeKubernetes, FakeRights } from "jobscope/testing"
import { createPod, eventually, getPod, gone, logs, phase, remove, run, shell, stateOf, until } from "./support.ts"

const { pods } = KubeResource
const Fake = FakeKubernetes.FakeKubernetes
const list = KubeClient.KubeClient.use((kube) => kube.request({ verb: "list", resource: pods }))

const test = <E>(
  title: string,
  body: () => Effect.Effect<unknown, E, FakeKubernetes.FakeKubernetes | KubeClient.KubeClient | Scope.Scope>,
  options: FakeKubernetes.Options = {}
) => it.live(title, () => Effect.scoped(body()).pipe(Effect.provide(FakeKubernetes.layer(options))))

/** A certificate for this machine. */
const selfSigned = () => {
  const folder = mkdtempSync(join(tmpdir(), "jobscope-tls-"))
  const [keyFile, certFile] = [join(folder, "key"), join(folder, "cert")]
  const request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=api"
  // A name, so that it is not taken for a program of package.json.
  const tool = "openssl"
  execFileSync(
    tool,
    [...request.split(" "), "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", keyFile, "-out", certFile],
    { stdio: "ignore" }
  )
  const made = { cert: readFileSync(certFile, "utf8"), key: readFileSync(keyFile, "utf8") }
  rmSync(folder, { recursive: true })
  return made
}

/** What a process of a container has in its environment is found here even if the container hides it. */
const processesWith = (marker: string): ReadonlyArray<string> =>
  globSync("/proc/[0-9]*/environ").filter((file) => {
    try {
      return readFileSync(file, "latin1").includes(marker)
    } catch {
      return false
    }
  })

describe("the API of a fake cluster", () => {
  test("tells who called what, and counts", () =>
    Effect.gen(function* () {
      const kubernetes = yield* Fake
      const [, calls] = yield* kubernetes.counted(Effect.andThen(list, Effect.ignore(getPod("none"))))
      assert.deepStrictEqual(
        calls.map(({ name, resource, status, user, verb }) => [user, verb, resource, name, status]),
        [
          ["admin", "list", "pods", undefined, 200],
          ["admin", "get", "pods", "none", 404]
        ]
      )
    }))

  test("gives rights by rules, and takes them", () =>
    Effect.gen(function* () {
      const kubernetes = yield* Fake
      const rules = FakeRights.ofCalls(KubeCalls.required)
      const user = yield* KubeClient.make(kubernetes.accessAs({ user: "hook", rules }))
      yield* user.request({ verb: "list", resource: pods })
      const watch = yield* Effect.flip(Stream.runDrain(user.watch({ resource: pods })))
      assert.include(watch.message, 'User "hook" cannot watch resource "pods"')
      yield* kubernetes.deny({ group: "", resource: "pods", verbs: ["list"] })
      assert.strictEqual((yield* Effect.flip(user.request({ verb: "list", resource: pods }))).reason._tag, "Forbidden")
      assert.strictEqual((yield* Effect.flip(list)).reason._tag, "Forbidden")
      yield* kubernetes.clearDenials
      yield* list
    }))

  it("has the Role of Actions Runner Controller suffice for what jobscope requires", () => {
    for (const { group, resource, verb } of KubeCalls.required) {
      const call = { group, resource, verb }
      assert.isTrue(
        FakeRights.actionsRunnerController.some((rule) => FakeRights.covers(rule, call)),
        JSON.stringify(call)
      )
    }
  })

  test("holds quotas", () =>
    Effect.gen(function* () {
      const kubernetes = yield* Fake
      yield* kubernetes.limit({ resource: "pods", limit: 1 })
      yield* kubernetes.cordon(true)
      yield* createPod("first", { containers: [shell("true")] })
      const second = yield* Effect.flip(createPod("second", { containers: [shell("true")] }))
      assert.strictEqual(second.reason._tag, "QuotaExceeded")
      assert.include(second.message, "exceeded quota: quota, requested: pods=1, used: pods=1, limited: pods=1")
    }))

  test("forgets versions, and tells watches and pages with 410", () =>
    Effect.gen(function* () {
      const kubernetes = yield* Fake
      const kube = yield* KubeClient.KubeClient
      yield* kubernetes.cordon(true)
      for (const name of ["a", "b", "c"]) yield* createPod(name, { containers: [shell("true")] })
      const first = yield* kube.request({ verb: "list", resource: pods, query: { limit: 1 } })
      yield* kubernetes.compact
      const next = kube.request({
        verb: "list",
        resource: pods,
        query: { limit: 1, continue: first.metadata.continue }
      })
      assert.strictEqual((yield* Effect.flip(next)).reason._tag, "Expired")
      const told = kube.watch({ resource: pods, resourceVersion: "1" }).pipe(
        Stream.map((event) => (event._tag === "Synced" ? "Synced" : `${event._tag} ${event.object.metadata?.name}`)),
        Stream.takeUntil((text) => text === "Synced"),
        Stream.runCollect
      )
      assert.deepStrictEqual(yield* told, ["Added a", "Added b", "Added c", "Synced"])
    }))

  test(
    "bookmarks a quiet watch",
    () =>
      Effect.gen(function* () {
        const { access } = yield* Fake
        const headers = yield* access.headers(false)
        const url = `${access.server}/api/v1/pods?watch=true&allowWatchBookmarks=true&timeoutSeconds=1`
        const text = yield* Effect.promise(() =>
          fetch(url, { headers: { ...headers } as Record<string, string> }).then((answer) => answer.text())
        )
        assert.match(text, /^\{"type":"BOOKMARK","object":\{"kind":"Pod".*"resourceVersion":"\d+"/m)
      }),
    { bookmarkInterval: "100 millis" }
  )

  it.effect("is not on the test's clock", () =>
    Effect.gen(function* () {
      const kubernetes = yield* Fake
      yield* kubernetes.inject({ action: FakeFault.delay("20 millis") })
      yield* list
      assert.strictEqual(yield* TestClock.testClockWith((clock) => clock.currentTimeMillis), 0)
    }).pipe(Effect.provide(FakeKubernetes.layer()))
  )

  test(
    "is reached by other processes with a kubeconfig",
    () =>
      Effect.gen(function* () {
        const kubernetes = yield* Fake
        const folder = mkdtempSync(join(tmpdir(), "jobscope-kubeconfig-"))
        yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(folder, { recursive: true })))
        const access = kubernetes.accessAs({ user: "other", rules: FakeRights.actionsRunnerController })
        writeFileSync(join(folder, "config"), yield* kubernetes.kubeconfig(access))
        const loaded = yield* KubeConfig.load({ files: [join(folder, "config")] })
        assert.strictEqual(loaded.namespace, "ci")
        const kube = yield* KubeClient.make(loaded)
        yield* kube.request({ verb: "list", resource: pods })
        assert.strictEqual(kubernetes.requests.at(-1)?.user, "other")
      }),
    { namespace: "ci" }
  )
})

describe("faults of a fake cluster", () => {
  const statuses = (count: number) =>
    Effect.gen(function* () {
      const { access } = yield* Fake
      const kube = yield* KubeClient.make(access, { retries: 0 })
      return yield* Effect.forEach(Array.from({ length: count }), () =>
        Effect.match(kube.request({ verb: "list", resource: pods }), {
          onFailure: ({ reason }) => reason._tag,
          onSuccess: () => "ok"
        })
      )
    })

  test("hit what they match, after some, so often", () =>
    Effect.gen(function* () {
      const kubernetes = yield* Fake
      yield* kubernetes.inject({
        match: { verb: "list", resource: "pods" },
        skip: 1,
        times: 2,
        action: FakeFault.answer(429, { retryAfter: 7 })
      })
      yield* kubernetes.inject({ match: { verb: "get", name: /^x/ }, action: FakeFault.answer(403) })
      assert.deepStrictEqual(yield* statuses(4), ["ok", "TooManyRequests", "TooManyRequests", "ok"])
      assert.strictEqual((yield* Effect.flip(getPod("x1"))).reason._tag, "Forbidden")
      assert.strictEqual((yield* Effect.flip(getPod("y1"))).reason._tag, "NotFound")
      yield* kubernetes.clearFaults
      assert.strictEqual((yield* Effect.flip(getPod("x1"))).reason._tag, "NotFound")
    }))

  test("answer what they say", () =>
    Effect.gen(function* () {
      const kubernetes = yield* Fake
      yield* kubernetes.inject({ times: 1, action: FakeFault.answer(429, { retryAfter: 7 }) })
      const kube = yield* KubeClient.make(kubernetes.access, { retries: 0 })
      const get = Effect.flip(kube.request({ verb: "list", resource: pods }))
      assert.strictEqual((yield* get).retryAfter, 7000)
      yield* kubernetes.inject({ times: 1, action: FakeFault.answer(500, { message: "etcdserver: leader changed" }) })
      assert.include((yield* get).message, "etcdserver: leader changed")
      yield* kubernetes.inject({ times: 1, action: FakeFault.hangUp })
      assert.strictEqual((yield* get).reason._tag, "ConnectionLost")
      yield* kubernetes.inject({ times: 1, action: FakeFault.cut({ afterBytes: 50 }) })
      assert.strictEqual((yield* get).reason._tag, "ConnectionLost")
      yield* kubernetes.inject({ times: 1, action: FakeFault.cut({ afterBytes: 50, how: "close" }) })
      assert.strictEqual((yield* get).reason._tag, "ConnectionLost")
      const late = Effect.flip(kube.request({ verb: "list", resource: pods, timeout: "100 millis" }))
      yield* kubernetes.inject({ times: 1, action: FakeFault.silence })
      assert.strictEqual((yield* late).reason._tag, "TimedOut")
      yield* kubernetes.inject({ times: 1, action: FakeFault.cut({ afterBytes: 50, how: "silent" }) })
      assert.strictEqual((yield* late).reason._tag, "TimedOut")
      yield* kubernetes.inject({ times: 1, action: FakeFault.delay("300 millis") })
      assert.strictEqual((yield* late).reason._tag, "TimedOut")
      yield* list
    }))

  const chosen = (seed: number) =>
    Effect.gen(function* () {
      yield* (yield* Fake).inject({ probability: 0.5, action: FakeFault.answer(500) })
      return (yield* statuses(24)).join()
    }).pipe(Effect.scoped, Effect.provide(FakeKubernetes.layer({ seed })))

  it.live("are the same again with the same seed, and others with another", () =>
    Effect.gen(function* () {
      const once = yield* chosen(1)
      assert.include(once, "ok")
      assert.include(once, "Unavailable")
      assert.strictEqual(yield* chosen(1), once)
      assert.notStrictEqual(yield* chosen(2), once)
    })
  )
})

describe("custom resources of a fake cluster", () => {
  const kind = { group: "acme.io", version: "v1beta1", plural: "boxes", kind: "Box", namespaced: true }
  const boxes = KubeResource.make<{ readonly spec?: object; readonly status?: object }>(kind)

  test(
    "are discovered, have a status of their own, and are left like others",
    () =>
      Effect.gen(function* () {
        const kubernetes = yield* Fake
        const kube = yield* KubeClient.KubeClient
        const group = KubeResource.make<object>({ group: "acme.io", version: "v1beta1", plural: "", namespaced: false })
        const found = yield* kube.request({ verb: "get", resource: group })
        assert.deepInclude(found, {
          groupVersion: "acme.io/v1beta1",
          resources: [{ name: "boxes", kind: "Box", namespaced: true }]
        })
        yield* kube.request({ verb: "create", resource: boxes, body: { metadata: { name: "b" }, spec: { size: 1 } } })
        const status = { ...boxes, subresource: "status" }
        yield* kube.request({ verb: "patch", resource: status, name: "b", body: { spec: {}, status: { full: true } } })
        yield* kube.request({ verb: "patch", resource: boxes, name: "b", body: { spec: { size: 2 }, status: {} } })
        const box = yield* kube.request({ verb: "get", resource: boxes, name: "b" })
        assert.deepStrictEqual([box.spec, box.status], [{ size: 2 }, { full: true }])
        assert.deepStrictEqual(yield* kubernetes.left, ["boxes default/b"])
      }),
    { kinds: [kind] }
  )

  test("are unknown where they are not set up", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      const error = yield* Effect.flip(kube.list({ resource: boxes }))
      assert.strictEqual(error.reason._tag, "NotFound")
    }))
})

describe("a faulty watch of a fake cluster", () => {
  const names = Effect.fnUntraced(function* (action: FakeFault.Action, count: number) {
    const kubernetes = yield* Fake
    const kube = yield* KubeClient.KubeClient
    yield* kubernetes.inject({ match: { verb: "watch" }, action })
    const secrets = KubeResource.secrets
    const told = yield* kube.watch({ resource: secrets }).pipe(
      Stream.filter((event) => event._tag !== "Synced"),
      Stream.map((event) => event.object.metadata?.name ?? ""),
      Stream.take(count),
      Stream.runCollect,
      Effect.forkScoped
    )
    yield* eventually("it watches")(Effect.sync(() => kubernetes.requests.some(({ verb }) => verb === "watch")))
    for (let at = 0; at < count; at++) {
      yield* kube.request({ verb: "create", resource: secrets, body: { metadata: { name: `s${at}` } } })
    }
    return {
      told: yield* Fiber.join(told),
      watches: kubernetes.requests.filter(({ verb }) => verb === "watch").length,
      lists: kubernetes.requests.filter(({ verb }) => verb === "list").length
    }
  })
  const all = ["s0", "s1", "s2", "s3"]

  test("ends after some events", () =>
    Effect.gen(function* () {
      const { lists, told, watches } = yield* names(FakeFault.watch({ endAfter: 2 }), 4)
      assert.deepStrictEqual(told, all)
      assert.deepStrictEqual([lists, watches >= 2], [1, true])
    }))

  test("expires after some events", () =>
    Effect.gen(function* () {
      const { lists, told } = yield* names(FakeFault.watch({ endAfter: 2, how: "expired" }), 4)
      assert.deepStrictEqual(told, all)
      assert.isAtLeast(lists, 2)
    }))

  test("tells each event again, and late", () =>
    Effect.gen(function* () {
      const { told } = yield* names(FakeFault.watch({ repeats: 2, delay: "20 millis" }), 4)
      assert.deepStrictEqual(told, all)
    }))
})

describe.skipIf(FakeKubernetes.unsupported() !== undefined)("the node of a fake cluster", () => {
  const sleeper = (name: string, more: object = {}) =>
    createPod(name, { containers: [shell("exec sleep 1000")], ...more })
  const started = (name: string) => Effect.andThen(sleeper(name), phase(name, "Running"))

  test("evicts: the pod fails with the reason, and stays until it is deleted", () =>
    Effect.gen(function* () {
      const kubernetes = yield* Fake
      yield* started("p")
      const running = yield* Effect.forkChild(Effect.exit(run("p", "sleep 1000")))
      yield* eventually("exec")(
        Effect.sync(() =>
          kubernetes.requests.some(({ resource, status }) => resource === "pods/exec" && status === 101)
        )
      )
      yield* kubernetes.evict("p", "The node was low on resource: memory.")
      const pod = yield* phase("p", "Failed")
      assert.strictEqual(pod.status?.reason, "Evicted")
      assert.strictEqual(pod.status?.message, "The node was low on resource: memory.")
      assert.strictEqual(stateOf(pod)?.terminated?.exitCode, 137)
      yield* Fiber.join(running)
      yield* remove("p")
      yield* gone(pods, "p")
      assert.deepStrictEqual(yield* kubernetes.left, [])
    }))

  test("kills what needs too much memory: OOMKilled", () =>
    Effect.gen(function* () {
      const kubernetes = yield* Fake
      yield* started("p")
      yield* kubernetes.oomKill("p")
      const pod = yield* phase("p", "Failed")
      const { exitCode, reason } = stateOf(pod)?.terminated ?? {}
      assert.deepStrictEqual([exitCode, reason], [137, "OOMKilled"])
    }))

  test("preempts: the pod is told why, and deleted", () =>
    Effect.gen(function* () {
      const kubernetes = yield* Fake
      yield* started("p")
      yield* kubernetes.preempt("p")
      const pod = yield* getPod("p")
      assert.isString(pod.metadata?.deletionTimestamp)
      const reasons = (pod.status?.conditions ?? []).map(({ reason, type }) => `${type} ${reason}`)
      assert.include(reasons, "DisruptionTarget PreemptionByScheduler")
      yield* gone(pods, "p")
    }))

  test("takes no pods while it is cordoned", () =>
    Effect.gen(function* () {
      const kubernetes = yield* Fake
      yield* kubernetes.cordon(true)
      yield* sleeper("p")
      const waiting = yield* until("p", ({ status }) => status?.conditions?.[0]?.reason === "Unschedulable")
      assert.include(waiting.status?.conditions?.[0]?.message, "1 node(s) were unschedulable")
      yield* kubernetes.cordon(false)
      yield* phase("p", "Running")
    }))

  test("that lost its connection says nothing, reaches nothing, and catches up", () =>
    Effect.gen(function* () {
      const kubernetes = yield* Fake
      const value = `jobscope-lost-${process.pid}`
      const env = [{ name: "MARKER", value }]
      yield* createPod("p", { containers: [shell("while ! test -e /tmp/go; do sleep 0.05; done; exit 3", { env })] })
      yield* phase("p", "Running")
      yield* run("p", "(sleep 0.3; touch /tmp/go) >/dev/null 2>&1 &")
      yield* kubernetes.disconnectNode
      const exec = yield* Effect.flip(run("p", "true"))
      assert.include(exec.message, "error dialing backend")
      yield* eventually("it has ended")(Effect.sync(() => processesWith(value).length === 0))
      assert.strictEqual((yield* getPod("p")).status?.phase, "Running")
      yield* remove("p")
      assert.isString((yield* getPod("p")).metadata?.deletionTimestamp)
      yield* kubernetes.reconnectNode
      yield* gone(pods, "p")
    }))

  test(
    "tells a container's end before the phase",
    () =>
      Effect.gen(function* () {
        yield* createPod("p", { containers: [shell("exit 3")] })
        const pod = yield* until("p", (one) => stateOf(one)?.terminated !== undefined)
        assert.strictEqual(pod.status?.phase, "Running")
        yield* phase("p", "Failed")
      }),
    { phaseDelay: "300 millis" }
  )

  test("has images that come later, need credentials, are slow, or have no shell", () =>
    Effect.gen(function* () {
      const kubernetes = yield* Fake
      const kube = yield* KubeClient.KubeClient
      const image = (name: string, of: string, spec: object = {}) =>
        createPod(name, { containers: [{ name: "main", image: of, imagePullPolicy: "IfNotPresent", ...spec }] })
      const waits = (name: string, reason: string) => until(name, (pod) => stateOf(pod)?.waiting?.reason === reason)

      yield* image("later", "team/built:7", { command: ["true"] })
      yield* waits("later", "ImagePullBackOff")
      yield* kubernetes.addImage("team/built:7", FakeImage.machine)
      yield* phase("later", "Succeeded")

      yield* kubernetes.addImage("ghcr.io/team/private", {
        command: ["true"],
        credentials: { username: "u", password: "p" }
      })
      yield* image("refused", "ghcr.io/team/private:1")
      const refused = yield* waits("refused", "ErrImagePull")
      assert.include(stateOf(refused)?.waiting?.message, "authorization failed")
      const auths = { "ghcr.io": { auth: Buffer.from("u:p").toString("base64") } }
      const data = { ".dockerconfigjson": Buffer.from(JSON.stringify({ auths })).toString("base64") }
      const secret = { metadata: { name: "pull" }, type: "kubernetes.io/dockerconfigjson", data }
      yield* kube.request({ verb: "create", resource: KubeResource.secrets, body: secret })
      yield* createPod("allowed", {
        imagePullSecrets: [{ name: "pull" }],
        containers: [{ name: "main", image: "ghcr.io/team/private:1" }]
      })
      yield* phase("allowed", "Succeeded")

      const program = execFileSync("sh", ["-c", "command -v sleep"], { encoding: "utf8" }).trim()
      yield* kubernetes.addImage("distroless", FakeImage.distroless(program, "1000"))
      yield* image("bare", "distroless")
      yield* phase("bare", "Running")
      const exec = yield* Effect.flip(run("bare", "true"))
      assert.include(exec.message, 'exec: "sh": executable file not found in $PATH')

      yield* kubernetes.addImage("slow", { command: ["true"], pull: "300 millis" })
      yield* image("patient", "slow")
      yield* phase("patient", "Succeeded")
      const events = yield* kube.list({
        resource: KubeResource.events,
        query: { fieldSelector: "involvedObject.name=patient" }
      })
      assert.deepStrictEqual(
        events.items.map(({ reason }) => reason),
        ["Scheduled", "Pulling", "Pulled", "Started"]
      )
    }))

  const folder = join(tmpdir(), `jobscope-claim-${process.pid}`)
  test(
    "has claims whose content is a directory of this machine, also those of ephemeral volumes",
    () =>
      Effect.gen(function* () {
        const kubernetes = yield* Fake
        yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(folder, { recursive: true })))
        mkdirSync(folder)
        writeFileSync(join(folder, "from-runner"), "hello")
        const mount = { volumeMounts: [{ name: "work", mountPath: "/__w" }] }
        const template = { spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } } }
        yield* createPod("runner", {
          volumes: [{ name: "work", ephemeral: { volumeClaimTemplate: template } }],
          containers: [shell("exec sleep 1000", mount)]
        })
        yield* phase("runner", "Running")
        yield* createPod("runner-workflow", {
          volumes: [{ name: "work", persistentVolumeClaim: { claimName: "runner-work" } }],
          containers: [shell("cat /__w/from-runner; echo back > /__w/from-job", mount)]
        })
        yield* phase("runner-workflow", "Succeeded")
        assert.strictEqual(yield* logs("runner-workflow"), "hello")
        assert.strictEqual(readFileSync(join(folder, "from-job"), "utf8"), "back\n")
        yield* remove("runner", 0)
        yield* eventually("the claim went with its pod")(
          Effect.map(kubernetes.left, (left) => !left.includes("persistentvolumeclaims default/runner-work"))
        )
      }),
    { claims: { "runner-work": folder } }
  )

  test(
    "speaks TLS, and lets a program in a pod use the access that it finds there",
    () =>
      Effect.gen(function* () {
        const kube = yield* KubeClient.KubeClient
        const role = { metadata: { name: "read" }, rules: [{ apiGroups: [""], resources: ["pods"], verbs: ["list"] }] }
        yield* kube.request({ verb: "create", resource: KubeResource.roles, body: role })
        const binding = {
          metadata: { name: "read" },
          roleRef: { kind: "Role", name: "read" },
          subjects: [{ kind: "ServiceAccount", name: "default" }]
        }
        yield* kube.request({ verb: "create", resource: KubeResource.roleBindings, body: binding })
        const script = `
        const folder = "/var/run/secrets/kubernetes.io/serviceaccount"
        const read = (name) => require("fs").readFileSync(folder + "/" + name, "utf8")
        const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = process.env
        const path = "/api/v1/namespaces/" + read("namespace") + "/pods"
        const headers = { authorization: "Bearer " + read("token") }
        require("https").get({ host, port, path, headers, ca: read("ca.crt") }, (answer) => {
          console.log(answer.statusCode)
          answer.resume()
        })`
        yield* createPod("inside", {
          automountServiceAccountToken: true,
          containers: [{ name: "main", image: "with-node", command: ["/node", "-e", script] }]
        })
        yield* phase("inside", "Succeeded")
        assert.strictEqual(yield* logs("inside"), "200\n")
      }),
    { tls: selfSigned(), images: { "with-node": { files: { "/node": { source: process.execPath } } } } }
  )

  test(
    "speaks only v4 if it is told so",
    () =>
      Effect.gen(function* () {
        yield* started("p")
        const kube = yield* KubeClient.KubeClient
        const process = yield* kube.exec({
          pod: "p",
          command: ["sh", "-c", "read line; echo got $line; exit 4"],
          stdin: true
        })
        assert.strictEqual(process.protocol, "v4.channel.k8s.io")
        yield* process.write(Buffer.from("it\n"))
        assert.strictEqual(
          yield* Stream.mkString(Stream.decodeText(Stream.map(process.output, ({ bytes }) => bytes))),
          "got it\n"
        )
        assert.strictEqual(yield* process.exitCode, 4)
      }),
    { protocols: ["v4.channel.k8s.io"] }
  )

  test("breaks an exec in the middle, and the command goes on", () =>
    Effect.gen(function* () {
      const kubernetes = yield* Fake
      yield* started("p")
      yield* kubernetes.inject({
        match: { resource: "pods/exec" },
        times: 1,
        action: FakeFault.cut({ afterBytes: 5000 })
      })
      const cut = yield* Effect.flip(run("p", "trap '' PIPE; seq 1 2000; touch /tmp/done"))
      assert.strictEqual(cut.reason._tag, "ConnectionLost")
      yield* eventually("it went on")(Effect.map(run("p", "test -e /tmp/done"), ({ code }) => code === 0))
      yield* kubernetes.inject({
        match: { resource: "pods/log" },
        times: 1,
        action: FakeFault.cut({ after: "100 millis" })
      })
      const log = yield* Effect.flip(logs("p", { follow: true }))
      assert.strictEqual(log.reason._tag, "ConnectionLost")
    }))

  test("ends pods with their owner, all of it with its namespace", () =>
    Effect.gen(function* () {
      const kubernetes = yield* Fake
      const kube = yield* KubeClient.KubeClient
      yield* started("owner")
      const { metadata } = yield* getPod("owner")
      const ownerReferences = [{ apiVersion: "v1", kind: "Pod", name: "owner", uid: metadata?.uid }]
      yield* createPod("owned", { containers: [shell("exec sleep 1000")] }, { ownerReferences })
      yield* phase("owned", "Running")
      yield* remove("owner", 0)
      yield* gone(pods, "owned")
      yield* kube.request({ verb: "create", resource: KubeResource.namespaces, body: { metadata: { name: "other" } } })
      const body = {
        metadata: { name: "there" },
        spec: { containers: [shell("exec sleep 1000")], terminationGracePeriodSeconds: 1 }
      }
      yield* kube.request({ verb: "create", resource: pods, namespace: "other", body })
      yield* kube.request({ verb: "delete", resource: KubeResource.namespaces, name: "other" })
      const late = yield* Effect.flip(kube.request({ verb: "create", resource: pods, namespace: "other", body }))
      assert.include(late.message, "because it is being terminated")
      yield* gone(KubeResource.namespaces, "other")
      assert.deepStrictEqual(yield* kubernetes.left, [])
    }))

  it.live("leaves no process when its scope closes, whatever they do", () =>
    Effect.gen(function* () {
      const marker = yield* Ref.make("")
      yield* Effect.gen(function* () {
        const { port } = yield* Fake
        const value = `jobscope-left-${process.pid}-${port}`
        yield* Ref.set(marker, value)
        yield* createPod("p", {
          containers: [
            shell("trap '' TERM; setsid sleep 1000 & while :; do sleep 1; done", { env: [{ name: "MARKER", value }] })
          ]
        })
        yield* phase("p", "Running")
        yield* Effect.forkScoped(Effect.exit(run("p", "setsid sleep 1000 & trap '' TERM; sleep 1000")))
        yield* eventually("all of it runs")(Effect.sync(() => processesWith(value).length >= 4))
      }).pipe(Effect.scoped, Effect.provide(FakeKubernetes.layer()))
      assert.deepStrictEqual(processesWith(yield* Ref.get(marker)), [])
    })
  )

  it.live("leaves no process when its own is killed", () =>
    Effect.gen(function* () {
      const marker = `jobscope-killed-${process.pid}`
      // Nobody cleans up after it.
      const folder = mkdtempSync(join(tmpdir(), "jobscope-killed-"))
      yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(folder, { recursive: true })))
      const child = spawn(
        process.execPath,
        ["--conditions=@jobscope/source", join(import.meta.dirname, "fixtures/cluster.ts"), marker],
        { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, TMPDIR: folder } }
      )
      yield* Effect.callback<void>((resume) => {
        child.stdout.once("data", () => resume(Effect.void))
      })
      assert.isAtLeast(processesWith(marker).length, 3)
      child.kill("SIGKILL")
      yield* eventually("they are gone")(Effect.sync(() => processesWith(marker).length === 0))
    })
  )
})
