import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type { PlatformError } from "effect/PlatformError"
import * as Schema from "effect/Schema"
import { EnvVars } from "../../../domain/EnvVars.ts"
import { JobSpec, Timeouts } from "../../../domain/Job.ts"
import { BackendError, EnvironmentLost, Forbidden, HandleRejected, StorageFailed } from "../../../domain/JobError.ts"
import { type Custody, matches, type Selector } from "../../../domain/OwnedResource.ts"
import { startOf } from "./processTable.ts"

/**
 * What this machine must know of an environment after its process is gone. It is the first thing that an environment has, and the last
 * that it loses.
 */
export class JobRecord extends Schema.Class<JobRecord>("jobscope/local/JobRecord")({
  version: Schema.Literal(1),
  environment: Schema.String,
  owner: Schema.String,
  job: Schema.String,
  /** Milliseconds since 1970. */
  createdAt: Schema.Finite,
  handedOver: Schema.Boolean,
  /** The process that holds it. Pids of another host, or container, mean nothing here. */
  holder: Schema.Struct({ host: Schema.String, pid: Schema.Int, startedAt: Schema.String }),
  /** Milliseconds. */
  stopGrace: Schema.Finite,
  workspace: Schema.String,
  services: Schema.Array(
    Schema.Struct({ name: Schema.String, host: Schema.String, ports: Schema.Record(Schema.String, Schema.String) })
  )
}) {}

const RecordJson = Schema.fromJsonString(JobRecord)
const decodeRecord = Schema.decodeUnknownOption(RecordJson)
const encodeRecord = Schema.encodeSync(RecordJson)

/** Paths of one environment. */
export interface JobPaths {
  readonly directory: string
  readonly record: string
  /** Its existence tells other processes that the environment is being released. */
  readonly releasing: string
  /** What an adopter needs of the job, its variables among it; only there after a hand-over. */
  readonly handedOver: string
  readonly workspace: string
  readonly temp: string
  readonly services: string
  readonly steps: string
}

/** Where all environments of a state directory are. */
export const jobsDirectory = (stateDirectory: string): string => Path.join(stateDirectory, "jobs")

export const pathsOf = (stateDirectory: string, environment: string): JobPaths => {
  const directory = Path.join(jobsDirectory(stateDirectory), environment)
  return {
    directory,
    record: Path.join(directory, "job.json"),
    releasing: Path.join(directory, "releasing"),
    handedOver: Path.join(directory, "handed-over.json"),
    workspace: Path.join(directory, "workspace"),
    temp: Path.join(directory, "tmp"),
    services: Path.join(directory, "services"),
    steps: Path.join(directory, "steps")
  }
}

/** A failure of the file system, as a reason that says what it was for. */
const fileError = (operation: string) => (error: PlatformError) => {
  const { reason } = error
  return new BackendError({
    reason:
      reason._tag === "PermissionDenied"
        ? new Forbidden({
            verb: "write",
            resource: `${reason.pathOrDescriptor ?? "files"}`,
            detail: `${operation}: ${reason.message}`
          })
        : new StorageFailed({
            operation,
            detail: reason.message,
            transient: reason._tag === "Busy" || reason._tag === "WouldBlock"
          })
  })
}

/** Says what a file operation is for, should it fail. */
export const during =
  (operation: string) =>
  <A, R>(effect: Effect.Effect<A, PlatformError, R>): Effect.Effect<A, BackendError, R> =>
    Effect.mapError(effect, fileError(operation))

export const writeRecord = (
  fs: FileSystem.FileSystem,
  paths: JobPaths,
  record: JobRecord
): Effect.Effect<void, BackendError> => {
  const draft = `${paths.record}.new`
  // Renamed into place, so that nobody ever reads half of it.
  return Effect.andThen(
    fs.writeFileString(draft, encodeRecord(record), { mode: 0o600 }),
    fs.rename(draft, paths.record)
  ).pipe(during("writing the job's record"))
}

/** `undefined` if there is none, or if it is damaged. */
const readRecord = (paths: JobPaths): JobRecord | undefined => {
  try {
    return Option.getOrUndefined(decodeRecord(Fs.readFileSync(paths.record, "utf8")))
  } catch {
    return undefined
  }
}

/** The part of a job that its steps depend on. */
const HandedOver = Schema.fromJsonString(
  Schema.Struct({ env: EnvVars, workingDirectory: Schema.optionalKey(Schema.String) })
)
const encodeHandedOver = Schema.encodeSync(HandedOver)
const decodeHandedOver = Schema.decodeUnknownEffect(HandedOver)

/** Variables may be secrets: they are written only for a hand-over, for this user alone, and go with the environment. */
export const writeHandedOver = (
  fs: FileSystem.FileSystem,
  paths: JobPaths,
  { env, workingDirectory }: JobSpec
): Effect.Effect<void, BackendError> =>
  fs
    .writeFileString(
      paths.handedOver,
      encodeHandedOver({ env, ...(workingDirectory === undefined ? {} : { workingDirectory }) }),
      { mode: 0o600 }
    )
    .pipe(during("writing what the adopter needs"))

/** The job as an adopter knows it. */
export const readHandedOver = (
  fs: FileSystem.FileSystem,
  paths: JobPaths,
  record: JobRecord
): Effect.Effect<JobSpec, BackendError> =>
  fs.readFileString(paths.handedOver).pipe(
    during("reading what was handed over"),
    Effect.flatMap(decodeHandedOver),
    Effect.mapBoth({
      onFailure: ({ message }) =>
        new BackendError({ reason: new HandleRejected({ detail: `${paths.handedOver}: ${message}` }) }),
      onSuccess: (handedOver) =>
        new JobSpec({
          name: record.job,
          owner: record.owner,
          timeouts: new Timeouts({ stopGrace: Duration.millis(record.stopGrace) }),
          ...handedOver
        })
    })
  )

/** Tells other processes; where all is gone already, another one was faster. */
export const markReleasing = (fs: FileSystem.FileSystem, paths: JobPaths): Effect.Effect<void, BackendError> =>
  fs.writeFileString(paths.releasing, "").pipe(
    Effect.catchIf(
      (error) => error.reason._tag === "NotFound",
      () => Effect.void
    ),
    during("marking the release")
  )

/** Names of all environments that have a directory; none if there is no state directory yet. */
const environmentsIn = (stateDirectory: string): ReadonlyArray<string> => {
  try {
    return Fs.readdirSync(jobsDirectory(stateDirectory))
  } catch {
    return []
  }
}

/** Names come from outside too, in handles and on command lines: one that is no plain file name names nothing. */
const isName = (name: string): boolean => /^[^/\0]+$/.test(name) && name !== "." && name !== ".."

/** An environment as its directory shows it. */
export interface Found {
  readonly environment: string
  readonly paths: JobPaths
  readonly record: JobRecord | undefined
}

/** What is selected of all that is there. One environment is looked up, not searched for among thousands. */
export const find = (stateDirectory: string, selector: Selector | undefined): ReadonlyArray<Found> => {
  if (selector !== undefined && "environment" in selector) {
    const { environment } = selector
    const paths = pathsOf(stateDirectory, environment)
    return isName(environment) && Fs.existsSync(paths.directory)
      ? [{ environment, paths, record: readRecord(paths) }]
      : []
  }
  return environmentsIn(stateDirectory)
    .map((environment) => {
      const paths = pathsOf(stateDirectory, environment)
      return { environment, paths, record: readRecord(paths) }
    })
    .filter(({ environment, record }) => matches({ environment, owner: record?.owner ?? "" }, selector))
}

/** The record goes last, so that a removal that stops half-way is still listed, and can be done again. */
export const removeDirectory = Effect.fnUntraced(function* (fs: FileSystem.FileSystem, paths: JobPaths) {
  const remove = (path: string) => fs.remove(path, { recursive: true, force: true })
  const names = yield* fs.readDirectory(paths.directory).pipe(Effect.orElseSucceed(() => []))
  yield* Effect.forEach(
    names.filter((name) => name !== "job.json"),
    (name) => remove(Path.join(paths.directory, name)),
    { discard: true }
  ).pipe(during("removing the job's directory"))
  yield* during("removing the job's directory")(remove(paths.directory))
})

/** Whether the environment is released, or being released, by whomever. */
export const isGone = (paths: JobPaths): boolean => !Fs.existsSync(paths.record) || Fs.existsSync(paths.releasing)

export const deleted = (paths: JobPaths): EnvironmentLost =>
  new EnvironmentLost({ cause: "Deleted", detail: `${paths.directory} was released, or removed by hand` })

/** This process, as a holder. */
export const self = (): JobRecord["holder"] => ({
  host: Os.hostname(),
  pid: process.pid,
  startedAt: startOf(process.pid) ?? ""
})

/** A directory without a readable record was left half-made; a young one may be in the making by another process. */
const makingTime = 10_000

export const custodyOf = (paths: JobPaths, record: JobRecord | undefined, now: number): Custody => {
  if (record === undefined) {
    const age = now - (Fs.statSync(paths.directory, { throwIfNoEntry: false })?.ctimeMs ?? 0)
    return age > makingTime ? "orphaned" : "unknown"
  }
  if (record.handedOver) return "handed-over"
  if (record.holder.host !== Os.hostname()) return "unknown"
  return startOf(record.holder.pid) === record.holder.startedAt ? "held" : "orphaned"
}
