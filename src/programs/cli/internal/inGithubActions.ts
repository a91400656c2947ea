import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"

/** Whether this is a step of GitHub Actions, whose log is written in its own way. */
export const inGithubActions: Effect.Effect<boolean> = Effect.map(
  Effect.orElseSucceed(Config.option(Config.String("GITHUB_ACTIONS")), () => Option.none<string>()),
  Option.contains("true")
)
