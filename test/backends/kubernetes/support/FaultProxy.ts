/** A TCP proxy before the fake API that breaks connections on purpose, always in the same way. */
import * as Net from "node:net"
import { Context, Effect, Layer, type Scope } from "effect"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import { accessTo, FakeApi } from "./FakeApi.ts"

export interface Faults {
  /** Cuts a connection after so many bytes of the server. */
  readonly cutAfterBytes?: number
  /** Cuts a connection that long after the server's first byte. */
  readonly cutAfterMillis?: number
  /** What the server sends comes that much later. */
  readonly delayMillis?: number
  /** How many connections are broken so; later ones are whole. Default: all. */
  readonly times?: number
  /** How it is cut: reset, or closed in order. Default reset. */
  readonly how?: "reset" | "close"
}

export class FaultProxy extends Context.Service<
  FaultProxy,
  {
    readonly port: number
    /** How many connections were made. */
    readonly connections: Effect.Effect<number>
    /** From now on nothing passes and nobody is told: a peer that has vanished. */
    readonly vanish: Effect.Effect<void>
    /** A client that goes through it. */
    readonly client: Effect.Effect<KubeClient.KubeClient["Service"], never, Scope.Scope>
  }
>()("jobscope/test/FaultProxy") {}

export const layer = (faults: Faults = {}) =>
  Layer.effect(
    FaultProxy,
    Effect.gen(function* () {
      const target = (yield* FakeApi).port
      const sockets = new Set<Net.Socket>()
      let connections = 0
      let vanished = false
      const listener = Net.createServer((client) => {
        const {
          cutAfterBytes,
          cutAfterMillis,
          delayMillis,
          how = "reset"
        } = connections++ < (faults.times ?? Number.POSITIVE_INFINITY) ? faults : {}
        const server = Net.connect(target, "127.0.0.1")
        sockets.add(client)
        let left = cutAfterBytes ?? Number.POSITIVE_INFINITY
        const cut = () => {
          server.destroy()
          if (how === "reset") client.resetAndDestroy()
          else client.end()
        }
        const pass = (bytes: Buffer) => {
          if (vanished || client.destroyed) return
          const part = bytes.subarray(0, left)
          left -= part.length
          client.write(part, left > 0 ? undefined : cut)
        }
        client.on("error", () => server.destroy())
        client.on("close", () => {
          server.destroy()
          sockets.delete(client)
        })
        client.on("data", (bytes: Buffer) => {
          if (!vanished) server.write(bytes)
        })
        server.on("error", () => client.destroy())
        server.on("end", () => client.end())
        if (cutAfterMillis !== undefined) server.once("data", () => setTimeout(cut, cutAfterMillis))
        server.on("data", (bytes: Buffer) => {
          if (delayMillis === undefined) pass(bytes)
          else setTimeout(pass, delayMillis, bytes)
        })
      })
      yield* Effect.acquireRelease(
        Effect.callback<void>((resume) => {
          listener.listen(0, "127.0.0.1", () => resume(Effect.void))
        }),
        () =>
          Effect.callback<void>((resume) => {
            for (const socket of sockets) socket.destroy()
            listener.close(() => resume(Effect.void))
          })
      )
      const { port } = listener.address() as Net.AddressInfo
      return {
        port,
        connections: Effect.sync(() => connections),
        vanish: Effect.sync(() => {
          vanished = true
        }),
        client: KubeClient.make(accessTo(`http://127.0.0.1:${port}`))
      }
    })
  )
