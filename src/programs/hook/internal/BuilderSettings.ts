/** What runs actions with a Dockerfile, as the administrator has set it up. */
import * as Effect from "effect/Effect"
import type { Builder } from "../../../backends/dockerfile/Builder.ts"
import type { BackendError } from "../../../domain/JobError.ts"
import type { HookConfig } from "./HookConfig.ts"

/** Loaded and read when there is a Dockerfile: most calls of the hook see none. */
export const make = (config: HookConfig): Effect.Effect<Builder["Service"], BackendError> =>
  Effect.gen(function* () {
    const [builder, images, settings] = yield* Effect.promise(() =>
      Promise.all([
        import("../../../backends/dockerfile/Builder.ts"),
        import("../../../backends/dockerfile/ImageConfig.ts"),
        import("../../../backends/dockerfile/BuilderSettings.ts")
      ])
    )
    return builder.make(yield* settings.optionsOf(config), images.make())
  })
