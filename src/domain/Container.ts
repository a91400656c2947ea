/**
 * What a container of a job is made of: the job's own, each service, and the container of a container step.
 *
 * The vocabulary is Docker's and Kubernetes' common part. A backend refuses what it cannot give (`Capabilities`) before it
 * provisions anything.
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import { defaulted } from "./internal/defaulted.ts"

/**
 * Credentials to pull one image.
 *
 * @category schemas
 */
export class RegistryCredentials extends Schema.Class<RegistryCredentials>("jobscope/RegistryCredentials")({
  /** Host of the registry, `""` for Docker Hub. */
  server: Schema.String.pipe(defaulted("")),
  username: Schema.String,
  password: Schema.RedactedFromValue(Schema.String)
}) {}

/**
 * A port that a container listens on.
 *
 * @category schemas
 */
export class Port extends Schema.Class<Port>("jobscope/Port")({
  /** 1 to 65535. */
  container: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 65535 })),
  /** Port on the host, only where one is asked for; 0 lets the backend choose. */
  host: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 65535 }))),
  protocol: Schema.Literals(["tcp", "udp"]).pipe(defaulted("tcp"))
}) {}

/**
 * Space that all containers of one environment can mount, gone with the environment.
 *
 * @category schemas
 */
export class Volume extends Schema.Class<Volume>("jobscope/Volume")({
  name: Schema.NonEmptyString,
  medium: Schema.Literals(["disk", "memory"]).pipe(defaulted("disk")),
  /** Upper bound as a Kubernetes quantity, for example `1Gi`. */
  sizeLimit: Schema.optionalKey(Schema.String)
}) {}

/**
 * Makes a volume or a path of the host visible in a container.
 *
 * @category schemas
 */
export class Mount extends Schema.Class<Mount>("jobscope/Mount")({
  /** A `Volume`'s name, or an absolute path of the machine that asks for the job. */
  source: Schema.NonEmptyString,
  /** Absolute path in the container. */
  target: Schema.NonEmptyString,
  readOnly: Schema.Boolean.pipe(defaulted(false))
}) {}

/**
 * How much of a machine a container may use, as Kubernetes quantities (`500m`, `2`, `512Mi`).
 *
 * @category schemas
 */
export class Resources extends Schema.Class<Resources>("jobscope/Resources")({
  requests: Schema.Record(Schema.String, Schema.String).pipe(defaulted({})),
  limits: Schema.Record(Schema.String, Schema.String).pipe(defaulted({}))
}) {}

/**
 * A command that tells whether a service is ready: exit code 0 is healthy.
 *
 * The names and defaults are Docker's, except that the interval is 1 s: a job waits for its services, so a shorter
 * interval is a shorter job.
 *
 * @category schemas
 */
export class HealthCheck extends Schema.Class<HealthCheck>("jobscope/HealthCheck")({
  /** Run by `sh -c` in the service's container, or on this machine by the local backend. */
  command: Schema.NonEmptyString,
  interval: Schema.DurationFromString.pipe(defaulted(Duration.seconds(1))),
  timeout: Schema.DurationFromString.pipe(defaulted(Duration.seconds(5))),
  /** So many failures in a row, after the start period, make the service unhealthy. */
  retries: Schema.Int.check(Schema.isGreaterThan(0)).pipe(defaulted(30)),
  startPeriod: Schema.DurationFromString.pipe(defaulted(Duration.zero))
}) {}

/**
 * How a container is run, beyond what it runs: the part of `docker run`'s options that has a meaning on every backend with containers.
 *
 * Whoever runs the backend decides which of those that raise privilege (`privileged`, `capAdd`) are allowed.
 *
 * @category schemas
 */
export class ContainerSettings extends Schema.Class<ContainerSettings>("jobscope/ContainerSettings")({
  hostname: Schema.optionalKey(Schema.NonEmptyString),
  /** Host name to address, beyond what the backend makes known. */
  hosts: Schema.Record(Schema.String, Schema.String).pipe(defaulted({})),
  labels: Schema.Record(Schema.String, Schema.String).pipe(defaulted({})),
  privileged: Schema.Boolean.pipe(defaulted(false)),
  /** Linux capabilities, without `CAP_`. */
  capAdd: Schema.Array(Schema.NonEmptyString).pipe(defaulted([])),
  capDrop: Schema.Array(Schema.NonEmptyString).pipe(defaulted([])),
  readOnlyRoot: Schema.Boolean.pipe(defaulted(false)),
  /** Size of /dev/shm as a Kubernetes quantity. */
  shmSize: Schema.optionalKey(Schema.NonEmptyString),
  /** Absolute path to its size as a Kubernetes quantity, `""` for no limit. */
  tmpfs: Schema.Record(Schema.String, Schema.String).pipe(defaulted({}))
}) {}
