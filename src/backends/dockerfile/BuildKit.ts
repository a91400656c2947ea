/**
 * The builder that asks a BuildKit daemon: over mTLS, from plain Node, without its command line.
 *
 * **Details**
 *
 * The daemon takes the context, and credentials for registries, from a session in the same connection; it pushes the image, and the step
 * is a container step of that image. Whoever reaches the daemon can build with it: keep it behind certificates.
 */
import { createHash } from "node:crypto"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { RegistryCredentials } from "../../domain/Container.ts"
import type { BuildContext, Entry } from "./BuildContext.ts"
import { connect, type GrpcError, type TlsMaterial } from "./internal/buildkit/grpc.ts"
import { makeProgress } from "./internal/buildkit/progress.ts"
import { bytes, decode, texts, textsOf } from "./internal/buildkit/protobuf.ts"
import { serve } from "./internal/buildkit/session.ts"
import { type LogStyle, plainLog } from "./LogStyle.ts"
import type { Refusal } from "./Refusal.ts"
import type { Security, StepPlan } from "./StepPlan.ts"

/**
 * Why BuildKit has not built.
 *
 * @category errors
 */
export class BuildKitError extends Schema.TaggedError<BuildKitError>()("BuildKitError", {
  /** `failed`: the Dockerfile's own instruction; `unreachable`: there was no answer; `refused`: anything else that it says. */
  reason: Schema.Literals(["failed", "unreachable", "refused"]),
  address: Schema.String,
  detail: Schema.String,
  /** Of the RUN that failed. */
  exitCode: Schema.optionalKey(Schema.Int)
}) {
  override get message() {
    if (this.reason === "failed") return this.detail
    return `BuildKit at ${this.address} ${this.reason === "refused" ? "refused" : "does not answer"}: ${this.detail}`
  }
}

/** @category options */
export interface Options {
  /** `tcp://buildkitd.ci:1234`. */
  readonly address: string
  /** Certificates in PEM. Left out, nothing is encrypted. */
  readonly tls?: TlsMaterial | undefined
  /** Where the image is pushed to, as BuildKit calls it: `registry.ci:5000/actions`. */
  readonly repository: string
  /** The same as the nodes call it. Default `repository`. */
  readonly pullRepository?: string | undefined
  /** The registry speaks plain HTTP, or has a certificate that nobody knows. Default false. */
  readonly insecure?: boolean | undefined
  readonly credentials?: ReadonlyArray<RegistryCredentials> | undefined
  /** Go's name. Default: the daemon's own. */
  readonly architecture?: string | undefined
  /** To connect. Default 10 seconds. */
  readonly timeout?: Duration.Input | undefined
  readonly log?: LogStyle | undefined
}

/** @category models */
export interface Build {
  readonly dockerfile: { readonly name: string; readonly text: string }
  readonly context: BuildContext
  /** Told of the log, line by line. */
  readonly write: (line: string) => Effect.Effect<void>
}

/**
 * Builds and pushes; gives the image's name with its digest, as nodes pull it. Interrupting it stops the build.
 *
 * @category combinators
 */
export const build = Effect.fnUntraced(function* (
  { context, dockerfile, write }: Build,
  options: Options
): Effect.fn.Return<string, BuildKitError | Refusal> {
  const { address, repository } = options
  const at = { line: 0, text: "" }
  const entries = (yield* context.entries({ name: "", kind: "directory", path: "" }, at)).filter(
    ({ path }) => path !== ""
  )
  const id = yield* randomId
  const name = `${repository}:${tagOf(dockerfile.text, entries)}`

  const solving = Effect.gen(function* () {
    const connection = yield* connect(address, options.tls, options.timeout ?? "10 seconds")
    yield* serve(connection, { id, context, entries, dockerfile, credentials: options.credentials ?? [] })
    const progress = makeProgress(options.log ?? plainLog)
    const writeAll = (lines: ReadonlyArray<string>) => Effect.forEach(lines, write, { discard: true })
    const exporter = Buffer.concat([
      bytes(1, "image"),
      texts(2, { name, push: "true", ...(options.insecure === true ? { "registry.insecure": "true" } : {}) })
    ])
    const attributes = {
      filename: dockerfile.name,
      ...(options.architecture === undefined ? {} : { platform: `linux/${options.architecture}` })
    }
    const request = Buffer.concat([
      bytes(1, id),
      bytes(5, id),
      bytes(6, "dockerfile.v0"),
      texts(7, attributes),
      bytes(13, exporter)
    ])
    const status = Stream.runForEach(connection.stream(control("Status"), bytes(1, id)), (message) =>
      writeAll(progress.push(message))
    )
    const solve = connection.unary(control("Solve"), request)
    // The log ends by itself when the build does; without a log there still is a result.
    const [answer] = yield* Effect.all([Effect.result(solve), Effect.ignore(status)], { concurrency: 2 }).pipe(
      Effect.raceFirst(connection.lost)
    )
    yield* writeAll(progress.end())
    return yield* Effect.fromResult(answer)
  })
  const answer = decode(yield* Effect.scoped(solving).pipe(Effect.mapError((error) => fromGrpc(error, address))))
  const digest = answer === undefined ? undefined : textsOf(answer, 1).get("containerimage.digest")
  if (digest === undefined) {
    return yield* new BuildKitError({ reason: "refused", address, detail: "the answer names no image" })
  }
  return `${options.pullRepository ?? repository}@${digest}`
})

/**
 * A container step of the image that was built. `user`: what the Dockerfile's last USER says, if that is known.
 *
 * @category constructors
 */
export const planOf = (image: string, user?: string): StepPlan => ({
  builder: "buildkit",
  image,
  command: undefined,
  env: {},
  // Kubernetes takes the user of an image's `USER 1:2`, and leaves the group out.
  security: numeric(user),
  before: [],
  beside: [],
  volumes: [],
  files: [],
  enter: () => []
})

const numeric = (user: string | undefined): Security => {
  const [, uid, gid] = /^(\d{1,9}):(\d{1,9})$/.exec(user ?? "") ?? []
  return uid === undefined || gid === undefined ? {} : { runAsUser: Number(uid), runAsGroup: Number(gid) }
}

const control = (method: string): string => `/moby.buildkit.v1.Control/${method}`

const randomId: Effect.Effect<string> = Effect.map(
  Effect.forEach([1, 2, 3, 4], () => Random.nextIntBetween(0, 2 ** 32)),
  (parts) => parts.map((part) => part.toString(16).padStart(8, "0")).join("")
)

/** The same for the same files, so that a registry keeps one tag for an action and not one for each run of it. */
const tagOf = (dockerfile: string, entries: ReadonlyArray<Entry>): string => {
  const hash = createHash("sha256").update(dockerfile)
  for (const { kind, mode, path, size, target = "" } of entries) {
    hash.update(`\0${path}\0${kind}\0${mode}\0${size}\0${target}`)
  }
  return `jobscope-${hash.digest("hex").slice(0, 24)}`
}

const fromGrpc = ({ code, detail }: GrpcError, address: string): BuildKitError => {
  const exit = /did not complete successfully: exit code: (\d+)/.exec(detail)
  if (exit !== null) {
    return new BuildKitError({ reason: "failed", address, detail, exitCode: Number(exit[1]) })
  }
  const isOfDockerfile =
    /dockerfile parse error|failed to solve with frontend|failed to compute cache key|failed to calculate checksum/i
  if (isOfDockerfile.test(detail)) return new BuildKitError({ reason: "failed", address, detail })
  return new BuildKitError({ reason: code === -1 ? "unreachable" : "refused", address, detail })
}
