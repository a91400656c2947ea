/** Files into and out of containers that are processes of this machine, with each kind of tar. */
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it, layer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import { FakeKubernetes } from "jobscope/testing"
import { pack } from "../../../../src/backends/pod/internal/files/Archive.ts"
import * as PodFiles from "../../../../src/backends/pod/internal/files/PodFiles.ts"
import { podFilesSuite } from "./support/podFilesSuite.ts"
import { temporaryDirectory } from "./support/trees.ts"

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

describe.skipIf(FakeKubernetes.unsupported() !== undefined)("files", () => {
  for (const protocol of ["v5.channel.k8s.io", "v4.channel.k8s.io"] as const) {
    layer(cluster(protocol), { excludeTestServices: true })(protocol, (it) => {
      kinds.forEach((kind, index) => {
        podFilesSuite(
          it,
          kind,
          Effect.succeed({
            container: containerOf(kind),
            other: containerOf(kinds[(index + 1) % kinds.length] ?? kind),
            externals: "/__e",
            directory: `/w/${kind}`
          })
        )
      })
    })
  }
})
void assert
void it
void pack
void PodFiles
