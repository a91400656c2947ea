import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Deferred, Effect, Fiber, Stream } from "effect"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeConfig from "jobscope/backends/kubernetes/KubeConfig"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import {
  accessTo,
  type Behaviour,
  FakeApi,
  json,
  layer,
  passing,
  pod,
  podList,
  proxied,
  status
} from "./support/FakeApi.ts"

const { pods } = KubeResource
const request = <A, V extends KubeClient.Verb>(call: KubeClient.Request<A, V>) =>
  KubeClient.KubeClient.use((kube) => kube.request(call))
const against = <A, E, R>(behaviour: Behaviour, test: Effect.Effect<A, E, R>) =>
  test.pipe(Effect.provide(layer(behaviour)))
const ok: Behaviour = { http: (response) => json(response, 200, pod("a", 1)) }
const crd = KubeResource.make<object>({ group: "kro.run", version: "v1alpha1", plural: "things" })

describe("a request", () => {
  it.effect.each([
    [{ verb: "get", resource: pods, name: "a" }, "GET /api/v1/namespaces/ci/pods/a"],
    [
      { verb: "list", resource: pods, namespace: "*", query: { labelSelector: "a=b" } },
      "GET /api/v1/pods?labelSelector=a%3Db"
    ],
    [{ verb: "create", resource: pods, name: "a", body: {} }, "POST /api/v1/namespaces/ci/pods application/json"],
    [{ verb: "delete", resource: KubeResource.namespaces, name: "n" }, "DELETE /api/v1/namespaces/n"],
    [
      {
        verb: "patch",
        resource: crd,
        namespace: "x",
        name: "a",
        body: {},
        patch: "apply",
        query: { fieldManager: "j" }
      },
      "PATCH /apis/kro.run/v1alpha1/namespaces/x/things/a?fieldManager=j application/apply-patch+yaml"
    ],
    [
      {
        verb: "create",
        resource: KubeResource.make<object>({ plural: "pods", subresource: "eviction" }),
        name: "a",
        body: {}
      },
      "POST /api/v1/namespaces/ci/pods/a/eviction application/json"
    ]
  ] as const)("%j", ([call, expected]) =>
    against(
      ok,
      Effect.gen(function* () {
        yield* request(call as KubeClient.Request<object, KubeClient.Verb>)
        const [seen] = (yield* FakeApi).seen
        const type = seen?.headers["content-type"]
        assert.strictEqual(
          `${seen?.method} ${seen?.url.pathname}${seen?.url.search}${type === undefined ? "" : ` ${type}`}`,
          expected
        )
      })
    )
  )

  it.effect("uses one connection for many", () =>
    against(
      ok,
      Effect.gen(function* () {
        for (let index = 0; index < 5; index++) yield* request({ verb: "get", resource: pods, name: "a" })
        assert.strictEqual((yield* FakeApi).sockets.size, 1)
      })
    )
  )

  it.effect("waits as long as Retry-After asks", () =>
    against(
      {
        http: (response, _, index) =>
          index === 0
            ? json(response, 429, status(429, "TooManyRequests", "slow"), { "retry-after": "20" })
            : json(response, 200, pod("a", 1))
      },
      Effect.gen(function* () {
        const started = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
        yield* passing(request({ verb: "create", resource: pods, body: {} }))
        const took = (yield* Effect.clockWith((clock) => clock.currentTimeMillis)) - started
        assert.isTrue(took >= 20_000 && took < 25_000, `${took}`)
      })
    )
  )

  it.effect("that may be repeated is, after 5xx and broken connections; then it fails with the last reason", () =>
    against(
      {
        http: (response, _, index) => {
          if (index % 2 === 0) json(response, 503, status(503, "ServiceUnavailable", "etcd"))
          else response.socket?.destroy()
        }
      },
      Effect.gen(function* () {
        const error = yield* passing(Effect.flip(request({ verb: "delete", resource: pods, name: "a" })))
        assert.strictEqual(error.reason._tag, "ConnectionLost")
        assert.strictEqual((yield* FakeApi).seen.length, 6)
      })
    )
  )

  it.effect("that creates is not repeated when the server may have acted", () =>
    against(
      { http: (response) => json(response, 500, status(500, "InternalError", "etcd")) },
      Effect.gen(function* () {
        const error = yield* Effect.flip(request({ verb: "create", resource: pods, body: {} }))
        assert.strictEqual(error.reason._tag, "Unavailable")
        assert.strictEqual((yield* FakeApi).seen.length, 1)
      })
    )
  )

  it.effect("that cannot reach the server is tried again, creating or not", () =>
    Effect.gen(function* () {
      // A port that was just given back.
      const { port } = yield* Effect.provide(FakeApi, layer({}))
      const kube = yield* KubeClient.make(accessTo(`http://127.0.0.1:${port}`), { retries: 2 })
      const error = yield* passing(Effect.flip(kube.request({ verb: "create", resource: pods, body: {} })))
      assert.match(error.message, /create pods in ci: 127.0.0.1:\d+ cannot be reached/)
    })
  )

  it.effect("whose answer is cut in the middle is not an answer", () =>
    Effect.gen(function* () {
      const proxy = yield* proxied({ afterBytes: 5000, times: 1 })
      const kube = yield* KubeClient.make(proxy.access)
      const answer = yield* passing(kube.request({ verb: "get", resource: pods, name: "a" }))
      assert.strictEqual(answer.metadata?.name, "x".repeat(20_000))
      assert.strictEqual(yield* proxy.connections, 2)
    }).pipe(Effect.provide(layer({ http: (response) => json(response, 200, pod("x".repeat(20_000), 1)) })))
  )

  it.effect("refused with 401 asks for new credentials, once", () => {
    const asked: Array<boolean> = []
    return Effect.gen(function* () {
      const fake = yield* FakeApi
      const kube = yield* KubeClient.make({
        ...fake.access,
        headers: (fresh) =>
          Effect.sync(() => {
            asked.push(fresh)
            return { authorization: fresh ? "new" : "old" }
          })
      })
      const error = yield* Effect.flip(kube.request({ verb: "get", resource: pods, name: "a" }))
      assert.strictEqual(error.reason._tag, "Unauthorized")
      assert.deepStrictEqual(asked, [false, true])
      assert.deepStrictEqual(
        fake.seen.map(({ headers }) => headers.authorization),
        ["old", "new"]
      )
    }).pipe(Effect.provide(layer({ http: (response) => json(response, 401, status(401, "Unauthorized", "no")) })))
  })

  it.effect("interrupted ends its connection", () => {
    const arrived = Deferred.makeUnsafe<void>()
    return against(
      { http: () => Deferred.doneUnsafe(arrived, Effect.void) },
      Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(request({ verb: "get", resource: pods, name: "a" }))
        yield* Deferred.await(arrived)
        yield* Fiber.interrupt(fiber)
        yield* (yield* FakeApi).atMost(0)
      })
    )
  })

  it.effect("without an answer is given up in time", () =>
    against(
      { http: () => {} },
      Effect.gen(function* () {
        const error = yield* passing(Effect.flip(request({ verb: "create", resource: pods, body: {} })))
        assert.strictEqual(error.reason._tag, "TimedOut")
        yield* (yield* FakeApi).atMost(0)
      })
    )
  )

  it.effect("for a list takes all pages", () =>
    against(
      {
        http: (response, { url }) =>
          json(
            response,
            200,
            url.searchParams.get("continue") === "next"
              ? podList(7, pod("b", 2))
              : { metadata: { resourceVersion: "7", continue: "next" }, items: [pod("a", 1)] }
          )
      },
      Effect.gen(function* () {
        const { items } = yield* KubeClient.KubeClient.use((kube) => kube.list({ resource: pods }))
        assert.deepStrictEqual(
          items.map(({ metadata }) => metadata?.name),
          ["a", "b"]
        )
      })
    )
  )

  it.effect("for a list whose version has expired between pages takes all at once", () =>
    against(
      {
        http: (response, { url }) => {
          if (url.searchParams.has("continue")) return json(response, 410, status(410, "Expired", "too old"))
          json(
            response,
            200,
            url.searchParams.has("limit")
              ? { metadata: { resourceVersion: "7", continue: "next" }, items: [pod("a", 1)] }
              : podList(8, pod("a", 1), pod("b", 2))
          )
        }
      },
      Effect.gen(function* () {
        const { items, metadata } = yield* KubeClient.KubeClient.use((kube) => kube.list({ resource: pods }))
        assert.deepStrictEqual(
          items.map((item) => item.metadata?.name),
          ["a", "b"]
        )
        assert.strictEqual(metadata.resourceVersion, "8")
      })
    )
  )

  it.effect.each(["proxy-url", "HTTP_PROXY"])("through a proxy (%s) goes by CONNECT", (how) =>
    Effect.gen(function* () {
      const fake = yield* FakeApi
      const connects: Array<string> = []
      const { createServer } = yield* Effect.promise(() => import("node:http"))
      const net = yield* Effect.promise(() => import("node:net"))
      const proxy = createServer().on("connect", (incoming, socket) => {
        connects.push(`${incoming.url} ${incoming.headers["proxy-authorization"]}`)
        const server = net.connect(fake.port, "127.0.0.1", () => {
          socket.write("HTTP/1.1 200 OK\r\n\r\n")
          socket.pipe(server)
          server.pipe(socket)
        })
        for (const each of [socket, server])
          each
            .on("error", () => {})
            .on("close", () => {
              socket.destroy()
              server.destroy()
            })
      })
      yield* Effect.acquireRelease(
        Effect.callback<void>((resume) => void proxy.listen(0, "127.0.0.1", () => resume(Effect.void))),
        () => Effect.callback<void>((resume) => void proxy.close(() => resume(Effect.void)))
      )
      const { port } = proxy.address() as { readonly port: number }
      const address = `http://u:p@127.0.0.1:${port}`
      const cluster = { server: "http://api.internal:1234", ...(how === "proxy-url" ? { "proxy-url": address } : {}) }
      const selection = { context: "c", cluster, userName: undefined, user: {}, namespace: "ci" }
      const access = yield* KubeConfig.accessOf(selection, "test").pipe(
        Effect.provide(
          ConfigProvider.layer(ConfigProvider.fromEnvRecord(how === "proxy-url" ? {} : { [how]: address }))
        )
      )
      const kube = yield* KubeClient.make(access)
      yield* kube.request({ verb: "get", resource: pods, name: "a" })
      assert.deepStrictEqual(connects, [`api.internal:1234 Basic ${Buffer.from("u:p").toString("base64")}`])
    }).pipe(Effect.provide(layer(ok)))
  )
})

describe("logs", () => {
  const logs = (options: object = {}) =>
    Stream.unwrap(
      KubeClient.KubeClient.use((kube) => Effect.succeed(kube.logs({ pod: "a", follow: true, ...options })))
    )

  it.effect("come as bytes, and end with the server's end", () =>
    against(
      {
        http: (response) => {
          response.writeHead(200)
          response.write("one\n")
          response.end("two\n")
        }
      },
      Effect.gen(function* () {
        const text = yield* Stream.mkString(Stream.decodeText(logs({ sinceTime: "2026-01-01T00:00:00Z" })))
        assert.strictEqual(text, "one\ntwo\n")
        const [seen] = (yield* FakeApi).seen
        assert.strictEqual(seen?.url.search, "?follow=true&sinceTime=2026-01-01T00%3A00%3A00Z")
      })
    )
  )

  it.effect("that break off fail after what came", () =>
    against(
      {
        http: (response) => {
          response.writeHead(200)
          response.write("one\n", () => setImmediate(() => response.socket?.destroy()))
        }
      },
      Effect.gen(function* () {
        const seen: Array<string> = []
        const error = yield* Effect.flip(
          Stream.runForEach(Stream.decodeText(logs()), (text) => Effect.sync(() => seen.push(text)))
        )
        assert.deepStrictEqual(seen, ["one\n"])
        assert.strictEqual(error.reason._tag, "ConnectionLost")
      })
    )
  )

  it.effect("that nobody reads stop the sender", () => {
    let sent = 0
    return against(
      {
        http: (response) => {
          response.writeHead(200)
          const more = () => {
            if (sent === 64) return response.end()
            sent++
            if (response.write(Buffer.alloc(1024 * 1024))) return more()
            response.once("drain", more)
          }
          more()
        }
      },
      Effect.gen(function* () {
        const bytes = yield* Stream.runFoldEffect(
          logs(),
          () => ({ sum: 0, held: 0 }),
          ({ held, sum }, chunk) =>
            sum > 0
              ? Effect.succeed({ sum: sum + chunk.length, held })
              : Effect.map(passing(Effect.sleep("1 seconds"), "10 millis"), () => ({ sum: chunk.length, held: sent }))
        )
        assert.isBelow(bytes.held, 24)
        assert.strictEqual(bytes.sum, 64 * 1024 * 1024)
      })
    )
  })
})
