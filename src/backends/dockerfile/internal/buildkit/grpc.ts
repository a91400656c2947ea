/** gRPC over Node's HTTP/2: as a client, and for the few calls that BuildKit makes back. */
import { Buffer } from "node:buffer"
import * as Http2 from "node:http2"
import type { TLSSocket } from "node:tls"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

/** How a call failed; `code` is gRPC's, -1 if there was no answer. */
export class GrpcError extends Data.TaggedError("GrpcError")<{
  readonly code: number
  readonly detail: string
}> {}

export interface TlsMaterial {
  readonly ca: string
  readonly cert: string
  readonly key: string
  readonly servername?: string | undefined
}

export interface Connection {
  /** A message for a message. */
  readonly unary: (method: string, message: Uint8Array) => Effect.Effect<Buffer, GrpcError>
  /** Messages for a message, until the server ends it. */
  readonly stream: (method: string, message: Uint8Array) => Stream.Stream<Buffer, GrpcError>
  /** Bytes both ways. The scope is the call's. */
  readonly open: (
    method: string,
    headers: Http2.OutgoingHttpHeaders
  ) => Effect.Effect<Http2.ClientHttp2Stream, never, Scope.Scope>
  /** Fails when the connection is lost. */
  readonly lost: Effect.Effect<never, GrpcError>
}

/** One frame: not compressed, length, message. */
export const frame = (message: Uint8Array): Buffer => {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(message.length, 1)
  return Buffer.concat([head, message])
}

/** Cuts bytes into messages, wherever they were cut before. */
export const makeDeframer = (): ((chunk: Buffer) => ReadonlyArray<Buffer>) => {
  let pending: Array<Buffer> = []
  let size = 0
  return (chunk) => {
    pending.push(chunk)
    size += chunk.length
    const messages: Array<Buffer> = []
    for (;;) {
      if (size < 5) return messages
      const head = pending[0]!.length >= 5 ? pending[0]! : Buffer.concat(pending)
      const length = head.readUInt32BE(1)
      if (size < 5 + length) return messages
      const all = pending.length === 1 ? pending[0]! : Buffer.concat(pending)
      messages.push(all.subarray(5, 5 + length))
      const rest = all.subarray(5 + length)
      pending = rest.length === 0 ? [] : [rest]
      size = rest.length
    }
  }
}

/** Connects, and closes with the scope. `address`: `tcp://host:1234`; without TLS material it is plain text. */
export const connect = Effect.fnUntraced(function* (
  address: string,
  tls: TlsMaterial | undefined,
  timeout: Duration.Input
): Effect.fn.Return<Connection, GrpcError, Scope.Scope> {
  const authority = `${tls === undefined ? "http" : "https"}://${address.replace(/^\w+:\/\//, "")}`
  const problems = yield* Queue.make<never, GrpcError>()
  const session = yield* Effect.acquireRelease(
    Effect.callback<Http2.ClientHttp2Session, GrpcError>((resume) => {
      const made = Http2.connect(authority, tls === undefined ? {} : { ...tls, ALPNProtocols: ["h2"] })
      // Not `once`: an error that nobody listens to any more would end the process.
      made.on("error", (cause: NodeJS.ErrnoException) => {
        const error = unanswered(cause.message === "" ? (cause.code ?? "the connection broke") : cause.message)
        resume(Effect.fail(error))
        Queue.failCauseUnsafe(problems, Cause.fail(error))
      })
      made.once("close", () => Queue.failCauseUnsafe(problems, Cause.fail(unanswered("the connection was closed"))))
      made.once("connect", (_, socket) => {
        const protocol = (socket as TLSSocket).alpnProtocol
        resume(
          tls !== undefined && protocol !== "h2"
            ? Effect.fail(unanswered("it does not speak HTTP/2"))
            : Effect.succeed(made)
        )
      })
      return Effect.sync(() => made.destroy())
    }).pipe(
      Effect.timeoutOrElse({ duration: timeout, orElse: () => Effect.fail(unanswered("no connection in time")) })
    ),
    (made) => Effect.sync(() => made.destroy())
  )
  // A build may be quiet for long: only a ping tells that the other end is there.
  yield* Effect.forkScoped(
    ping(session).pipe(
      Effect.timeoutOrElse({ duration: "20 seconds", orElse: () => Effect.sync(() => session.destroy()) }),
      Effect.repeat(Schedule.spaced("15 seconds"))
    )
  )

  const call = (method: string, headers: Http2.OutgoingHttpHeaders = {}) =>
    session.request({
      ":method": "POST",
      ":path": method,
      "content-type": "application/grpc",
      te: "trailers",
      ...headers
    })

  const messages = (method: string, message: Uint8Array): Stream.Stream<Buffer, GrpcError> =>
    Stream.callback<Buffer, GrpcError>((queue) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          const stream = call(method)
          const deframe = makeDeframer()
          let status: GrpcError | "good" | undefined
          const read = (headers: Http2.IncomingHttpHeaders) => {
            const code = headers["grpc-status"]
            if (code === "0") status = "good"
            else if (code !== undefined) status = new GrpcError({ code: Number(code), detail: messageOf(headers) })
            else if (headers[":status"] !== undefined && Number(headers[":status"]) !== 200) {
              status = unanswered(`it answered with HTTP status ${headers[":status"]}`)
            }
          }
          stream.on("response", read)
          stream.on("trailers", read)
          stream.on("data", (chunk: Buffer) => {
            for (const each of deframe(chunk)) Queue.offerUnsafe(queue, each)
          })
          stream.on("error", (cause) => {
            status ??= unanswered(cause.message)
          })
          stream.on("close", () => {
            if (status === "good") Queue.endUnsafe(queue)
            else Queue.failCauseUnsafe(queue, Cause.fail(status ?? unanswered("the answer broke off")))
          })
          stream.end(frame(message))
          return stream
        }),
        (stream) => Effect.sync(() => stream.close(Http2.constants.NGHTTP2_CANCEL))
      )
    )

  return {
    unary: (method, message) =>
      Effect.flatMap(Stream.runCollect(messages(method, message)), ([first]) =>
        first === undefined ? Effect.fail(unanswered("an empty answer")) : Effect.succeed(first)
      ),
    stream: messages,
    open: (method, headers) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          const stream = call(method, headers)
          stream.on("error", () => {})
          return stream
        }),
        (stream) => Effect.sync(() => stream.close(Http2.constants.NGHTTP2_CANCEL))
      ),
    lost: Queue.take(problems)
  }
})

const unanswered = (detail: string): GrpcError => new GrpcError({ code: -1, detail })

const ping = (session: Http2.ClientHttp2Session): Effect.Effect<void> =>
  Effect.callback((resume) => {
    if (session.destroyed || !session.ping(() => resume(Effect.void))) resume(Effect.void)
  })

const messageOf = (headers: Http2.IncomingHttpHeaders): string => {
  const text = String(headers["grpc-message"] ?? "")
  // Percent-encoded bytes of UTF-8, so that a header can hold them.
  const raw = text.replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  return Buffer.from(raw, "latin1").toString("utf8")
}
