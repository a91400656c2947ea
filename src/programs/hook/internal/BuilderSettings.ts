/** What runs actions with a Dockerfile, as the administrator has set it up. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import type { Builder, Options } from "../../../backends/dockerfile/Builder.ts"
import { BackendError, ConfigurationInvalid } from "../../../domain/JobError.ts"
import type { HookConfig } from "./HookConfig.ts"

/** Loaded and read when there is a Dockerfile: most calls of the hook see none. */
export const make = (config: HookConfig): Effect.Effect<Builder["Service"], BackendError> =>
  Effect.gen(function* () {
    const options = yield* optionsOf(config)
    const [builder, images] = yield* Effect.promise(() =>
      Promise.all([
        import("../../../backends/dockerfile/Builder.ts"),
        import("../../../backends/dockerfile/ImageConfig.ts")
      ])
    )
    return builder.make(options, images.make())
  })

const optionsOf = Effect.fnUntraced(function* (config: HookConfig): Effect.fn.Return<Options, BackendError> {
  const { buildahImage, buildkitAddress, buildkitRepository, buildkitTls, dockerfile = "auto" } = config
  const usesBuildkit = buildkitAddress !== undefined && (dockerfile === "auto" || dockerfile === "buildkit")
  if (usesBuildkit && buildkitRepository === undefined) {
    return yield* invalid(
      "ACTIONS_RUNNER_HOOK_BUILDKIT_REPOSITORY",
      "it is not set, and ACTIONS_RUNNER_HOOK_BUILDKIT_ADDR is",
      "Say where BuildKit can push to, and the nodes can pull from."
    )
  }
  return {
    builder: dockerfile,
    imageConfig: config.imageConfig,
    inline: { toolsImage: config.toolsImage },
    buildah:
      buildahImage === undefined
        ? undefined
        : {
            image: buildahImage,
            cacheClaim: config.buildCacheClaim,
            authSecret: config.buildAuthSecret,
            seccomp: config.buildSeccomp
          },
    buildkit:
      usesBuildkit && buildkitRepository !== undefined
        ? {
            address: buildkitAddress,
            repository: buildkitRepository,
            pullRepository: config.buildkitPullRepository,
            tls: buildkitTls === undefined ? undefined : yield* readTls(buildkitTls)
          }
        : undefined
  }
})

const readTls = (directory: string) => {
  const read = (name: string) =>
    Effect.try({
      try: () => Fs.readFileSync(Path.join(directory, name), "utf8"),
      catch: (cause) =>
        invalid(
          `${Path.join(directory, name)} (ACTIONS_RUNNER_HOOK_BUILDKIT_TLS_DIR)`,
          cause instanceof Error ? cause.message : String(cause),
          "Mount a directory with ca.pem, cert.pem and key.pem there."
        )
    })
  return Effect.all({ ca: read("ca.pem"), cert: read("cert.pem"), key: read("key.pem") })
}

const invalid = (source: string, detail: string, hint: string) =>
  new BackendError({ reason: new ConfigurationInvalid({ source, detail, hint }) })
