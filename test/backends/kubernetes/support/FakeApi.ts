/** An API server in this process that does what a test tells it to: plain HTTP, and exec over WebSockets. */
import * as Http from "node:http"
import type { AddressInfo, Socket } from "node:net"
import { type WebSocket, WebSocketServer } from "@effect/platform-node/NodeWS"
import { Context, Deferred, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import type { ClusterAccess } from "jobscope/backends/kubernetes/ClusterAccess"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import { FaultProxy } from "jobscope/testing"

export interface Seen {
  readonly method: string
  readonly url: URL
  readonly headers: Http.IncomingHttpHeaders
  readonly body: string
}

export interface Behaviour {
  /** Answers the `index`-th request, beginning with 0. */
  readonly http?: (response: Http.ServerResponse, seen: Seen, index: number) => void
  /** Serves an exec after its upgrade. */
  readonly exec?: (socket: WebSocket, seen: Seen) => void
  /** In place of the upgrade: the raw socket. */
  readonly upgrade?: (socket: Socket, seen: Seen) => void
  readonly protocol?: string
}

export interface Fake {
  readonly access: ClusterAccess
  readonly port: number
  readonly seen: ReadonlyArray<Seen>
  /** Connections that are open now. */
  readonly sockets: ReadonlySet<Socket>
  /** Completes when no more connections than these are open. */
  readonly atMost: (open: number) => Effect.Effect<void>
}

export class FakeApi extends Context.Service<FakeApi, Fake>()("jobscope/test/FakeApi") {}

const make = (behaviour: Behaviour) =>
  Effect.gen(function* () {
    const seen: Array<Seen> = []
    const sockets = new Set<Socket>()
    const waiting = new Set<() => void>()
    const server = Http.createServer((request, response) => {
      let body = ""
      request.setEncoding("utf8").on("data", (text: string) => {
        body += text
      })
      request.on("end", () => {
        const one = seenOf(request, body)
        seen.push(one)
        behaviour.http?.(response, one, seen.length - 1)
      })
    })
    server.on("connection", (socket) => {
      sockets.add(socket)
      socket.on("error", () => {})
      socket.on("close", () => {
        sockets.delete(socket)
        for (const check of waiting) check()
      })
    })
    const webSockets = new WebSocketServer({
      noServer: true,
      perMessageDeflate: false,
      handleProtocols: (offered) => behaviour.protocol ?? offered.values().next().value ?? false
    })
    server.on("upgrade", (request: Http.IncomingMessage, socket: Socket, head: Buffer) => {
      const one = seenOf(request, "")
      seen.push(one)
      if (behaviour.upgrade !== undefined) {
        // A socket that nobody reads does not learn that it was closed.
        socket.resume().on("end", () => socket.end())
        return behaviour.upgrade(socket, one)
      }
      webSockets.handleUpgrade(request, socket, head, (opened) => {
        opened.on("error", () => {})
        behaviour.exec?.(opened, one)
      })
    })
    yield* Effect.acquireRelease(
      Effect.callback<void>((resume) => {
        server.listen(0, "127.0.0.1", () => resume(Effect.void))
      }),
      () =>
        Effect.callback<void>((resume) => {
          for (const socket of sockets) socket.destroy()
          server.close(() => resume(Effect.void))
        })
    )
    const { port } = server.address() as AddressInfo
    const fake: Fake = {
      access: accessTo(`http://127.0.0.1:${port}`),
      port,
      seen,
      sockets,
      atMost: (open) =>
        Effect.callback((resume) => {
          const check = () => {
            if (sockets.size > open) return
            waiting.delete(check)
            resume(Effect.void)
          }
          waiting.add(check)
          check()
        })
    }
    return fake
  })

/** The fake behind a proxy that breaks connections. */
export const proxied = (faults?: FaultProxy.Faults) =>
  FakeApi.use(({ access }) => FaultProxy.make({ target: access, faults }))

/** The client, and the fake behind it. */
export const layer = (behaviour: Behaviour, options?: KubeClient.Options) =>
  Layer.effect(FakeApi, make(behaviour)).pipe(
    Layer.flatMap((context) =>
      Layer.merge(Layer.succeedContext(context), KubeClient.layerFrom(Context.get(context, FakeApi).access, options))
    )
  )

export const accessTo = (server: string): ClusterAccess => ({
  source: "a test",
  server,
  namespace: "ci",
  tls: {},
  headers: () => Effect.succeed({ authorization: "Bearer good" })
})

const seenOf = (request: Http.IncomingMessage, body: string): Seen => ({
  method: request.method ?? "",
  url: new URL(request.url ?? "", "http://fake"),
  headers: request.headers,
  body
})

export const json = (
  response: Http.ServerResponse,
  status: number,
  body: unknown,
  headers: Http.OutgoingHttpHeaders = {}
) => {
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body))
}

export const status = (code: number, reason: string, message: string, details?: object) => ({
  kind: "Status",
  status: "Failure",
  code,
  reason,
  message,
  ...(details === undefined ? {} : { details })
})

export const frame = (channel: number, content: string | Uint8Array) =>
  Buffer.concat([Buffer.of(channel), Buffer.from(content)])

export const exited = (code: number) =>
  frame(
    3,
    JSON.stringify(
      code === 0
        ? { status: "Success" }
        : status(500, "NonZeroExitCode", "failed", { causes: [{ reason: "ExitCode", message: String(code) }] })
    )
  )

export const pod = (name: string, resourceVersion: number, phase = "Running") => ({
  metadata: { name, namespace: "ci", resourceVersion: String(resourceVersion) },
  status: { phase }
})

export const podList = (resourceVersion: number, ...items: ReadonlyArray<object>) => ({
  metadata: { resourceVersion: String(resourceVersion) },
  items
})

/** Runs an effect while the test's time passes, with a turn for real sockets after each step. */
export const passing = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  step: `${number} ${"seconds" | "millis"}` = "1 seconds"
) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    while (fiber.pollUnsafe() === undefined) {
      yield* TestClock.adjust(step)
      yield* turn
    }
    return yield* Fiber.join(fiber)
  })

/** Two turns of the event loop: what sockets had to say has been said. */
const turn = Effect.callback<void>((resume) => {
  setTimeout(() => setImmediate(() => resume(Effect.void)), 1)
})

/** An event that a callback tells. */
export const signal = <A = void>() => {
  const deferred = Deferred.makeUnsafe<A>()
  return {
    happened: Deferred.await(deferred),
    tell: (value: A) => Deferred.doneUnsafe(deferred, Effect.succeed(value))
  }
}
