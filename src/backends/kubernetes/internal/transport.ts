/**
 * The connections to one API server: HTTP(S) requests whose scope is the socket's.
 */
import * as Http from "node:http"
import * as Https from "node:https"
import * as Process from "node:process"
import type { Duplex, Readable } from "node:stream"
import * as Tls from "node:tls"
import { WebSocket } from "@effect/platform-node/NodeWS"
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { ClusterAccess, Headers } from "../ClusterAccess.ts"
import { ConfigInvalid, ConnectionLost, KubeError, type Target, Unavailable } from "../KubeError.ts"

export interface HttpCall {
  readonly target: Target
  readonly method: string
  /** With the query. */
  readonly path: string
  readonly headers: Headers
  readonly body?: string | undefined
}

/** The head of an answer, whose body is to be read. */
export interface HttpAnswer extends Readable {
  readonly statusCode?: number | undefined
  readonly headers: Readonly<Record<string, string | Array<string> | undefined>>
  /** All of the body has come. */
  readonly complete: boolean
}

export interface Transport {
  readonly endpoint: string
  /** Sends, and succeeds with the head of the answer. Closing the scope before the body was read ends the connection. */
  readonly open: (call: HttpCall) => Effect.Effect<HttpAnswer, KubeError, Scope.Scope>
  /** A WebSocket that is about to be opened: nothing has happened to it yet. */
  readonly webSocket: (
    url: string,
    protocols: ReadonlyArray<string>,
    headers: Headers
  ) => Effect.Effect<WebSocket, KubeError>
  /** Says what a failed connection means. */
  readonly failure: (cause: unknown, target: Target) => KubeError
  /** Bytes of a stream have come, or gone: what keeps memory small wants to know. */
  readonly passed: (bytes: number) => void
}

/** An idle connection is closed before servers and load balancers do: a request on a closed one would be lost. */
const idle = 30_000

export const makeTransport = Effect.fnUntraced(function* (
  access: ClusterAccess,
  passed: Transport["passed"] = () => {}
): Effect.fn.Return<Transport, never, Scope.Scope> {
  const url = new URL(access.server)
  const secure = url.protocol === "https:"
  const options = { keepAlive: true, keepAliveMsecs: 15_000, timeout: idle, scheduling: "lifo" as const }
  let made: Http.Agent | undefined
  /** Made by the first call: a step through a volume has none, and TLS is a fifth of what its process would do. */
  const agent = () => {
    if (made === undefined) {
      made = secure ? new Https.Agent({ ...options, ...access.tls }) : new Http.Agent(options)
      if (access.proxy !== undefined) tunnel(made, access.proxy, url, access.tls)
    }
    return made
  }
  yield* Effect.addFinalizer(() => Effect.sync(() => made?.destroy()))
  const failure = (cause: unknown, target: Target) => classify(cause, target, url.host, access.source)
  const webSocket = (address: string, protocols: ReadonlyArray<string>, headers: Headers) =>
    Effect.sync(() => openWebSocket(address, protocols, { agent: agent(), headers: { ...headers } }))

  const open = Effect.fnUntraced(function* ({ body, headers, method, path, target }: HttpCall) {
    let read = false
    const request = yield* Effect.acquireRelease(
      Effect.sync(() =>
        (secure ? Https : Http)
          .request({
            agent: agent(),
            method,
            host: url.hostname.replace(/^\[|\]$/g, ""),
            port: url.port === "" ? (secure ? 443 : 80) : url.port,
            path: `${url.pathname === "/" ? "" : url.pathname}${path}`,
            headers: body === undefined ? headers : { ...headers, "content-length": Buffer.byteLength(body) }
          })
          // An interruption may come before anybody listens: what its end is told as must not be an uncaught error.
          .on("error", () => {})
      ),
      (request) =>
        Effect.sync(() => {
          if (!read) request.destroy()
        })
    )
    return yield* Effect.callback<Http.IncomingMessage, KubeError>((resume) => {
      // Not `once`: an error that comes later, and again, must not be an uncaught one.
      request.on("error", (cause) => resume(Effect.fail(failure(cause, target))))
      request.once("response", (response) => {
        // A break while nobody reads is told to the next reader by `response.errored`.
        response.on("error", () => {})
        response.once("end", () => {
          read = true
        })
        resume(Effect.succeed(response))
      })
      request.end(body)
    })
  })

  return { endpoint: url.host, open, webSocket, failure, passed }
})

/** No compression: most of what comes is small, and some of it has been compressed before. */
export const openWebSocket = (
  url: string,
  protocols: ReadonlyArray<string>,
  options: { readonly agent?: Http.Agent | undefined; readonly headers: Record<string, string | Array<string>> }
): WebSocket => new WebSocket(url.replace(/^http/, "ws"), [...protocols], { ...options, perMessageDeflate: false })

/** The body of an answer, read only when pulled: a slow reader stops the sender, and nothing piles up. */
export const bytesOf = (
  response: HttpAnswer,
  failure: (cause: unknown) => KubeError
): Stream.Stream<Uint8Array, KubeError> => {
  let wake: (() => void) | undefined
  const notify = () => {
    const waiting = wake
    wake = undefined
    waiting?.()
  }
  response.on("readable", notify).on("end", notify).on("close", notify).on("error", notify)
  const changed: Effect.Effect<void> = Effect.callback((resume) => {
    wake = () => resume(Effect.void)
    return Effect.sync(() => {
      wake = undefined
    })
  })
  const pull: Effect.Effect<NonEmptyReadonlyArray<Uint8Array>, KubeError | Cause.Done> = Effect.suspend(() => {
    const bytes: Buffer | null = response.read()
    if (bytes !== null) return Effect.succeed([bytes] as const)
    if (response.readableEnded && response.complete) return Cause.done()
    if (response.errored !== null || response.destroyed || response.readableEnded) {
      return Effect.fail(failure(response.errored ?? new Error("the answer broke off")))
    }
    return Effect.flatMap(changed, () => pull)
  })
  return Stream.fromPull(Effect.succeed(pull))
}

/** The whole body; `limit` bytes at most, if that is given. */
export const textOf = (
  response: HttpAnswer,
  failure: (cause: unknown) => KubeError,
  limit = Number.POSITIVE_INFINITY
): Effect.Effect<string, KubeError> =>
  Effect.callback((resume) => {
    const chunks: Array<Buffer> = []
    let size = 0
    const finish = () => resume(Effect.sync(() => Buffer.concat(chunks).toString("utf8")))
    const broken = () => resume(Effect.fail(failure(response.errored ?? new Error("the answer broke off"))))
    if (response.errored !== null) return broken()
    response.on("data", (chunk: Buffer) => {
      chunks.push(chunk)
      size += chunk.length
      if (size < limit) return
      finish()
      response.destroy()
    })
    // One tick later the connection is free for the next call, which would else make another one.
    response.once("end", () => Process.nextTick(response.complete ? finish : broken))
    response.once("error", broken)
    response.once("close", broken)
  })

/** Connections that go through an HTTP proxy by CONNECT. */
const tunnel = (agent: Http.Agent, proxy: string, server: URL, tls: ClusterAccess["tls"]): void => {
  const via = new URL(proxy)
  const port = server.port === "" ? (server.protocol === "https:" ? "443" : "80") : server.port
  const host = server.hostname.replace(/^\[|\]$/g, "")
  const create = (_: unknown, done: (error: Error | null, socket?: Duplex) => void): undefined => {
    const credentials = `${decodeURIComponent(via.username)}:${decodeURIComponent(via.password)}`
    const request = (via.protocol === "https:" ? Https : Http).request({
      agent: false,
      host: via.hostname.replace(/^\[|\]$/g, ""),
      port: via.port === "" ? (via.protocol === "https:" ? 443 : 80) : via.port,
      method: "CONNECT",
      path: `${server.hostname}:${port}`,
      headers: {
        host: `${server.hostname}:${port}`,
        ...(via.username === ""
          ? {}
          : { "proxy-authorization": `Basic ${Buffer.from(credentials).toString("base64")}` })
      }
    })
    const refused = (detail: string) =>
      done(Object.assign(new Error(`the proxy ${via.host} ${detail}`), { code: "EPROXY" }))
    request.once("error", (cause) => refused(`cannot be reached: ${cause.message}`))
    request.once("response", (response) => {
      refused(`answered ${response.statusCode}`)
      response.resume()
      request.destroy()
    })
    request.once("connect", (response, socket) => {
      if (response.statusCode !== 200) {
        socket.destroy()
        return refused(`answered ${response.statusCode}`)
      }
      if (server.protocol === "http:") return done(null, socket)
      const servername = tls.servername ?? (/^[\d.]+$|:/.test(host) ? undefined : host)
      const secured = Tls.connect({ ...tls, socket, host, ...(servername === undefined ? {} : { servername }) })
      secured.once("error", (cause) => done(cause))
      secured.once("secureConnect", () => done(null, secured))
    })
    request.end()
  }
  Object.assign(agent, { createConnection: create })
}

/** Nothing was sent: any call may be repeated. */
const unreached = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "EHOSTDOWN",
  "ENETUNREACH",
  "ENETDOWN",
  "EADDRNOTAVAIL",
  "EMFILE",
  "ENFILE",
  "EPROXY",
  "UND_ERR_CONNECT_TIMEOUT"
])

/** The certificates do not fit: repeating does not help. */
const untrusted = /^(CERT_|ERR_TLS_|ERR_SSL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERR_OSSL_|HOSTNAME_MISMATCH)/

/** What a failure of a connection means. */
export const classify = (cause: unknown, target: Target, endpoint: string, source: string): KubeError => {
  const { code = "", message = String(cause) } = cause as NodeJS.ErrnoException
  const detail = message === "" ? code : message
  if (untrusted.test(code)) {
    return new KubeError({
      reason: new ConfigInvalid({
        source,
        detail: `no trusted connection to ${endpoint} can be made (${detail})`,
        advice: "Check the certificate authority, the client certificate and tls-server-name."
      })
    })
  }
  return new KubeError({
    reason: unreached.has(code)
      ? new Unavailable({ target, endpoint, detail })
      : new ConnectionLost({ target, endpoint, detail })
  })
}
