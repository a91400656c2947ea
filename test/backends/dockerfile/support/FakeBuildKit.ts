/**
 * A BuildKit daemon in this process, as far as its protocol goes: it asks for the files and for credentials in the session, tells a log, and
 * answers what it is told to. It builds nothing; a real one is in test/cluster/dockerfile.
 */
import * as Http2 from "node:http2"
import type { AddressInfo } from "node:net"
import { Duplex } from "node:stream"
import * as Effect from "effect/Effect"
import { frame, makeDeframer } from "../../../../src/backends/dockerfile/internal/buildkit/grpc.ts"
import {
  bytes,
  decode,
  number,
  texts,
  textsOf
} from "../../../../src/backends/dockerfile/internal/buildkit/protobuf.ts"

interface Told {
  readonly path: string
  readonly mode: number
  readonly size: number
  readonly link: string
  readonly content: string
}

export interface Options {
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string }
  /** `StatusResponse`s of the log. */
  readonly log?: ReadonlyArray<Buffer>
  /** Fails the build with this. */
  readonly error?: { readonly code: number; readonly message: string }
  /** Never answers, or cuts the connection. */
  readonly fault?: "hang" | "cut"
  /** Asked for before the answer. */
  readonly host?: string
}

interface Seen {
  readonly files: Map<string, ReadonlyArray<Told>>
  attributes: ReadonlyMap<string, string>
  exporter: ReadonlyMap<string, string>
  credentials: readonly [user: string, secret: string] | undefined
}

export const digest = `sha256:${"d".repeat(64)}`

export const make = Effect.fnUntraced(function* (options: Options = {}) {
  const seen: Seen = {
    files: new Map(),
    attributes: new Map(),
    exporter: new Map(),
    credentials: undefined
  }
  let session: Http2.ClientHttp2Session | undefined
  let solveStarted: () => void = () => {}
  const started = new Promise<void>((resolve) => {
    solveStarted = resolve
  })
  let wasCancelled: () => void = () => {}
  const cancelled = new Promise<void>((resolve) => {
    wasCancelled = resolve
  })
  let ended: () => void = () => {}
  const logEnd = new Promise<void>((resolve) => {
    ended = resolve
  })

  /** One call of ours in the session. */
  const ask = (
    path: string,
    headers: Http2.OutgoingHttpHeaders,
    onMessage: (message: Buffer, stream: Http2.ClientHttp2Stream) => void
  ) =>
    new Promise<void>((resolve, reject) => {
      const stream = session!.request({
        ":method": "POST",
        ":path": path,
        "content-type": "application/grpc",
        te: "trailers",
        ...headers
      })
      const deframe = makeDeframer()
      stream.on("data", (chunk: Buffer) => {
        for (const message of deframe(chunk)) onMessage(message, stream)
      })
      stream.on("error", reject)
      stream.on("end", resolve)
      if (path.endsWith("Credentials")) stream.end(frame(bytes(1, options.host ?? "")))
    })

  const readFiles = async (directory: string) => {
    const told: Array<{ path: string; mode: number; size: number; link: string; content: string }> = []
    let waiting = 0
    let all = false
    await ask("/moby.filesync.v1.FileSync/DiffCopy", { "dir-name": directory }, (message, stream) => {
      const packet = decode(message)!
      const kind = packet.number(1)
      if (kind === 0 && packet.has(2)) {
        const stat = decode(packet.bytes(2)[0]!)!
        told.push({ path: stat.text(1), mode: stat.number(2), size: stat.number(5), link: stat.text(7), content: "" })
      } else if (kind === 0) {
        all = true
        for (const [id, { mode }] of told.entries()) {
          if (mode >= 2 ** 27) continue
          waiting++
          stream.write(frame(Buffer.concat([number(1, 1), number(3, id)])))
        }
      } else if (kind === 2) {
        const data = packet.bytes(4)[0]
        if (data === undefined) waiting--
        else told[packet.number(3)]!.content += data.toString("latin1")
      } else if (kind === 3) {
        stream.end()
      }
      if (all && waiting === 0 && kind !== 3) {
        all = false
        stream.write(frame(number(1, 3)))
      }
    })
    seen.files.set(directory, told)
  }

  const solve = async (request: Buffer): Promise<Buffer> => {
    const message = decode(request)!
    seen.attributes = textsOf(message, 7)
    seen.exporter = textsOf(decode(message.bytes(13)[0]!)!, 2)
    await readFiles("dockerfile")
    await readFiles("context")
    if (options.host !== undefined) {
      await ask("/moby.filesync.v1.Auth/Credentials", {}, (answer) => {
        const credentials = decode(answer)!
        seen.credentials = [credentials.text(1), credentials.text(2)]
      })
    }
    return texts(1, { "containerimage.digest": digest })
  }

  const handle = (stream: Http2.ServerHttp2Stream, headers: Http2.IncomingHttpHeaders): void => {
    stream.on("error", () => {})
    let status: Http2.OutgoingHttpHeaders = { "grpc-status": "0" }
    stream.on("wantTrailers", () => stream.sendTrailers(status))
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true })
    const deframe = makeDeframer()
    switch (headers[":path"]) {
      case "/moby.buildkit.v1.Control/Session": {
        const tunnel = new Duplex({
          read: () => {},
          write: (chunk: Buffer, _, done) => {
            stream.write(frame(bytes(1, chunk)), () => done())
          }
        })
        stream.on("data", (chunk: Buffer) => {
          for (const piece of deframe(chunk)) for (const each of decode(piece)!.bytes(1)) tunnel.push(each)
        })
        stream.on("close", () => {
          session?.destroy()
        })
        session = Http2.connect("http://session", { createConnection: () => tunnel })
        session.on("error", () => {})
        return
      }
      case "/moby.buildkit.v1.Control/Status":
        for (const each of options.log ?? []) stream.write(frame(each))
        void logEnd.then(() => stream.end())
        return
      case "/moby.buildkit.v1.Control/Solve":
        stream.on("aborted", wasCancelled)
        stream.on("data", (chunk: Buffer) => {
          for (const request of deframe(chunk)) {
            solveStarted()
            if (options.fault === "cut") stream.session?.destroy()
            if (options.fault !== undefined) return
            void solve(request).then((answer) => {
              if (options.error === undefined) stream.write(frame(answer))
              else {
                const text = encodeURIComponent(options.error.message)
                status = { "grpc-status": String(options.error.code), "grpc-message": text }
              }
              ended()
              stream.end()
            })
          }
        })
        return
      default:
        status = { "grpc-status": "12" }
        stream.end()
    }
  }

  const { tls } = options
  const server =
    tls === undefined
      ? Http2.createServer()
      : Http2.createSecureServer({ ...tls, requestCert: true, rejectUnauthorized: true })
  const sessions = new Set<Http2.ServerHttp2Session>()
  server.on("session", (each) => {
    sessions.add(each)
    each.on("error", () => {})
  })
  server.on("stream", handle)
  server.on("sessionError", () => {})
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => {
      server.listen(0, "127.0.0.1", () => resume(Effect.void))
    }),
    () =>
      Effect.sync(() => {
        for (const each of sessions) each.destroy()
        server.close()
      })
  )
  return {
    address: `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    solveStarted: Effect.promise(() => started),
    cancelled: Effect.promise(() => cancelled)
  }
})

/** A `StatusResponse`: vertexes and what they write. */
export const status = (options: {
  readonly vertexes?: ReadonlyArray<{
    readonly id: string
    readonly name: string
    readonly done?: boolean
    readonly cached?: boolean
    readonly error?: string
  }>
  readonly logs?: ReadonlyArray<readonly [id: string, text: string]>
}): Buffer =>
  Buffer.concat([
    ...(options.vertexes ?? []).map(({ cached, done, error, id, name }) =>
      bytes(
        1,
        Buffer.concat([
          bytes(1, id),
          bytes(3, name),
          number(4, cached === true ? 1 : 0),
          ...(done === true ? [bytes(6, number(1, 1))] : []),
          ...(error === undefined ? [] : [bytes(7, error)])
        ])
      )
    ),
    ...(options.logs ?? []).map(([id, text]) => bytes(3, Buffer.concat([bytes(1, id), bytes(4, text)])))
  ])
