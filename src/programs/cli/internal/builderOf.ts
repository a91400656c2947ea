/** What makes actions with a Dockerfile, as `--builder` and `--builder-option` say. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Builder from "../../../backends/dockerfile/Builder.ts"
import * as BuilderSettings from "../../../backends/dockerfile/BuilderSettings.ts"
import * as ImageConfig from "../../../backends/dockerfile/ImageConfig.ts"
import { type BackendError, fail, InvalidInput } from "../../../domain/JobError.ts"

/** By the names that the hook's variables end with, in lower case. */
const names = {
  "tools-image": "toolsImage",
  "image-config": "imageConfig",
  "buildah-image": "buildahImage",
  "build-cache-claim": "buildCacheClaim",
  "build-auth-secret": "buildAuthSecret",
  "build-seccomp": "buildSeccomp",
  "buildkit-addr": "buildkitAddress",
  "buildkit-tls-dir": "buildkitTls",
  "buildkit-repository": "buildkitRepository",
  "buildkit-pull-repository": "buildkitPullRepository"
} as const

const Text = Schema.optionalKey(Schema.NonEmptyString)
const Settings = Schema.Struct({
  dockerfile: Schema.optionalKey(Schema.Literals(["auto", "inline", "buildah", "buildkit", "off"])),
  toolsImage: Text,
  imageConfig: Schema.optionalKey(Schema.Literals(["whenNeeded", "always", "never"])),
  buildahImage: Text,
  buildCacheClaim: Text,
  buildAuthSecret: Text,
  buildSeccomp: Schema.optionalKey(
    Schema.Union([Schema.Literal("unconfined"), Schema.TemplateLiteral(["localhost/", Schema.String])])
  ),
  buildkitAddress: Text,
  buildkitTls: Text,
  buildkitRepository: Text,
  buildkitPullRepository: Text
})
const decode = Schema.decodeUnknownEffect(Settings)

const isName = (name: string): name is keyof typeof names => Object.hasOwn(names, name)

/** Asked when a step has a Dockerfile. */
export const builderOf = Effect.fnUntraced(function* (
  name: string | undefined,
  pairs: ReadonlyArray<readonly [key: string, value: string | undefined]>
): Effect.fn.Return<Builder.Builder["Service"], BackendError> {
  const given: Record<string, string> = name === undefined ? {} : { dockerfile: name }
  for (const [key, value] of pairs) {
    if (!isName(key)) return yield* invalid(`there is no ${key}; there are ${Object.keys(names).join(", ")}`)
    given[names[key]] = value ?? ""
  }
  const settings = yield* Effect.catch(decode(given), ({ message }) => invalid(message))
  return Builder.make(yield* BuilderSettings.optionsOf(settings, called), ImageConfig.make())
})

const called = (variable: string): string =>
  variable === "DOCKERFILE" ? "--builder" : `--builder-option ${variable.toLowerCase().replaceAll("_", "-")}`

const invalid = (detail: string) => fail(new InvalidInput({ input: "--builder-option", detail }))
