/**
 * What an image says of itself (entry point, variables, user, ...), read from its registry: for base images whose own entry point a
 * Dockerfile relies on.
 *
 * **Details**
 *
 * Three small requests of the OCI distribution protocol, nothing of the layers. Speaks bearer and basic authentication, picks the right
 * architecture of an index, checks digests, and repeats what may succeed later. `localhost` registries are plain HTTP, as for Docker.
 *
 * @example
 *
 * ```ts
 * const program = Effect.gen(function* () {
 *   const images = yield* ImageConfig.ImageConfigs
 *   return (yield* images.read("python:3.12-slim")).cmd
 * }).pipe(Effect.provide(ImageConfig.layer()))
 * ```
 */
import { createHash } from "node:crypto"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { RegistryCredentials } from "../../domain/Container.ts"
import * as ImageReference from "./ImageReference.ts"
import { type Answer, get } from "./internal/http.ts"

/**
 * What of an image's configuration a build looks at.
 *
 * @category models
 */
export interface ImageConfig {
  readonly entrypoint: ReadonlyArray<string>
  readonly cmd: ReadonlyArray<string>
  readonly env: ReadonlyMap<string, string>
  /** `""`: root. */
  readonly user: string
  readonly workingDirectory: string
  /** Of RUN and of shell forms, where the image says it. */
  readonly shell: ReadonlyArray<string> | undefined
  readonly onBuild: ReadonlyArray<string>
}

/**
 * The configuration could not be read.
 *
 * @category errors
 */
export class RegistryError extends Schema.TaggedError<RegistryError>()("RegistryError", {
  image: Schema.String,
  registry: Schema.String,
  detail: Schema.String,
  status: Schema.optionalKey(Schema.Int),
  /** The same may succeed later. */
  retryable: Schema.Boolean
}) {
  override get message() {
    return `The configuration of ${this.image} could not be read: ${this.registry} ${this.detail}`
  }
}

/** @category services */
export class ImageConfigs extends Context.Service<
  ImageConfigs,
  {
    /** Reads the configuration of an image. */
    readonly read: (image: string, options?: ReadOptions) => Effect.Effect<ImageConfig, RegistryError>
  }
>()("jobscope/backends/dockerfile/ImageConfig/ImageConfigs") {}

/** @category options */
export interface ReadOptions {
  /** Go's name, default `amd64`. */
  readonly architecture?: string | undefined
  /** Looked through before those of the service. */
  readonly credentials?: ReadonlyArray<RegistryCredentials> | undefined
}

/** @category options */
export interface Options {
  /** Those for the image's registry are used. */
  readonly credentials?: ReadonlyArray<RegistryCredentials>
  /** Registries besides those on this machine that speak plain HTTP. */
  readonly insecure?: ReadonlyArray<string>
  /** Certificate authorities in PEM, instead of those that Node knows. */
  readonly ca?: string
  /** Of each request. Default 10 seconds. */
  readonly timeout?: Duration.Input
  /** How often a request is repeated at most. Default 3. */
  readonly retries?: number
}

/** @category constructors */
export const make = (options: Options = {}): ImageConfigs["Service"] => {
  const read = Effect.fnUntraced(function* (
    image: string,
    { architecture = "amd64", credentials = [] }: ReadOptions = {}
  ): Effect.fn.Return<ImageConfig, RegistryError> {
    const parsed = ImageReference.parse(image)
    if (Result.isFailure(parsed)) {
      return yield* new RegistryError({
        image,
        registry: "nobody",
        detail: `is asked: ${parsed.failure}`,
        retryable: false
      })
    }
    const reference = parsed.success
    const known = [...credentials, ...(options.credentials ?? [])]
    const fetch = session(image, reference, { ...options, credentials: known })

    const byName = reference.digest ?? reference.tag ?? "latest"
    let manifest = yield* fetch(`manifests/${byName}`, reference.digest, manifestTypes)
    let decoded = decodeManifest(manifest.body.toString("utf8"))
    if (Option.isSome(decoded) && "manifests" in decoded.value) {
      const { manifests } = decoded.value
      const found = manifests.find(({ platform }) => platform?.os === "linux" && platform.architecture === architecture)
      if (found === undefined) {
        return yield* fail(reference, image, `has it, but not for linux/${architecture}`)
      }
      manifest = yield* fetch(`manifests/${found.digest}`, found.digest, manifestTypes)
      decoded = decodeManifest(manifest.body.toString("utf8"))
    }
    if (Option.isNone(decoded) || !("config" in decoded.value)) {
      return yield* fail(reference, image, "answered with a manifest that is not understood")
    }
    const { digest } = decoded.value.config
    const config = decodeConfig((yield* fetch(`blobs/${digest}`, digest)).body.toString("utf8"))
    if (Option.isNone(config)) return yield* fail(reference, image, "has a configuration that is not understood")
    return fromWire(config.value)
  })
  return { read }
}

/**
 * Registries, by network.
 *
 * @category layers
 */
export const layer = (options: Options = {}): Layer.Layer<ImageConfigs> => Layer.succeed(ImageConfigs, make(options))

/**
 * The credentials in a `.dockerconfigjson`, which Kubernetes' pull secrets hold.
 *
 * @category decoding
 */
export const credentialsOf = (dockerConfig: string): ReadonlyArray<RegistryCredentials> => {
  const { auths = {} } = Option.getOrElse(decodeDockerConfig(dockerConfig), () => ({ auths: {} }))
  return Object.entries(auths).flatMap(([server, entry]) => {
    const [username, ...password] = Buffer.from(entry.auth ?? "", "base64")
      .toString("utf8")
      .split(":")
    const user = entry.username ?? username ?? ""
    return user === ""
      ? []
      : [
          new RegistryCredentials({
            server,
            username: user,
            password: Redacted.make(entry.password ?? password.join(":"))
          })
        ]
  })
}

/** Requests of one repository; the token that the first one needed serves the others. */
const session = (image: string, reference: ImageReference.ImageReference, options: Options) => {
  const { registry, repository } = reference
  const host = registry === "docker.io" ? "registry-1.docker.io" : registry
  const plain = /^(localhost|127\.[\d.]+|\[::1\])(:\d+)?$/.test(host) || options.insecure?.includes(host) === true
  const base = `${plain ? "http" : "https"}://${host}/v2/${repository}/`
  const own = options.credentials?.find(({ server }) => ImageReference.canonicalHost(server) === registry)
  const basic =
    own === undefined
      ? undefined
      : `Basic ${Buffer.from(`${own.username}:${Redacted.value(own.password)}`).toString("base64")}`
  let authorization: string | undefined

  /** One GET with its redirects, repeated while that may help. */
  const send = (
    url: URL,
    headers: Readonly<Record<string, string>>,
    follow = 5
  ): Effect.Effect<Answer, RegistryError> =>
    get(url, { headers, ca: options.ca, limit: maxBody }).pipe(
      Effect.mapError(({ detail }) => failure(reference, image, `does not answer (${detail})`, { retryable: true })),
      Effect.timeoutOrElse({
        duration: options.timeout ?? "10 seconds",
        orElse: () => fail(reference, image, "does not answer in time", { retryable: true })
      }),
      Effect.filterOrElse(
        ({ status }) => status < 500 && status !== 429,
        (answer) => fail(reference, image, answered(answer), { status: answer.status, retryable: true })
      ),
      Effect.retry({
        times: options.retries ?? 3,
        while: (error) => error.retryable,
        schedule: Schedule.exponential("200 millis").pipe(Schedule.jittered)
      }),
      Effect.flatMap((answer) => {
        const { location } = answer.headers
        if (answer.status < 300 || answer.status > 399 || location === undefined) return Effect.succeed(answer)
        const next = Result.try(() => new URL(location, url))
        if (follow === 0 || Result.isFailure(next) || !/^https?:$/.test(next.success.protocol)) {
          return fail(reference, image, `leads nowhere (${answer.status})`)
        }
        // A token is for the registry, not for the store that it sends us to.
        const { authorization: mine, ...others } = headers
        const same = next.success.host === url.host && next.success.protocol === url.protocol
        return send(next.success, same && mine !== undefined ? { ...others, authorization: mine } : others, follow - 1)
      })
    )

  const authorize = Effect.fnUntraced(function* (
    challenge: string
  ): Effect.fn.Return<string | undefined, RegistryError> {
    const bearer = challengeOf(challenge)
    if (bearer === undefined) return basic
    const url = Result.try(() => new URL(bearer.realm))
    if (Result.isFailure(url) || (url.success.protocol !== "https:" && !plain)) {
      return yield* fail(reference, image, `asks for a token from ${bearer.realm}, which is not trusted`)
    }
    if (bearer.service !== undefined) url.success.searchParams.set("service", bearer.service)
    url.success.searchParams.set("scope", `repository:${repository}:pull`)
    const answer = yield* send(url.success, basic === undefined ? {} : { authorization: basic })
    const token = decodeToken(answer.body.toString("utf8"))
    if (answer.status !== 200 || Option.isNone(token)) {
      return yield* fail(reference, image, `gives no token: ${answered(answer)}`, { status: answer.status })
    }
    const value = token.value.token ?? token.value.access_token
    return value === undefined ? undefined : `Bearer ${value}`
  })

  return Effect.fnUntraced(function* (
    path: string,
    digest?: string,
    accept?: string
  ): Effect.fn.Return<Answer, RegistryError> {
    const url = new URL(path, base)
    const headers = () => ({
      ...(accept === undefined ? {} : { accept }),
      ...(authorization === undefined ? {} : { authorization })
    })
    let answer = yield* send(url, headers())
    const challenge = answer.headers["www-authenticate"]
    if (answer.status === 401 && challenge !== undefined) {
      authorization = yield* authorize(challenge)
      if (authorization !== undefined) answer = yield* send(url, headers())
    }
    if (answer.status !== 200) {
      const hint =
        answer.status === 401 || answer.status === 403 ? (own === undefined ? ", without credentials" : "") : ""
      return yield* fail(reference, image, `${answered(answer)}${hint}`, { status: answer.status })
    }
    if (digest?.startsWith("sha256:") === true) {
      const actual = createHash("sha256").update(answer.body).digest("hex")
      if (digest !== `sha256:${actual}`)
        return yield* fail(reference, image, `answered with something else than ${digest}`)
    }
    return answer
  })
}

/** A manifest or a configuration; layers are never read. */
const maxBody = 8 * 1024 * 1024

const failure = (
  { registry }: ImageReference.ImageReference,
  image: string,
  detail: string,
  more: { readonly status?: number; readonly retryable?: boolean } = {}
): RegistryError => new RegistryError({ image, registry, detail, retryable: false, ...more })

const fail = (...args: Parameters<typeof failure>): Effect.Effect<never, RegistryError> => Effect.fail(failure(...args))

/** `answered 404 (manifest unknown)`. */
const answered = ({ body, status }: Answer): string => {
  const errors = Option.getOrUndefined(decodeErrors(body.toString("utf8")))?.errors ?? []
  const said = errors.map(({ code, message }) => message || code || "").filter((text) => text !== "")
  return `answered ${status}${said.length === 0 ? "" : ` (${said.join("; ").slice(0, 300)})`}`
}

const challengeOf = (header: string): { readonly realm: string; readonly service: string | undefined } | undefined => {
  if (!/^bearer\s/i.test(header)) return undefined
  const value = (name: string) => new RegExp(`[\\s,]${name}="([^"]*)"`, "i").exec(header)?.[1]
  const realm = value("realm")
  return realm === undefined ? undefined : { realm, service: value("service") }
}

const manifestTypes = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.v2+json"
].join(", ")

const nullable = <S extends Schema.Top>(schema: S) => Schema.optionalKey(Schema.NullOr(schema))

const Manifest = Schema.Union([
  Schema.Struct({ config: Schema.Struct({ digest: Schema.String }) }),
  Schema.Struct({
    manifests: Schema.Array(
      Schema.Struct({
        digest: Schema.String,
        platform: nullable(Schema.Struct({ os: Schema.String, architecture: Schema.String }))
      })
    )
  })
])
const decodeManifest = Schema.decodeUnknownOption(Schema.fromJsonString(Manifest))

const Strings = Schema.Array(Schema.String)
const Config = Schema.Struct({
  config: nullable(
    Schema.Struct({
      Entrypoint: nullable(Strings),
      Cmd: nullable(Strings),
      Env: nullable(Strings),
      User: nullable(Schema.String),
      WorkingDir: nullable(Schema.String),
      Shell: nullable(Strings),
      OnBuild: nullable(Strings)
    })
  )
})
const decodeConfig = Schema.decodeUnknownOption(Schema.fromJsonString(Config))

const fromWire = ({ config }: typeof Config.Type): ImageConfig => ({
  entrypoint: config?.Entrypoint ?? [],
  cmd: config?.Cmd ?? [],
  env: new Map((config?.Env ?? []).map((pair) => [pair.replace(/=.*$/s, ""), pair.replace(/^[^=]*=?/, "")])),
  user: config?.User ?? "",
  workingDirectory: config?.WorkingDir || "/",
  shell: config?.Shell ?? undefined,
  onBuild: config?.OnBuild ?? []
})

const Token = Schema.Struct({ token: nullable(Schema.String), access_token: nullable(Schema.String) })
const decodeToken = Schema.decodeUnknownOption(Schema.fromJsonString(Token))

const Errors = Schema.Struct({
  errors: Schema.Array(Schema.Struct({ code: nullable(Schema.String), message: nullable(Schema.String) }))
})
const decodeErrors = Schema.decodeUnknownOption(Schema.fromJsonString(Errors))

const Auth = Schema.Struct({
  auth: Schema.optionalKey(Schema.String),
  username: Schema.optionalKey(Schema.String),
  password: Schema.optionalKey(Schema.String)
})
const DockerConfig = Schema.Struct({ auths: Schema.optionalKey(Schema.Record(Schema.String, Auth)) })
const decodeDockerConfig = Schema.decodeUnknownOption(Schema.fromJsonString(DockerConfig))
