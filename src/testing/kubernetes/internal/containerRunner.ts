/** The life of one container: image, variables, process, probes, restarts. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import type * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as FakeImage from "../FakeImage.ts"
import { makeContainerLog } from "./containerLog.ts"
import { makeView } from "./containerView.ts"
import { environmentOf, expand } from "./environment.ts"
import { at, isJson } from "./KubeObject.ts"
import { secrets } from "./kinds.ts"
import { type Ended, start } from "./namespaces.ts"
import type { Pod } from "./pod.ts"
import type { ContainerRecord } from "./podStatus.ts"
import { probing } from "./probes.ts"
import { mountsOf, type VolumeOptions } from "./volumes.ts"

export interface Timings {
  /** Between the end of the containers and the phase that tells it. */
  readonly phase: Duration.Duration
  /** Until something that failed is tried again. */
  readonly again: Duration.Duration
  /** A second of probes. */
  readonly second: Duration.Duration
}

export interface RunnerOptions extends VolumeOptions {
  readonly clock: Clock.Clock
  readonly images: () => FakeImage.FakeImages
  /** Variables of every container. */
  readonly variables: () => Readonly<Record<string, string>>
  readonly timings: Timings
  /** Outlives the runner: what a process is told when it ends. */
  readonly scope: Scope.Scope
  /** Of the pod, as it is now. */
  readonly pod: () => Pod
  readonly volumes: () => ReadonlyMap<string, string>
  readonly publish: Effect.Effect<void>
  readonly tell: (type: "Normal" | "Warning", reason: string, message: string) => void
}

/** Runs until the container ends for good, and gives its last exit code; a sidecar never does. */
export const runContainer = Effect.fnUntraced(function* (
  options: RunnerOptions,
  record: ContainerRecord
): Effect.fn.Return<number> {
  const policy = record.role === "sidecar" ? "Always" : (options.pod().spec?.restartPolicy ?? "Always")
  while (true) {
    const image = yield* pull(options, record)
    const code = yield* runOnce(options, record, image)
    const again =
      record.role === "init"
        ? policy !== "Never" && code !== 0
        : policy === "Always" || (policy === "OnFailure" && code !== 0)
    if (!again) return code
    record.lastState = record.state
    record.state = {
      waiting: {
        reason: "CrashLoopBackOff",
        message: `back-off ${Duration.format(options.timings.again)} restarting failed container=${record.spec.name} pod=${options.pod().metadata.name}`
      }
    }
    record.restarts++
    options.tell("Warning", "BackOff", `Back-off restarting failed container ${record.spec.name}`)
    yield* options.publish
    yield* Effect.sleep(options.timings.again)
  }
})

/** The image, once there is one. */
const pull = Effect.fnUntraced(function* (options: RunnerOptions, record: ContainerRecord) {
  const reference = record.spec.image ?? ""
  const wait = Effect.fnUntraced(function* (reason: string, message: string) {
    record.state = { waiting: { reason, message } }
    yield* options.publish
    yield* Effect.sleep(options.timings.again)
  })
  while (true) {
    if (!FakeImage.isReference(reference)) {
      yield* wait(
        "InvalidImageName",
        `Failed to apply default image tag "${reference}": couldn't parse image name "${reference}": invalid reference format`
      )
      continue
    }
    const image = FakeImage.find(options.images(), reference)
    const refusal = image === undefined ? missing(reference) : refusalOf(options, image, reference)
    if (image !== undefined && refusal === undefined) {
      if (image.pull !== undefined) {
        options.tell("Normal", "Pulling", `Pulling image "${reference}"`)
        yield* Effect.sleep(image.pull)
      }
      options.tell("Normal", "Pulled", `Successfully pulled image "${reference}"`)
      record.imageID = `${FakeImage.fullName(reference)}@fake`
      return image
    }
    options.tell("Normal", "Pulling", `Pulling image "${reference}"`)
    options.tell("Warning", "Failed", `Failed to pull image "${reference}": ${refusal}`)
    yield* wait("ErrImagePull", refusal ?? "")
    options.tell("Warning", "BackOff", `Back-off pulling image "${reference}"`)
    yield* wait("ImagePullBackOff", `Back-off pulling image "${reference}": ErrImagePull: ${refusal}`)
  }
})

const missing = (reference: string) => {
  const name = FakeImage.fullName(reference)
  return `rpc error: code = NotFound desc = failed to pull and unpack image "${name}": failed to resolve reference "${name}": ${name}: not found`
}

const refusalOf = (options: RunnerOptions, image: FakeImage.FakeImage, reference: string): string | undefined => {
  const { credentials } = image
  if (credentials === undefined) return undefined
  const name = FakeImage.fullName(reference)
  const pod = options.pod()
  const fits = (pod.spec?.imagePullSecrets ?? []).some((named) => {
    const secret = options.store.get(secrets, pod.metadata.namespace, named.name ?? "")
    const encoded = at(secret, "data", ".dockerconfigjson")
    if (typeof encoded !== "string") return false
    const auths = at(parse(Buffer.from(encoded, "base64").toString("utf8")), "auths")
    return Object.entries(isJson(auths) ? auths : {}).some(([server, auth]) => {
      const host = server
        .replace(/^https?:\/\//, "")
        .replace(/\/.*$/, "")
        .replace(/^index\./, "")
      const pair = Buffer.from(String(at(auth, "auth") ?? ""), "base64").toString("utf8")
      const username = at(auth, "username") ?? pair.split(":")[0]
      const password = at(auth, "password") ?? pair.slice(pair.indexOf(":") + 1)
      return name.startsWith(`${host}/`) && username === credentials.username && password === credentials.password
    })
  })
  return fits
    ? undefined
    : `failed to pull and unpack image "${name}": failed to resolve reference "${name}": pull access denied, repository does not exist or may require authorization: authorization failed: no basic auth credentials`
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** One run, from creation to the end of the process. */
const runOnce = Effect.fnUntraced(function* (
  options: RunnerOptions,
  record: ContainerRecord,
  image: FakeImage.FakeImage
): Effect.fn.Return<number> {
  const { spec } = record
  const ended = Deferred.makeUnsafe<number>()
  const wait = Effect.fnUntraced(function* (reason: string, message: string) {
    record.state = { waiting: { reason, message } }
    options.tell("Warning", "Failed", `Error: ${message}`)
    yield* options.publish
    yield* Effect.sleep(options.timings.again)
  })
  while (true) {
    const pod = options.pod()
    const environment = environmentOf(options.store, pod, spec, { ...options.variables(), ...image.env }, options.node)
    if (environment.variables === undefined) {
      yield* wait("CreateContainerConfigError", environment.missing)
      continue
    }
    const env = environment.variables
    const command = commandOf(record, image, env)
    if (command.length === 0) {
      yield* wait("CreateContainerError", "failed to generate spec: no command specified")
      continue
    }
    // What was started must be known to whoever stops the pod.
    const failure = yield* Effect.uninterruptible(launch(options, record, image, { command, env, ended }))
    if (failure === undefined) break
    if (failure.reason === "CreateContainerError") {
      yield* wait(failure.reason, failure.message)
      continue
    }
    const now = options.store.now()
    const text = `failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: ${failure.message}: unknown`
    record.begun = true
    record.state = terminated(record, { code: 128, signal: undefined }, "1970-01-01T00:00:00Z", now, "StartError", text)
    options.tell("Warning", "Failed", `Error: ${text}`)
    yield* options.publish
    return 128
  }
  const probes = yield* Effect.forkChild(probe(options, record))
  const code = yield* Deferred.await(ended)
  yield* Fiber.interrupt(probes)
  return code
})

const terminated = (
  { containerID }: ContainerRecord,
  { code }: Ended,
  startedAt: string,
  finishedAt: string,
  reason: string,
  message?: string
) => ({
  terminated: {
    exitCode: code,
    reason,
    ...(message === undefined ? {} : { message }),
    startedAt,
    finishedAt,
    containerID
  }
})

/** Starts the process; what it came to is recorded even if nobody waits for it any more. */
const launch = Effect.fnUntraced(function* (
  options: RunnerOptions,
  record: ContainerRecord,
  image: FakeImage.FakeImage,
  run: {
    readonly command: ReadonlyArray<string>
    readonly env: Readonly<Record<string, string>>
    readonly ended: Deferred.Deferred<number>
  }
) {
  const { spec } = record
  const pod = options.pod()
  const directory = Path.join(options.directory, "containers", spec.name, String(record.restarts))
  const root = Path.join(directory, "root")
  Fs.mkdirSync(root, { recursive: true })
  const aliases = (pod.spec?.hostAliases ?? []).map(({ hostnames = [], ip }) => `${ip}\t${hostnames.join("\t")}\n`)
  const view = makeView({
    root: Fs.realpathSync(root),
    tools: image.tools ?? true,
    files: image.files ?? {},
    hosts: `127.0.0.1\tlocalhost\n::1\tlocalhost\n127.0.0.1\t${pod.metadata.name}\n${aliases.join("")}`,
    volumes: mountsOf(options, pod, spec, options.volumes())
  })
  const workingDir = spec.workingDir ?? image.workingDir ?? "/"
  view.directory(run.env.HOME ?? "/root")
  view.directory(workingDir)
  const table = Path.join(directory, "mounts")
  Fs.writeFileSync(table, view.table)
  const log = makeContainerLog(Path.join(directory, "log"), options.clock)
  record.previousLog?.close()
  record.previousLog = record.log
  record.log = log
  record.containerID = `containerd://${pod.metadata.uid}-${spec.name}-${record.restarts}`
  record.env = run.env
  record.workingDir = workingDir
  record.user = spec.securityContext?.runAsUser ?? pod.spec?.securityContext?.runAsUser ?? image.user
  record.group = spec.securityContext?.runAsGroup ?? pod.spec?.securityContext?.runAsGroup
  record.killedAs = undefined
  const started = yield* Effect.result(
    start({
      root: view.root,
      table,
      command: run.command,
      env: run.env,
      workingDir: Path.join(view.root, workingDir),
      user: record.user,
      group: record.group,
      onOutput: log.write
    })
  )
  if (started._tag === "Failure") {
    log.end()
    return started.failure
  }
  const process = started.success
  const startedAt = options.store.now()
  record.process = process
  record.begun = true
  record.started = spec.startupProbe === undefined
  record.ready = record.started && spec.readinessProbe === undefined
  record.state = { running: { startedAt } }
  options.tell("Normal", "Started", `Started container ${spec.name}`)
  yield* options.publish
  yield* Effect.forkIn(
    Effect.gen(function* () {
      const end = yield* Deferred.await(process.exit)
      log.end()
      const reason = record.killedAs ?? (end.code === 0 ? "Completed" : "Error")
      record.process = undefined
      record.ready = record.role === "init" && end.code === 0
      record.started = false
      record.state = terminated(record, end, startedAt, options.store.now(), reason)
      yield* options.publish
      yield* Deferred.succeed(run.ended, end.code)
    }),
    options.scope,
    { startImmediately: true }
  )
  return undefined
})

const commandOf = (
  { spec }: ContainerRecord,
  image: FakeImage.FakeImage,
  env: Readonly<Record<string, string>>
): ReadonlyArray<string> => {
  const variables = new Map(Object.entries(env))
  const expanded = (texts: ReadonlyArray<string>) => texts.map((text) => expand(text, variables))
  const entry = spec.command === undefined ? (image.entrypoint ?? []) : expanded(spec.command)
  const given = spec.args === undefined ? undefined : expanded(spec.args)
  return [...entry, ...(given ?? (spec.command === undefined ? (image.command ?? []) : []))]
}

const probe = Effect.fnUntraced(function* (options: RunnerOptions, record: ContainerRecord) {
  const { livenessProbe, readinessProbe, startupProbe } = record.spec
  const { second } = options.timings
  const kill = (why: string) =>
    Effect.suspend(() => {
      options.tell("Normal", "Killing", `Container ${record.spec.name} failed ${why} probe, will be restarted`)
      return record.process?.signal("SIGKILL") ?? Effect.void
    })
  if (startupProbe !== undefined) {
    const done = Deferred.makeUnsafe<void>()
    yield* Effect.raceFirst(
      probing(startupProbe, record, second, (good) =>
        good ? Effect.asVoid(Deferred.succeed(done, undefined)) : kill("startup")
      ),
      Deferred.await(done)
    )
    record.started = true
    record.ready = readinessProbe === undefined
    yield* options.publish
  }
  const readiness =
    readinessProbe === undefined
      ? Effect.void
      : probing(readinessProbe, record, second, (good) => {
          record.ready = good
          if (!good) options.tell("Warning", "Unhealthy", "Readiness probe failed")
          return options.publish
        })
  const liveness =
    livenessProbe === undefined
      ? Effect.void
      : probing(livenessProbe, record, second, (good) => (good ? Effect.void : kill("liveness")))
  yield* Effect.all([readiness, liveness], { concurrency: 2, discard: true })
})
