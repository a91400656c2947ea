/** Files into and out of containers that are processes of this machine, with each kind of tar. */
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, layer } from "@effect/vitest"
import { Context, Deferred, Effect, Fiber, Layer, Stream } from "effect"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import type { BackendError } from "jobscope/domain/JobError"
import { FakeKubernetes, FaultProxy } from "jobscope/testing"
import { pack } from "../../../../src/backends/pod/internal/files/Archive.ts"
import * as PodFiles from "../../../../src/backends/pod/internal/files/PodFiles.ts"
import { unpack } from "../../../../src/backends/pod/internal/files/Unpack.ts"
import { podFilesSuite, type Where } from "./support/podFilesSuite.ts"
import { contentOf, makeTree, temporaryDirectory, widened } from "./support/trees.ts"

/** Where the tools of the images are, on this machine and in the containers. */
class Tools extends Context.Service<Tools, { readonly directory: string }>()("jobscope/test/files/Tools") {}

const busyboxTools = [
  "sh",
  "tar",
  "find",
  "stat",
  "head",
  "xargs",
  "mkdir",
  "rm",
  "dd",
  "cat",
  "echo",
  "chmod",
  "touch",
  "ls",
  "sleep",
  "printf"
]
const bareTools = ["sh", "find", "stat", "mkdir", "rm", "dd", "cat", "chmod", "touch", "ls", "sleep"]

const pathOf = (tool: string) =>
  ChildProcess.execFileSync("sh", ["-c", `command -v ${tool}`])
    .toString()
    .trim()

const tools = Layer.effect(
  Tools,
  Effect.map(temporaryDirectory, (directory) => {
    for (const kind of ["busybox", "bare", "externals/node20/bin"])
      Fs.mkdirSync(Path.join(directory, kind), { recursive: true })
    for (const tool of busyboxTools) Fs.symlinkSync(pathOf("busybox"), Path.join(directory, "busybox", tool))
    for (const tool of bareTools) Fs.symlinkSync(pathOf(tool), Path.join(directory, "bare", tool))
    Fs.copyFileSync(process.execPath, Path.join(directory, "externals/node20/bin/node"))
    return { directory }
  })
)

const kinds = ["gnu", "busybox", "bare"] as const

const cluster = (protocol: "v5.channel.k8s.io" | "v4.channel.k8s.io") =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      const kubernetes = yield* FakeKubernetes.FakeKubernetes
      const { directory } = yield* Tools
      for (const kind of ["busybox", "bare"]) {
        yield* kubernetes.addImage(kind, {
          command: ["sleep", "3600"],
          env: { PATH: "/tools" },
          files: { "/tools": { source: Path.join(directory, kind) } }
        })
      }
      const volumeMounts = [
        { name: "w", mountPath: "/w" },
        { name: "e", mountPath: "/__e" }
      ]
      const containers = kinds.map((name) => ({
        name,
        image: name === "gnu" ? "ubuntu" : name,
        command: ["sleep", "3600"],
        volumeMounts: name === "gnu" ? volumeMounts.slice(0, 1) : volumeMounts
      }))
      const volumes = [
        { name: "w", emptyDir: {} },
        { name: "e", hostPath: { path: Path.join(directory, "externals") } }
      ]
      yield* kube.request({
        verb: "create",
        resource: KubeResource.pods,
        body: { metadata: { name: "job" }, spec: { restartPolicy: "Never", volumes, containers } }
      })
      yield* kubernetes.phase("job", "Running")
    })
  ).pipe(Layer.provideMerge(FakeKubernetes.layer({ protocols: [protocol] })), Layer.provideMerge(tools), Layer.orDie)

const containerOf = (container: string) => ({ namespace: "default", pod: "job", container })

const v5 = layer(cluster("v5.channel.k8s.io"), { excludeTestServices: true })
const v4 = layer(cluster("v4.channel.k8s.io"), { excludeTestServices: true })

/** Every kind of container, and another one beside it. */
const each = (body: (kind: (typeof kinds)[number], where: Where) => void) => {
  kinds.forEach((kind, index) => {
    const other = containerOf(kinds[(index + 1) % kinds.length] ?? kind)
    body(kind, { container: containerOf(kind), other, externals: "/__e", directory: `/w/${kind}` })
  })
}

describe.skipIf(FakeKubernetes.unsupported() !== undefined)("files", () => {
  v5("with an end of the input", (it) => {
    each((kind, where) => podFilesSuite(it, kind, Effect.succeed(where)))

    const place = (directory: string, container = "gnu") => ({ ...containerOf(container), directory })

    it.effect("begin again when the connection broke", () =>
      inTemporary(
        Effect.fnUntraced(function* (local) {
          const [from, back] = [Path.join(local, "from"), Path.join(local, "back")]
          makeTree(from)
          const { cutting, files, proxy } = yield* breakable()
          const to = place("/w/cut")
          const pushed = yield* files.push({ to, archive: cutting(pack([{ root: from }]), 1) })
          assert.strictEqual(pushed.entries, Object.keys(contentOf(from)).length)
          assert.strictEqual(yield* proxy.connections, 2)
          const pull = files.pull({
            from: to,
            select: { _tag: "All" },
            into: (tar) => unpack(cutting(tar, 2), back)
          })
          yield* pull
          assert.deepStrictEqual(contentOf(back), widened(contentOf(from)))
          assert.strictEqual(yield* proxy.connections, 4)
        })
      )
    )

    it.effect("fail with what happened when it breaks again and again", () =>
      inTemporary(
        Effect.fnUntraced(function* (local) {
          makeTree(local)
          const { cutting, files, proxy } = yield* breakable()
          const archive = cutting(pack([{ root: local }]), Number.POSITIVE_INFINITY)
          const error = yield* Effect.flip(files.push({ to: place("/w/cut-always"), archive }))
          assert.strictEqual(error.reason._tag, "ConnectionLost")
          assert.strictEqual(yield* proxy.connections, 3)
        })
      )
    )

    it.effect("are sent anew after an interruption", () =>
      inTemporary(
        Effect.fnUntraced(function* (local) {
          makeTree(local)
          const files = yield* PodFiles.make()
          const to = place("/w/interrupted")
          const begun = yield* Deferred.make<void>()
          const endless = Stream.concat(
            Stream.take(pack([{ root: local }]), 1),
            Stream.fromEffect(Effect.andThen(Deferred.succeed(begun, undefined), Effect.never))
          )
          const sending = yield* Effect.forkChild(files.push({ to, archive: endless }))
          yield* Deferred.await(begun)
          yield* Fiber.interrupt(sending)
          const { output } = yield* files.push({
            to,
            archive: pack([{ root: local }]),
            afterwards: "find . -name '.jobscope-*'; find . -print0 | tr -cd '\\0' | wc -c"
          })
          assert.strictEqual(Number(output), Object.keys(contentOf(local)).length + 1)
        })
      )
    )

    it.effect("that nobody in the image can unpack are refused, with what to do", () =>
      Effect.gen(function* () {
        const files = yield* PodFiles.make({ externals: "/nowhere" })
        const to = place("/w/none", "bare")
        const error = yield* Effect.flip(files.push({ to, archive: pack([]) }))
        assert.strictEqual(error.reason._tag, "Unsupported")
        assert.include(error.advice, "/nowhere/node24/bin/node")
        const into = Stream.runDrain<Uint8Array, BackendError, never>
        const other = yield* Effect.flip(files.pull({ from: to, select: { _tag: "All" }, into }))
        assert.strictEqual(other.reason._tag, "Unsupported")
      })
    )

    it.effect("of a pod that is gone are lost with it", () =>
      Effect.gen(function* () {
        const files = yield* PodFiles.make()
        const to = { namespace: "default", pod: "gone", directory: "/w" }
        const error = yield* Effect.flip(files.push({ to, archive: pack([]) }))
        assert.strictEqual(error.reason._tag, "EnvironmentLost")
      })
    )
  })

  v4("without an end of the input", (it) => {
    each((kind, where) => podFilesSuite(it, kind, Effect.succeed(where), "sending"))
  })
})

const inTemporary = <E, R>(body: (directory: string) => Effect.Effect<void, E, R>) =>
  Effect.scoped(Effect.flatMap(temporaryDirectory, body))

/** Files through a proxy, and streams that break its connections half-way, up to so many cuts in all. */
const breakable = Effect.fnUntraced(function* () {
  const { access } = yield* FakeKubernetes.FakeKubernetes
  const proxy = yield* FaultProxy.make({ target: access })
  const kube = yield* KubeClient.make(proxy.access)
  const files = yield* Effect.provideService(PodFiles.make({ retries: 2 }), KubeClient.KubeClient, kube)
  let cuts = 0
  const cutting = <E>(archive: Stream.Stream<Uint8Array, E>, most: number) =>
    Stream.suspend(() => {
      let chunks = 0
      return Stream.tap(archive, () => {
        if (++chunks !== 3 || cuts >= most) return Effect.void
        cuts++
        return proxy.cut()
      })
    })
  return { cutting, files, proxy }
})
