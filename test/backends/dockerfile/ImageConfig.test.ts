import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { TestClock } from "effect/testing"
import * as ImageConfig from "../../../src/backends/dockerfile/ImageConfig.ts"
import * as ImageReference from "../../../src/backends/dockerfile/ImageReference.ts"
import { RegistryCredentials } from "../../../src/domain/Container.ts"
import * as FakeRegistry from "./support/FakeRegistry.ts"

const config = {
  Entrypoint: ["/entry"],
  Cmd: ["run"],
  Env: ["PATH=/usr/bin", "EMPTY=", "A=b=c"],
  User: "node",
  WorkingDir: "/app"
}
const expected: ImageConfig.ImageConfig = {
  entrypoint: ["/entry"],
  cmd: ["run"],
  env: new Map([
    ["PATH", "/usr/bin"],
    ["EMPTY", ""],
    ["A", "b=c"]
  ]),
  user: "node",
  workingDirectory: "/app",
  shell: undefined,
  onBuild: []
}
const mine = (server: string) => new RegistryCredentials({ server, username: "me", password: Redacted.make("s:cret") })
const auth = { user: "me", password: "s:cret" }

/** Retries wait; nobody else does. */
const withoutWaiting = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect)
    while (fiber.pollUnsafe() === undefined) {
      yield* TestClock.adjust("1 second")
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
    }
    return yield* Fiber.join(fiber)
  })

describe("an image's configuration", () => {
  it.effect("is read in three requests", () =>
    Effect.gen(function* () {
      const registry = yield* FakeRegistry.make()
      registry.add("team/tool", "1", { amd64: config, arm64: { ...config, User: "arm" } })
      const images = ImageConfig.make()
      assert.deepStrictEqual(yield* images.read(`${registry.host}/team/tool:1`), expected)
      assert.strictEqual(registry.requests.length, 3)
      const arm = yield* images.read(`${registry.host}/team/tool:1`, { architecture: "arm64" })
      assert.strictEqual(arm.user, "arm")
    })
  )

  it.effect("is read by digest, and of an image without an index", () =>
    Effect.gen(function* () {
      const registry = yield* FakeRegistry.make()
      const digest = registry.add("tool", "latest", { amd64: {} })
      const images = ImageConfig.make()
      const empty = { ...expected, entrypoint: [], cmd: [], env: new Map(), user: "", workingDirectory: "/" }
      assert.deepStrictEqual(yield* images.read(`${registry.host}/tool@${digest}`), empty)
      assert.deepStrictEqual(yield* images.read(`${registry.host}/tool`), empty)
      assert.strictEqual(registry.requests.length, 4)
    })
  )

  it.effect("is asked for with a token, which blobs in another place do not get", () =>
    Effect.gen(function* () {
      const registry = yield* FakeRegistry.make({ auth: { kind: "bearer", ...auth }, redirectBlobs: true })
      registry.add("tool", "1", { amd64: config })
      const images = ImageConfig.make({ credentials: [mine(registry.host)] })
      assert.deepStrictEqual(yield* images.read(`${registry.host}/tool:1`), expected)
      assert.deepStrictEqual(
        registry.requests.map(({ authorized, path }) => [path.replace(/\?.*|sha256:.*/, ""), authorized]),
        [
          ["/v2/tool/manifests/1", false],
          ["/token", true],
          ["/v2/tool/manifests/1", true],
          ["/v2/tool/blobs/", true],
          ["/v2/tool/blobs/", false]
        ]
      )
      assert.include(registry.requests[1]?.path, "scope=repository%3Atool%3Apull")
    })
  )

  it.effect("is asked for with a password", () =>
    Effect.gen(function* () {
      const registry = yield* FakeRegistry.make({ auth: { kind: "basic", ...auth } })
      registry.add("tool", "1", { amd64: config })
      const images = ImageConfig.make()
      const read = images.read(`${registry.host}/tool:1`, { credentials: [mine(`http://${registry.host}/v2/`)] })
      assert.deepStrictEqual(yield* read, expected)
      const refused = yield* Effect.flip(images.read(`${registry.host}/tool:1`))
      assert.strictEqual(
        refused.message,
        `The configuration of ${registry.host}/tool:1 could not be read: ${registry.host} answered 401, without credentials`
      )
    })
  )

  it.effect("is asked for again after what may pass", () =>
    Effect.gen(function* () {
      const registry = yield* FakeRegistry.make({
        fault: (_, count) =>
          count === 1 ? { status: 503 } : count === 2 ? { status: 429 } : count === 3 ? "cut" : undefined
      })
      registry.add("tool", "1", { amd64: config })
      const read = withoutWaiting(ImageConfig.make({ timeout: "1 day" }).read(`${registry.host}/tool:1`))
      assert.deepStrictEqual(yield* read, expected)
      assert.strictEqual(registry.requests.length, 8)
    })
  )

  it.effect("cannot be read, and why", () =>
    Effect.gen(function* () {
      const registry = yield* FakeRegistry.make({
        fault: (path) =>
          path.includes("/hang/")
            ? "hang"
            : path.includes("/down/")
              ? { status: 500 }
              : path.includes("/odd/")
                ? { status: 200, body: "<html>" }
                : undefined
      })
      const digest = registry.add("tool", "1", { amd64: config })
      registry.corrupt(digest)
      registry.add("arm", "1", { arm64: config, s390x: config })
      const why = (image: string, timeout: "5 seconds" | "1 day" = "1 day") =>
        Effect.map(Effect.flip(withoutWaiting(ImageConfig.make({ timeout }).read(image))), (error) =>
          error.message.replace(/.*could not be read: /, "")
        )
      const at = registry.host
      assert.strictEqual(yield* why(`${at}/none:1`), `${at} answered 404 (manifest unknown)`)
      assert.strictEqual(yield* why(`${at}/arm:1`), `${at} has it, but not for linux/amd64`)
      assert.strictEqual(yield* why(`${at}/hang/tool:1`, "5 seconds"), `${at} does not answer in time`)
      assert.strictEqual(yield* why(`${at}/down/tool:1`), `${at} answered 500`)
      assert.strictEqual(yield* why(`${at}/odd/tool:1`), `${at} answered with a manifest that is not understood`)
      assert.strictEqual(yield* why(`${at}/tool@${digest}`), `${at} answered with something else than ${digest}`)
      assert.include(yield* why("localhost:1/tool:1"), "localhost:1 does not answer (connect ECONNREFUSED")
      assert.include(yield* why("Not A Name"), "is no name of an image")
    })
  )
})

describe("a name of an image", () => {
  it("is completed as Docker completes it", () => {
    const full = (name: string) => Result.map(ImageReference.parse(name), ImageReference.format)
    const digest = `sha256:${"a".repeat(64)}`
    for (const [name, complete] of [
      ["alpine", "docker.io/library/alpine:latest"],
      ["team/tool:1.2", "docker.io/team/tool:1.2"],
      ["index.docker.io/alpine", "docker.io/library/alpine:latest"],
      ["ghcr.io/a/b/c", "ghcr.io/a/b/c:latest"],
      ["localhost/tool", "localhost/tool:latest"],
      ["host:5000/tool", "host:5000/tool:latest"],
      [`alpine@${digest}`, `docker.io/library/alpine@${digest}`],
      [`ghcr.io/a/b:1@${digest}`, `ghcr.io/a/b:1@${digest}`]
    ] as const) {
      assert.deepStrictEqual(full(name), Result.succeed(complete))
    }
    for (const name of ["", "A", "a//b", "a:", "a@sha256:1", "-a", "a b", "a/../b", `${"a/".repeat(5000)}a`]) {
      assert.isTrue(Result.isFailure(full(name)), name)
    }
  })
})

it("a pull secret's credentials are read", () => {
  const text = JSON.stringify({
    auths: {
      "https://index.docker.io/v1/": { auth: Buffer.from("hub:p:w").toString("base64") },
      "ghcr.io": { username: "me", password: "token" },
      empty: {}
    }
  })
  const read = ImageConfig.credentialsOf(text).map((each) => [
    each.server,
    each.username,
    Redacted.value(each.password)
  ])
  assert.deepStrictEqual(read, [
    ["https://index.docker.io/v1/", "hub", "p:w"],
    ["ghcr.io", "me", "token"]
  ])
  assert.deepStrictEqual(ImageConfig.credentialsOf("no json"), [])
})
