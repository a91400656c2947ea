/**
 * Measures kro-runner beside what it cannot be better than, on the cluster of KUBECONFIG: `node run.ts <bundle> [<existing runner>]`, one JSON
 * object on stdout, `null` where there is no KRO.
 *
 * Its runner pods are never scheduled: the runner is a process of this machine, with the variables that its image sets. The *bare* figures
 * are those of a client that makes an instance, waits for the container's end and deletes it by plain calls: what is left is KRO's.
 */
import { spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Fiber, Stream } from "effect"
import type { KroInstance } from "jobscope/backends/kro/KroInstance"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import { imageVariables } from "./image.ts"

const [bundle = "", existing] = process.argv.slice(2)
const root = join(import.meta.dirname, "../../..")
const folder = mkdtempSync(join(tmpdir(), "jobscope-bench-kro-"))
const cache = join(folder, "cache")
const imageEnv = { ...imageVariables(root), JOBSCOPE_CODE_CACHE: cache }

const median = (values: ReadonlyArray<number>): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN

interface Ran {
  readonly code: number | null
  readonly ms: number
  readonly endedAt: number
  /** The most memory that was resident, in MiB. */
  readonly peak: number
  readonly text: string
}

const run = (argv: ReadonlyArray<string>, env: NodeJS.ProcessEnv): Promise<Ran> =>
  new Promise((resolve) => {
    const before = performance.now()
    const [file = "", ...args] = argv
    const child = spawn(file, args, { env: { PATH: process.env.PATH, ...env }, stdio: ["ignore", "pipe", "pipe"] })
    let text = ""
    let peak = 0
    const watching = setInterval(() => {
      try {
        const told = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))?.[1]
        peak = Math.max(peak, Number(told ?? 0) / 1024)
      } catch {}
    }, 20)
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (data) => (text += data))
    // Not "close": a pipe that is read later is no later end.
    child.on("exit", () => (endedAt = performance.now()))
    let endedAt = before
    child.on("close", (code) => {
      clearInterval(watching)
      resolve({ code, ms: endedAt - before, endedAt, peak, text })
    })
  })

// ---- the start: from the process to its first request

const empty = join(folder, "empty.cjs")
writeFileSync(empty, "")

const starts = async () => {
  let seen: () => void = () => {}
  const server = createServer((_request, response) => {
    seen()
    response.writeHead(403, { "content-type": "application/json" }).end("{}")
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const kubeconfig = join(folder, "kubeconfig")
  const { port } = server.address() as AddressInfo
  const cluster = { name: "c", cluster: { server: `http://127.0.0.1:${port}` } }
  const context = { name: "c", context: { cluster: "c", user: "c" } }
  const users = [{ name: "c", user: { token: "none" } }]
  writeFileSync(
    kubeconfig,
    JSON.stringify({ "current-context": "c", clusters: [cluster], contexts: [context], users }),
    { mode: 0o600 }
  )
  const env = { ...imageEnv, KUBECONFIG: kubeconfig, RUNNER_NAME: "r", ACTIONS_RUNNER_INPUT_JITCONFIG: "none" }
  const toFirstRequest = async () => {
    const before = performance.now()
    const first = new Promise<number>((resolve) => {
      seen = () => resolve(performance.now() - before)
    })
    const ended = run([process.execPath, bundle], env)
    const ms = await Promise.race([first, ended.then(() => Number.NaN)])
    await ended
    return ms
  }
  await toFirstRequest()
  const pairs: Array<readonly [own: number, empty: number]> = []
  for (let at = 0; at < 15; at++) {
    pairs.push([await toFirstRequest(), (await run([process.execPath, empty], imageEnv)).ms])
  }
  server.close()
  return {
    start: median(pairs.map(([own, bare]) => own - bare)),
    empty: median(pairs.map(([, bare]) => bare))
  }
}

// ---- whole runs

const group = { group: "kro.run", version: "v1alpha1" }
const definitions = KubeResource.make<{ readonly status?: { readonly state?: string } }>({
  ...group,
  plural: "resourcegraphdefinitions",
  namespaced: false
})
const crds = KubeResource.make<object>({
  group: "apiextensions.k8s.io",
  plural: "customresourcedefinitions",
  namespaced: false
})

const program = Effect.gen(function* () {
  const kube = yield* KubeClient.KubeClient
  const hasKro = yield* kube.request({ verb: "get", resource: crds, name: "resourcegraphdefinitions.kro.run" }).pipe(
    Effect.as(true),
    Effect.catchReason("KubeError", "NotFound", () => Effect.succeed(false))
  )
  if (!hasKro) return process.stdout.write("null")
  const { empty: bareStart, start } = yield* Effect.promise(starts)
  const id = `bench${randomBytes(5).toString("hex").replace(/\d/g, "q")}`
  const kind = `B${id.slice(1)}r`
  const plural = `${kind.toLowerCase()}s`
  const instances = KubeResource.make<KroInstance>({
    ...group,
    plural
  })
  const create = (resource: KubeResource.KubeResource<unknown>, body: object, namespace?: string) =>
    kube.request({ verb: "create", resource, body, namespace })
  const remove = (resource: KubeResource.KubeResource<unknown>, name: string) =>
    Effect.orDie(
      Effect.catchReason(kube.request({ verb: "delete", resource, name }), "KubeError", "NotFound", () => Effect.void)
    )
  yield* Effect.acquireRelease(
    create(KubeResource.namespaces, { apiVersion: "v1", kind: "Namespace", metadata: { name: id } }),
    () => remove(KubeResource.namespaces, id)
  )
  const cel = (expression: string) => `\${${expression}}`
  const phase = (value: string) => `runnerPod.status.phase == '${value}'`
  yield* Effect.acquireRelease(
    create(definitions, {
      apiVersion: "kro.run/v1alpha1",
      kind: "ResourceGraphDefinition",
      metadata: { name: id, labels: { "actions.github.com/scale-set-name": id } },
      spec: {
        schema: { apiVersion: "v1alpha1", kind, spec: { runnerName: "string | required=true" } },
        resources: [
          {
            id: "runnerPod",
            readyWhen: [cel(`${phase("Succeeded")} || ${phase("Failed")}`)],
            template: {
              apiVersion: "v1",
              kind: "Pod",
              metadata: { name: `${cel("schema.spec.runnerName")}-job`, namespace: cel("schema.metadata.namespace") },
              spec: {
                restartPolicy: "Never",
                terminationGracePeriodSeconds: 1,
                containers: [
                  {
                    name: "runner",
                    image: "busybox:latest",
                    imagePullPolicy: "IfNotPresent",
                    command: ["sleep", "3"]
                  }
                ]
              }
            }
          }
        ]
      }
    }),
    () => Effect.andThen(remove(definitions, id), remove(crds, `${plural}.kro.run`))
  )
  yield* Effect.repeat(Effect.delay(kube.request({ verb: "get", resource: definitions, name: id }), "100 millis"), {
    until: ({ status }) => status?.state === "Active"
  })
  const names = Array.from({ length: 20 }, (_, at) => `r${at}`)
  for (const name of names) {
    yield* create(
      KubeResource.pods,
      {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name, labels: { "actions.github.com/scale-set-name": id } },
        // Nowhere: it only has to be there.
        spec: {
          nodeSelector: { "jobscope.dev/nowhere": "" },
          containers: [{ name: "runner", image: "busybox:latest" }]
        }
      },
      id
    )
  }

  const ownEnv = (name: string, more: NodeJS.ProcessEnv = {}) => ({
    ...imageEnv,
    KUBECONFIG: process.env.KUBECONFIG,
    RUNNER_NAME: name,
    ACTIONS_RUNNER_INPUT_JITCONFIG: `jit-${randomBytes(8).toString("hex")}`,
    KAR_LOG_LEVEL: "error",
    ...more
  })
  const runner = (name: string, more?: NodeJS.ProcessEnv) =>
    Effect.promise(async () => {
      const ran = await run([process.execPath, bundle, "--namespace", id], ownEnv(name, more))
      if (ran.code !== 0) throw new Error(`${name} ended with ${ran.code}:\n${ran.text}`)
      return ran
    })

  /** When the API told of the end of the container of `name`, from now on. */
  const containerEnd = (name: string) =>
    kube.watch({ resource: KubeResource.pods, namespace: id, fieldSelector: `metadata.name=${name}-job` }).pipe(
      Stream.filter(
        (event) =>
          event._tag !== "Synced" &&
          event.object.status?.containerStatuses?.some(({ state }) => state?.terminated !== undefined) === true
      ),
      Stream.map(() => performance.now()),
      Stream.runHead,
      Effect.map((found) => (found._tag === "Some" ? found.value : Number.NaN))
    )
  /** The same by plain calls; gives how long KRO takes to release. */
  const bare = Effect.fnUntraced(function* (name: string) {
    const body = { apiVersion: "kro.run/v1alpha1", kind, metadata: { name }, spec: { runnerName: name } }
    const ended = yield* Effect.forkChild(containerEnd(name), { startImmediately: true })
    const made = yield* kube.request({ verb: "create", resource: instances, namespace: id, body })
    const endedAt = yield* Fiber.join(ended)
    const gone = kube
      .watch({
        resource: instances,
        namespace: id,
        fieldSelector: `metadata.name=${name}`,
        resourceVersion: made.metadata.resourceVersion
      })
      .pipe(
        Stream.filter((event) => event._tag === "Deleted" && event.object.metadata.uid === made.metadata.uid),
        Stream.runHead
      )
    yield* kube.request({ verb: "delete", resource: instances, namespace: id, name })
    yield* gone
    return performance.now() - endedAt
  })

  // Also fills the code cache, as the image's build does.
  const counted = yield* runner("r0", { KAR_LOG_LEVEL: "debug" })
  const calls = counted.text.split("\n").filter((line) => / DEBUG (?:GET|POST|DELETE|PATCH) /.test(line))
  const watches = calls.filter((line) => line.includes("watch=true")).length

  const own: Array<{ readonly after: number; readonly peak: number; readonly bare: number }> = []
  for (let at = 1; at <= 5; at++) {
    const ended = yield* Effect.forkChild(containerEnd(`r${at}`), { startImmediately: true })
    const { endedAt, peak } = yield* runner(`r${at}`)
    const after = endedAt - (yield* Fiber.join(ended))
    own.push({ after, peak, bare: yield* bare(`r${at}`) })
  }
  const idle = yield* Effect.promise(() => run([process.execPath, "--eval", "setTimeout(() => {}, 300)"], imageEnv))

  const timed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.gen(function* () {
      const before = performance.now()
      yield* effect
      return performance.now() - before
    })
  const atOnce = <E, R>(one: (name: string) => Effect.Effect<unknown, E, R>) =>
    timed(Effect.forEach(names, one, { concurrency: "unbounded", discard: true }))
  const twenty = yield* atOnce((name) => runner(name))
  const twentyBare = yield* atOnce(bare)
  const twentyExisting =
    existing === undefined
      ? undefined
      : yield* atOnce((name) =>
          Effect.promise(() =>
            run([existing], { ...ownEnv(name), ACTIONS_RUNNER_SCALE_SET_NAME: id, POD_NAMESPACE: id })
          )
        )
  process.stdout.write(
    JSON.stringify({
      start,
      empty: bareStart,
      requests: calls.length - watches,
      watches,
      peak: median(own.map(({ peak }) => peak)),
      idle: idle.peak,
      after: median(own.map(({ after }) => after)),
      release: median(own.map(({ bare }) => bare)),
      twenty,
      twentyBare,
      ...(twentyExisting === undefined ? {} : { twentyExisting })
    })
  )
})

try {
  await program.pipe(Effect.scoped, Effect.provide(KubeClient.layer({ sources: ["kubeconfig"] })), Effect.runPromise)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
