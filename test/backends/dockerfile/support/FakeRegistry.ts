/** A registry in this process: the part of the OCI distribution protocol that a configuration is read by, with what goes wrong with it. */
import { createHash } from "node:crypto"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import * as Effect from "effect/Effect"

export interface Options {
  /** Who may pull, and how they prove it. */
  readonly auth?: { readonly kind: "bearer" | "basic"; readonly user: string; readonly password: string }
  /** Answers instead of the registry, while it gives one. */
  readonly fault?: (
    path: string,
    count: number
  ) => { readonly status: number; readonly body?: string } | "hang" | "cut" | undefined
  /** Blobs come from another host. */
  readonly redirectBlobs?: boolean
}

interface FakeRegistry {
  /** `localhost:1234`. */
  readonly host: string
  /** Path and whether there was an Authorization header, in order. */
  readonly requests: Array<{ readonly path: string; readonly authorized: boolean }>
  /** Adds an image for each architecture; one of them alone has no index. */
  readonly add: (repository: string, tag: string, configs: Readonly<Record<string, object>>) => string
  /** Puts other content where a digest points to. */
  readonly corrupt: (digest: string) => void
}

const digestOf = (content: string) => `sha256:${createHash("sha256").update(content).digest("hex")}`

export const make = Effect.fnUntraced(function* (options: Options = {}) {
  const manifests = new Map<string, string>()
  const blobs = new Map<string, string>()
  const requests: FakeRegistry["requests"] = []
  let host = ""
  let storeHost = ""
  const token = "a-token"

  const handle = (request: IncomingMessage, response: ServerResponse): unknown => {
    const path = request.url ?? ""
    const authorization = request.headers.authorization
    requests.push({ path, authorized: authorization !== undefined })
    const fault = options.fault?.(path, requests.filter((each) => each.path === path).length)
    if (fault === "hang") return undefined
    if (fault === "cut") {
      response.writeHead(200, { "content-length": "1000" })
      response.write("x")
      return setImmediate(() => response.destroy())
    }
    const send = (status: number, body: string, headers: Record<string, string> = {}) => {
      response.writeHead(status, { "content-length": String(Buffer.byteLength(body)), ...headers })
      response.end(body)
    }
    if (fault !== undefined) return send(fault.status, fault.body ?? "")
    const { auth } = options
    const basic = auth && `Basic ${Buffer.from(`${auth.user}:${auth.password}`).toString("base64")}`
    if (path.startsWith("/token")) {
      return authorization === basic
        ? send(200, JSON.stringify({ token }))
        : send(401, JSON.stringify({ errors: [{ code: "UNAUTHORIZED", message: "authentication required" }] }))
    }
    const wanted = auth?.kind === "bearer" ? `Bearer ${token}` : basic
    if (wanted !== undefined && authorization !== wanted && request.headers.host === host) {
      const challenge =
        auth?.kind === "bearer" ? `Bearer realm="http://${host}/token",service="fake",scope="x"` : 'Basic realm="fake"'
      return send(401, "{}", { "www-authenticate": challenge })
    }
    const [, repository = "", kind, name = ""] = /^\/v2\/(.+)\/(manifests|blobs)\/([^/]+)$/.exec(path) ?? []
    if (kind === "blobs" && options.redirectBlobs === true && request.headers.host === host) {
      return send(307, "", { location: `http://${storeHost}${path}` })
    }
    const found = kind === "manifests" ? manifests.get(`${repository}/${name}`) : blobs.get(name)
    return found === undefined
      ? send(404, JSON.stringify({ errors: [{ code: "MANIFEST_UNKNOWN", message: "manifest unknown" }] }))
      : send(200, found)
  }

  const server = yield* Effect.acquireRelease(
    Effect.callback<ReturnType<typeof createServer>>((resume) => {
      const made = createServer(handle)
      made.listen(0, "127.0.0.1", () => resume(Effect.succeed(made)))
    }),
    (made) =>
      Effect.callback<void>((resume) => {
        made.close(() => resume(Effect.void))
        made.closeAllConnections()
      })
  )
  const { port } = server.address() as AddressInfo
  host = `localhost:${port}`
  storeHost = `127.0.0.1:${port}`

  const add: FakeRegistry["add"] = (repository, tag, configs) => {
    const put = (content: object): string => {
      const text = JSON.stringify(content)
      const digest = digestOf(text)
      manifests.set(`${repository}/${digest}`, text)
      return digest
    }
    const made = Object.entries(configs).map(([architecture, config]) => {
      const text = JSON.stringify({ architecture, os: "linux", config })
      blobs.set(digestOf(text), text)
      const digest = put({ schemaVersion: 2, config: { digest: digestOf(text), size: text.length }, layers: [] })
      return { digest, platform: { os: "linux", architecture } }
    })
    const only = made.length === 1 ? made[0]!.digest : put({ schemaVersion: 2, manifests: made })
    manifests.set(`${repository}/${tag}`, manifests.get(`${repository}/${only}`)!)
    return only
  }
  const registry: FakeRegistry = {
    host,
    requests,
    add,
    corrupt: (digest) => {
      for (const [name, text] of manifests) if (name.endsWith(digest)) manifests.set(name, text.replace("{", "{ "))
    }
  }
  return registry
})
