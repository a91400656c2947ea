import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type * as Scope from "effect/Scope"
import { HealthCheck } from "../../../domain/Container.ts"
import * as EnvVars from "../../../domain/EnvVars.ts"
import type { JobSpec, Service } from "../../../domain/Job.ts"
import type { ServiceFacts } from "../../../domain/JobEnvironment.ts"
import { type BackendError, fail, InvalidInput, ServiceUnhealthy } from "../../../domain/JobError.ts"
import { emit } from "../../../domain/JobEvent.ts"
import { markerVariable } from "./processTable.ts"
import { terminate } from "./processTree.ts"
import { type Spawned, spawn } from "./spawn.ts"
import { during, type JobPaths } from "./stateDirectory.ts"

/** What services need to know of their environment. */
export interface ServiceSetting {
  readonly fs: FileSystem.FileSystem
  readonly paths: JobPaths
  readonly spec: JobSpec
  readonly workspace: string
  readonly inherited: Readonly<Record<string, string>>
}

/** Starts all services, and returns when all are ready. The scope is the environment's: until it closes, a service that dies is told. */
export const startServices = (
  setting: ServiceSetting
): Effect.Effect<ReadonlyArray<ServiceFacts>, BackendError, Scope.Scope> =>
  Effect.forEach(setting.spec.services, (service, index) => startService(setting, service, index), {
    concurrency: "unbounded"
  })

const startService = Effect.fnUntraced(function* (setting: ServiceSetting, service: Service, index: number) {
  const [command, ...args] = service.command
  if (command === undefined) {
    return yield* fail(
      new InvalidInput({
        input: `services[${index}] (${service.name})`,
        detail: "on this machine a service needs a `command`"
      })
    )
  }
  const log = Path.join(setting.paths.services, `${index}.log`)
  yield* during("making the services' directory")(
    setting.fs.makeDirectory(setting.paths.services, { recursive: true, mode: 0o700 })
  )
  // Its output goes to a file, not to a pipe: a service outlives this process when the environment is handed over.
  const spawned = yield* Effect.acquireUseRelease(
    Effect.sync(() => Fs.openSync(log, "a", 0o600)),
    (fd) =>
      spawn(command, args, {
        cwd: setting.workspace,
        env: variables(setting, service, `service-${index}`),
        stdio: ["ignore", fd, fd]
      }),
    (fd) => Effect.sync(() => Fs.closeSync(fd))
  )
  spawned.child.unref()
  yield* emit({
    _tag: "Waiting",
    job: setting.spec.name,
    phase: "provision",
    reason: `service ${service.name} to become ready`
  })
  yield* awaitReady(setting, service, index, spawned, log)
  yield* Effect.forkScoped(
    Effect.flatMap(Deferred.await(spawned.exit), ({ code }) =>
      emit({
        _tag: "Warning",
        job: setting.spec.name,
        message: [
          `The service ${service.name} ended with exit code ${code} while the job still runs`,
          ...lastLines(log)
        ].join("\n  ")
      })
    )
  )
  return {
    name: service.name,
    host: "127.0.0.1",
    ports: Object.fromEntries(service.ports.map(({ container }) => [`${container}`, `${container}`]))
  }
})

const variables = (setting: ServiceSetting, service: Service, id: string): Record<string, string> => ({
  ...setting.inherited,
  TMPDIR: setting.paths.temp,
  ...EnvVars.reveal(service.env),
  [markerVariable]: `${setting.paths.directory}#${id}`
})

/** A service without a health check is asked by its ports, as often and as long as one with Docker's names would be. */
const defaults = new HealthCheck({ command: "true" })

const awaitReady = Effect.fnUntraced(function* (
  setting: ServiceSetting,
  service: Service,
  index: number,
  spawned: Spawned,
  log: string
) {
  const check = service.healthCheck ?? defaults
  const probe =
    service.healthCheck === undefined
      ? Effect.forEach(service.ports, ({ container, protocol }) =>
          protocol === "udp" ? Effect.succeed(true) : accepts(container)
        ).pipe(Effect.map((answers) => answers.every(Boolean)))
      : healthy(setting, service, check, `health-${index}`)
  const unhealthy = (detail: string) =>
    Effect.suspend(() => fail(new ServiceUnhealthy({ service: service.name, detail, log: lastLines(log) })))
  const died = Effect.flatMap(Deferred.await(spawned.exit), ({ code }) => unhealthy(`it ended with exit code ${code}`))
  const ready = Effect.gen(function* () {
    yield* Effect.sleep(check.startPeriod)
    for (let failures = 0; failures < check.retries; failures++) {
      if (yield* probe) return
      yield* Effect.sleep(check.interval)
    }
    return yield* unhealthy(
      `${check.retries} checks in a row failed, ${Duration.format(check.interval)} apart (${
        service.healthCheck === undefined
          ? `ports ${service.ports.map(({ container }) => container).join(", ")}`
          : check.command
      })`
    )
  })
  yield* Effect.raceFirst(ready, died)
})

const accepts = (port: number): Effect.Effect<boolean> =>
  Effect.callback((resume) => {
    const socket = Net.connect({ port, host: "127.0.0.1" })
    const end = (answer: boolean) => () => {
      socket.destroy()
      resume(Effect.succeed(answer))
    }
    socket
      .setTimeout(Duration.toMillis(defaults.timeout), end(false))
      .once("connect", end(true))
      .once("error", end(false))
    return Effect.sync(() => socket.destroy())
  })

const healthy = (
  setting: ServiceSetting,
  service: Service,
  check: HealthCheck,
  id: string
): Effect.Effect<boolean, BackendError> =>
  Effect.acquireUseRelease(
    spawn("/bin/sh", ["-c", check.command], {
      cwd: setting.workspace,
      env: variables(setting, service, id),
      stdio: "ignore"
    }),
    ({ exit }) =>
      Effect.timeoutOrElse(
        Effect.map(Deferred.await(exit), ({ code }) => code === 0),
        { duration: check.timeout, orElse: () => Effect.succeed(false) }
      ),
    ({ exit, pid }) =>
      Deferred.isDoneUnsafe(exit)
        ? Effect.void
        : Effect.asVoid(
            terminate(
              { marked: (marker) => marker === `${setting.paths.directory}#${id}`, leader: pid, seen: new Map() },
              Duration.zero
            )
          )
  )

const lastLines = (log: string): ReadonlyArray<string> => {
  try {
    return Fs.readFileSync(log, "utf8").trimEnd().split("\n").slice(-20)
  } catch {
    return []
  }
}
