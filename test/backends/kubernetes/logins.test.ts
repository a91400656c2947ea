/** Users who log in by a program, which the official client asks, or by an issuer of tokens. */
import { execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import type { IncomingHttpHeaders } from "node:http"
import * as Https from "node:https"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeConfig from "jobscope/backends/kubernetes/KubeConfig"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import { FakeApi, json, layer, pod } from "./support/FakeApi.ts"

const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "jobscope-logins-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
)

const loadAs = (folder: string, user: object, server = "https://api.example") => {
  const file = join(folder, "config")
  const context = { cluster: "c", user: "u" }
  writeFileSync(
    file,
    JSON.stringify({
      "current-context": "x",
      clusters: [{ name: "c", cluster: { server } }],
      users: [{ name: "u", user }],
      contexts: [{ name: "x", context }]
    })
  )
  return KubeConfig.load({ files: [file] })
}

const apiVersion = "client.authentication.k8s.io/v1"

/** A plugin that counts its calls; its answers have the number in `$n`. */
const plugin = (folder: string, answer: string, more: object = {}) => {
  const script = `cd ${folder}; n=$(($(cat calls 2>/dev/null || echo 0)+1)); echo $n >calls; printf %s "$KUBERNETES_EXEC_INFO" >info; ${answer}`
  return { exec: { apiVersion, command: "sh", args: ["-c", script], interactiveMode: "Never", ...more } }
}
const says = (status: string) => `echo '{"apiVersion":"${apiVersion}","kind":"ExecCredential","status":{${status}}}'`
const calls = (folder: string) => Number(readFileSync(join(folder, "calls"), "utf8"))

describe("an exec plugin", () => {
  it.effect("is asked for a token once, and again when it was not accepted", () =>
    Effect.gen(function* () {
      const folder = yield* directory
      const access = yield* loadAs(folder, plugin(folder, says(`"token":"t-'$n'"`)))
      assert.deepStrictEqual(yield* access.headers(false), { authorization: "Bearer t-1" })
      assert.deepStrictEqual(yield* access.headers(false), { authorization: "Bearer t-1" })
      assert.deepStrictEqual(yield* access.headers(true), { authorization: "Bearer t-2" })
      assert.strictEqual(calls(folder), 2)
    })
  )

  it.effect("is asked for each call whose token is over", () =>
    Effect.gen(function* () {
      const folder = yield* directory
      const over = `"token":"t-'$n'","expirationTimestamp":"2001-01-01T00:00:00Z"`
      const access = yield* loadAs(folder, plugin(folder, says(over)))
      assert.deepStrictEqual(yield* access.headers(false), { authorization: "Bearer t-2" })
      assert.deepStrictEqual(yield* access.headers(false), { authorization: "Bearer t-3" })
    })
  )

  it.effect("gives a certificate in place of a token", () =>
    Effect.gen(function* () {
      const folder = yield* directory
      const access = yield* loadAs(folder, plugin(folder, says(`"clientCertificateData":"cert","clientKeyData":"key"`)))
      assert.deepStrictEqual(access.tls, { cert: "cert", key: "key" })
      assert.deepStrictEqual(yield* access.headers(false), {})
    })
  )

  it.effect("has its own variables, and is told what kubectl tells", () =>
    Effect.gen(function* () {
      const folder = yield* directory
      const env = [{ name: "WHO", value: "me" }]
      const access = yield* loadAs(folder, plugin(folder, says(`"token":"'$WHO'"`), { env, provideClusterInfo: true }))
      assert.deepStrictEqual(yield* access.headers(false), { authorization: "Bearer me" })
      assert.deepStrictEqual(JSON.parse(readFileSync(join(folder, "info"), "utf8")), {
        apiVersion,
        kind: "ExecCredential",
        spec: { interactive: false, cluster: { server: "https://api.example" } }
      })
    })
  )

  it.effect.each([
    ["echo who are you >&2; exit 1", "who are you"],
    ["echo no JSON", "JSON"]
  ] as const)("that fails is told with what it says: %s", ([answer, expected]) =>
    Effect.gen(function* () {
      const folder = yield* directory
      const error = yield* Effect.flip(loadAs(folder, plugin(folder, answer)))
      assert.strictEqual(error.reason._tag, "ConfigInvalid")
      assert.include(error.message, "an exec plugin of its user failed")
      assert.include(error.message, expected)
    })
  )

  it.effect("that is not there is told by its name", () =>
    Effect.gen(function* () {
      const exec = { apiVersion, command: "no-such-plugin", interactiveMode: "Never" }
      const error = yield* Effect.flip(loadAs(yield* directory, { exec }))
      assert.include(error.message, "no-such-plugin")
    })
  )

  it.effect("logs in anew where the server forgets it, within the call", () =>
    Effect.gen(function* () {
      const folder = yield* directory
      const fake = yield* FakeApi
      const access = yield* loadAs(folder, plugin(folder, says(`"token":"t-'$n'"`)), fake.access.server)
      const kube = yield* KubeClient.make(access)
      const found = yield* kube.request({ verb: "get", resource: KubeResource.pods, name: "a" })
      assert.strictEqual(found.metadata?.name, "a")
      assert.deepStrictEqual(
        fake.seen.map(({ headers }) => headers.authorization),
        ["Bearer t-1", "Bearer t-2"]
      )
    }).pipe(
      Effect.provide(
        layer({
          http: (response, { headers }) =>
            headers.authorization === "Bearer t-2" ? json(response, 200, pod("a", 1)) : json(response, 401, {})
        })
      )
    )
  )
})

describe("an issuer (OIDC)", () => {
  const encoded = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url")
  const jwt = (claims: object) => `${encoded({ alg: "RS256", typ: "JWT" })}.${encoded(claims)}.c2ln`
  /** In seconds. */
  const start = 1_000_000

  /** It gives a new token for `refresh-1`, and nothing for anything else. */
  const issuer = Effect.gen(function* () {
    const folder = yield* directory
    const [keyFile, certFile] = [join(folder, "key"), join(folder, "cert")]
    const request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=issuer"
    const tool = "openssl"
    execFileSync(
      tool,
      [...request.split(" "), "-addext", "subjectAltName=DNS:localhost", "-keyout", keyFile, "-out", certFile],
      { stdio: "ignore" }
    )
    yield* TestClock.setTime(start * 1000)
    const asked: Array<string> = []
    const headers: Array<IncomingHttpHeaders> = []
    let url = ""
    const server = Https.createServer(
      { cert: readFileSync(certFile), key: readFileSync(keyFile) },
      (request, response) => {
        let body = ""
        request.on("data", (chunk) => {
          body += chunk
        })
        request.on("end", () => {
          if (request.url === "/.well-known/openid-configuration") {
            return json(response, 200, { issuer: url, token_endpoint: `${url}/token`, jwks_uri: `${url}/keys` })
          }
          const form = new URLSearchParams(body)
          headers.push(request.headers)
          asked.push(`${request.url} ${form.get("grant_type")} ${form.get("refresh_token")}`)
          if (form.get("refresh_token") !== "refresh-1") return json(response, 400, { error: "invalid_grant" })
          const claims = { iss: url, aud: "jobs", sub: "me", iat: start, exp: start + 3600 }
          json(response, 200, {
            access_token: "unused",
            token_type: "bearer",
            expires_in: 3600,
            id_token: jwt(claims),
            refresh_token: "refresh-2"
          })
        })
      }
    )
    yield* Effect.acquireRelease(
      Effect.callback<void>((resume) => void server.listen(0, "localhost", () => resume(Effect.void))),
      () =>
        Effect.callback<void>((resume) => {
          server.closeAllConnections()
          server.close(() => resume(Effect.void))
        })
    )
    url = `https://localhost:${(server.address() as AddressInfo).port}`
    const user = (more: object) => ({
      "auth-provider": {
        name: "oidc",
        config: { "idp-issuer-url": url, "client-id": "jobs", "idp-certificate-authority": certFile, ...more }
      }
    })
    return { asked, headers, folder, user }
  })

  it.effect("is not asked as long as the token is good", () =>
    Effect.gen(function* () {
      const { asked, folder, user } = yield* issuer
      const token = jwt({ exp: start + 3600 })
      const access = yield* loadAs(folder, user({ "id-token": token, "refresh-token": "refresh-1" }))
      assert.deepStrictEqual(yield* access.headers(false), { authorization: `Bearer ${token}` })
      assert.deepStrictEqual(asked, [])
    })
  )

  it.effect("is asked for a new token once when the old one is over", () =>
    Effect.gen(function* () {
      const { asked, folder, user } = yield* issuer
      const old = jwt({ exp: start - 60 })
      const access = yield* loadAs(folder, user({ "id-token": old, "refresh-token": "refresh-1" }))
      const { authorization = "" } = yield* access.headers(false)
      assert.match(String(authorization), /^Bearer .+\..+\..+$/)
      assert.notStrictEqual(authorization, `Bearer ${old}`)
      assert.deepStrictEqual(yield* access.headers(false), { authorization })
      assert.deepStrictEqual(asked, ["/token refresh_token refresh-1"])
      // The next time with what came with it, which this issuer does not take.
      yield* TestClock.adjust("1 hour")
      yield* Effect.flip(access.headers(false))
      assert.deepStrictEqual(asked.slice(1), ["/token refresh_token refresh-2"])
    })
  )

  it.effect("that does not give one is told", () =>
    Effect.gen(function* () {
      const { folder, user } = yield* issuer
      const users = user({ "id-token": jwt({ exp: start - 60 }), "refresh-token": "stolen" })
      const access = yield* loadAs(folder, users)
      const error = yield* Effect.flip(access.headers(false))
      assert.strictEqual(error.reason._tag, "ConfigInvalid")
      assert.include(error.message, "answered 400 (invalid_grant)")
      assert.notInclude(error.message, "stolen")
    })
  )

  it.effect("is not asked by who has no refresh token", () =>
    Effect.gen(function* () {
      const { asked, folder, user } = yield* issuer
      const access = yield* loadAs(folder, user({ "id-token": jwt({ exp: start + 5 }) }))
      const error = yield* Effect.flip(access.headers(false))
      assert.include(error.message, "the ID token of its user is over")
      assert.include(error.message, "refresh-token")
      assert.deepStrictEqual(asked, [])
    })
  )

  it.effect.each([
    ["id", "s e:cret", `Basic ${Buffer.from("id:s%20e%3Acret").toString("base64")}`],
    ["id", "", undefined]
  ] as const)("knows the client %s with the secret %j by a header, if there is one", ([id, secret, expected]) =>
    Effect.gen(function* () {
      const { folder, headers, user } = yield* issuer
      const more = { "client-id": id, "client-secret": secret, "refresh-token": "refresh-1" }
      const access = yield* loadAs(folder, user(more))
      yield* access.headers(false)
      assert.strictEqual(headers.at(-1)?.authorization, expected)
    })
  )

  it.effect("whose certificate nobody knows is not trusted", () =>
    Effect.gen(function* () {
      const { folder, user } = yield* issuer
      const users = user({ "refresh-token": "refresh-1", "idp-certificate-authority": "" })
      const access = yield* loadAs(folder, users)
      const error = yield* Effect.flip(access.headers(false))
      assert.include(error.message, "certificate")
    })
  )
})
