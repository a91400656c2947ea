import { spawnSync } from "node:child_process"
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Externals from "../../../src/programs/hook/internal/Externals.ts"

const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "jobscope-externals-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

const node = (externals: string, entry: string, content: string) => {
  mkdirSync(join(externals, entry, "bin"), { recursive: true })
  writeFileSync(join(externals, entry, "bin/node"), content, { mode: 0o755 })
  mkdirSync(join(externals, entry, "lib"), { recursive: true })
  writeFileSync(join(externals, entry, "lib/a.js"), "a")
}

const setting = Effect.map(directory, (root) => {
  const source = join(root, "externals")
  const target = join(root, "_work/externals")
  node(source, "node20", "twenty")
  node(source, "node24", "twenty-four")
  node(source, "node24_alpine", "alpine")
  return { source, target, making: join(root, "_work/.making") }
})

describe("copying", () => {
  it.effect("brings what fits the C library, executable, and once", () =>
    Effect.gen(function* () {
      const { making, source, target } = yield* setting
      assert.deepStrictEqual(yield* Externals.copy(source, target, "glibc", making), ["node20", "node24"])
      assert.strictEqual(spawnSync(join(target, "node24/bin/node"), { shell: true }).status, 127, "it is executable")
      assert.strictEqual(readFileSync(join(target, "node20/lib/a.js"), "utf8"), "a")
      assert.isFalse(existsSync(join(target, "node24_alpine")))
      assert.deepStrictEqual(yield* Externals.copy(source, target, "glibc", making), [])
      assert.deepStrictEqual(yield* Externals.copy(source, target, "musl", making), ["node24_alpine"])
    })
  )

  it.effect("replaces another version, as a whole, and leaves nothing else behind", () =>
    Effect.gen(function* () {
      const { making, source, target } = yield* setting
      yield* Externals.copy(source, target, "glibc", making)
      node(source, "node20", "twenty and one")
      utimesSync(join(source, "node24/bin/node"), 1, 1)
      rmSync(join(source, "node20/lib"), { recursive: true })
      assert.deepStrictEqual(yield* Externals.copy(source, target, "glibc", making), ["node20", "node24"])
      assert.strictEqual(readFileSync(join(target, "node20/bin/node"), "utf8"), "twenty and one")
      assert.isFalse(existsSync(join(target, "node20/lib")))
      assert.deepStrictEqual(
        readdirSync(target)
          .filter((name) => !name.startsWith("node"))
          .sort(),
        [".node20.jobscope", ".node24.jobscope"]
      )
      assert.deepStrictEqual(readdirSync(making), [])
    })
  )

  it.effect("an entry that is gone comes again, although its mark is there", () =>
    Effect.gen(function* () {
      const { making, source, target } = yield* setting
      yield* Externals.copy(source, target, "glibc", making)
      rmSync(join(target, "node20"), { recursive: true })
      assert.deepStrictEqual(yield* Externals.copy(source, target, "glibc", making), ["node20"])
    })
  )

  it.effect("that fails says so, and is done again", () =>
    Effect.gen(function* () {
      const { making, source, target } = yield* setting
      const missing = yield* Effect.flip(Externals.copy(`${source}-not`, target, "glibc", making))
      assert.strictEqual(missing.reason._tag, "StorageFailed")
      assert.match(missing.message, /bringing the runner's externals/)
      mkdirSync(join(target, "node20"), { recursive: true })
      writeFileSync(join(target, "node20/half"), "")
      assert.include(yield* Externals.copy(source, target, "glibc", making), "node20")
      assert.isFalse(existsSync(join(target, "node20/half")))
    })
  )
})

it("an init container fills the volume from the runner's own directory", () => {
  const [container] = Externals.initContainers("runner:1", "/home/runner/externals")
  assert.strictEqual(container?.name, "fs-init")
  assert.deepStrictEqual(container?.command?.slice(3), ["sh", "/home/runner/externals"])
  assert.deepStrictEqual(container?.volumeMounts, [{ name: Externals.volumes[0]!.name, mountPath: "/mnt/externals" }])
})

describe("Nodes for Alpine on arm64", () => {
  it("are brought for every version of the runner's", () => {
    const containers = Externals.muslNodes("node:{version}-alpine", { name: "work", subPath: "externals" })
    assert.deepStrictEqual(
      containers.map(({ image }) => image),
      ["node:20-alpine", "node:24-alpine"]
    )
    assert.deepStrictEqual(containers[0]?.volumeMounts, [
      { name: "work", subPath: "externals", mountPath: "/mnt/externals" }
    ])
  })

  it.effect("take the place of the runner's Node, which is started where there is no musl", () =>
    Effect.gen(function* () {
      const root = yield* directory
      const script = (text: string) => `#!/bin/sh\necho ${text} "$0" "$@"\n`
      node(join(root, "externals"), "node24", script("glibc"))
      mkdirSync(join(root, "image/lib"), { recursive: true })
      writeFileSync(join(root, "image/node"), script("musl"))
      chmodSync(join(root, "image/node"), 0o755)
      writeFileSync(join(root, "image/lib/libstdc++.so.6"), "lib")
      const install = () =>
        spawnSync(
          "sh",
          [
            "-ec",
            Externals.muslScript,
            "sh",
            join(root, "externals/node24"),
            join(root, "image/node"),
            join(root, "image/lib")
          ],
          { encoding: "utf8" }
        )
      for (const run of [install(), install()]) assert.strictEqual(run.status, 0, run.stderr)
      const bin = join(root, "externals/node24/bin")
      assert.deepStrictEqual(readdirSync(bin).sort(), ["node", "node.glibc"])
      assert.deepStrictEqual(readdirSync(join(bin, "../musl/lib")), ["libstdc++.so.6"])
      const run = (file: string) => spawnSync(file, ["a b", "c"], { encoding: "utf8" })
      // This machine decides which of them it is.
      const expected = readdirSync("/lib").some((name) => name.startsWith("ld-musl-")) ? "musl" : "glibc"
      assert.match(run(join(bin, "node")).stdout, new RegExp(`^${expected} .* a b c\n$`))
      // As a machine with musl would see it.
      const wrapper = readFileSync(join(bin, "node"), "utf8").replace(
        "/lib/ld-musl-*.so.1",
        `${root}/image/lib/libstdc++.so.6`
      )
      writeFileSync(join(bin, "node"), wrapper)
      assert.match(run(join(bin, "node")).stdout, /^musl .*\/musl\/node a b c\n$/)
    })
  )
})
