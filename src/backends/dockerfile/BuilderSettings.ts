/**
 * Which builder, and how it is set up, in words: what a program reads from variables or flags, as options of `Builder`.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import { BackendError, ConfigurationInvalid } from "../../domain/JobError.ts"
import type { Options } from "./Builder.ts"

/**
 * Each is described in docs/dockerfile-actions.md.
 *
 * @category models
 */
export interface Settings {
  readonly dockerfile?: Options["builder"]
  readonly toolsImage?: string | undefined
  readonly imageConfig?: Options["imageConfig"]
  readonly buildahImage?: string | undefined
  readonly buildCacheClaim?: string | undefined
  readonly buildAuthSecret?: string | undefined
  readonly buildSeccomp?: "unconfined" | `localhost/${string}` | undefined
  readonly buildkitAddress?: string | undefined
  /** A directory of this machine with `ca.pem`, `cert.pem` and `key.pem`. */
  readonly buildkitTls?: string | undefined
  readonly buildkitRepository?: string | undefined
  readonly buildkitPullRepository?: string | undefined
}

/**
 * Reads the certificates, and refuses what contradicts itself. `called`: what a setting is called where it is set, by the end of its variable
 * in the hook, `BUILDKIT_ADDR`.
 *
 * @category constructors
 */
export const optionsOf = Effect.fnUntraced(function* (
  settings: Settings,
  called: (name: string) => string = (name) => `ACTIONS_RUNNER_HOOK_${name}`
): Effect.fn.Return<Options, BackendError> {
  const { buildahImage, buildkitAddress, buildkitRepository, buildkitTls, dockerfile = "auto" } = settings
  const usesBuildkit = buildkitAddress !== undefined && (dockerfile === "auto" || dockerfile === "buildkit")
  if (usesBuildkit && buildkitRepository === undefined) {
    return yield* invalid(
      called("BUILDKIT_REPOSITORY"),
      `it is not set, and ${called("BUILDKIT_ADDR")} is`,
      "Say where BuildKit can push to, and the nodes can pull from."
    )
  }
  return {
    called,
    builder: dockerfile,
    imageConfig: settings.imageConfig,
    inline: { toolsImage: settings.toolsImage },
    buildah:
      buildahImage === undefined
        ? undefined
        : {
            image: buildahImage,
            cacheClaim: settings.buildCacheClaim,
            authSecret: settings.buildAuthSecret,
            seccomp: settings.buildSeccomp
          },
    buildkit:
      usesBuildkit && buildkitRepository !== undefined
        ? {
            address: buildkitAddress,
            repository: buildkitRepository,
            pullRepository: settings.buildkitPullRepository,
            tls: buildkitTls === undefined ? undefined : yield* readTls(buildkitTls, called("BUILDKIT_TLS_DIR"))
          }
        : undefined
  }
})

const readTls = (directory: string, setting: string) => {
  const read = (name: string) =>
    Effect.try({
      try: () => Fs.readFileSync(Path.join(directory, name), "utf8"),
      catch: (cause) =>
        invalid(
          `${Path.join(directory, name)} (${setting})`,
          cause instanceof Error ? cause.message : String(cause),
          "Mount a directory with ca.pem, cert.pem and key.pem there."
        )
    })
  return Effect.all({ ca: read("ca.pem"), cert: read("cert.pem"), key: read("key.pem") })
}

const invalid = (source: string, detail: string, hint: string) =>
  new BackendError({ reason: new ConfigurationInvalid({ source, detail, hint }) })
