/** What a handle of an environment carries: enough for another process, even of another version, to run steps in its pod. No secrets. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Mount, Volume } from "../../../domain/Container.ts"
import { defaulted } from "../../../domain/internal/defaulted.ts"
import { BackendError, HandleRejected } from "../../../domain/JobError.ts"
import { jobContainer } from "../PodNames.ts"
import { stateDirectory } from "./podScripts.ts"

const ServiceData = Schema.Struct({
  name: Schema.String,
  host: Schema.String,
  ports: Schema.Record(Schema.String, Schema.String)
})

/** @internal */
export class PodData extends Schema.Class<PodData>("jobscope/backends/pod/PodData")({
  version: Schema.Literal(1),
  namespace: Schema.String,
  pod: Schema.String,
  /** The container that script steps run in. */
  container: Schema.String.pipe(defaulted(jobContainer)),
  /** Only where the pod may start that container again, which would be another environment. */
  containerId: Schema.optionalKey(Schema.String),
  /** Where our own things are in it. */
  stateDirectory: Schema.String.pipe(defaulted(stateDirectory)),
  /** A file of that container with the job's variables, where they are not the container's own. */
  variables: Schema.optionalKey(Schema.String),
  uid: Schema.String,
  /** Address of the pod, for container steps. */
  address: Schema.optionalKey(Schema.String),
  node: Schema.optionalKey(Schema.String),
  /** Empty for a job without a container of its own. */
  image: Schema.String,
  /** This machine's side of the shared volume, where the volume transport is used. */
  channel: Schema.optionalKey(Schema.String),
  facts: Schema.Struct({
    os: Schema.String,
    arch: Schema.String,
    libc: Schema.Literals(["glibc", "musl", "unknown"]),
    workspace: Schema.String,
    services: Schema.Array(ServiceData)
  }),
  workingDirectory: Schema.optionalKey(Schema.String),
  /** The mounts and volumes of the job's container. */
  mounts: Schema.Array(Mount),
  volumes: Schema.Array(Volume).pipe(defaulted([])),
  /** Of the job's pod, for container steps: names that its template knows. */
  hostAliases: Schema.Array(Schema.Struct({ ip: Schema.String, hostnames: Schema.Array(Schema.String) })).pipe(
    defaulted([])
  ),
  /** The workspace is a directory of the pod's own, and no mount. */
  ownWorkspace: Schema.Boolean.pipe(defaulted(false)),
  /** False: the Role forbids to watch pods, which need not be found out again. */
  watching: Schema.optionalKey(Schema.Boolean),
  /** Milliseconds. */
  stopGrace: Schema.Finite,
  /** Seconds. */
  deadline: Schema.Finite
}) {}

const Json = Schema.toCodecJson(PodData)

export const encode: (data: PodData) => Schema.Json = Schema.encodeSync(Json)

export const decode = (data: Schema.Json): Effect.Effect<PodData, BackendError> =>
  Effect.mapError(
    Schema.decodeEffect(Json)(data),
    (error) => new BackendError({ reason: new HandleRejected({ detail: error.message }) })
  )
