/** Files into and out of real containers: GNU's tar, busybox's and none, root and another user, many files and large ones. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, layer } from "@effect/vitest"
import { Clock, Effect, Layer, Stream } from "effect"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeConfig from "jobscope/backends/kubernetes/KubeConfig"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import { FaultProxy } from "jobscope/testing"
import { pack } from "../../../src/backends/pod/internal/files/Archive.ts"
import * as LocalTree from "../../../src/backends/pod/internal/files/LocalTree.ts"
import * as PodFiles from "../../../src/backends/pod/internal/files/PodFiles.ts"
import { unpack } from "../../../src/backends/pod/internal/files/Unpack.ts"
import { podFilesSuite } from "../../backends/pod/files/support/podFilesSuite.ts"
import {
  contentOf,
  makeManyFiles,
  makeTree,
  temporaryDirectory,
  widened
} from "../../backends/pod/files/support/trees.ts"
import { inPhase, TestNamespace, layer as testNamespace } from "../support/testNamespace.ts"

const runnerImage = "ghcr.io/actions/actions-runner:latest"

/** Links to the programs of an image without tar; and a tar that is slow to begin. */
const makeTools = `
mkdir -p /tools/bare /tools/slow
for tool in sh find stat mkdir rm dd cat chmod touch ls sleep; do ln -s "$(command -v $tool)" /tools/bare/$tool; done
printf '#!/bin/sh\\nsleep 5\\nexec /bin/tar "$@"\\n' >/tools/slow/tar
chmod 755 /tools/slow/tar`

const container = (name: string, image: string, PATH?: string) => ({
  name,
  image,
  imagePullPolicy: "IfNotPresent",
  command: ["/bin/sh", "-c", "trap 'exit 0' TERM; /bin/sleep 3600 & wait"],
  env: PATH === undefined ? [] : [{ name: "PATH", value: PATH }],
  volumeMounts: [
    { name: "w", mountPath: "/w" },
    { name: "e", mountPath: "/__e" },
    { name: "tools", mountPath: "/tools" }
  ]
})

const pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "files" },
  spec: {
    restartPolicy: "Never",
    terminationGracePeriodSeconds: 0,
    automountServiceAccountToken: false,
    // In memory: other tests use the disk meanwhile.
    volumes: ["w", "e", "tools"].map((name) => ({ name, emptyDir: name === "w" ? { medium: "Memory" } : {} })),
    initContainers: [
      { ...container("externals", runnerImage), command: ["sh", "-c", "cp -r /home/runner/externals/node20 /__e/"] },
      { ...container("tools", "ubuntu:latest"), command: ["sh", "-c", makeTools] }
    ],
    containers: [
      container("gnu", "ubuntu:latest"),
      container("busybox", "busybox:latest"),
      container("alpine", "alpine:latest"),
      container("node", "node:22"),
      container("runner", runnerImage),
      container("bare", "ubuntu:latest", "/tools/bare"),
      container("slow", "ubuntu:latest", "/tools/slow:/usr/bin:/bin")
    ]
  }
}

const cluster = Layer.effectDiscard(
  Effect.gen(function* () {
    const kube = yield* KubeClient.KubeClient
    const namespace = (yield* TestNamespace).name
    yield* kube.request({ verb: "create", resource: KubeResource.pods, namespace, body: pod })
    yield* inPhase("files", "Running")
  })
).pipe(Layer.orDie, Layer.provideMerge(testNamespace))

const place = Effect.fnUntraced(function* (container: string, directory: string) {
  const { name: namespace } = yield* TestNamespace
  return { namespace, pod: "files", container, directory }
})

const timed = Effect.fnUntraced(function* <A, E, R>(effect: Effect.Effect<A, E, R>) {
  const before = yield* Clock.currentTimeMillis
  const value = yield* effect
  return [value, (yield* Clock.currentTimeMillis) - before] as const
})

/** The greatest growth of this process's memory while an effect runs, in bytes. */
const growth = Effect.fnUntraced(function* <A, E, R>(effect: Effect.Effect<A, E, R>) {
  globalThis.gc?.()
  const before = process.memoryUsage.rss()
  let most = before
  const watching = setInterval(() => {
    most = Math.max(most, process.memoryUsage.rss())
  }, 20)
  yield* Effect.ensuring(
    effect,
    Effect.sync(() => clearInterval(watching))
  )
  return most - before
})

layer(cluster, { excludeTestServices: true, timeout: "3 minutes" })("files of real containers", (it) => {
  for (const [kind, other] of [
    ["gnu", "alpine"],
    ["busybox", "gnu"],
    ["runner", "busybox"],
    ["bare", "runner"]
  ] as const) {
    podFilesSuite(
      it,
      kind,
      Effect.map(TestNamespace, ({ name: namespace }) => ({
        container: { namespace, pod: "files", container: kind },
        other: { namespace, pod: "files", container: other },
        externals: "/__e",
        directory: `/w/${kind}`
      }))
    )
  }
  podFilesSuite(
    it,
    "node",
    Effect.map(TestNamespace, ({ name: namespace }) => ({
      container: { namespace, pod: "files", container: "node" },
      other: { namespace, pod: "files", container: "gnu" },
      externals: "/__e",
      directory: "/tmp/node"
    })),
    "sending"
  )

  for (const kind of ["gnu", "busybox", "bare"]) {
    it.effect(`${kind}: 10,000 files each way`, () =>
      Effect.scoped(
        Effect.gen(function* () {
          const local = yield* temporaryDirectory
          const [from, all, picked] = ["from", "all", "picked"].map((name) => Path.join(local, name)) as [
            string,
            string,
            string
          ]
          makeManyFiles(from)
          const files = yield* PodFiles.make()
          const to = yield* place(kind, `/w/many-${kind}`)
          const [{ entries }, push] = yield* timed(files.push({ to, archive: pack([{ root: from }]) }))
          assert.strictEqual(entries, 10_100)
          const [manifest, look] = yield* timed(files.manifest(to))
          assert.strictEqual(manifest.size, 10_100)
          const [, pull] = yield* timed(
            files.pull({ from: to, select: { _tag: "All" }, into: (tar) => unpack(tar, all) })
          )
          const [, pick] = yield* timed(
            files.pull({
              from: to,
              select: { _tag: "Picked", pick: (now) => ({ paths: [...now.keys()] }) },
              into: (tar) => unpack(tar, picked)
            })
          )
          const [{ manifest: after }, nothing] = yield* timed(
            files.pull({
              from: to,
              select: {
                _tag: "Picked",
                pick: (now) => ({ paths: LocalTree.delta(manifest, now).changed })
              },
              into: (tar) => unpack(tar, picked)
            })
          )
          assert.isTrue(LocalTree.isEmpty(LocalTree.delta(manifest, after ?? new Map())))
          assert.strictEqual(Fs.readdirSync(all, { recursive: true }).length, 10_100)
          assert.strictEqual(Fs.readdirSync(picked, { recursive: true }).length, 10_100)
          console.log(
            `${kind}, 10,000 files: push ${push} ms, pull ${pull} ms, pull of a list ${pick} ms, manifest ${look} ms, no change ${nothing} ms`
          )
        })
      )
    )
  }

  it.effect("400 MB to a container that does not read, and to a reader here that does not", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const local = yield* temporaryDirectory
        const size = 400 * 1024 * 1024
        Fs.writeFileSync(Path.join(local, "large"), "")
        Fs.truncateSync(Path.join(local, "large"), size)
        const files = yield* PodFiles.make()
        const to = yield* place("slow", "/w/pushed")
        const pushing = yield* growth(files.push({ to, archive: pack([{ root: local }]) }))
        let bytes = 0
        const pulling = yield* growth(
          files.pull({
            from: { ...to, container: "gnu", directory: "/w/pulled" },
            select: { _tag: "All" },
            into: (tar) =>
              Effect.andThen(
                Effect.sleep("4 seconds"),
                Stream.runForEach(tar, (part) =>
                  Effect.sync(() => {
                    bytes += part.length
                  })
                )
              )
          })
        ).pipe(Effect.provideService(KubeClient.KubeClient, yield* KubeClient.KubeClient), (pull) =>
          Effect.andThen(
            files.push({
              to: { ...to, container: "gnu", directory: "/w/pulled" },
              archive: pack([]),
              afterwards: `head -c ${size} /dev/zero > large`
            }),
            pull
          )
        )
        assert.isAtLeast(bytes, size)
        console.log(`400 MB: memory grew by ${pushing >> 20} MiB at the push, ${pulling >> 20} MiB at the pull`)
        assert.isBelow(Math.max(pushing, pulling), 60 * 1024 * 1024)
      })
    )
  )

  it.effect("broken connections half-way", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const local = yield* temporaryDirectory
        const [from, back] = [Path.join(local, "from"), Path.join(local, "back")]
        makeTree(from)
        const to = yield* place("gnu", "/w/broken")
        const target = yield* KubeConfig.load({ sources: ["kubeconfig"] })
        const proxy = yield* FaultProxy.make({ target })
        const kube = yield* KubeClient.make(proxy.access)
        const files = yield* Effect.provideService(PodFiles.make(), KubeClient.KubeClient, kube)
        const cutting = <E>(archive: Stream.Stream<Uint8Array, E>) => {
          let chunks = 0
          return Stream.tap(archive, () => (++chunks === 3 ? proxy.cut() : Effect.void))
        }
        yield* files.push({ to, archive: cutting(pack([{ root: from }])) })
        assert.strictEqual(yield* proxy.connections, 2)
        let tries = 0
        yield* files.pull({
          from: to,
          select: { _tag: "All" },
          into: (tar) => unpack(tries++ === 0 ? cutting(tar) : tar, back)
        })
        assert.strictEqual(tries, 2)
        assert.deepStrictEqual(contentOf(back), widened(contentOf(from)))
      })
    )
  )

  it.effect("directories of another user", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const local = yield* temporaryDirectory
        Fs.mkdirSync(Path.join(local, "theirs"), { mode: 0o755 })
        Fs.writeFileSync(Path.join(local, "theirs/file"), "x")
        const files = yield* PodFiles.make()
        const root = yield* place("gnu", "/w/users")
        yield* files.push({ to: root, archive: pack([]), afterwards: "mkdir theirs; chmod 777 theirs" })
        const to = { ...root, container: "runner" }
        const { output, warnings } = yield* files.push({
          to,
          archive: pack([{ root: local }]),
          scratch: "theirs",
          afterwards: "stat -c '%U %n' theirs theirs/file"
        })
        assert.strictEqual(output, "root theirs\nrunner theirs/file\n")
        assert.isTrue(warnings.every((line) => /Cannot (utime|change mode)/.test(line)))
      })
    )
  )
})
