import * as Net from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Scope } from "effect"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import { FakeKubernetes, FaultProxy } from "jobscope/testing"

const { pods } = KubeResource
const list = (kube: KubeClient.KubeClient["Service"]) =>
  kube.request({ verb: "list", resource: pods, timeout: "2 seconds" })

/** A server that sends numbered bytes to everybody, and tells nobody when it has ended. */
const numbers = (bytes: number) =>
  Effect.acquireRelease(
    Effect.callback<Net.Server>((resume) => {
      const server = Net.createServer((socket) => {
        socket.on("error", () => {})
        socket.write(Buffer.from(Array.from({ length: bytes }, (_, index) => index % 251)))
        socket.on("data", (echo: Buffer) => socket.write(echo))
      })
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) =>
      Effect.sync(() => {
        server.close()
      })
  )

const through = Effect.fnUntraced(function* (bytes: number, options: Omit<FaultProxy.Options, "target">) {
  const server = yield* numbers(bytes)
  const { port } = server.address() as Net.AddressInfo
  const target = {
    source: "a test",
    server: `http://127.0.0.1:${port}`,
    namespace: "ci",
    tls: {},
    headers: () => Effect.succeed({})
  }
  return yield* FaultProxy.make({ target, ...options })
})

interface Received {
  readonly bytes: Buffer
  readonly end: string
}

/** What a connection gives until it ends, or has given `enough`. */
const receive = (port: number, enough = Number.POSITIVE_INFINITY) =>
  Effect.callback<Received>((resume) => {
    const parts: Array<Buffer> = []
    const socket = Net.connect(port, "127.0.0.1")
    const finish = (end: string) => resume(Effect.succeed({ bytes: Buffer.concat(parts), end }))
    socket.on("data", (part: Buffer) => {
      parts.push(part)
      if (Buffer.concat(parts).length < enough) return
      finish("enough")
      socket.destroy()
    })
    socket.on("end", () => finish("closed"))
    socket.on("error", (cause: NodeJS.ErrnoException) => finish(cause.code ?? ""))
    return Effect.sync(() => socket.destroy())
  })

const live = <E>(title: string, body: () => Effect.Effect<unknown, E, Scope.Scope>) =>
  it.live(title, () => Effect.scoped(body()))

describe("a fault proxy", () => {
  live("passes everything, both ways, if it shall", () =>
    Effect.gen(function* () {
      const { port } = yield* through(1_000_000, {})
      const { bytes } = yield* receive(port, 1_000_000)
      assert.isTrue(bytes.every((byte, index) => byte === index % 251))
    })
  )

  for (const [how, end] of [
    ["reset", "ECONNRESET"],
    ["close", "closed"]
  ] as const) {
    live(`cuts after bytes, exactly, by ${how}, so many times`, () =>
      Effect.gen(function* () {
        const { connections, port } = yield* through(100_000, { faults: { afterBytes: 12_345, how, times: 1 } })
        const cut = yield* receive(port)
        assert.strictEqual(cut.end, end)
        // What was on its way may be lost with a reset, as in networks; what came is right.
        if (how === "close") assert.strictEqual(cut.bytes.length, 12_345)
        assert.isTrue(cut.bytes.length <= 12_345 && cut.bytes.every((byte, index) => byte === index % 251))
        assert.strictEqual((yield* receive(port, 100_000)).bytes.length, 100_000)
        assert.strictEqual(yield* connections, 2)
      })
    )
  }

  live("cuts after a time, and again and again", () =>
    Effect.gen(function* () {
      const once = yield* through(10, { faults: { after: "30 millis", how: "close" } })
      assert.strictEqual((yield* receive(once.port)).end, "closed")
      const often = yield* through(10, { every: "20 millis" })
      for (let index = 0; index < 3; index++) assert.strictEqual((yield* receive(often.port)).end, "ECONNRESET")
    })
  )

  live("delays and throttles, in order", () =>
    Effect.gen(function* () {
      const slow = yield* through(20_000, { faults: { delay: "50 millis", bytesPerSecond: 100_000 } })
      const [took, { bytes }] = yield* Effect.timed(receive(slow.port, 20_000))
      assert.isTrue(bytes.every((byte, index) => byte === index % 251))
      assert.isAtLeast(Duration.toMillis(took), 200)
    })
  )

  live("vanishes: nothing comes, nobody is told, and new connections fare alike until it appears", () =>
    Effect.gen(function* () {
      const proxy = yield* through(10, {})
      yield* proxy.vanish
      const silent = yield* Effect.timeoutOption(receive(proxy.port), "100 millis")
      assert.strictEqual(silent._tag, "None")
      yield* proxy.appear
      assert.strictEqual((yield* receive(proxy.port, 10)).end, "enough")
    })
  )

  live("stops and starts on the same port", () =>
    Effect.gen(function* () {
      const proxy = yield* through(10, {})
      yield* proxy.stop
      assert.strictEqual((yield* receive(proxy.port)).end, "ECONNREFUSED")
      yield* proxy.start
      assert.strictEqual((yield* receive(proxy.port, 10)).end, "enough")
    })
  )

  const lengths = (seed: number) =>
    Effect.scoped(
      Effect.gen(function* () {
        const faults = { afterBytes: { between: [1, 50_000] }, probability: 0.7, how: "close" } as const
        const { port } = yield* through(50_000, { faults, seed })
        return yield* Effect.forEach([1, 2, 3, 4, 5, 6], () =>
          Effect.map(receive(port, 50_000), ({ bytes }) => bytes.length)
        )
      })
    )

  live("chooses by its seed, so that a failure can be repeated", () =>
    Effect.gen(function* () {
      const once = yield* lengths(3)
      assert.isAbove(new Set(once).size, 2)
      assert.deepStrictEqual(yield* lengths(3), once)
      assert.notDeepEqual(yield* lengths(4), once)
    })
  )

  live("is left by all when its scope closes", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const proxy = yield* Scope.provide(through(10, {}), scope)
      const received = yield* Effect.forkChild(receive(proxy.port))
      yield* Effect.repeat(Effect.delay(proxy.open, "5 millis"), { until: (open) => open === 1 })
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Fiber.join(received)).end, "ECONNRESET")
    })
  )

  live("leaves a client that retries unharmed before a cluster", () =>
    Effect.gen(function* () {
      const { access } = yield* FakeKubernetes.make()
      const proxy = yield* FaultProxy.make({
        target: access,
        faults: { afterBytes: { between: [1, 100] }, times: 3 },
        seed: 5
      })
      const kube = yield* KubeClient.make(proxy.access)
      yield* list(kube)
      assert.strictEqual(yield* proxy.connections, 4)
      yield* proxy.stop
      const down = yield* KubeClient.make(proxy.access, { retries: 0 })
      assert.strictEqual((yield* Effect.flip(list(down))).reason._tag, "Unavailable")
      yield* proxy.start
      yield* list(down)
    })
  )
})
