import { execFileSync } from "node:child_process"
import { chmodSync, readFileSync, symlinkSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as BuildContext from "../../../src/backends/dockerfile/BuildContext.ts"
import * as BuildKit from "../../../src/backends/dockerfile/BuildKit.ts"
import { frame, makeDeframer } from "../../../src/backends/dockerfile/internal/buildkit/grpc.ts"
import { bytes, decode, number, texts, textsOf } from "../../../src/backends/dockerfile/internal/buildkit/protobuf.ts"
import { githubLog } from "../../../src/backends/dockerfile/LogStyle.ts"
import { RegistryCredentials } from "../../../src/domain/Container.ts"
import * as FakeBuildKit from "./support/FakeBuildKit.ts"
import { directoryOf } from "./support/files.ts"

const dockerfile = { name: "Dockerfile", text: "FROM a\nCOPY . /\n" }

const build = Effect.fnUntraced(function* (
  address: string,
  options: Partial<BuildKit.Options> = {},
  files: Readonly<Record<string, string>> = { a: "content" }
) {
  const context = yield* BuildContext.open(yield* directoryOf(files))
  const lines: Array<string> = []
  const write = (line: string) => Effect.sync(() => void lines.push(line))
  const result = yield* Effect.result(
    BuildKit.build({ dockerfile, context, write }, { address, repository: "registry:5000/actions", ...options })
  )
  return {
    lines,
    result,
    image: result._tag === "Success" ? result.success : undefined,
    error: result._tag === "Failure" ? result.failure : undefined
  }
})

/** A certificate authority with certificates for both ends. */
const certificates = Effect.gen(function* () {
  const directory = yield* directoryOf({ ext: "subjectAltName=IP:127.0.0.1" })
  const tool = "openssl"
  const openssl = (...args: ReadonlyArray<string>) => execFileSync(tool, args, { cwd: directory, stdio: "ignore" })
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
  openssl("req", "-x509", ...key, "-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.pem")
  for (const name of ["server", "client"]) {
    openssl("req", ...key, "-subj", `/CN=${name}`, "-keyout", `${name}.key`, "-out", `${name}.csr`)
    openssl(
      "x509",
      "-req",
      "-in",
      `${name}.csr`,
      "-CA",
      "ca.pem",
      "-CAkey",
      "ca.key",
      "-CAcreateserial",
      "-extfile",
      "ext",
      "-out",
      `${name}.pem`
    )
  }
  const read = (name: string) => readFileSync(join(directory, name), "utf8")
  const of = (name: string) => ({ ca: read("ca.pem"), cert: read(`${name}.pem`), key: read(`${name}.key`) })
  return { server: of("server"), client: of("client") }
})

describe("a build", () => {
  it.effect("sends the Dockerfile and the context, and gives the image by its digest", () =>
    Effect.gen(function* () {
      const daemon = yield* FakeBuildKit.make()
      const directory = yield* directoryOf({
        "b/big": "x".repeat(300_000),
        "a.sh": "#!/bin/sh",
        ".dockerignore": "*.md",
        "a.md": ""
      })
      chmodSync(join(directory, "a.sh"), 0o4755)
      symlinkSync("a.sh", join(directory, "link"))
      const context = yield* BuildContext.open(directory)
      const image = yield* BuildKit.build(
        { dockerfile, context, write: () => Effect.void },
        {
          address: daemon.address,
          repository: "push:5000/x",
          pullRepository: "pull/x",
          insecure: true,
          architecture: "arm64"
        }
      )
      assert.strictEqual(image, `pull/x@${FakeBuildKit.digest}`)
      assert.deepStrictEqual(
        daemon.seen.files.get("dockerfile")?.map(({ content, path }) => [path, content]),
        [["Dockerfile", dockerfile.text]]
      )
      assert.deepStrictEqual(
        daemon.seen.files
          .get("context")
          ?.map(({ content, link, mode, path, size }) => [path, mode, size, link || content.length]),
        [
          [".dockerignore", 0o644, 4, 4],
          ["a.sh", 0o755 + 2 ** 23, 9, 9],
          ["b", 0o755 + 2 ** 31, 0, 0],
          ["b/big", 0o644, 300_000, 300_000],
          ["link", 0o777 + 2 ** 27, 4, "a.sh"]
        ]
      )
      assert.deepStrictEqual(Object.fromEntries(daemon.seen.attributes), {
        filename: "Dockerfile",
        platform: "linux/arm64"
      })
      const { name, ...exporter } = Object.fromEntries(daemon.seen.exporter)
      assert.match(name ?? "", /^push:5000\/x:jobscope-[0-9a-f]{24}$/)
      assert.deepStrictEqual(exporter, { push: "true", "registry.insecure": "true" })
    })
  )

  it.effect("goes over mTLS, and not without a certificate", () =>
    Effect.gen(function* () {
      const { client, server } = yield* certificates
      const daemon = yield* FakeBuildKit.make({ tls: server })
      assert.isDefined((yield* build(daemon.address, { tls: client })).image)
      for (const tls of [undefined, { ...client, cert: "", key: "" }, { ...client, ca: client.cert }]) {
        const { error } = yield* build(daemon.address, { tls })
        assert.deepInclude(error, { _tag: "BuildKitError", reason: "unreachable" })
      }
    })
  )

  it.effect("gives credentials for the registry that is asked for, and no others", () =>
    Effect.gen(function* () {
      const credentials = [
        new RegistryCredentials({ server: "other", username: "no", password: Redacted.make("no") }),
        new RegistryCredentials({ server: "", username: "hub", password: Redacted.make("secret") })
      ]
      const daemon = yield* FakeBuildKit.make({ host: "registry-1.docker.io" })
      yield* build(daemon.address, { credentials })
      assert.deepStrictEqual(daemon.seen.credentials, ["hub", "secret"])
      const nobody = yield* FakeBuildKit.make({ host: "ghcr.io" })
      yield* build(nobody.address, { credentials })
      assert.deepStrictEqual(nobody.seen.credentials, ["", ""])
    })
  )

  it.effect("shows one instruction after the other, however many run at once", () =>
    Effect.gen(function* () {
      const one = { id: "1", name: "[1/2] RUN one" }
      const two = { id: "2", name: "[2/2] RUN two" }
      const daemon = yield* FakeBuildKit.make({
        log: [
          FakeBuildKit.status({
            vertexes: [
              { id: "0", name: "[internal] load", done: true },
              { id: "c", name: "COPY x", done: true, cached: true },
              one,
              two
            ]
          }),
          FakeBuildKit.status({
            logs: [
              ["1", "a\nb"],
              ["2", "other\n"]
            ]
          }),
          FakeBuildKit.status({ logs: [["1", "c\n"]] }),
          FakeBuildKit.status({
            vertexes: [
              { ...two, done: true, error: "failed" },
              { ...one, done: true }
            ]
          })
        ]
      })
      const { lines } = yield* build(daemon.address, { log: githubLog("t") })
      assert.deepStrictEqual(lines, [
        "##[command]CACHED COPY x",
        "::group::[1/2] RUN one",
        "::stop-commands::t",
        "a",
        "bc",
        "::t::",
        "::endgroup::",
        "::group::[2/2] RUN two",
        "::stop-commands::t",
        "other",
        "ERROR: failed",
        "::t::",
        "::endgroup::"
      ])
    })
  )

  it.effect("fails with the exit code of the RUN, or with what the daemon says", () =>
    Effect.gen(function* () {
      const failing = (message: string) =>
        Effect.flatMap(FakeBuildKit.make({ error: { code: 2, message } }), ({ address }) => build(address))
      const run = yield* failing('process "/bin/sh -c é" did not complete successfully: exit code: 3')
      assert.deepInclude(run.error, { reason: "failed", exitCode: 3 })
      assert.include(run.error?.message, "/bin/sh -c é")
      const wrong = yield* failing("dockerfile parse error on line 2: unknown instruction: FOO")
      assert.deepInclude(wrong.error, { reason: "failed" })
      assert.isUndefined((wrong.error as BuildKit.BuildKitError).exitCode)
      const refused = yield* failing("failed to push registry:5000/actions: denied")
      assert.deepInclude(refused.error, { reason: "refused" })
      assert.match(refused.error?.message ?? "", /^BuildKit at tcp:\/\/127\.0\.0\.1:\d+ refused: failed to push/)
    })
  )

  it.effect("tells that nobody is there, or that the connection was lost", () =>
    Effect.gen(function* () {
      const nobody = yield* build("tcp://127.0.0.1:1")
      assert.deepInclude(nobody.error, { reason: "unreachable" })
      assert.include(nobody.error?.message, "BuildKit at tcp://127.0.0.1:1 does not answer: connect ECONNREFUSED")
      const cut = yield* FakeBuildKit.make({ fault: "cut" })
      assert.deepInclude((yield* build(cut.address)).error, { reason: "unreachable" })
    })
  )

  it.effect("ends at the daemon when it is interrupted", () =>
    Effect.gen(function* () {
      const daemon = yield* FakeBuildKit.make({ fault: "hang" })
      const fiber = yield* Effect.forkChild(build(daemon.address))
      yield* daemon.solveStarted
      yield* Fiber.interrupt(fiber)
      yield* daemon.cancelled
    })
  )
})

it("a step of the image is a container step, with the group that Kubernetes forgets", () => {
  const { beside, command, enter, files, image, security } = BuildKit.planOf("r@sha256:1", "12:34")
  assert.deepStrictEqual(
    { beside, command, files, image, security, entered: enter({ env: { A: "b" } }) },
    {
      beside: [],
      command: undefined,
      files: [],
      image: "r@sha256:1",
      security: { runAsUser: 12, runAsGroup: 34 },
      entered: []
    }
  )
  assert.deepStrictEqual(BuildKit.planOf("r", "node").security, {})
})

describe("messages", () => {
  it.prop(
    "are read as they were written",
    [Schema.Array(Schema.Struct({ key: Schema.String, value: Schema.String })), Schema.Int, Schema.Uint8Array],
    ([pairs, value, content]) => {
      // Half a character is none in UTF-8.
      const whole = (text: string) => Buffer.from(text).toString()
      const map = Object.fromEntries(pairs.map(({ key, value }) => [whole(`k${key}`), whole(value)]))
      const positive = Math.abs(value)
      const message = decode(Buffer.concat([texts(1, map), number(2, positive), bytes(3, content)]))!
      assert.deepStrictEqual(Object.fromEntries(textsOf(message, 1)), map)
      assert.strictEqual(message.number(2), positive)
      assert.deepStrictEqual(
        message.bytes(3).map((each) => [...each]),
        [[...content]]
      )
    }
  )

  it.prop("that are none are nothing", [Schema.Uint8Array], ([content]) => {
    decode(Buffer.from(content))
  })

  it.prop("come whole, wherever they were cut", [Schema.Array(Schema.Uint8Array), Schema.Int], ([messages, at]) => {
    const all = Buffer.concat(messages.map(frame))
    const size = 1 + (Math.abs(at) % 7)
    const deframe = makeDeframer()
    const read: Array<Buffer> = []
    for (let start = 0; start < all.length; start += size) read.push(...deframe(all.subarray(start, start + size)))
    assert.deepStrictEqual(
      read.map((each) => [...each]),
      messages.map((each) => [...each])
    )
  })
})
