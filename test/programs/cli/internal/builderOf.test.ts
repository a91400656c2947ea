import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { builderOf } from "../../../../src/programs/cli/internal/builderOf.ts"
import { directoryOf } from "../../../backends/dockerfile/support/files.ts"

const prepare = Effect.fnUntraced(function* (
  name: string | undefined,
  options: Readonly<Record<string, string>>,
  dockerfile = 'FROM alpine\nENTRYPOINT ["x"]'
) {
  const directory = yield* directoryOf({ Dockerfile: dockerfile, a: "" })
  const builder = yield* builderOf(name, Object.entries(options))
  return (yield* builder.prepare({ dockerfile: join(directory, "Dockerfile") })).plan
})

/** What is said to the user. */
const refusal = <A, R>(effect: Effect.Effect<A, { readonly message: string }, R>) =>
  Effect.map(Effect.flip(effect), (error) => ("advice" in error ? `${error.message} ${error.advice}` : error.message))

describe("--builder and --builder-option", () => {
  it.effect("choose and set up a builder", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* prepare(undefined, {})).builder, "inline")
      const buildah = yield* prepare(undefined, { "buildah-image": "b", "build-seccomp": "localhost/p" })
      assert.deepInclude(buildah, { builder: "buildah", image: "b" })
      assert.deepInclude(buildah.security.seccompProfile, { localhostProfile: "p" })
      assert.strictEqual((yield* prepare("inline", { "buildah-image": "b" })).builder, "inline")
    })
  )

  it.effect("are refused where they are wrong, in their own words", () =>
    Effect.gen(function* () {
      assert.include(yield* refusal(prepare(undefined, { nothing: "x" })), "there is no nothing; there are tools-image")
      assert.include(yield* refusal(prepare(undefined, { "image-config": "sometimes" })), "--builder-option")
      assert.include(
        yield* refusal(prepare(undefined, { "buildkit-addr": "tcp://x:1" })),
        "it is not set, and --builder-option buildkit-addr is"
      )
      const tls = { "buildkit-addr": "tcp://x:1", "buildkit-repository": "r", "buildkit-tls-dir": "/nowhere" }
      assert.include(yield* refusal(prepare(undefined, tls)), "/nowhere/ca.pem (--builder-option buildkit-tls-dir)")
      assert.include(yield* refusal(prepare("buildah", {})), "set --builder-option buildah-image.")
      assert.include(yield* refusal(prepare("off", {})), "(--builder=off) Administrator: set --builder to auto.")
      const bind = 'FROM alpine\nRUN --mount=type=bind,source=a,target=/a true\nENTRYPOINT ["x"]'
      assert.include(
        yield* refusal(prepare(undefined, {}, bind)),
        "Administrator: set --builder-option buildah-image or --builder-option buildkit-addr."
      )
    })
  )
})
