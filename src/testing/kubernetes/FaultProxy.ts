/**
 * A TCP proxy before an API server, fake or real, that breaks connections on purpose: cuts, delays, throttles, half-open connections, and a
 * server that is down. What it leaves to chance is decided by a seed, so that a failure can be repeated.
 *
 * **Details**
 *
 * TLS passes through: `access` then asks for the certificate of the server itself. Time is real, also where a test has `TestClock`.
 *
 * @example
 *
 * ```ts
 * const proxy = yield* FaultProxy.make({ target: kubernetes.access, faults: { after: { between: ["100 millis", "2 seconds"] } }, seed: 7 })
 * const kube = yield* KubeClient.make(proxy.access)
 * // The API server is away for as long as a step runs.
 * yield* proxy.stop
 * yield* Effect.ensuring(step, proxy.start)
 * ```
 */

import type { AddressInfo } from "node:net"
import * as Net from "node:net"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import type { ClusterAccess } from "../../backends/kubernetes/ClusterAccess.ts"

/**
 * A value, or two between which the seed chooses one for each connection.
 *
 * @category models
 */
export type Chosen<A> = A | { readonly between: readonly [from: A, to: A] }

/**
 * What befalls a connection.
 *
 * @category models
 */
export interface Faults {
  /** It breaks after so many bytes of the server. */
  readonly afterBytes?: Chosen<number> | undefined
  /** It breaks so long after the server's first byte. */
  readonly after?: Chosen<Duration.Input> | undefined
  /** What the server sends comes so much later. */
  readonly delay?: Chosen<Duration.Input> | undefined
  /** The server's bytes come no faster, each second. */
  readonly bytesPerSecond?: number | undefined
  /** How many connections are hit; later ones are whole. Default: all. */
  readonly times?: number | undefined
  /** How likely each of them is hit. Default 1. */
  readonly probability?: number | undefined
  /** How it breaks. Default `reset`. */
  readonly how?: How | undefined
}

/**
 * Reset, closed in order, or silent: nothing passes any more and nobody is told, as if the network had vanished.
 *
 * @category models
 */
export type How = "reset" | "close" | "silent"

/** @category options */
export interface Options {
  readonly target: ClusterAccess
  readonly faults?: Faults | undefined
  /** Breaks all connections that are open, again and again. */
  readonly every?: Duration.Input | undefined
  /** Default: another one each time. */
  readonly seed?: number | string | undefined
}

/** @category models */
export interface FaultProxy {
  readonly port: number
  /** The target, through the proxy. */
  readonly access: ClusterAccess
  /** How many connections were made. */
  readonly connections: Effect.Effect<number>
  /** How many are open. */
  readonly open: Effect.Effect<number>
  /** For connections from now on. */
  readonly setFaults: (faults: Faults) => Effect.Effect<void>
  /** Breaks what is open. */
  readonly cut: (how?: How) => Effect.Effect<void>
  /** From now on nothing passes and nobody is told, on new connections too. */
  readonly vanish: Effect.Effect<void>
  /** Ends `vanish`, for new connections. */
  readonly appear: Effect.Effect<void>
  /** The server is down: what is open is reset, what is new is refused. */
  readonly stop: Effect.Effect<void>
  /** Ends `stop`, on the same port. */
  readonly start: Effect.Effect<void>
}

/**
 * Listens on this machine until the scope closes.
 *
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<FaultProxy, never, Scope.Scope> => {
  const made = options.seed === undefined ? build(options) : Random.withSeed(build(options), options.seed)
  // Networks do not wait for a test's clock.
  return Effect.provideService(made, Clock.Clock, Clock.Clock.defaultValue())
}

const build = Effect.fnUntraced(function* (options: Options): Effect.fn.Return<FaultProxy, never, Scope.Scope> {
  const random = yield* Random.Random
  const server = new URL(options.target.server)
  const target = {
    host: server.hostname.replace(/^\[|\]$/g, ""),
    port: Number(server.port === "" ? (server.protocol === "https:" ? 443 : 80) : server.port)
  }
  const run = yield* FiberSet.makeRuntime<never, void, never>()
  const open = new Set<Connection>()
  let faults = options.faults ?? {}
  let connections = 0
  let hits = 0
  let vanished = false

  const between = (from: number, to: number) => from + (to - from) * random.nextDoubleUnsafe()
  const number = (chosen: Chosen<number>) => (typeof chosen === "number" ? chosen : between(...chosen.between))
  const millis = (chosen: Chosen<Duration.Input>) => {
    const [from, to] = isRange(chosen) ? chosen.between : ([chosen, chosen] as const)
    return between(Duration.toMillis(Duration.fromInputUnsafe(from)), Duration.toMillis(Duration.fromInputUnsafe(to)))
  }

  const accept = (client: Net.Socket) => {
    connections++
    const {
      after,
      afterBytes,
      bytesPerSecond,
      delay,
      how = "reset",
      probability = 1,
      times = Number.POSITIVE_INFINITY
    } = faults
    const hit = hits < times && (probability >= 1 || random.nextDoubleUnsafe() < probability)
    if (hit) hits++
    const upstream = Net.connect(target)
    const connection: Connection = { client, upstream, silent: vanished }
    open.add(connection)
    client.on("error", () => upstream.destroy())
    upstream.on("error", () => client.destroy())
    client.on("close", () => {
      upstream.destroy()
      open.delete(connection)
    })
    const limits = hit
      ? {
          bytes: afterBytes === undefined ? Number.POSITIVE_INFINITY : Math.round(number(afterBytes)),
          delay: delay === undefined ? 0 : millis(delay),
          rate: bytesPerSecond
        }
      : { bytes: Number.POSITIVE_INFINITY, delay: 0, rate: undefined }
    const cutLater = hit && after !== undefined ? millis(after) : undefined
    if (cutLater !== undefined) {
      upstream.once("data", () =>
        run(
          Effect.delay(
            Effect.sync(() => sever(connection, how)),
            cutLater
          )
        )
      )
    }
    client.on("data", (bytes: Buffer) => {
      if (connection.silent) return
      if (!upstream.write(bytes)) {
        client.pause()
        upstream.once("drain", () => client.resume())
      }
    })
    client.on("end", () => upstream.end())
    const fiber = run(forward(connection, limits, how))
    client.on("close", () => fiber.interruptUnsafe())
  }

  const listener = Net.createServer({ allowHalfOpen: true }, accept)
  const listen = (port: number) =>
    Effect.callback<void>((resume) => {
      listener.listen(port, "127.0.0.1", () => resume(Effect.void))
    })
  const close = Effect.callback<void>((resume) => {
    for (const connection of open) sever(connection, "reset")
    if (!listener.listening) return resume(Effect.void)
    listener.close(() => resume(Effect.void))
  })
  yield* Effect.acquireRelease(listen(0), () => close)
  const { port } = listener.address() as AddressInfo
  const cut = (how: How = "reset") =>
    Effect.sync(() => {
      for (const connection of open) sever(connection, how)
    })
  if (options.every !== undefined)
    yield* Effect.forkScoped(Effect.forever(Effect.delay(cut(faults.how), options.every)))

  return {
    port,
    access: accessThrough(options.target, server, port),
    connections: Effect.sync(() => connections),
    open: Effect.sync(() => open.size),
    setFaults: (next) =>
      Effect.sync(() => {
        faults = next
        hits = 0
      }),
    cut,
    vanish: Effect.suspend(() => {
      vanished = true
      return cut("silent")
    }),
    appear: Effect.sync(() => {
      vanished = false
    }),
    stop: close,
    start: Effect.suspend(() => (listener.listening ? Effect.void : listen(port)))
  }
})

interface Connection {
  readonly client: Net.Socket
  readonly upstream: Net.Socket
  silent: boolean
}

const isRange = (
  chosen: Chosen<Duration.Input>
): chosen is { readonly between: readonly [Duration.Input, Duration.Input] } =>
  typeof chosen === "object" && "between" in chosen

const sever = (connection: Connection, how: How): void => {
  if (how === "silent") {
    connection.silent = true
    return
  }
  connection.upstream.destroy()
  if (how === "reset") connection.client.resetAndDestroy()
  else connection.client.destroySoon()
}

interface Limits {
  readonly bytes: number
  readonly delay: number
  readonly rate: number | undefined
}

/** The server's bytes on their way to the client, in order; a slow client stops the server. */
const forward = Effect.fnUntraced(function* (connection: Connection, limits: Limits, how: How) {
  const { client, upstream } = connection
  const clock = yield* Clock.Clock
  const arrived = yield* Queue.unbounded<{ readonly bytes: Buffer | undefined; readonly due: number }>()
  let waiting = 0
  upstream.on("data", (bytes: Buffer) => {
    waiting += bytes.length
    if (waiting > mostWaiting) upstream.pause()
    Queue.offerUnsafe(arrived, { bytes, due: clock.currentTimeMillisUnsafe() + limits.delay })
  })
  upstream.on("end", () =>
    Queue.offerUnsafe(arrived, { bytes: undefined, due: clock.currentTimeMillisUnsafe() + limits.delay })
  )
  let left = limits.bytes
  while (true) {
    const { bytes, due } = yield* Queue.take(arrived)
    const wait = due - clock.currentTimeMillisUnsafe()
    if (wait > 0) yield* Effect.sleep(wait)
    if (connection.silent) continue
    if (bytes === undefined) {
      client.end()
      return
    }
    const part = bytes.subarray(0, left)
    left -= part.length
    const step = limits.rate === undefined ? part.length : Math.max(1, Math.floor(limits.rate / 20))
    for (let start = 0; start < part.length; start += step) {
      if (limits.rate !== undefined) yield* Effect.sleep(50)
      yield* written(client, part.subarray(start, start + step))
    }
    if (left <= 0) return sever(connection, how)
    waiting -= bytes.length
    if (waiting <= mostWaiting) upstream.resume()
  }
})

const mostWaiting = 1024 * 1024

const written = (socket: Net.Socket, bytes: Buffer) =>
  Effect.callback<void>((resume) => {
    if (socket.destroyed) return resume(Effect.void)
    socket.write(bytes, () => resume(Effect.void))
  })

/** Certificates of API servers are for their names: who comes by another address has to ask for one of those. */
const accessThrough = (target: ClusterAccess, server: URL, port: number): ClusterAccess => {
  const host = server.hostname.replace(/^\[|\]$/g, "")
  const servername = target.tls.servername ?? (Net.isIP(host) === 0 ? host : "kubernetes.default.svc")
  const path = server.pathname === "/" ? "" : server.pathname
  const { proxy: _, ...rest } = target
  return {
    ...rest,
    server: `${server.protocol}//127.0.0.1:${port}${path}`,
    tls: server.protocol === "https:" && host !== "127.0.0.1" ? { ...target.tls, servername } : target.tls
  }
}
