import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Result } from "effect"
import { TestClock } from "effect/testing"
import * as KubeConfig from "jobscope/backends/kubernetes/KubeConfig"

const parse = (text: string, file = "/home/u/.kube/config") => Result.getOrThrow(KubeConfig.parse(text, file))

const config = (name: string, server = `https://${name}:6443`) => `
apiVersion: v1
kind: Config
current-context: ${name}
clusters:
  - name: ${name}
    cluster: { server: "${server}", certificate-authority: ca/${name}.crt }
users:
  - name: ${name}
    user: { client-certificate: /abs/cert, client-key: ../key, token: "secret-${name}" }
contexts:
  - name: ${name}
    context: { cluster: ${name}, user: ${name}, namespace: ns-${name} }
`

const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "jobscope-kubeconfig-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
)

const environment = (variables: Record<string, string>) => ConfigProvider.layer(ConfigProvider.fromEnvRecord(variables))

describe("a kubeconfig", () => {
  it("has its relative paths made absolute against its own file", () => {
    const { clusters, users } = parse(config("a"))
    assert.strictEqual(clusters.get("a")?.["certificate-authority"], "/home/u/.kube/ca/a.crt")
    assert.strictEqual(users.get("a")?.["client-certificate"], "/abs/cert")
    assert.strictEqual(users.get("a")?.["client-key"], "/home/u/key")
  })

  it("is also JSON, and may have nothing in it", () => {
    assert.deepStrictEqual(parse("").clusters.size, 0)
    assert.deepStrictEqual(parse("clusters: null\nusers:\ncontexts: []").users.size, 0)
    assert.strictEqual(parse(JSON.stringify({ "current-context": "j" })).currentContext, "j")
  })

  it.each(["clusters: [", "clusters: secret-token", "users: [{ user: { token: secret-token } }]"])(
    "that is broken is told by its file, without its content: %s",
    (text) => {
      const error = Result.getOrThrow(Result.flip(KubeConfig.parse(text, "/x/config")))
      assert.include(error.message, "/x/config")
      assert.notInclude(error.message, "secret-token")
      assert.strictEqual(error.reason._tag, "ConfigInvalid")
    }
  )

  it("merged: the first current-context and, of each name, the first entry win", () => {
    const merged = KubeConfig.merge([
      parse("contexts: []"),
      parse(config("a")),
      parse(config("b")),
      parse(config("a", "https://late"))
    ])
    assert.strictEqual(merged.currentContext, "a")
    assert.strictEqual(merged.clusters.get("a")?.server, "https://a:6443")
    assert.deepStrictEqual([...merged.contexts.keys()].sort(), ["a", "b"])
  })

  it("within a file, too, the first of a name wins", () => {
    const { clusters } = parse(
      "clusters: [{name: c, cluster: {server: https://1}}, {name: c, cluster: {server: https://2}}]"
    )
    assert.strictEqual(clusters.get("c")?.server, "https://1")
  })

  it.each([
    [{}, "https://a:6443", "ns-a"],
    [{ context: "b" }, "https://b:6443", "ns-b"],
    [{ namespace: "other" }, "https://a:6443", "other"]
  ] as const)("selected by %o", (options, server, namespace) => {
    const merged = KubeConfig.merge([parse(config("a")), parse(config("b"))])
    const selection = Result.getOrThrow(KubeConfig.select(merged, "f", options))
    assert.strictEqual(selection.cluster.server, server)
    assert.strictEqual(selection.namespace, namespace)
  })

  it.each([
    ["current-context: x", /no context "x"/],
    ["contexts: [{name: x}]", /no context is selected.*x/],
    ["current-context: x\ncontexts: [{name: x, context: {cluster: y}}]", /cluster "y", which is not there/],
    ["current-context: x\nclusters: [{name: y}]\ncontexts: [{name: x, context: {cluster: y}}]", /has no server/],
    [
      "current-context: x\nclusters: [{name: y, cluster: {server: 'https://y'}}]\ncontexts: [{name: x, context: {cluster: y, user: z}}]",
      /user "z"/
    ]
  ])("says what is missing: %s", (text, expected) => {
    assert.match(Result.getOrThrow(Result.flip(KubeConfig.select(parse(text), "f"))).message, expected)
  })
})

describe("the access", () => {
  it.effect("comes from the files of KUBECONFIG, those that exist", () =>
    Effect.gen(function* () {
      const home = yield* directory
      writeFileSync(
        join(home, "b"),
        config("b")
          .replace(/, certificate-authority[^}]*/, "")
          .replace(/client-c.*token/, "token")
      )
      const access = yield* KubeConfig.load().pipe(
        Effect.provide(environment({ KUBECONFIG: `${join(home, "none")}:${join(home, "b")}` }))
      )
      assert.strictEqual(access.server, "https://b:6443")
      assert.strictEqual(access.namespace, "ns-b")
      assert.deepStrictEqual(yield* access.headers(false), { authorization: "Bearer secret-b" })
    })
  )

  it.effect("comes from ~/.kube/config without KUBECONFIG", () =>
    Effect.gen(function* () {
      const home = yield* directory
      mkdirSync(join(home, ".kube"))
      writeFileSync(
        join(home, ".kube/config"),
        "current-context: x\nclusters: [{name: y, cluster: {server: 'https://y/', insecure-skip-tls-verify: true, tls-server-name: z, certificate-authority-data: Y2E=}}]\nusers: [{name: u, user: {username: a, password: b, as: boss, as-groups: [g, h]}}]\ncontexts: [{name: x, context: {cluster: y, user: u}}]"
      )
      const access = yield* KubeConfig.load().pipe(Effect.provide(environment({ HOME: home })))
      assert.deepStrictEqual(access.tls, { ca: Buffer.from("ca"), servername: "z", rejectUnauthorized: false })
      assert.strictEqual(access.server, "https://y")
      assert.deepStrictEqual(yield* access.headers(false), {
        authorization: "Basic YTpi",
        "impersonate-user": "boss",
        "impersonate-group": ["g", "h"]
      })
    })
  )

  it.effect("in a pod is the service account's, whose token is read again when it is a minute old or was refused", () =>
    Effect.gen(function* () {
      const account = yield* directory
      for (const [name, text] of [
        ["token", "one\n"],
        ["ca.crt", "CA"],
        ["namespace", "ns\n"]
      ] as const) {
        writeFileSync(join(account, name), text)
      }
      const access = yield* KubeConfig.load({ serviceAccountDirectory: account }).pipe(
        Effect.provide(environment({ KUBERNETES_SERVICE_HOST: "fd00::1", KUBERNETES_SERVICE_PORT: "6443" }))
      )
      assert.strictEqual(access.server, "https://[fd00::1]:6443")
      assert.strictEqual(access.namespace, "ns")
      const token = (fresh: boolean) => Effect.map(access.headers(fresh), ({ authorization }) => authorization)
      assert.strictEqual(yield* token(false), "Bearer one")
      writeFileSync(join(account, "token"), "two")
      assert.strictEqual(yield* token(false), "Bearer one")
      assert.strictEqual(yield* token(true), "Bearer two")
      writeFileSync(join(account, "token"), "three")
      yield* TestClock.adjust("61 seconds")
      assert.strictEqual(yield* token(false), "Bearer three")
    })
  )

  it.effect("of a pod counts before a kubeconfig in the home, and after one that KUBECONFIG names", () =>
    Effect.gen(function* () {
      const home = yield* directory
      const serviceAccountDirectory = join(home, "account")
      mkdirSync(serviceAccountDirectory)
      for (const name of ["ca.crt", "token"]) writeFileSync(join(serviceAccountDirectory, name), name)
      mkdirSync(join(home, ".kube"))
      const text = config("a")
        .replace(/, certificate-authority: [^ ]*/, "")
        .replace(/client-[^,]*, /g, "")
      writeFileSync(join(home, ".kube/config"), text)
      const found = (more: Record<string, string>) =>
        Effect.map(
          KubeConfig.load({ serviceAccountDirectory }).pipe(
            Effect.provide(environment({ HOME: home, KUBERNETES_SERVICE_HOST: "10.0.0.1", ...more }))
          ),
          ({ server }) => server
        )
      assert.strictEqual(yield* found({}), "https://10.0.0.1:443")
      assert.strictEqual(yield* found({ KUBECONFIG: join(home, ".kube/config") }), "https://a:6443")
      assert.strictEqual(yield* found({ KUBECONFIG: "/nonexistent" }), "https://10.0.0.1:443")
      assert.strictEqual(yield* found({ KUBECONFIG: "" }), "https://10.0.0.1:443")
      assert.strictEqual(yield* found({ KUBERNETES_SERVICE_HOST: "" }), "https://a:6443")
    })
  )

  it.effect("goes through the proxy that it names, else through the environment's; inside of a pod through none", () =>
    Effect.gen(function* () {
      const account = yield* directory
      for (const name of ["ca.crt", "token"]) writeFileSync(join(account, name), name)
      const selection = (server: string, proxy?: string) => ({
        context: "c",
        cluster: { server, ...(proxy === undefined ? {} : { "proxy-url": proxy }) },
        userName: undefined,
        user: {},
        namespace: "n"
      })
      const variables = { HTTPS_PROXY: "proxy.example:3128", http_proxy: "http://plain:1", NO_PROXY: "b.example" }
      const proxyOf = (server: string, proxy?: string) =>
        KubeConfig.accessOf(selection(server, proxy), "test").pipe(
          Effect.map((access) => access.proxy),
          Effect.provide(environment(variables))
        )
      assert.strictEqual(yield* proxyOf("https://a.example"), "http://proxy.example:3128")
      assert.strictEqual(yield* proxyOf("http://a.example"), "http://plain:1")
      assert.isUndefined(yield* proxyOf("https://b.example"))
      assert.strictEqual(yield* proxyOf("https://b.example", "http://own:2"), "http://own:2")
      const inside = yield* KubeConfig.load({ serviceAccountDirectory: account, sources: ["in-cluster"] }).pipe(
        Effect.provide(environment({ ...variables, KUBERNETES_SERVICE_HOST: "10.96.0.1" }))
      )
      assert.isUndefined(inside.proxy)
      const refused = yield* KubeConfig.accessOf(selection("https://a.example"), "test").pipe(
        Effect.provide(environment({ HTTPS_PROXY: "socks5://user:secret@p:1080" })),
        Effect.flip
      )
      assert.include(refused.message, "HTTPS_PROXY")
      assert.include(refused.message, "socks5")
      assert.notInclude(refused.message, "secret")
    })
  )

  it.effect("that is nowhere is told with all places", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        KubeConfig.load().pipe(Effect.provide(environment({ HOME: "/nonexistent", KUBERNETES_SERVICE_HOST: "" })))
      )
      assert.include(error.message, "KUBERNETES_SERVICE_HOST is not set")
      assert.include(error.message, "/nonexistent/.kube/config")
      assert.include(error.message, "KUBECONFIG")
    })
  )
})
