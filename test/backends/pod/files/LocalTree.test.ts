import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schema } from "effect"
import * as LocalTree from "../../../../src/backends/pod/internal/files/LocalTree.ts"
import { makeFifo, makeTree, temporaryDirectory } from "./support/trees.ts"

const inTree = <A, E>(title: string, body: (root: string) => Effect.Effect<A, E>) =>
  it.effect(title, () =>
    Effect.scoped(
      Effect.gen(function* () {
        const root = yield* temporaryDirectory
        makeTree(root)
        return yield* body(root)
      })
    )
  )

describe("a snapshot", () => {
  inTree("has what find finds, directories before what is in them", (root) =>
    Effect.gen(function* () {
      const { manifest, skipped } = yield* LocalTree.snapshot(root)
      const found = ChildProcess.execFileSync("find", [root, "-mindepth", "1", "-printf", "%P %s %m %y %l\\0"])
        .toString()
        .split("\0")
        .filter((line) => line !== "")
      const types = { File: "f", Directory: "d", Link: "l" } as const
      const told = [...manifest].map(([path, { mode, size, target = "", type }]) => {
        const real = type === "File" ? size : Fs.lstatSync(Path.join(root, path)).size
        return `${path} ${real} ${mode.toString(8)} ${types[type]} ${target}`
      })
      assert.sameMembers(told, found)
      const order = [...manifest.keys()]
      assert.isTrue(order.every((path, at) => !path.includes("/") || order.indexOf(Path.dirname(path)) < at))
      assert.deepStrictEqual(skipped, [])
    })
  )

  inTree("leaves out what nobody can copy, and says so", (root) =>
    Effect.gen(function* () {
      makeFifo(Path.join(root, "fifo"))
      Fs.writeFileSync(Buffer.concat([Buffer.from(`${root}/bad-`), Buffer.from([0xff])]), "")
      const { manifest, skipped } = yield* LocalTree.snapshot(root)
      assert.isFalse(manifest.has("fifo"))
      assert.deepStrictEqual(
        new Map(skipped.map(({ path, why }) => [path, why])),
        new Map([
          ["fifo", "it is neither a file nor a directory nor a link"],
          ["bad-\uFFFD", "its name is not UTF-8"]
        ])
      )
    })
  )

  inTree("leaves out what it is told to, with all that is in it", (root) =>
    Effect.gen(function* () {
      const exclude = (path: string) => path === "large" || path === "bin/up"
      const { manifest } = yield* LocalTree.snapshot(root, { exclude })
      assert.isFalse(manifest.has("large"))
      assert.isFalse(manifest.has("large/file"))
      assert.isFalse(manifest.has("bin/up"))
      assert.isTrue(manifest.has("bin/run.sh"))
    })
  )

  it.effect("of nothing is empty", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* LocalTree.snapshot("/no/such/directory")).manifest.size, 0)
    })
  )

  it.live("does not mind what vanishes meanwhile", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const root = yield* temporaryDirectory
        for (let index = 0; index < 2000; index++) {
          Fs.mkdirSync(`${root}/${index}`)
          Fs.writeFileSync(`${root}/${index}/file`, "")
        }
        // It looks at some hundred entries, then lets others work.
        const looking = yield* Effect.forkChild(LocalTree.snapshot(root), { startImmediately: true })
        for (let index = 0; index < 2000; index += 2) Fs.rmSync(`${root}/${index}`, { recursive: true })
        const { manifest } = yield* Fiber.join(looking)
        assert.isTrue(manifest.has("1999/file"))
        assert.isBelow([...manifest.keys()].filter((path) => path.endsWith("/file")).length, 2000)
      })
    )
  )
})

describe("a difference", () => {
  inTree("is empty if nothing was done", (root) =>
    Effect.gen(function* () {
      const before = yield* LocalTree.snapshot(root)
      const after = yield* LocalTree.snapshot(root)
      assert.isTrue(LocalTree.isEmpty(LocalTree.delta(before.manifest, after.manifest)))
    })
  )

  inTree("tells what was added, changed and removed", (root) =>
    Effect.gen(function* () {
      const { manifest: before } = yield* LocalTree.snapshot(root)
      const path = (name: string) => Path.join(root, name)
      Fs.writeFileSync(path("plain.txt"), "longer than it was\n")
      Fs.mkdirSync(path("new/sub"), { recursive: true })
      Fs.writeFileSync(path("new/sub/file"), "")
      Fs.chmodSync(path("secret"), 0o640)
      Fs.rmSync(path("large"), { recursive: true })
      Fs.rmSync(path("link"))
      Fs.symlinkSync("empty", path("link"))
      const { manifest: after } = yield* LocalTree.snapshot(root)
      const { added, changed, removed } = LocalTree.delta(before, after)
      assert.deepStrictEqual(added, ["new", "new/sub", "new/sub/file"])
      assert.sameMembers([...changed], ["plain.txt", "hard", "secret", "link"])
      assert.deepStrictEqual(removed, ["large"])
    })
  )

  inTree("sees a change that keeps size and modification time", (root) =>
    Effect.gen(function* () {
      const file = Path.join(root, "bin/run.sh")
      const { manifest: before } = yield* LocalTree.snapshot(root)
      const { atime, mtime } = Fs.statSync(file)
      Fs.writeFileSync(file, "#!/bin/ab\n")
      Fs.utimesSync(file, atime, mtime)
      const { manifest: after } = yield* LocalTree.snapshot(root)
      assert.deepStrictEqual(LocalTree.delta(before, after).changed, ["bin/run.sh"])
    })
  )

  inTree("removes what is in the way of something of another kind", (root) =>
    Effect.gen(function* () {
      const { manifest: before } = yield* LocalTree.snapshot(root)
      Fs.rmSync(Path.join(root, "bin"), { recursive: true })
      Fs.writeFileSync(Path.join(root, "bin"), "now a file")
      Fs.rmSync(Path.join(root, "plain.txt"))
      Fs.mkdirSync(Path.join(root, "plain.txt"))
      // Whoever writes a text into it must not write through the link.
      Fs.rmSync(Path.join(root, "link"))
      Fs.writeFileSync(Path.join(root, "link"), "no link any more")
      const { manifest: after } = yield* LocalTree.snapshot(root)
      const { changed, removed } = LocalTree.delta(before, after)
      assert.sameMembers([...removed], ["bin", "plain.txt", "link"])
      assert.includeMembers([...changed], ["bin", "plain.txt", "link"])
    })
  )

  inTree("no longer has what was received", (root) =>
    Effect.gen(function* () {
      const { manifest: before } = yield* LocalTree.snapshot(root)
      Fs.mkdirSync(Path.join(root, "out/put"), { recursive: true })
      Fs.writeFileSync(Path.join(root, "out/put/file"), "received")
      Fs.rmSync(Path.join(root, "secret"))
      const known = yield* LocalTree.refresh(root, before, ["out/put/file", "secret"])
      const { manifest: after } = yield* LocalTree.snapshot(root)
      assert.isTrue(LocalTree.isEmpty(LocalTree.delta(known, after)))
    })
  )
})

describe("globs", () => {
  it("match names that start with a dot, too", () => {
    const matches = LocalTree.matcher(["**/action.y{,a}ml", "_temp/_runner_file_commands/*", ".github/**"])
    assert.isTrue(matches("action.yml"))
    assert.isTrue(matches("a/.b/action.yaml"))
    assert.isTrue(matches("_temp/_runner_file_commands/set_output_1"))
    assert.isTrue(matches(".github/workflows/ci.yml"))
    assert.isFalse(matches("action.yml/x"))
    assert.isFalse(matches("_temp/other"))
  })

  it.prop("match nothing if there are none", [Schema.String], ([path]) => {
    assert.isFalse(LocalTree.matcher([])(path))
  })
})
