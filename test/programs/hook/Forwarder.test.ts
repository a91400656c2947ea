import { existsSync, mkdtempSync, rmSync } from "node:fs"
import * as Net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Forwarder from "../../../src/programs/hook/internal/Forwarder.ts"

const program = join(import.meta.dirname, "fixtures/forward.ts")

/** A service that answers when the other side has said all it has to say. */
const service = Effect.acquireRelease(
  Effect.callback<Net.Server>((resume) => {
    const server = Net.createServer({ allowHalfOpen: true }, (socket) => {
      let heard = ""
      socket.on("data", (chunk) => {
        heard += chunk
      })
      socket.on("end", () => socket.end(`heard ${heard}`))
    })
    server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
  }),
  (server) => Effect.sync(() => server.close())
)

const portOf = (server: Net.Server) => {
  const address = server.address()
  return typeof address === "object" && address !== null ? address.port : assert.fail("no port")
}

const talk = (port: number, text: string) =>
  Effect.callback<string>((resume) => {
    const socket = Net.connect({ port, host: "localhost", allowHalfOpen: true })
    let heard = ""
    socket.on("data", (chunk) => {
      heard += chunk
    })
    socket.on("error", (error) => resume(Effect.succeed(`error: ${error.message}`)))
    socket.on("end", () => resume(Effect.succeed(heard)))
    socket.end(text)
  })

const directory = mkdtempSync(join(tmpdir(), "jobscope-forwarder-"))
afterAll(() => rmSync(directory, { recursive: true }))

const forwarding = (forwarded: ReadonlyArray<{ readonly container: number; readonly host: number }>) =>
  Effect.acquireRelease(Forwarder.start(program, directory, "127.0.0.1", forwarded), ({ listener }) =>
    Forwarder.stop(listener)
  )

describe("ports of services on the runner", () => {
  it.live("are passed on both ways, also when one way has ended", () =>
    Effect.gen(function* () {
      const one = yield* service
      const other = yield* service
      const { ports } = yield* forwarding([
        { container: portOf(one), host: 0 },
        { container: portOf(other), host: 0 }
      ])
      assert.lengthOf(ports, 2)
      assert.strictEqual(yield* talk(ports[0]!, "you"), "heard you")
      assert.strictEqual(yield* talk(ports[1]!, "me"), "heard me")
    })
  )

  it.live("a service that is not there ends the connection, and nothing else", () =>
    Effect.gen(function* () {
      const server = yield* service
      const dead = portOf(server)
      server.close()
      const alive = yield* service
      const { ports } = yield* forwarding([
        { container: dead, host: 0 },
        { container: portOf(alive), host: 0 }
      ])
      assert.match(yield* talk(ports[0]!, "x"), /^(error|$)/)
      assert.strictEqual(yield* talk(ports[1]!, "x"), "heard x")
    })
  )

  it.live("a port that is taken is said", () =>
    Effect.gen(function* () {
      const server = yield* service
      const taken = portOf(server)
      const error = yield* Effect.flip(
        Forwarder.start(program, directory, "127.0.0.1", [{ container: 80, host: taken }])
      )
      assert.match(error.message, new RegExp(`port ${taken} of the runner: .*EADDRINUSE`))
    })
  )

  it.live("its process is ended, and no other that got its number", () =>
    Effect.gen(function* () {
      const server = yield* service
      const { listener, ports } = yield* forwarding([{ container: portOf(server), host: 0 }])
      yield* Forwarder.stop(listener)
      assert.match(yield* talk(ports[0]!, "x"), /^(error|$)/)
      yield* Forwarder.stop(listener)
      yield* Forwarder.stop({ pid: process.pid })
      assert.isTrue(existsSync(`/proc/${process.pid}`))
    })
  )
  it.live("is found and ended by who knows only the directory", () =>
    Effect.gen(function* () {
      const server = yield* service
      const { listener, ports } = yield* forwarding([{ container: portOf(server), host: 0 }])
      yield* Forwarder.stopIn(directory)
      assert.match(yield* talk(ports[0]!, "x"), /^(error|$)/)
      assert.isFalse(existsSync(`/proc/${listener.pid}/fd/0`))
      yield* Forwarder.stopIn(directory)
      yield* Forwarder.stopIn(join(directory, "none"))
    })
  )
})
