/** Names of images, as Docker writes and completes them. */
import * as Result from "effect/Result"

/**
 * A complete name: `alpine` is `docker.io/library/alpine:latest`.
 *
 * @category models
 */
export interface ImageReference {
  /** `docker.io`, `ghcr.io`, `localhost:5000`. */
  readonly registry: string
  /** `library/alpine`. */
  readonly repository: string
  readonly tag: string | undefined
  /** `sha256:...`, which goes before the tag. */
  readonly digest: string | undefined
}

/**
 * Completes a name; the failure says what is wrong with it.
 *
 * @category parsing
 */
export const parse = (name: string): Result.Result<ImageReference, string> => {
  if (name.length > 4096) return Result.fail("the name is too long")
  const match = /^([^@]+?)(?::([\w][\w.-]{0,127}))?(?:@([a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-fA-F]{32,}))?$/.exec(name)
  if (match === null) return Result.fail(`'${name.slice(0, 200)}' is no name of an image`)
  const [, path = "", tag, digest] = match
  const slash = path.indexOf("/")
  const first = slash === -1 ? "" : path.slice(0, slash)
  // What Docker takes for a host: it has a dot or a port, is localhost, or is not lower case.
  const isHost = /[.:]/.test(first) || first === "localhost" || first.toLowerCase() !== first
  const registry = isHost ? canonicalHost(first) : "docker.io"
  const rest = isHost ? path.slice(slash + 1) : path
  const repository = registry === "docker.io" && !rest.includes("/") ? `library/${rest}` : rest
  if (!/^[a-z0-9]+(?:(?:\.|_{1,2}|-+|\/)[a-z0-9]+)*$/.test(repository)) {
    return Result.fail(`'${name.slice(0, 200)}' is no name of an image`)
  }
  return Result.succeed({
    registry,
    repository,
    tag: tag ?? (digest === undefined ? "latest" : undefined),
    digest
  })
}

/**
 * `docker.io/library/alpine:latest`.
 *
 * @category conversions
 */
export const format = ({ digest, registry, repository, tag }: ImageReference): string =>
  `${registry}/${repository}${tag === undefined ? "" : `:${tag}`}${digest === undefined ? "" : `@${digest}`}`

/**
 * The same host under one name: Docker Hub has several, and `""` is one of them.
 *
 * @category getters
 */
export const canonicalHost = (server: string): string => {
  const host = server.replace(/^https?:\/\//, "").replace(/\/.*$/, "")
  return host === "" || /^(?:(?:index|registry-1|registry)\.)?docker\.io$|^registry\.hub\.docker\.com$/.test(host)
    ? "docker.io"
    : host
}
