/** A TCP proxy that breaks connections on purpose, always in the same way. */
import * as Net from "node:net"
import { Context, Effect, Layer } from "effect"

export interface Faults {
  /** Cuts a connection after so many bytes of the server. */
  readonly cutAfter?: number
  /** Cuts that many connections; later ones are whole. Default: all. */
  readonly times?: number
  /** How it is cut: reset, or closed in order. */
  readonly how?: "reset" | "close"
}

export interface Proxy {
  readonly port: number
  /** How many connections were made. */
  readonly connections: () => number
  /** From now on nothing passes and nobody is told: a peer that has vanished. */
  readonly vanish: Effect.Effect<void>
  /** Cuts every connection now. */
  readonly cut: Effect.Effect<void>
}

export class FaultProxy extends Context.Service<FaultProxy, Proxy>()("jobscope/test/FaultProxy") {}

export const make = (target: number, faults: Faults = {}) =>
  Effect.gen(function* () {
    const pairs = new Set<readonly [Net.Socket, Net.Socket]>()
    let connections = 0
    let vanished = false
    const end = ([client, server]: readonly [Net.Socket, Net.Socket], how = faults.how ?? "reset") => {
      server.destroy()
      if (how === "reset") client.resetAndDestroy()
      else client.end()
    }
    const listener = Net.createServer((client) => {
      const index = connections++
      const server = Net.connect(target, "127.0.0.1")
      const pair = [client, server] as const
      pairs.add(pair)
      let left =
        index < (faults.times ?? Number.POSITIVE_INFINITY)
          ? (faults.cutAfter ?? Number.POSITIVE_INFINITY)
          : Number.POSITIVE_INFINITY
      client
        .on("error", () => server.destroy())
        .on("close", () => {
          server.destroy()
          pairs.delete(pair)
        })
      server.on("error", () => client.destroy()).on("end", () => client.end())
      client.on("data", (bytes: Buffer) => {
        if (!vanished) server.write(bytes)
      })
      server.on("data", (bytes: Buffer) => {
        if (vanished) return
        const part = bytes.subarray(0, left)
        left -= part.length
        if (left > 0) return client.write(part)
        client.write(part, () => end(pair))
      })
    })
    yield* Effect.acquireRelease(
      Effect.callback<void>((resume) => {
        listener.listen(0, "127.0.0.1", () => resume(Effect.void))
      }),
      () =>
        Effect.callback<void>((resume) => {
          for (const pair of pairs) end(pair)
          listener.close(() => resume(Effect.void))
        })
    )
    const proxy: Proxy = {
      port: (listener.address() as Net.AddressInfo).port,
      connections: () => connections,
      vanish: Effect.sync(() => {
        vanished = true
      }),
      cut: Effect.sync(() => {
        for (const pair of pairs) end(pair)
      })
    }
    return proxy
  })

export const layer = (target: number, faults?: Faults) => Layer.effect(FaultProxy, make(target, faults))
