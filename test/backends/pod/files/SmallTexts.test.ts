import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import * as LocalTree from "../../../../src/backends/pod/internal/files/LocalTree.ts"
import { partSmallTexts } from "../../../../src/backends/pod/internal/files/SmallTexts.ts"
import { temporaryDirectory } from "./support/trees.ts"

const inDirectory = <E>(title: string, body: (root: string) => Effect.Effect<void, E>) =>
  it.effect(title, () => Effect.scoped(Effect.flatMap(temporaryDirectory, body)))

inDirectory("texts are parted from programs, binaries, links and empty directories", (root) =>
  Effect.gen(function* () {
    const at = (path: string) => Path.join(root, path)
    Fs.mkdirSync(at("a/b"), { recursive: true })
    Fs.mkdirSync(at("empty"))
    Fs.mkdirSync(at("only-binary"))
    Fs.writeFileSync(at("a/b/text"), "it's ünï\n")
    Fs.writeFileSync(at("nothing"), "")
    Fs.writeFileSync(at("program"), "#!/bin/sh\n", { mode: 0o755 })
    Fs.writeFileSync(at("only-binary/nul"), "a\0b")
    Fs.writeFileSync(at("latin1"), Buffer.from([0xe4]))
    Fs.writeFileSync(at("gone"), "")
    Fs.writeFileSync(at("link-by-now"), "")
    Fs.symlinkSync("nothing", at("link"))
    const { manifest } = yield* LocalTree.snapshot(root)
    Fs.rmSync(at("gone"))
    Fs.rmSync(at("link-by-now"))
    Fs.symlinkSync("nothing", at("link-by-now"))
    const { rest, texts } = yield* partSmallTexts(root, manifest, [...manifest.keys()], 1000)
    assert.sameDeepMembers(
      [...texts],
      [
        { path: "a/b/text", content: "it's ünï\n" },
        { path: "nothing", content: "" }
      ]
    )
    assert.sameMembers(
      [...rest],
      ["empty", "program", "only-binary", "only-binary/nul", "latin1", "link", "link-by-now"]
    )
  })
)

inDirectory("texts have no more room than there is", (root) =>
  Effect.gen(function* () {
    for (const name of ["a", "b", "c"]) Fs.writeFileSync(Path.join(root, name), "0123456789")
    const { manifest } = yield* LocalTree.snapshot(root)
    const { rest, texts } = yield* partSmallTexts(root, manifest, ["a", "b", "c"], 20)
    assert.deepStrictEqual(
      texts.map(({ path }) => path),
      ["a", "b"]
    )
    assert.deepStrictEqual([...rest], ["c"])
    // Larger than when it was looked at.
    Fs.writeFileSync(Path.join(root, "a"), Buffer.alloc(100, "a"))
    assert.deepStrictEqual([...(yield* partSmallTexts(root, manifest, ["a"], 20)).rest], ["a"])
  })
)
