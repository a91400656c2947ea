import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Port } from "../../../src/domain/Container.ts"
import * as HookResponse from "../../../src/programs/hook/internal/HookResponse.ts"

describe("HookResponse", () => {
  it("has what the runner reads: isAlpine, and ports of each service by position", () => {
    const ports = [new Port({ container: 53, protocol: "udp" }), new Port({ container: 80, host: 8080 })]
    assert.deepStrictEqual(
      HookResponse.forJob({
        state: { jobPod: "p" },
        hasContainer: true,
        image: "node:22",
        ports: {},
        services: [
          { image: "a", ports: HookResponse.portsOf(ports) },
          { image: "b", ports: {} }
        ],
        isAlpine: false
      }),
      {
        state: { jobPod: "p" },
        isAlpine: false,
        context: {
          container: { image: "node:22", ports: {} },
          services: [
            { image: "a", ports: { "53/udp": "53", "80": "80" } },
            { image: "b", ports: {} }
          ]
        }
      }
    )
  })

  it("has the ports where they are to be reached", () => {
    const ports = [
      new Port({ container: 53, protocol: "udp" }),
      new Port({ container: 80, host: 8080 }),
      new Port({ container: 9, host: 99, protocol: "udp" })
    ]
    assert.deepStrictEqual(HookResponse.portsOf(ports), { "53/udp": "53", "80": "80", "9/udp": "9" })
    assert.deepStrictEqual(HookResponse.portsOf(ports, "onRunner"), { "53/udp": "53", "80": "8080", "9/udp": "99" })
    assert.deepStrictEqual(HookResponse.portsOf(ports, "ofNode"), { "80": "8080", "9": "99" })
  })

  it("has no container where the job has none: the runner has nowhere to put it", () => {
    const { context } = HookResponse.forJob({
      state: {},
      hasContainer: false,
      image: "",
      ports: {},
      services: [],
      isAlpine: false
    })
    assert.isFalse("container" in context)
  })

  it.each([
    ["glibc", "x64", false, false],
    ["musl", "x64", false, true],
    ["musl", "arm64", false, true],
    ["musl", "arm64", true, false],
    ["musl", "x64", true, true],
    ["unknown", "x64", false, false]
  ] as const)("isAlpine of %s on %s (nodes of ours: %s) is %s", (libc, arch, nodes, expected) => {
    const facts = { os: "linux", arch, libc, workspace: "/", services: [] }
    assert.strictEqual(HookResponse.isAlpine(facts, arch, nodes), expected)
  })

  it.effect("is written at once, and nothing else", () =>
    Effect.gen(function* () {
      const directory = mkdtempSync(join(tmpdir(), "jobscope-response-"))
      yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(directory, { recursive: true })))
      const file = join(directory, "r.json")
      writeFileSync(file, "")
      yield* HookResponse.write(file, { a: "ä" })
      assert.deepStrictEqual(JSON.parse(readFileSync(file, "utf8")), { a: "ä" })
      assert.deepStrictEqual(readdirSync(directory), ["r.json"])
      yield* HookResponse.write(undefined, { a: 1 })
      const error = yield* Effect.flip(HookResponse.write(join(directory, "no/r.json"), {}))
      assert.match(error.message, /answering the runner/)
      assert.isFalse(existsSync(join(directory, "no")))
      writeFileSync(join(directory, "killed.json.jobscope"), "{")
      yield* HookResponse.removeUnfinished(file)
      assert.deepStrictEqual(readdirSync(directory), ["r.json"])
      yield* HookResponse.removeUnfinished(join(directory, "no/r.json"))
      yield* HookResponse.removeUnfinished(undefined)
    })
  )
})
