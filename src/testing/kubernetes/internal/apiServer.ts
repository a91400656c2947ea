/** The HTTP side of a fake cluster: who calls, faults, and which part answers. */
import * as Http from "node:http"
import * as Https from "node:https"
import type { AddressInfo, Socket } from "node:net"
import { type WebSocket, WebSocketServer } from "@effect/platform-node/NodeWS"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import type { Fault } from "../FakeFault.ts"
import { type ApiCall, discoveryAt, parseCall } from "./apiCall.ts"
import { reportingDefects } from "./defects.ts"
import { serveExec } from "./execCall.ts"
import { breakSocket, limitSocket, type makeFaults } from "./faults.ts"
import { pods } from "./kinds.ts"
import type { Kubelet } from "./kubelet.ts"
import { containerOf, logOf, serveLog } from "./logCall.ts"
import type { Answer } from "./objectCalls.ts"
import type { ObjectStore } from "./objectStore.ts"
import { asPod, type Pod } from "./pod.ts"
import type { ContainerRecord } from "./podStatus.ts"
import * as Status from "./Status.ts"
import type { User, Users } from "./users.ts"
import { serveWatch, type WatchSettings } from "./watchCall.ts"

/**
 * A request that came.
 *
 * @category models
 */
export interface SeenRequest {
  readonly verb: string
  readonly group: string
  /** With the subresource: `pods/exec`. */
  readonly resource: string
  readonly namespace: string | undefined
  readonly name: string | undefined
  readonly user: string
  /** Of the answer; nothing while there is none. */
  readonly status: number | undefined
}

export interface ApiServerOptions extends WatchSettings {
  readonly store: ObjectStore
  readonly users: Users
  readonly kubelet: Kubelet
  readonly faults: ReturnType<typeof makeFaults>
  readonly answer: (call: ApiCall, body: unknown) => Answer
  readonly seen: Array<SeenRequest>
  readonly tls: { readonly cert: string; readonly key: string } | undefined
  readonly protocols: ReadonlyArray<string>
}

/** Listens until the scope closes, and gives the port. */
export const serveApi = Effect.fnUntraced(function* (
  options: ApiServerOptions
): Effect.fn.Return<number, never, Scope.Scope> {
  const { faults, kubelet, store, users } = options
  const run = yield* FiberSet.makeRuntime<never, void, never>()
  const sockets = new Set<Socket>()
  const server =
    options.tls === undefined ? Http.createServer(limits) : Https.createServer({ ...limits, ...options.tls })
  const webSockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    handleProtocols: (offered) => [...offered].find((protocol) => options.protocols.includes(protocol)) ?? false
  })

  /** Who calls what, or the refusal; and the fault that hits it. */
  const enter = (request: Http.IncomingMessage): Entered => {
    const call = parseCall(request, store.kinds)
    const user = users.withToken(request.headers.authorization)
    const facts =
      "code" in call
        ? {
            verb: (request.method ?? "").toLowerCase(),
            group: "",
            resource: request.url ?? "",
            namespace: undefined,
            name: undefined
          }
        : {
            verb: call.verb,
            group: call.kind.group,
            resource: call.resource,
            namespace: call.namespace,
            name: call.name
          }
    const index = options.seen.push({ ...facts, user: user?.name ?? "", status: undefined }) - 1
    const fault = faults.next({ ...facts, user: user?.name ?? "" })
    const told = (status: number) => {
      const one = options.seen[index]
      if (one !== undefined) options.seen[index] = { ...one, status }
    }
    if (user === undefined) return { told, fault, refusal: Status.unauthorized }
    if ("code" in call) {
      const discovery = discoveryAt(request.url ?? "", store.kinds)
      return discovery === undefined ? { told, fault, refusal: call } : { told, fault, discovery }
    }
    const refusal =
      users.refusal(user, call) ??
      // A GET that makes something happen; so since Kubernetes 1.35.
      (call.resource === "pods/exec" ? users.refusal(user, { ...call, verb: "create" }) : undefined)
    return refusal === undefined ? { told, fault, call, user } : { told, fault, refusal }
  }

  /** What a pod's subresource needs of the node, or why it has none. */
  const reach = (call: ApiCall): { readonly pod: Pod; readonly container: ContainerRecord } | Status.Status => {
    const object = store.get(pods, call.namespace, call.name ?? "")
    if (object === undefined) return Status.notFound(pods, call.name ?? "")
    const pod = asPod(object)
    if (!kubelet.isConnected())
      return Status.internalError("error dialing backend: dial tcp 127.0.0.1:10250: connect: no route to host")
    const container = containerOf(pod, kubelet.record(pod.metadata.uid), call)
    return "code" in container ? container : { pod, container }
  }

  const answering = Effect.fnUntraced(function* (
    entered: Entered,
    request: Http.IncomingMessage,
    response: Http.ServerResponse
  ) {
    const body = yield* bodyOf(request)
    const { call, fault, refusal, told } = entered
    const answer = ({ body, code }: Answer, headers: Http.OutgoingHttpHeaders = {}) => {
      told(code)
      response.writeHead(code, { "content-type": "application/json", ...headers }).end(JSON.stringify(body))
    }
    const refuse = (status: Status.Status) => answer({ code: status.code, body: status })
    if (!(yield* struck(fault, request.socket, answer))) return
    if (entered.discovery !== undefined) return answer({ code: 200, body: entered.discovery })
    if (call === undefined) return refuse(refusal ?? Status.unknownPath)
    if (call.verb === "watch") {
      told(200)
      return yield* serveWatch(store, call, response, options, refuse, fault?.action)
    }
    if (call.resource === "pods/log") {
      const found = reach(call)
      if ("code" in found) return refuse(found)
      const log = logOf(found.pod, found.container, call)
      if ("code" in log) return refuse(log)
      told(200)
      return yield* Effect.scoped(serveLog(log, call, response, store.now()))
    }
    if (call.resource === "pods/exec")
      return refuse(Status.badRequest("you must specify at least 1 of stdin, stdout, stderr"))
    answer(options.answer(call, body))
  })

  const upgrading = Effect.fnUntraced(function* (
    { call, fault, refusal, told }: Entered,
    request: Http.IncomingMessage,
    socket: Socket,
    head: Buffer
  ) {
    const answer = ({ body, code }: Answer, headers: Http.OutgoingHttpHeaders = {}) => {
      told(code)
      const text = typeof body === "string" ? body : JSON.stringify(body)
      const lines = Object.entries({
        "content-type": "application/json",
        "content-length": Buffer.byteLength(text),
        ...headers
      })
      const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")
      socket.end(`HTTP/1.1 ${code} ${Http.STATUS_CODES[code] ?? ""}\r\n${head}connection: close\r\n\r\n${text}`)
    }
    const refuse = (status: Status.Status) => answer({ code: status.code, body: status })
    if (!(yield* struck(fault, socket, answer))) return
    if (call === undefined) return refuse(refusal ?? Status.unknownPath)
    if (call.resource !== "pods/exec") return refuse(Status.unknownPath)
    const found = reach(call)
    if ("code" in found) return refuse(found)
    const { process, spec } = found.container
    // In the words of the kubelet, which speaks plain text.
    if (process === undefined) return answer({ code: 500, body: `container not found ("${spec.name}")` })
    told(101)
    const webSocket = yield* Effect.callback<WebSocket>((resume) => {
      webSockets.handleUpgrade(request, socket, head, (opened) => resume(Effect.succeed(opened)))
    })
    webSocket.on("error", () => {})
    yield* serveExec(webSocket, found.container, process, call)
  })

  server.on("connection", (socket: Socket) => {
    sockets.add(socket)
    socket.on("error", () => {})
    socket.on("close", () => sockets.delete(socket))
  })
  server.on("request", (request, response) => {
    const fiber = run(reportingDefects(answering(enter(request), request, response)))
    response.on("close", () => fiber.interruptUnsafe())
  })
  server.on("upgrade", (request: Http.IncomingMessage, socket: Socket, head: Buffer) => {
    // A connection that was answered other requests before is told of the end of its peer by an error.
    socket.on("error", () => {})
    const fiber = run(reportingDefects(upgrading(enter(request), request, socket, head)))
    socket.on("close", () => fiber.interruptUnsafe())
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
  return (server.address() as AddressInfo).port
})

/** As large as Go's default: commands of exec are in the path. */
const limits = { maxHeaderSize: 1024 * 1024 }

interface Entered {
  readonly told: (status: number) => void
  readonly fault: Fault | undefined
  readonly call?: ApiCall
  readonly user?: User
  readonly refusal?: Status.Status
  /** In place of a call: what a group and version has. */
  readonly discovery?: object
}

/** Does what the fault wants, and says whether the request is served then. */
const struck = Effect.fnUntraced(function* (
  fault: Fault | undefined,
  socket: Socket,
  answer: (answer: Answer, headers: Http.OutgoingHttpHeaders) => void
): Effect.fn.Return<boolean> {
  const action = fault?.action
  switch (action?._tag) {
    case undefined:
    case "Watch":
      return true
    case "Delay":
      yield* Effect.sleep(action.duration)
      return true
    case "Silence":
      return yield* Effect.never
    case "HangUp":
      socket.resetAndDestroy()
      return false
    case "Answer": {
      const { message = Http.STATUS_CODES[action.status] ?? "", retryAfter, status } = action
      const reason = status === 429 ? "TooManyRequests" : status === 403 ? "Forbidden" : "InternalError"
      const details = retryAfter === undefined ? undefined : { retryAfterSeconds: retryAfter }
      answer(
        { code: status, body: Status.failure(status, reason, message, details) },
        retryAfter === undefined ? {} : { "retry-after": String(retryAfter) }
      )
      return false
    }
    case "Cut": {
      const { after, afterBytes, how } = action
      if (afterBytes !== undefined) limitSocket(socket, afterBytes, how)
      if (after !== undefined) {
        // With the connection, not with the request: an answer that is complete may be followed by another.
        yield* Effect.forkDetach(
          Effect.andThen(
            Effect.sleep(after),
            Effect.sync(() => breakSocket(socket, how))
          )
        )
      }
      return true
    }
  }
})

const bodyOf = (request: Http.IncomingMessage): Effect.Effect<unknown> =>
  Effect.callback((resume) => {
    const parts: Array<Buffer> = []
    request.on("data", (part: Buffer) => parts.push(part))
    request.once("end", () => {
      const text = Buffer.concat(parts).toString("utf8")
      resume(Effect.sync(() => parse(text)))
    })
  })

const parse = (text: string): unknown => {
  try {
    return text === "" ? undefined : JSON.parse(text)
  } catch {
    return undefined
  }
}
