/**
 * What BuildKit asks of its client while it builds: files, and credentials for registries.
 *
 * **Details**
 *
 * A call of ours carries bytes both ways; they are a connection of their own, in which BuildKit is the client. So a context of any size can
 * be sent, and only what BuildKit does not have yet is.
 */
import { Buffer } from "node:buffer"
import * as Http2 from "node:http2"
import { Duplex } from "node:stream"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type { RegistryCredentials } from "../../../../domain/Container.ts"
import type { BuildContext, Entry } from "../../BuildContext.ts"
import { canonicalHost } from "../../ImageReference.ts"
import { type Connection, frame, makeDeframer } from "./grpc.ts"
import { bytes, decode, number } from "./protobuf.ts"

export interface SessionOptions {
  readonly id: string
  readonly context: BuildContext
  /** All of the context, in order of their paths. */
  readonly entries: ReadonlyArray<Entry>
  readonly dockerfile: { readonly name: string; readonly text: string }
  readonly credentials: ReadonlyArray<RegistryCredentials>
}

const fileSync = "/moby.filesync.v1.FileSync/DiffCopy"
const credentialsCall = "/moby.filesync.v1.Auth/Credentials"
const healthCheck = "/grpc.health.v1.Health/Check"

/** Offers a session for as long as the scope is open. */
export const serve = Effect.fnUntraced(function* (
  connection: Connection,
  options: SessionOptions
): Effect.fn.Return<void, never, Scope.Scope> {
  const tunnel = yield* connection.open("/moby.buildkit.v1.Control/Session", {
    "x-docker-expose-session-uuid": options.id,
    "x-docker-expose-session-name": "jobscope",
    "x-docker-expose-session-sharedkey": options.id,
    "x-docker-expose-session-grpc-method": [fileSync, credentialsCall, healthCheck]
  })
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      const server = Http2.createServer()
      const duplex = tunnelled(tunnel)
      server.on("sessionError", () => {})
      server.on("stream", (stream, headers) => {
        stream.on("error", () => {})
        answer(stream, headers, options)
      })
      server.emit("connection", duplex)
      return duplex
    }),
    (duplex) => Effect.sync(() => duplex.destroy())
  )
})

/** The connection in the call: each message is a piece of it. */
const tunnelled = (tunnel: Http2.ClientHttp2Stream): Duplex => {
  const deframe = makeDeframer()
  const duplex = new Duplex({
    read: () => {
      tunnel.resume()
    },
    write: (chunk: Buffer, _, done) => {
      tunnel.write(frame(bytes(1, chunk)), (error) => done(error))
    },
    final: (done) => {
      tunnel.end(done)
    },
    destroy: (error, done) => {
      tunnel.close()
      done(error)
    }
  })
  duplex.on("error", () => {})
  tunnel.on("data", (chunk: Buffer) => {
    for (const message of deframe(chunk)) {
      for (const piece of decode(message)?.bytes(1) ?? []) if (!duplex.push(piece)) tunnel.pause()
    }
  })
  tunnel.on("close", () => duplex.push(null))
  return duplex
}

const answer = (stream: Http2.ServerHttp2Stream, headers: Http2.IncomingHttpHeaders, options: SessionOptions): void => {
  const method = headers[":path"] ?? ""
  let status: Http2.OutgoingHttpHeaders = { "grpc-status": "0" }
  stream.on("wantTrailers", () => stream.sendTrailers(status))
  stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true })
  const deframe = makeDeframer()
  const reply = (message: (request: Buffer) => Uint8Array) =>
    stream.on("data", (chunk: Buffer) => {
      for (const request of deframe(chunk)) stream.end(frame(message(request)))
    })
  switch (method) {
    case healthCheck:
      // 1: serving.
      reply(() => number(1, 1))
      return
    case credentialsCall:
      reply((request) => credentialsFor(decode(request)?.text(1) ?? "", options.credentials))
      return
    case fileSync:
      sendFiles(stream, String(headers["dir-name"] ?? "context"), options)
      return
    default:
      // 12: unimplemented.
      status = { "grpc-status": "12", "grpc-message": "not offered" }
      stream.end()
  }
}

const credentialsFor = (host: string, credentials: ReadonlyArray<RegistryCredentials>): Buffer => {
  const found = credentials.find(({ server }) => canonicalHost(server) === canonicalHost(host))
  return found === undefined
    ? Buffer.alloc(0)
    : Buffer.concat([bytes(1, found.username), bytes(2, Redacted.value(found.password))])
}

/** Kinds of packets. */
const packet = { stat: 0, request: 1, data: 2, end: 3, error: 4 }

const makePacket = (type: number, id = 0, data?: Uint8Array, stat?: Uint8Array): Buffer =>
  frame(
    Buffer.concat([
      number(1, type),
      stat === undefined ? Buffer.alloc(0) : bytes(2, stat),
      number(3, id),
      data === undefined ? Buffer.alloc(0) : bytes(4, data)
    ])
  )

type Described = Pick<Entry, "path" | "kind" | "mode" | "size" | "mtime" | "target">

interface Offered {
  readonly entry: Described
  readonly chunks: () => Iterable<Uint8Array>
}

const offeredFor = (directory: string, { context, dockerfile, entries }: SessionOptions): ReadonlyArray<Offered> => {
  if (directory !== "dockerfile") return entries.map((entry) => ({ entry, chunks: () => context.chunks(entry) }))
  const content = Buffer.from(dockerfile.text, "utf8")
  const entry: Described = {
    path: dockerfile.name,
    kind: "file",
    mode: 0o644,
    size: content.length,
    mtime: 0,
    target: undefined
  }
  return [{ entry, chunks: () => [content] }]
}

/** Says what there is, then sends what BuildKit asks for, as fast as it is taken. */
const sendFiles = (stream: Http2.ServerHttp2Stream, directory: string, options: SessionOptions): void => {
  const offered = offeredFor(directory, options)
  const outbox: Array<Iterator<Buffer>> = [statPackets(offered)]
  let waiting = false
  const pump = (): void => {
    waiting = false
    while (!stream.destroyed) {
      const [current] = outbox
      if (current === undefined) return
      const next = Result.try(() => current.next())
      if (Result.isFailure(next)) {
        stream.end(makePacket(packet.error, 0, Buffer.from(String(next.failure))))
        return
      }
      if (next.success.done === true) outbox.shift()
      else if (!stream.write(next.success.value)) {
        waiting = true
        stream.once("drain", pump)
        return
      }
    }
  }
  const deframe = makeDeframer()
  stream.on("data", (chunk: Buffer) => {
    for (const message of deframe(chunk)) {
      const request = decode(message)
      switch (request?.number(1)) {
        case packet.request: {
          const id = request.number(3)
          const file = offered[id]
          if (file !== undefined) outbox.push(dataPackets(id, file))
          if (!waiting) pump()
          break
        }
        case packet.end:
          stream.end(makePacket(packet.end))
          break
        case packet.error:
          stream.end()
      }
    }
  })
  pump()
}

/** Go's bits of a file's mode. */
const goMode = ({ kind, mode }: Described): number =>
  (mode & 0o777) +
  (kind === "directory" ? 2 ** 31 : kind === "link" ? 2 ** 27 : 0) +
  ((mode & 0o4000) === 0 ? 0 : 2 ** 23) +
  ((mode & 0o2000) === 0 ? 0 : 2 ** 22) +
  ((mode & 0o1000) === 0 ? 0 : 2 ** 20)

function* statPackets(offered: ReadonlyArray<Offered>): Generator<Buffer, void> {
  for (const { entry } of offered) {
    const stat = Buffer.concat([
      bytes(1, entry.path),
      number(2, goMode(entry)),
      number(5, entry.target === undefined ? entry.size : Buffer.byteLength(entry.target)),
      number(6, BigInt(Math.trunc(entry.mtime)) * 1_000_000n),
      entry.target === undefined ? Buffer.alloc(0) : bytes(7, entry.target)
    ])
    yield makePacket(packet.stat, 0, undefined, stat)
  }
  yield makePacket(packet.stat)
}

function* dataPackets(id: number, { chunks }: Offered): Generator<Buffer, void> {
  for (const chunk of chunks()) yield makePacket(packet.data, id, chunk)
  yield makePacket(packet.data, id)
}
