import { createHash } from "node:crypto"
import type { WebSocket } from "@effect/platform-node/NodeWS"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scope, Stream } from "effect"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import type { ExecProcess } from "jobscope/backends/kubernetes/KubeExec"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import {
  type Behaviour,
  exited,
  FakeApi,
  frame,
  json,
  layer,
  passing,
  proxied,
  signal,
  status
} from "./support/FakeApi.ts"

const exec = (options: object = {}) =>
  KubeClient.KubeClient.use((kube) => kube.exec({ pod: "job", command: ["sh", "-c", "x y"], ...options }))

const text = (process: ExecProcess) =>
  Stream.runFold(
    process.output,
    () => "",
    (all, { bytes, stream }) => `${all}${stream}:${Buffer.from(bytes).toString()};`
  )

const against = <A, E>(
  behaviour: Behaviour,
  test: Effect.Effect<A, E, KubeClient.KubeClient | FakeApi | Scope.Scope>
) => test.pipe(Effect.provide(layer(behaviour)))

const receiving = (socket: WebSocket, onFrame: (channel: number, bytes: Buffer) => void) =>
  socket.on("message", (data: Buffer) => onFrame(data[0] ?? -1, data.subarray(1)))

describe("exec", () => {
  for (const protocol of ["v5.channel.k8s.io", "v4.channel.k8s.io"]) {
    it.effect(`over ${protocol} gives both outputs and the exit code`, () =>
      against(
        {
          protocol,
          exec: (socket) => {
            socket.send(frame(1, ""))
            socket.send(frame(1, "out"))
            socket.send(frame(2, "err"))
            socket.send(exited(3))
            socket.close()
          }
        },
        Effect.gen(function* () {
          const process = yield* exec({ container: "c", stdin: true })
          assert.strictEqual(process.protocol, protocol)
          assert.strictEqual(yield* text(process), "stdout:out;stderr:err;")
          assert.strictEqual(yield* process.exitCode, 3)
          const [seen] = (yield* FakeApi).seen
          assert.strictEqual(
            `${seen?.url.pathname}${seen?.url.search}`,
            "/api/v1/namespaces/ci/pods/job/exec?command=sh&command=-c&command=x+y&container=c&stdin=true&stdout=true&stderr=true"
          )
          assert.strictEqual(seen?.headers.authorization, "Bearer good")
        })
      )
    )
  }

  it.effect("that is closed without a status is a lost connection, for the output too", () =>
    against(
      {
        exec: (socket) => {
          socket.send(frame(1, "half"))
          socket.close(1000, "bye")
        }
      },
      Effect.gen(function* () {
        const process = yield* exec()
        const seen: Array<string> = []
        const output = yield* Effect.exit(
          Stream.runForEach(process.output, ({ bytes }) => Effect.sync(() => seen.push(Buffer.from(bytes).toString())))
        )
        assert.deepStrictEqual(seen, ["half"])
        assert.isTrue(Exit.isFailure(output))
        const error = yield* Effect.flip(process.exitCode)
        assert.strictEqual(error.reason._tag, "ConnectionLost")
        assert.match(error.message, /1000: bye/)
      })
    )
  )

  it.effect("whose status is not an exit code fails with what the server says", () =>
    against(
      {
        exec: (socket) => socket.send(frame(3, JSON.stringify(status(500, "InternalError", "no such program: nosuch"))))
      },
      Effect.gen(function* () {
        const error = yield* Effect.flip((yield* exec()).exitCode)
        assert.strictEqual(error.reason._tag, "ExecFailed")
        assert.include(error.message, "no such program: nosuch")
      })
    )
  )

  it.effect("whose node cannot be reached is unavailable, whose node went away is lost", () =>
    Effect.forEach(
      [
        ["error dialing backend: dial tcp 10.0.0.1:10250: connect: connection refused", "Unavailable"],
        ["error reading from error stream: unexpected EOF", "ConnectionLost"]
      ] as const,
      ([message, expected]) =>
        against(
          { exec: (socket) => socket.send(frame(3, JSON.stringify(status(500, "InternalError", message)))) },
          Effect.gen(function* () {
            assert.strictEqual((yield* Effect.flip((yield* exec()).exitCode)).reason._tag, expected)
          })
        )
    )
  )

  const refusing = (answer: string): Behaviour => ({ upgrade: (socket) => socket.end(answer) })

  it.effect("refused at the upgrade tells the Status of the body", () => {
    const body = JSON.stringify(status(403, "Forbidden", "User x cannot create pods/exec"))
    return against(
      refusing(`HTTP/1.1 403 Forbidden\r\ncontent-length: ${body.length}\r\n\r\n${body}`),
      Effect.gen(function* () {
        const error = yield* Effect.flip(exec())
        assert.strictEqual(error.reason._tag, "Forbidden")
        assert.match(error.message, /get pods\/exec in the namespace ci \(needed for running a step.*User x cannot/)
      })
    )
  })

  it.effect("at a server that vanishes in the handshake fails", () =>
    against(
      refusing(""),
      Effect.gen(function* () {
        assert.strictEqual((yield* Effect.flip(exec())).reason._tag, "ConnectionLost")
      })
    )
  )

  it.effect("whose handshake hangs is given up, and its connection closed", () => {
    const upgraded = signal()
    return against(
      { upgrade: () => upgraded.tell() },
      Effect.gen(function* () {
        const error = yield* passing(Effect.flip(exec()))
        assert.strictEqual(error.reason._tag, "TimedOut")
        yield* (yield* FakeApi).atMost(0)
      }).pipe(Effect.scoped)
    )
  })

  it.effect("whose peer answers no ping is lost", () =>
    against(
      {
        exec: (socket) => {
          socket.pause()
        }
      },
      Effect.gen(function* () {
        const process = yield* exec()
        const error = yield* passing(Effect.flip(process.exitCode))
        assert.match(error.message, /a ping was not answered/)
      })
    )
  )

  it.effect("stays while pings are answered, however quiet it is", () => {
    let pings = 0
    return against(
      {
        exec: (socket) => {
          socket.on("ping", () => {
            pings++
            if (pings < 10) return
            socket.send(exited(0))
            socket.close()
          })
        }
      },
      Effect.gen(function* () {
        const process = yield* exec()
        assert.strictEqual(yield* passing(process.exitCode), 0)
        assert.strictEqual(pings, 10)
      })
    )
  })

  it.effect("is lost when the network vanishes in between", () =>
    Effect.gen(function* () {
      const proxy = yield* proxied()
      const kube = yield* KubeClient.make(proxy.access)
      const process = yield* kube.exec({ pod: "job", command: ["x"] })
      yield* proxy.vanish
      const error = yield* passing(Effect.flip(process.exitCode))
      assert.strictEqual(error.reason._tag, "ConnectionLost")
    }).pipe(Effect.provide(layer({ exec: () => {} })))
  )

  for (const faults of [
    { afterBytes: 10_000 },
    { afterBytes: 10_000, how: "close" },
    { after: "20 millis", delay: "2 millis" }
  ] as const) {
    it.effect(`cut in the middle keeps what came, and says so: ${JSON.stringify(faults)}`, () =>
      Effect.gen(function* () {
        const kube = yield* KubeClient.make((yield* proxied(faults)).access)
        const process = yield* kube.exec({ pod: "job", command: ["x"] })
        let bytes = 0
        const end = yield* Effect.exit(
          Stream.runForEach(process.output, (chunk) =>
            Effect.sync(() => {
              bytes += chunk.bytes.length
            })
          )
        )
        assert.isTrue(Exit.isFailure(end))
        assert.isTrue(bytes > 0 && bytes < 100 * 999)
        assert.strictEqual((yield* Effect.flip(process.exitCode)).reason._tag, "ConnectionLost")
      }).pipe(
        Effect.provide(
          layer({
            exec: (socket) => {
              // Without an end: whoever sees one has made it up.
              for (let index = 0; index < 99; index++) socket.send(frame(1, "x".repeat(999)))
            }
          })
        )
      )
    )
  }

  it.effect("that nobody reads stops the sender, and pings are not missed meanwhile", () => {
    const total = 64
    const chunk = frame(1, Buffer.alloc(1024 * 1024, 120))
    let sent = 0
    const serving = signal<WebSocket>()
    return against(
      {
        exec: (socket) => {
          const next = () => {
            if (sent === total) return socket.send(exited(0), () => socket.close())
            sent++
            socket.send(chunk, next)
          }
          next()
          serving.tell(socket)
        }
      },
      Effect.gen(function* () {
        const process = yield* exec()
        yield* serving.happened
        // Ten minutes without a reader: the kernel's buffers fill, ours do not.
        yield* passing(Effect.sleep("600 seconds"), "10 seconds")
        assert.isBelow(sent, 24)
        const held = sent
        yield* passing(Effect.sleep("60 seconds"), "10 seconds")
        assert.strictEqual(sent, held)
        const bytes = yield* Stream.runFold(
          process.output,
          () => 0,
          (sum, chunk) => sum + chunk.bytes.length
        )
        assert.strictEqual(bytes, total * 1024 * 1024)
        assert.strictEqual(yield* process.exitCode, 0)
      })
    )
  })

  it.effect("whose server has said everything and gone is read to its end, however slowly", () => {
    const chunk = Buffer.alloc(64 * 1024, 120)
    const total = 48
    const said = signal<void>()
    return against(
      {
        exec: (socket) => {
          for (let index = 0; index < total; index++) socket.send(frame(1, chunk))
          socket.send(exited(0), () => said.tell())
        }
      },
      Effect.gen(function* () {
        const process = yield* exec()
        yield* said.happened
        // As Go's server does: at once. The kernel goes on sending, unless something comes that nobody is there to read.
        for (const socket of (yield* FakeApi).sockets) socket.destroySoon()
        yield* (yield* FakeApi).atMost(0)
        yield* passing(Effect.sleep("60 seconds"), "5 seconds")
        const bytes = yield* Stream.runFold(
          process.output,
          () => 0,
          (sum, chunk) => sum + chunk.bytes.length
        )
        assert.strictEqual(bytes, total * chunk.length)
        assert.strictEqual(yield* process.exitCode, 0)
      })
    )
  })

  it.effect("that says something and is then quiet for long is not lost", () => {
    let server: { readonly send: (data: Buffer) => void } | undefined
    return against(
      {
        exec: (socket) => {
          server = socket
          socket.send(frame(1, Buffer.from("on")))
        }
      },
      Effect.gen(function* () {
        const process = yield* exec()
        const reading = yield* Effect.forkScoped(Stream.runCount(process.output), { startImmediately: true })
        for (let minute = 0; minute < 3; minute++) yield* passing(Effect.sleep("60 seconds"), "5 seconds")
        yield* Effect.sync(() => server?.send(exited(0)))
        assert.strictEqual(yield* process.exitCode, 0)
        assert.strictEqual(yield* Fiber.join(reading), 1)
      })
    )
  })

  it.effect("whose output is left in the middle still tells the exit code", () =>
    against(
      {
        exec: (socket) => {
          for (let index = 0; index < 64; index++) socket.send(frame(1, Buffer.alloc(256 * 1024)))
          socket.send(exited(4), () => socket.close())
        }
      },
      Effect.gen(function* () {
        const process = yield* exec()
        yield* Stream.runDrain(Stream.take(process.output, 1))
        assert.strictEqual(yield* process.exitCode, 4)
      })
    )
  )

  it.effect("sends stdin whole, and its end", () => {
    const hash = createHash("sha256")
    return against(
      {
        exec: (socket) => {
          receiving(socket, (channel, bytes) => {
            if (channel === 0) return hash.update(bytes)
            socket.send(frame(1, `${channel}:${bytes.toString("hex")}`))
            socket.send(exited(0), () => socket.close())
          })
        }
      },
      Effect.gen(function* () {
        const process = yield* exec({ stdin: true })
        const part = Uint8Array.from({ length: 300_000 }, (_, index) => index % 253)
        yield* Stream.run(Stream.fromArray(Array.from({ length: 20 }, () => part)), process.stdin)
        assert.strictEqual(yield* text(process), "stdout:255:00;")
        const expected = createHash("sha256")
        for (let index = 0; index < 20; index++) expected.update(part)
        assert.strictEqual(hash.digest("hex"), expected.digest("hex"))
      })
    )
  })

  it.effect("over v4 sends stdin, and says that it cannot tell its end", () =>
    against(
      {
        protocol: "v4.channel.k8s.io",
        exec: (socket) => {
          receiving(socket, (_, bytes) => socket.send(frame(1, bytes)))
        }
      },
      Effect.gen(function* () {
        const process = yield* exec({ stdin: true })
        const error = yield* Effect.flip(Stream.run(Stream.make(Buffer.from("hi")), process.stdin))
        assert.strictEqual(error.reason._tag, "HalfCloseUnsupported")
        const [first] = yield* Stream.runCollect(Stream.take(process.output, 1))
        assert.strictEqual(Buffer.from(first?.bytes ?? []).toString(), "hi")
      })
    )
  )

  it.effect("whose command does not read makes the writer wait, until it ends", () => {
    const opened = signal<WebSocket>()
    return against(
      {
        exec: (socket) => {
          socket.pause()
          opened.tell(socket)
        }
      },
      Effect.gen(function* () {
        const process = yield* exec({ stdin: true })
        let written = 0
        const megabyte = new Uint8Array(1024 * 1024)
        const writing = yield* Effect.forkChild(
          Stream.run(
            Stream.tap(Stream.forever(Stream.make(megabyte)), () =>
              Effect.sync(() => {
                written++
              })
            ),
            process.stdin
          )
        )
        const server = yield* opened.happened
        // Longer than a ping may take: a command that does not read must not be taken for a lost connection.
        yield* passing(Effect.sleep("120 seconds"), "1 seconds")
        const held = written
        assert.isBelow(held, 32)
        yield* passing(Effect.sleep("60 seconds"), "1 seconds")
        assert.strictEqual(written, held)
        server.resume()
        server.send(exited(0), () => server.close())
        yield* Fiber.join(writing)
        assert.strictEqual(yield* process.exitCode, 0)
      })
    )
  })

  it.effect("is one request, on the connection of an earlier call", () =>
    against(
      {
        http: (response) => json(response, 200, {}),
        exec: (socket) => socket.send(exited(0), () => socket.close())
      },
      Effect.gen(function* () {
        const kube = yield* KubeClient.KubeClient
        yield* kube.request({ verb: "get", resource: KubeResource.pods, name: "job" })
        const process = yield* exec()
        const fake = yield* FakeApi
        assert.strictEqual(fake.sockets.size, 1)
        yield* Stream.runDrain(process.output)
        assert.strictEqual(yield* process.exitCode, 0)
        assert.strictEqual(fake.seen.length, 2)
      })
    )
  )

  it.effect("whose scope closes ends its connection", () =>
    against(
      { exec: (socket) => socket.send(frame(1, "x")) },
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        yield* Scope.provide(exec(), scope)
        const fake = yield* FakeApi
        assert.strictEqual(fake.sockets.size, 1)
        yield* Scope.close(scope, Exit.void)
        yield* fake.atMost(0)
      })
    )
  )

  it.effect("interrupted in its handshake ends its connection", () => {
    const upgraded = Deferred.makeUnsafe<void>()
    return against(
      { upgrade: () => Deferred.doneUnsafe(upgraded, Effect.void) },
      Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(Effect.scoped(exec()))
        yield* Deferred.await(upgraded)
        yield* Fiber.interrupt(fiber)
        yield* (yield* FakeApi).atMost(0)
      })
    )
  })

  it.effect("refused with 429 is started later, and other failures are not repeated", () => {
    let upgrades = 0
    return against(
      {
        http: (response) => json(response, 500, {}),
        upgrade: (socket) => {
          upgrades++
          const code = upgrades === 1 ? "429 Too Many Requests\r\nretry-after: 7" : "500 Internal Server Error"
          socket.end(`HTTP/1.1 ${code}\r\ncontent-length: 0\r\n\r\n`)
        }
      },
      Effect.gen(function* () {
        const error = yield* passing(Effect.flip(exec()))
        assert.strictEqual(error.reason._tag, "Unavailable")
        assert.strictEqual(upgrades, 2)
      })
    )
  })
})
