import { createHash } from "node:crypto"
import { assert, layer } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Stream } from "effect"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeConfig from "jobscope/backends/kubernetes/KubeConfig"
import type { ExecOptions } from "jobscope/backends/kubernetes/KubeExec"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import { createPod, deletePod, inPhase, TestNamespace, layer as testNamespace } from "../support/testNamespace.ts"

const { pods } = KubeResource

/** A pod in which commands are run. */
const shell = Layer.effectDiscard(
  Effect.gen(function* () {
    yield* createPod("shell", ["sleep", "3600"])
    yield* inPhase("shell", "Running")
  })
).pipe(Layer.orDie, Layer.provideMerge(testNamespace))

const exec = Effect.fnUntraced(function* (script: string, options: Partial<ExecOptions> = {}) {
  const kube = yield* KubeClient.KubeClient
  const { name } = yield* TestNamespace
  return yield* kube.exec({ namespace: name, pod: "shell", command: ["sh", "-c", script], ...options })
})

/** Runs a script to its end. */
const run = (script: string) =>
  Effect.scoped(
    Effect.gen(function* () {
      const process = yield* exec(script)
      const out = { stdout: "", stderr: "" }
      yield* Stream.runForEach(process.output, ({ bytes, stream }) =>
        Effect.sync(() => {
          out[stream] += Buffer.from(bytes).toString()
        })
      )
      return { ...out, code: yield* process.exitCode, protocol: process.protocol }
    })
  )

const eventually = <E, R>(what: string, holds: Effect.Effect<boolean, E, R>) =>
  Effect.repeat(Effect.delay(holds, "50 millis"), { until: (held) => held }).pipe(
    Effect.timeoutOrElse({ duration: "30 seconds", orElse: () => Effect.die(new Error(`never: ${what}`)) })
  )

layer(shell, { excludeTestServices: true, timeout: "3 minutes" })("a real cluster", (it) => {
  it.effect("creates, gets, lists and deletes a pod", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      const namespace = (yield* TestNamespace).name
      const made = yield* createPod("life", ["sleep", "3600"])
      assert.strictEqual(made.metadata?.name, "life")
      const again = yield* Effect.flip(createPod("life", ["true"]))
      assert.strictEqual(again.reason._tag, "AlreadyExists")
      const got = yield* kube.request({ verb: "get", resource: pods, namespace, name: "life" })
      assert.strictEqual(got.metadata?.uid, made.metadata?.uid)
      const listed = yield* kube.list({ resource: pods, namespace, query: { limit: 1 } })
      assert.sameMembers(
        listed.items.map(({ metadata }) => metadata?.name),
        ["life", "shell"]
      )
      yield* deletePod("life")
      yield* eventually(
        "deleted",
        Effect.match(kube.request({ verb: "get", resource: pods, namespace, name: "life" }), {
          onFailure: ({ reason }) => reason._tag === "NotFound",
          onSuccess: () => false
        })
      )
    })
  )

  it.effect("refuses what is not valid, naming the field", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      const namespace = (yield* TestNamespace).name
      const body = { apiVersion: "v1", kind: "Pod", metadata: { name: "x" }, spec: { containers: [{ name: "Bad" }] } }
      const error = yield* Effect.flip(kube.request({ verb: "create", resource: pods, namespace, body }))
      assert.strictEqual(error.reason._tag, "Invalid")
      assert.include(error.message, "spec.containers[0].name")
    })
  )

  it.effect("patches in each of the four ways", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      const namespace = (yield* TestNamespace).name
      const labels = (...entries: ReadonlyArray<string>) => ({
        metadata: { labels: Object.fromEntries(entries.map((key) => [key, "1"])) }
      })
      const patch = { verb: "patch", resource: pods, namespace, name: "shell" } as const
      yield* kube.request({ ...patch, body: labels("merge") })
      yield* kube.request({ ...patch, patch: "strategic", body: labels("strategic") })
      yield* kube.request({ ...patch, patch: "json", body: [{ op: "add", path: "/metadata/labels/json", value: "1" }] })
      const applied = yield* kube.request({
        ...patch,
        patch: "apply",
        query: { fieldManager: "jobscope" },
        body: { apiVersion: "v1", kind: "Pod", ...labels("apply") }
      })
      assert.hasAllKeys(applied.metadata?.labels, ["merge", "strategic", "json", "apply"])
    })
  )

  it.effect("tells a pod's life as it happens", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      const namespace = (yield* TestNamespace).name
      const watching = yield* Effect.forkChild(
        kube.watch({ resource: pods, namespace, fieldSelector: "metadata.name=watched" }).pipe(
          Stream.map((event) => (event._tag === "Synced" ? "Synced" : `${event._tag} ${event.object.status?.phase}`)),
          Stream.takeUntil((told) => told.startsWith("Deleted")),
          Stream.changes,
          Stream.runCollect
        )
      )
      yield* createPod("watched", ["true"])
      yield* inPhase("watched", "Succeeded")
      yield* deletePod("watched")
      const told = yield* Fiber.join(watching)
      assert.includeMembers(told, ["Synced", "Added Pending", "Modified Succeeded", "Deleted Succeeded"])
    })
  )

  it.effect("gives a container's log until it ends, then from a time on", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      const namespace = (yield* TestNamespace).name
      yield* createPod("talks", ["sh", "-c", "for i in 1 2 3; do echo line $i; sleep 1; done"])
      yield* inPhase("talks", "Running", "Succeeded")
      const logs = (options: object) =>
        Stream.mkString(Stream.decodeText(kube.logs({ namespace, pod: "talks", ...options })))
      assert.strictEqual(yield* logs({ follow: true }), "line 1\nline 2\nline 3\n")
      const lines = (yield* logs({ timestamps: true })).trim().split("\n")
      assert.match(lines[0] ?? "", /^\d{4}-\d\d-\d\dT[\d:.]+Z line 1$/)
      const since = lines[2]?.split(" ")[0] ?? ""
      assert.include(yield* logs({ timestamps: true, sinceTime: since }), "line 3")
      assert.strictEqual(yield* logs({ tailLines: 1 }), "line 3\n")
      yield* deletePod("talks")
    })
  )

  for (const code of [0, 3, 137]) {
    it.effect(`runs a command that exits with ${code}`, () =>
      Effect.gen(function* () {
        const ended = yield* run(`echo out; echo err >&2; exit ${code}`)
        assert.deepStrictEqual(ended, { stdout: "out\n", stderr: "err\n", code, protocol: "v5.channel.k8s.io" })
      })
    )
  }

  it.effect("tells a killed command as 137, a missing program and a missing container by name", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* run("kill -9 $$")).code, 137)
      const missing = yield* exec("", { command: ["no-such-program"] })
      const error = yield* Effect.flip(missing.exitCode)
      assert.strictEqual(error.reason._tag, "ExecFailed")
      assert.include(error.message, "no-such-program")
      const container = yield* Effect.flip(exec("true", { container: "nobody" }))
      assert.include(container.message, "nobody")
      const kube = yield* KubeClient.KubeClient
      const pod = yield* Effect.flip(
        kube.exec({ pod: "nobody", namespace: (yield* TestNamespace).name, command: ["true"] })
      )
      assert.strictEqual(pod.reason._tag, "NotFound")
    })
  )

  it.effect("sends 64 MiB of stdin and gets them back, each byte", () =>
    Effect.gen(function* () {
      const process = yield* exec("cat", { stdin: true })
      const part = Uint8Array.from({ length: 1024 * 1024 }, (_, index) => (index * 31) % 251)
      const expected = createHash("sha256")
      for (let index = 0; index < 64; index++) expected.update(part)
      const writing = yield* Effect.forkChild(
        Stream.run(Stream.fromIterable(Array.from({ length: 64 }, () => part)), process.stdin)
      )
      const hash = createHash("sha256")
      yield* Stream.runForEach(process.output, ({ bytes }) => Effect.sync(() => hash.update(bytes)))
      yield* Fiber.join(writing)
      assert.strictEqual(yield* process.exitCode, 0)
      assert.strictEqual(hash.digest("hex"), expected.digest("hex"))
    })
  )

  it.effect("gives 100,000 lines, all, once, in order", () =>
    Effect.gen(function* () {
      const { code, stdout } = yield* run("seq 1 100000")
      assert.strictEqual(code, 0)
      assert.strictEqual(stdout, Array.from({ length: 100_000 }, (_, index) => `${index + 1}\n`).join(""))
    })
  )

  it.effect("keeps the sender waiting while nobody reads", () =>
    Effect.gen(function* () {
      const total = 100_000_000
      const process = yield* exec(`echo $$ > /tmp/sender; exec head -c ${total} /dev/zero`)
      const written = Effect.map(run("grep wchar /proc/$(cat /tmp/sender)/io"), ({ stdout }) =>
        Number(stdout.replace(/\D/g, ""))
      )
      let before = 0
      yield* eventually(
        "the sender stands still",
        Effect.map(Effect.delay(written, "500 millis"), (now) => {
          const stands = now > 0 && now === before
          before = now
          return stands
        })
      )
      assert.isBelow(before, total / 2)
      const bytes = yield* Stream.runFold(
        process.output,
        () => 0,
        (sum, chunk) => sum + chunk.bytes.length
      )
      assert.strictEqual(bytes, total)
      assert.strictEqual(yield* process.exitCode, 0)
    })
  )

  it.effect("an interrupted exec leaves the client usable, and no connection", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(run("echo started > /tmp/started; exec sleep 600"))
      yield* eventually(
        "started",
        Effect.map(run("cat /tmp/started"), ({ code }) => code === 0)
      )
      yield* Fiber.interrupt(fiber)
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
      // Closing a connection does not end a command: who wants that has to signal it.
      yield* run("pkill -x sleep -n; true")
      assert.strictEqual((yield* run("echo still here")).stdout, "still here\n")
    })
  )

  it.effect("names what a service account without rights lacks", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      const namespace = (yield* TestNamespace).name
      yield* kube.request({
        verb: "create",
        resource: KubeResource.serviceAccounts,
        namespace,
        body: { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "nobody" } }
      })
      const tokens = KubeResource.make<{ readonly status: { readonly token: string } }>({
        plural: "serviceaccounts",
        subresource: "token"
      })
      const { status } = yield* kube.request({
        verb: "create",
        resource: tokens,
        namespace,
        name: "nobody",
        body: { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: { expirationSeconds: 600 } }
      })
      const access = yield* KubeConfig.load({ sources: ["kubeconfig"] })
      const { ca, servername } = access.tls
      const nobody = yield* KubeClient.make({
        ...access,
        namespace,
        tls: { ...(ca === undefined ? {} : { ca }), ...(servername === undefined ? {} : { servername }) },
        headers: () => Effect.succeed({ authorization: `Bearer ${status.token}` })
      })
      const list = yield* Effect.flip(nobody.request({ verb: "list", resource: pods }))
      assert.include(list.message, `No right to list pods in the namespace ${namespace}`)
      const watch = yield* Effect.flip(Stream.runDrain(nobody.watch({ resource: pods, resourceVersion: "0" })))
      assert.include(watch.message, `No right to watch pods in the namespace ${namespace}`)
      const exec = yield* Effect.flip(nobody.exec({ pod: "shell", command: ["true"] }))
      assert.match(exec.message, /No right to (get|create) pods\/exec in the namespace/)
      const wrong = yield* KubeClient.make({
        ...access,
        tls: ca === undefined ? {} : { ca },
        headers: () => Effect.succeed({ authorization: "Bearer wrong" })
      })
      assert.strictEqual(
        (yield* Effect.flip(wrong.request({ verb: "list", resource: pods }))).reason._tag,
        "Unauthorized"
      )
    })
  )
})
