/** The connections of the official client: it finds the way to the server, and who we are. */
import type * as Http from "node:http"
import type * as Https from "node:https"
import { Readable } from "node:stream"
import type { ReadableStream } from "node:stream/web"
import type * as ClientNode from "@kubernetes/client-node"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Headers } from "../ClusterAccess.ts"
import { ConfigInvalid, KubeError, type Target } from "../KubeError.ts"
import { classify, type HttpAnswer, type HttpCall, openWebSocket, type Transport } from "./transport.ts"

export const makeClientNodeTransport = Effect.fnUntraced(function* (
  official: typeof ClientNode,
  config: ClientNode.KubeConfig,
  server: string,
  source: string
): Effect.fn.Return<Transport, never, Scope.Scope> {
  const endpoint = new URL(server).host
  const library = new official.IsomorphicFetchHttpLibrary()
  /** What fetch says is only that it failed. */
  const failure = (cause: unknown, target: Target) =>
    classify(cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause, target, endpoint, source)
  const login = (apply: () => Promise<void>) =>
    Effect.tryPromise({
      try: apply,
      catch: (cause) =>
        new KubeError({
          reason: new ConfigInvalid({
            source,
            detail: cause instanceof Error ? cause.message : String(cause),
            advice: "Run kubectl with the same context: it asks the same."
          })
        })
    })

  // It makes connections anew for each call; these are kept.
  let connections: ReturnType<ClientNode.RequestContext["getDispatcher"]>
  yield* Effect.addFinalizer(() =>
    connections === undefined ? Effect.void : Effect.ignore(Effect.tryPromise(() => connections?.destroy() ?? done))
  )

  const open = Effect.fnUntraced(function* ({ body, headers, method, path, target }: HttpCall) {
    const abort = yield* Effect.acquireRelease(
      Effect.sync(() => new AbortController()),
      (abort) => Effect.sync(() => abort.abort())
    )
    const request = new official.RequestContext(`${server}${path}`, methodOf(official, method))
    yield* login(() => config.applySecurityAuthentication(request))
    connections ??= request.getDispatcher()
    if (connections !== undefined) request.setDispatcher(connections)
    for (const [name, value] of Object.entries(headers)) request.setHeaderParam(name, String(value))
    if (body !== undefined) request.setBody(body)
    request.setSignal(abort.signal)
    const answer = yield* Effect.tryPromise({
      try: () => library.send(request).toPromise(),
      catch: (cause) => failure(cause, target)
    })
    return answerOf(answer)
  })

  const webSocket = Effect.fnUntraced(function* (url: string, protocols: ReadonlyArray<string>, headers: Headers) {
    const options: Https.RequestOptions & { headers: Http.OutgoingHttpHeaders } = { headers: {} }
    yield* login(() => config.applyToHTTPSOptions(options))
    const own = Object.entries(options.headers).map(([name, value]): [string, string] => [name, String(value)])
    const { agent, auth, ca, cert, key, rejectUnauthorized, servername } = options
    const basic: Headers =
      typeof auth === "string" ? { authorization: `Basic ${Buffer.from(auth).toString("base64")}` } : {}
    return openWebSocket(url, protocols, {
      ...(typeof agent === "object" ? { agent } : {}),
      ...{ ca, cert, key, rejectUnauthorized, servername },
      headers: { ...Object.fromEntries(own), ...basic, ...headers }
    })
  })

  return { endpoint, open, webSocket, failure, passed: () => {} }
})

const done: Promise<void> = Promise.resolve()

const methodOf = ({ HttpMethod }: typeof ClientNode, method: string): ClientNode.HttpMethod =>
  Object.values(HttpMethod).find((known) => known === method) ?? HttpMethod.GET

/** A body of the web as one of Node, which only reads what is asked for, too. */
const answerOf = ({ body, headers, httpStatusCode }: ClientNode.ResponseContext): HttpAnswer => {
  const stream = body.stream()
  // Two declarations of one class, of the browser's library and of Node's.
  const readable = stream === null ? Readable.from([]) : Readable.fromWeb(stream as ReadableStream)
  // A break while nobody reads is told to the next reader by `errored`.
  readable.on("error", () => {})
  // A body that breaks off is an error of it.
  return Object.assign(readable, { statusCode: httpStatusCode, headers, complete: true })
}
