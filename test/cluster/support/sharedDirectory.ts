/**
 * A claim whose files this machine sees, too: a directory of the node, where the node is this machine. Elsewhere (kind, a cluster of others) the
 * suites that need it run inside of pods only.
 */
import { randomUUID } from "node:crypto"
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import { kube } from "./suiteNamespace.ts"

const volumes = KubeResource.make<{ readonly metadata?: { readonly name?: string } }>({
  plural: "persistentvolumes",
  namespaced: false
})

const claimManifest = (name: string) => ({
  apiVersion: "v1",
  kind: "PersistentVolumeClaim",
  metadata: { name },
  spec: {
    accessModes: ["ReadWriteMany"],
    storageClassName: "",
    volumeName: name,
    resources: { requests: { storage: "1Gi" } }
  }
})

const volumeManifest = (name: string, path: string) => ({
  apiVersion: "v1",
  kind: "PersistentVolume",
  metadata: { name },
  spec: {
    capacity: { storage: "1Gi" },
    accessModes: ["ReadWriteMany"],
    persistentVolumeReclaimPolicy: "Retain",
    storageClassName: "",
    hostPath: { path }
  }
})

/** Whether a directory of the node is one of this machine: a pod makes it, and it is there. */
export const nodeIsHere: boolean = await Effect.gen(function* () {
  const client = yield* KubeClient.KubeClient
  const directory = join(tmpdir(), `jobscope-here-${randomUUID()}`)
  const name = `jobscope-here-${randomUUID().slice(0, 8)}`
  const at = { namespace: "default", name }
  yield* client.request({
    verb: "create",
    resource: KubeResource.pods,
    namespace: "default",
    body: {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name },
      spec: {
        restartPolicy: "Never",
        terminationGracePeriodSeconds: 0,
        containers: [
          {
            name: "main",
            image: "busybox:latest",
            imagePullPolicy: "IfNotPresent",
            command: ["true"],
            volumeMounts: [{ name: "d", mountPath: "/d" }]
          }
        ],
        volumes: [{ name: "d", hostPath: { path: directory, type: "DirectoryOrCreate" } }]
      }
    }
  })
  yield* Effect.retry(
    Effect.flatMap(client.request({ verb: "get", resource: KubeResource.pods, ...at }), (pod) =>
      pod.status?.phase === "Succeeded" ? Effect.void : Effect.fail("not yet")
    ),
    { schedule: Schedule.spaced("200 millis"), times: 150 }
  )
  yield* client.request({ verb: "delete", resource: KubeResource.pods, ...at })
  const here = existsSync(directory)
  rmSync(directory, { recursive: true, force: true })
  return here
}).pipe(
  Effect.provide(kube),
  Effect.orElseSucceed(() => false),
  Effect.runPromise
)

/** Registers the hooks that make the claim in the namespace; gives the directory. */
export const sharedDirectory = (namespace: string, claim: string): string => {
  const root = mkdtempSync(join(tmpdir(), "jobscope-shared-"))
  mkdirSync(root, { recursive: true })
  const name = `${namespace}-${claim}`
  beforeAll(() =>
    Effect.gen(function* () {
      const client = yield* KubeClient.KubeClient
      yield* client.request({ verb: "create", resource: volumes, body: volumeManifest(name, root) })
      const body = { ...claimManifest(name), metadata: { name: claim } }
      yield* client.request({ verb: "create", resource: KubeResource.claims, namespace, body })
    }).pipe(Effect.provide(kube), Effect.runPromise)
  )
  afterAll(async () => {
    await Effect.flatMap(KubeClient.KubeClient, (client) =>
      client.request({ verb: "delete", resource: volumes, name })
    ).pipe(Effect.provide(kube), Effect.runPromise)
    rmSync(root, { recursive: true, force: true })
  })
  return root
}
