import { existsSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Builder from "../../../src/backends/dockerfile/Builder.ts"
import * as ImageConfig from "../../../src/backends/dockerfile/ImageConfig.ts"
import { RegistryCredentials } from "../../../src/domain/Container.ts"
import * as FakeBuildKit from "./support/FakeBuildKit.ts"
import * as FakeRegistry from "./support/FakeRegistry.ts"
import { directoryOf } from "./support/files.ts"

const buildkit = { address: "tcp://127.0.0.1:1", repository: "r" }
const buildah = { image: "builder" }

const prepare = Effect.fnUntraced(function* (
  files: Readonly<Record<string, string>>,
  options: Builder.Options = {},
  request: Partial<Builder.Request> = {}
) {
  const directory = yield* directoryOf(files)
  return yield* Builder.Builder.use((builder) =>
    builder.prepare({ dockerfile: join(directory, "Dockerfile"), ...request })
  ).pipe(Effect.provide(Builder.layer(options).pipe(Layer.provide(ImageConfig.layer({ retries: 0 })))))
})
const good = { Dockerfile: 'FROM alpine\nENTRYPOINT ["x"]' }
const whyNot = <A, E extends { readonly message: string }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(effect), (error) => error)

describe("the builder", () => {
  it.effect("is the one that is set up, else inline", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* prepare(good)).plan.builder, "inline")
      assert.strictEqual((yield* prepare(good, { buildah })).plan.builder, "buildah")
      const daemon = yield* FakeBuildKit.make()
      const both = { buildah, buildkit: { ...buildkit, address: daemon.address } }
      assert.strictEqual((yield* prepare(good, both)).plan.builder, "buildkit")
      assert.strictEqual((yield* prepare(good, { ...both, builder: "inline" })).plan.builder, "inline")
    })
  )

  it.effect("is switched off, or not set up", () =>
    Effect.gen(function* () {
      const off = yield* whyNot(prepare(good, { builder: "off" }))
      assert.strictEqual(
        off.message,
        "Actions with a Dockerfile are switched off on this runner (ACTIONS_RUNNER_HOOK_DOCKERFILE=off)"
      )
      if (off._tag !== "BackendError") return assert.fail(off._tag)
      assert.strictEqual(off.reason._tag, "DockerfileRefused")
      assert.strictEqual(off.advice, "Administrator: set ACTIONS_RUNNER_HOOK_DOCKERFILE to auto.")
      assert.include((yield* whyNot(prepare(good, { builder: "buildah" }))).message, "chosen, and not set up")
      assert.include((yield* whyNot(prepare(good, { builder: "buildkit" }))).message, "chosen, and not set up")
      return undefined
    })
  )

  it.effect("writes the files of its plan", () =>
    Effect.gen(function* () {
      const { plan, stage } = yield* prepare({ ...good, Dockerfile: 'FROM alpine\nCOPY f /\nENTRYPOINT ["x"]', f: "" })
      const target = join(yield* directoryOf(), "new")
      yield* stage(target, plan.enter({ env: {} }))
      for (const name of ["lib", "step", "enter", "step.d/0-0"]) assert.isTrue(existsSync(join(target, name)), name)
    })
  )

  it.effect("asks the registry for what the Dockerfile inherits, with the job's credentials", () =>
    Effect.gen(function* () {
      const registry = yield* FakeRegistry.make()
      registry.add("base", "1", { amd64: { Entrypoint: ["/inherited"], Cmd: ["c"], User: "1000" } })
      const files = { Dockerfile: `FROM ${registry.host}/base:1\nRUN x` }
      const { plan } = yield* prepare(files)
      const enter = plan.enter({ env: {} })[0]?.content
      assert.match(enter?._tag === "Text" ? enter.text : "", /become 1000 env .* \/inherited c\n$/)
      assert.strictEqual(registry.requests.length, 2)

      const own = { Dockerfile: `FROM ${registry.host}/base:1\nENTRYPOINT ["x"]` }
      assert.deepStrictEqual((yield* prepare(own)).plan.security, {})
      assert.strictEqual(registry.requests.length, 2)
      assert.strictEqual((yield* prepare(own, { imageConfig: "always" })).plan.security.runAsUser, 0)

      const never = yield* whyNot(prepare(files, { imageConfig: "never" }))
      assert.include(
        never.message,
        "for the ENTRYPOINT, of which the Dockerfile has none, and it could not be read: registries are not asked here"
      )
    })
  )

  it.effect("looks credentials up only when a registry is asked, and gives buildah what it is not set up with", () =>
    Effect.gen(function* () {
      const registry = yield* FakeRegistry.make({ auth: { kind: "basic", user: "u", password: "p" } })
      registry.add("base", "1", { amd64: { Entrypoint: ["/inherited"] } })
      let asked = 0
      const known = new RegistryCredentials({ server: registry.host, username: "u", password: Redacted.make("p") })
      const moreCredentials = Effect.sync(() => {
        asked += 1
        return [known]
      })
      yield* prepare(good, {}, { moreCredentials })
      assert.strictEqual(asked, 0)
      const files = { Dockerfile: `FROM ${registry.host}/base:1` }
      const { plan } = yield* prepare(files, {}, { moreCredentials })
      assert.strictEqual(plan.image, `${registry.host}/base:1`)
      assert.strictEqual(asked, 1)

      const built = yield* prepare(good, { buildah }, { moreCredentials })
      const auth = built.plan.files.find(({ path }) => path === "auth.json")?.content
      assert.strictEqual(
        auth?._tag === "Text" ? auth.text : "",
        `{"auths":{"${registry.host}":{"auth":"${Buffer.from("u:p").toString("base64")}"}}}`
      )
      assert.strictEqual(built.plan.env.REGISTRY_AUTH_FILE, "/__jobscope/build/auth.json")
      const own = yield* prepare(good, { buildah: { ...buildah, authSecret: "pull" } }, { moreCredentials })
      assert.isUndefined(own.plan.files.find(({ path }) => path === "auth.json"))
    })
  )

  it.effect("says what the registry answered", () =>
    Effect.gen(function* () {
      const registry = yield* FakeRegistry.make()
      const error = yield* whyNot(prepare({ Dockerfile: `FROM ${registry.host}/none:1` }))
      assert.strictEqual(
        error.message,
        `Dockerfile line 1: 'FROM ${registry.host}/none:1' needs the configuration of its base image ${registry.host}/none:1 for the ENTRYPOINT, of which the Dockerfile has none, and it could not be read: ${registry.host} answered 404 (manifest unknown)`
      )
    })
  )

  it.effect("ends the step with the code of a RUN that BuildKit saw fail", () =>
    Effect.gen(function* () {
      const error = { code: 2, message: 'process "x" did not complete successfully: exit code: 7' }
      const daemon = yield* FakeBuildKit.make({ error })
      const failed = yield* whyNot(prepare(good, { buildkit: { ...buildkit, address: daemon.address } }))
      assert.deepInclude(failed, { _tag: "BuildFailed", exitCode: 7 })
      const away = yield* whyNot(prepare(good, { buildkit }))
      if (away._tag !== "BackendError") return assert.fail(away._tag)
      assert.strictEqual(away.reason._tag, "Unavailable")
      assert.isTrue(away.retryable)
      return undefined
    })
  )

  it.effect("cannot read a Dockerfile that is not there", () =>
    Effect.gen(function* () {
      assert.match((yield* whyNot(prepare({}))).message, /^The Dockerfile \/.* cannot be read: it is not there$/)
    })
  )
})
