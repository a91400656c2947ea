import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { proxyFor } from "../../../src/backends/kubernetes/internal/environmentProxy.ts"

const proxies = { https: "http://secure:3128", http: "http://plain:3128", none: undefined }
const through = (server: string, none?: string) => proxyFor(new URL(server), { ...proxies, none })

describe("the proxy of the environment", () => {
  it("is chosen by the server's scheme", () => {
    assert.strictEqual(through("https://api.example:6443"), "http://secure:3128")
    assert.strictEqual(through("http://api.example"), "http://plain:3128")
    assert.isUndefined(proxyFor(new URL("https://api.example"), { ...proxies, https: undefined }))
    assert.isUndefined(proxyFor(new URL("https://api.example"), { ...proxies, https: "" }))
  })

  it("may be written without a scheme", () => {
    assert.strictEqual(
      proxyFor(new URL("https://a.example"), { ...proxies, https: "secure:3128" }),
      "http://secure:3128"
    )
    assert.strictEqual(proxyFor(new URL("https://a.example"), { ...proxies, https: "HTTPS://p" }), "HTTPS://p")
  })

  it.each(["https://localhost:6443", "https://127.0.0.1:6443", "https://127.9.9.9", "https://[::1]:6443"])(
    "is never asked for what is on this machine: %s",
    (server) => assert.isUndefined(through(server))
  )

  it.each([
    ["https://api.example:6443", "*"],
    ["https://api.example:6443", "api.example"],
    ["https://api.example:6443", "other, API.example ,third"],
    ["https://api.example:6443", "api.example:6443"],
    ["https://api.example", "api.example:443"],
    ["https://api.example", "example"],
    ["https://api.example", ".example"],
    ["https://api.example", "*.example"],
    ["https://10.96.0.1", "10.96.0.1"],
    ["https://10.96.0.1:6443", "10.96.0.1:6443"],
    ["https://10.96.0.1", "10.96.0.0/12"],
    ["https://[fd00::1]:6443", "fd00::1"],
    ["https://[fd00::1]:6443", "[fd00:0::1]:6443"],
    ["https://[fd00::1]", "fd00::/8"]
  ])("is not asked for %s with NO_PROXY=%s", (server, none) => assert.isUndefined(through(server, none)))

  it.each([
    ["https://api.example:6443", ""],
    ["https://api.example:6443", " , "],
    ["https://api.example:6443", "api.example:443"],
    ["https://example", ".example"],
    ["https://myexample", "example"],
    ["https://api.example.org", "api.example"],
    ["https://10.96.0.1", "10.96.0.0/16x"],
    ["https://10.96.0.1", "10.97.0.0/16"],
    ["https://10.96.0.1", "10.96.0.0/99"],
    ["https://10.96.0.1", "10.96.0.1:6443"],
    ["https://110.96.0.1", "10.96.0.1"],
    ["https://api.example", "10.0.0.0/8"]
  ])("is asked for %s with NO_PROXY=%s", (server, none) =>
    assert.strictEqual(through(server, none), "http://secure:3128")
  )

  it.prop("any NO_PROXY is read", [Schema.String], ([none]) => {
    for (const server of ["https://api.example:6443", "https://10.96.0.1", "https://[fd00::1]"]) {
      assert.include([undefined, "http://secure:3128"], through(server, none))
      assert.isUndefined(through(server, `${none},*`))
    }
  })
})
