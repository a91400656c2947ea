import { execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import * as Https from "node:https"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { TLSSocket } from "node:tls"
import { WebSocketServer } from "@effect/platform-node/NodeWS"
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import { accessTo, exited, json, pod } from "./support/FakeApi.ts"

/** A server with a certificate for `api.internal`, which also asks its clients for one. */
class SecureApi extends Context.Service<
  SecureApi,
  { readonly port: number; readonly ca: string; readonly cert: string; readonly key: string }
>()("jobscope/test/SecureApi") {}

const secure = Layer.effect(
  SecureApi,
  Effect.gen(function* () {
    const folder = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "jobscope-tls-"))),
      (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
    )
    const [keyFile, certFile] = [join(folder, "key"), join(folder, "cert")]
    const request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=api"
    // A name, so that it is not taken for a program of package.json.
    const tool = "openssl"
    execFileSync(
      tool,
      [...request.split(" "), "-addext", "subjectAltName=DNS:api.internal", "-keyout", keyFile, "-out", certFile],
      { stdio: "ignore" }
    )
    const [cert, key] = [readFileSync(certFile, "utf8"), readFileSync(keyFile, "utf8")]
    const server = Https.createServer(
      { cert, key, ca: cert, requestCert: true, rejectUnauthorized: false },
      (request, response) => json(response, 200, pod((request.socket as TLSSocket).authorized ? "known" : "unknown", 1))
    )
    new WebSocketServer({ server }).on("connection", (socket) => {
      socket.send(exited(5), () => socket.close())
    })
    yield* Effect.acquireRelease(
      Effect.callback<void>((resume) => {
        server.listen(0, "127.0.0.1", () => resume(Effect.void))
      }),
      () =>
        Effect.callback<void>((resume) => {
          server.closeAllConnections()
          server.close(() => resume(Effect.void))
        })
    )
    return { port: (server.address() as AddressInfo).port, ca: cert, cert, key }
  })
)

const client = (tls: (api: SecureApi["Service"]) => object) =>
  Effect.gen(function* () {
    const api = yield* SecureApi
    return yield* KubeClient.make({ ...accessTo(`https://127.0.0.1:${api.port}`), tls: tls(api) })
  })

const whoAmI = (kube: KubeClient.KubeClient["Service"]) =>
  Effect.map(kube.request({ verb: "get", resource: KubeResource.pods, name: "a" }), ({ metadata }) => metadata?.name)

layer(secure)("over TLS", (it) => {
  it.effect("an authority, a server name and a client certificate are used, for exec too", () =>
    Effect.gen(function* () {
      const kube = yield* client(({ ca, cert, key }) => ({ ca, cert, key, servername: "api.internal" }))
      assert.strictEqual(yield* whoAmI(kube), "known")
      const process = yield* kube.exec({ pod: "a", command: ["x"] })
      assert.strictEqual(yield* process.exitCode, 5)
    })
  )

  it.effect("verification can be left out", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* whoAmI(yield* client(() => ({ rejectUnauthorized: false }))), "unknown")
    })
  )

  it.effect.each([
    ["no authority", () => ({ servername: "api.internal" })],
    ["another name", ({ ca }: SecureApi["Service"]) => ({ ca })]
  ] as const)("%s is told as the configuration's fault, at once", ([, tls]) =>
    Effect.gen(function* () {
      const kube = yield* client(tls)
      const call = yield* Effect.flip(whoAmI(kube))
      assert.strictEqual(call.reason._tag, "ConfigInvalid")
      assert.match(call.message, /tls-server-name/)
      const exec = yield* Effect.flip(kube.exec({ pod: "a", command: ["x"] }))
      assert.strictEqual(exec.reason._tag, "ConfigInvalid")
    })
  )
})
