/**
 * The embedded default: jobs run on this machine, without containers.
 *
 * **Details**
 *
 * Every environment has a directory of its own under the state directory, with its record, its scripts and (unless the job names one) its
 * workspace. Steps are child processes in sessions of their own. What a job started is found by a marker in its environment, by descent and
 * by session, so that a release ends the whole tree, also what went to another session; on Linux only a process that left its session,
 * lost its parent *and* cleared its environment escapes.
 *
 * Environments are released when their scope closes, and, should the program exit without that, by exit and signal handlers. What SIGKILL
 * leaves is shown by `list` and removed by the reaper.
 *
 * **Gotchas**
 *
 * It isolates nothing: jobs run as this user, on this file system. Linux and macOS; tested on Linux.
 */
import * as Os from "node:os"
import * as Path from "node:path"
import * as Process from "node:process"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import { type BackendDriver, type DriverEnvironment, destroyEach } from "../../domain/BackendDriver.ts"
import type { Capabilities } from "../../domain/Capabilities.ts"
import type { EnvironmentHandle } from "../../domain/EnvironmentHandle.ts"
import type { JobSpec } from "../../domain/Job.ts"
import { fromDriver, JobBackend } from "../../domain/JobBackend.ts"
import { BackendError, fail, ProvisionFailed, ReleaseFailed } from "../../domain/JobError.ts"
import { OwnedResource, type Selector } from "../../domain/OwnedResource.ts"
import { guard } from "./internal/exitGuard.ts"
import { type InheritEnv, inherited } from "./internal/inheritedEnv.ts"
import { startServices } from "./internal/localServices.ts"
import { isMarkedFor, startStep } from "./internal/localStep.ts"
import { libc } from "./internal/platform.ts"
import { type ProcessEntry, readProcessTable } from "./internal/processTable.ts"
import { membersOf, type TreeSeed, terminate } from "./internal/processTree.ts"
import {
  custodyOf,
  deleted,
  during,
  find,
  isGone,
  type JobPaths,
  JobRecord,
  jobsDirectory,
  markReleasing,
  pathsOf,
  readHandedOver,
  removeDirectory,
  self,
  writeHandedOver,
  writeRecord
} from "./internal/stateDirectory.ts"
import { prepareWorkspace } from "./internal/workspace.ts"

export type { InheritEnv } from "./internal/inheritedEnv.ts"

/** @category options */
export interface Options {
  /** Default: `$JOBSCOPE_STATE_DIR`, else `$XDG_STATE_HOME/jobscope`, else `~/.local/state/jobscope`. */
  readonly stateDirectory?: string | undefined
  /**
   * Which variables of this program its jobs see. Default `basic`: `PATH`, `HOME`, the locale, proxies and certificates; so a secret in the
   * environment of the embedding program does not reach jobs by accident.
   */
  readonly inheritEnv?: InheritEnv | undefined
}

/** @category options */
export const capabilities: Capabilities = {
  hostJobs: true,
  hostScripts: true,
  containerJobs: false,
  containerSteps: false,
  dockerfileSteps: false,
  serviceImages: false,
  serviceCommands: true,
  workspaces: ["in-place", "copy"],
  volumes: false,
  handOver: true,
  runToCompletion: false
}

const configuredDirectory = Config.all({
  own: Config.option(Config.String("JOBSCOPE_STATE_DIR")),
  xdg: Config.option(Config.String("XDG_STATE_HOME"))
})

/**
 * The directory that the options and the environment name.
 *
 * @category options
 */
export const stateDirectoryOf = (options: Options = {}): Effect.Effect<string> =>
  options.stateDirectory === undefined
    ? configuredDirectory.pipe(
        Effect.map(({ own, xdg }) =>
          Option.getOrElse(own, () =>
            Path.join(
              Option.getOrElse(xdg, () => Path.join(Os.homedir(), ".local", "state")),
              "jobscope"
            )
          )
        ),
        Effect.map((directory) => Path.resolve(directory)),
        Effect.orDie
      )
    : Effect.succeed(Path.resolve(options.stateDirectory))

/** @category constructors */
export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<JobBackend["Service"], never, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  const stateDirectory = yield* stateDirectoryOf(options)
  const base = inherited(options.inheritEnv ?? "basic")
  const where = (environment: string) => pathsOf(stateDirectory, environment)

  /** Processes that were seen in each environment of this process. */
  const seen = new Map<string, Map<number, string>>()
  const treeOf = (paths: JobPaths): TreeSeed => {
    const known = seen.get(paths.directory) ?? new Map<number, string>()
    seen.set(paths.directory, known)
    return { marked: isMarkedFor(paths.directory), seen: known }
  }
  const guards = new Map<string, () => void>()
  const disarm = (environment: string) => {
    guards.get(environment)?.()
    guards.delete(environment)
    seen.delete(where(environment).directory)
  }

  const create = Effect.fnUntraced(function* (spec: JobSpec, environment: string) {
    const paths = where(environment)
    yield* Effect.mapError(
      fs.makeDirectory(jobsDirectory(stateDirectory), { recursive: true, mode: 0o700 }),
      (error) =>
        new BackendError({
          reason: new ProvisionFailed({
            detail: `the state directory ${stateDirectory} cannot be made (${error.message}); name another one with JOBSCOPE_STATE_DIR`,
            transient: false
          })
        })
    )
    yield* during("making the job's directory")(fs.makeDirectory(paths.directory, { mode: 0o700 }))
    // From here on it has a record, a finalizer in `fromDriver`, and this guard for exits that run no finalizers.
    guards.set(environment, guard({ paths, seed: treeOf(paths) }))
    const workspace = spec.workspace?.mode === "in-place" ? Path.resolve(spec.workspace.path) : paths.workspace
    const record = new JobRecord({
      version: 1,
      environment,
      owner: spec.owner,
      job: spec.name,
      createdAt: yield* Clock.currentTimeMillis,
      handedOver: false,
      holder: self(),
      stopGrace: Duration.toMillis(spec.timeouts.stopGrace),
      workspace,
      services: []
    })
    yield* writeRecord(fs, paths, record)
    yield* during("making the job's directories")(
      Effect.andThen(fs.makeDirectory(paths.steps, { mode: 0o700 }), fs.makeDirectory(paths.temp, { mode: 0o700 }))
    )
    yield* prepareWorkspace(fs, paths, spec, base)
    const services = yield* startServices({ fs, paths, spec, workspace, inherited: base })
    const ready = new JobRecord({ ...record, services })
    if (services.length > 0) yield* writeRecord(fs, paths, ready)
    return opened(paths, ready, spec)
  })

  const attach = Effect.fnUntraced(function* (handle: EnvironmentHandle) {
    // Looked up, not joined to a path: a handle comes from outside.
    const [found] = select({ environment: handle.environment })
    if (found?.record === undefined || isGone(found.paths)) return yield* fail(deleted(where(handle.environment)))
    return opened(found.paths, found.record, yield* readHandedOver(fs, found.paths, found.record))
  })

  const opened = (paths: JobPaths, record: JobRecord, spec: JobSpec): DriverEnvironment => {
    const { seen: background } = treeOf(paths)
    const setting = { fs, paths, spec, workspace: record.workspace, inherited: base, background }
    return {
      facts: {
        os: Process.platform,
        arch: Process.arch,
        libc: libc(),
        workspace: record.workspace,
        temp: paths.temp,
        services: record.services
      },
      data: { directory: paths.directory },
      start: (step) =>
        step._tag === "ScriptStep"
          ? Effect.flatMap(randomId, (id) => startStep(setting, step, id))
          : // `fromDriver` has refused it before, by the capabilities.
            Effect.die("container steps are not supported"),
      completion: Effect.suspend(() => (isGone(paths) ? fail(deleted(paths)) : Effect.sleep("1 second"))).pipe(
        Effect.forever
      ),
      handOver: Effect.gen(function* () {
        yield* writeHandedOver(fs, paths, spec)
        yield* writeRecord(fs, paths, new JobRecord({ ...record, handedOver: true }))
        disarm(record.environment)
      })
    }
  }

  const select = (selector: Selector | undefined) => find(stateDirectory, selector)

  const destroy = Effect.fnUntraced(function* (selector: Selector) {
    yield* destroyEach(
      select(selector),
      Effect.fnUntraced(function* ({ environment, paths, record }) {
        yield* markReleasing(fs, paths)
        const left = yield* terminate(treeOf(paths), Duration.millis(record?.stopGrace ?? 0))
        if (left.length > 0) return yield* fail(stuck(environment, record, left))
        yield* removeDirectory(fs, paths)
        disarm(environment)
      })
    )
    // Another process may have removed it.
    if ("environment" in selector) disarm(selector.environment)
  })

  const stuck = (environment: string, record: JobRecord | undefined, left: ReadonlyArray<ProcessEntry>) =>
    new ReleaseFailed({
      environment,
      left: left.map((entry) => processResource(environment, record, entry)),
      detail: "processes do not end, even by SIGKILL: they belong to another user, or hang in the kernel",
      removal: removalCommand(environment)
    })

  const processResource = (environment: string, record: JobRecord | undefined, entry: ProcessEntry) =>
    new OwnedResource({
      backend: "local",
      kind: "Process",
      name: nameOf(entry),
      environment,
      owner: record?.owner ?? "",
      custody: "unknown",
      createdAt: record?.createdAt ?? 0
    })

  const removalCommand = (environment: string) =>
    `jobscope-reaper --state-dir '${stateDirectory}' --environment '${environment}'`

  const list = (selector?: Selector) =>
    Stream.unwrap(
      Effect.map(Clock.currentTimeMillis, (now) => {
        const found = select(selector)
        if (found.length === 0) return Stream.empty
        const table = readProcessTable()
        return Stream.fromIterable(
          found.flatMap(({ environment, paths, record }) => {
            const about = {
              backend: "local",
              environment,
              owner: record?.owner ?? "",
              custody: custodyOf(paths, record, now),
              createdAt: record?.createdAt ?? 0
            }
            return [
              new OwnedResource({ ...about, kind: "Directory", name: paths.directory }),
              ...membersOf(table, treeOf(paths)).map(
                (entry) => new OwnedResource({ ...processResource(environment, record, entry), custody: about.custody })
              )
            ]
          })
        )
      })
    )

  const driver: BackendDriver = {
    name: "local",
    capabilities,
    create,
    attach,
    destroy,
    list,
    removalCommand
  }
  return fromDriver(driver)
})

/** @category layers */
export const layer = (options?: Options): Layer.Layer<JobBackend> =>
  Layer.effect(JobBackend, make(options)).pipe(Layer.provide(NodeFileSystem.layer))

// internal

/** Several processes may start steps in one environment. */
const randomId = Effect.map(Random.nextIntBetween(0, Number.MAX_SAFE_INTEGER), (id) => id.toString(36))

const nameOf = ({ command, pid }: ProcessEntry) => `${pid} ${command}`
