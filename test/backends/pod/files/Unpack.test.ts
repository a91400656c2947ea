/** Archives that want to write elsewhere, and what is in their way. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Schema, Stream } from "effect"
import * as Arbitrary from "effect/Arbitrary"
import {
  encodeHeader,
  endOfArchive,
  paddingOf,
  type TarHeader
} from "../../../../src/backends/pod/internal/files/tarFormat.ts"
import { type UnpackOptions, unpack } from "../../../../src/backends/pod/internal/files/Unpack.ts"
import { contentOf, temporaryDirectory } from "./support/trees.ts"

type Part = Partial<TarHeader> & { readonly path: string; readonly content?: string }

const archiveOf = (parts: ReadonlyArray<Part>, end = true) => {
  const blocks = parts.flatMap(({ content = "", ...part }) => {
    const size = Buffer.byteLength(content)
    const header = { type: "File", mode: 0o644, mtime: 1_700_000_000, target: "", ...part, size } as const
    return [encodeHeader(header), Buffer.from(content), Buffer.alloc(paddingOf(size))]
  })
  return Stream.make(Buffer.concat(end ? [...blocks, endOfArchive] : blocks))
}

const inDirectory = <E>(title: string, body: (root: string, outside: string) => Effect.Effect<void, E>) =>
  it.effect(title, () =>
    Effect.scoped(
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory
        const [root, outside] = [Path.join(directory, "root"), Path.join(directory, "outside")]
        Fs.mkdirSync(root)
        Fs.mkdirSync(outside)
        Fs.writeFileSync(Path.join(outside, "file"), "untouched")
        yield* body(root, outside)
        assert.deepStrictEqual(contentOf(outside), { file: "644 9 untouched" })
      })
    )
  )

const refused = (parts: ReadonlyArray<Part>, root: string, options?: UnpackOptions) =>
  Effect.map(Effect.flip(unpack(archiveOf(parts), root, options)), ({ message }) => message)

describe("a hostile archive", () => {
  for (const path of ["/etc/passwd", "../outside/file", "a/../../outside/file", "a/.."]) {
    inDirectory(`fails for the path ${path}`, (root) =>
      Effect.gen(function* () {
        assert.include(yield* refused([{ path, content: "x" }], root), "leads out of the directory")
        assert.deepStrictEqual(contentOf(root), {})
      })
    )
  }

  inDirectory("makes no link that leads out, not even by way of others", (root) =>
    Effect.gen(function* () {
      const link = (path: string, target: string): Part => ({ path, type: "Link", target })
      const { skipped, written } = yield* unpack(
        archiveOf([
          link("absolute", "/etc"),
          link("climbs", "../outside"),
          link("late", "down/../../outside"),
          link("down/up", ".."),
          link("chain", "down/up/.."),
          link("fine", "down/up"),
          link("down/fine", "../down/up"),
          link("down/too-high", "../../outside"),
          link("empty", ""),
          { path: "down/file", content: "x" }
        ]),
        root
      )
      assert.deepStrictEqual([...written], ["down/up", "fine", "down/fine", "down/file"])
      assert.deepStrictEqual(
        skipped.map(({ path }) => path),
        ["absolute", "climbs", "late", "chain", "down/too-high", "empty"]
      )
    })
  )

  inDirectory("writes through no link, whoever made it", (root, outside) =>
    Effect.gen(function* () {
      Fs.symlinkSync(outside, Path.join(root, "earlier"))
      Fs.symlinkSync(Path.join(outside, "file"), Path.join(root, "file"))
      Fs.mkdirSync(Path.join(root, "inside"))
      yield* unpack(
        archiveOf([
          { path: "earlier/file", content: "new" },
          { path: "file", content: "new" },
          { path: "own", type: "Link", target: "inside" },
          { path: "own/file", content: "new" }
        ]),
        root
      )
      assert.deepStrictEqual(contentOf(root), {
        earlier: "755 directory",
        "earlier/file": "644 3 new",
        file: "644 3 new",
        inside: "755 directory",
        own: "755 directory",
        "own/file": "644 3 new"
      })
    })
  )

  inDirectory("copies only files of its own by hard links", (root, outside) =>
    Effect.gen(function* () {
      Fs.writeFileSync(Path.join(root, "mine"), "mine")
      const hard = (path: string, target: string): Part => ({ path, type: "HardLink", target })
      const { skipped } = yield* unpack(
        archiveOf([
          { path: "a", content: "aaa", mode: 0o755 },
          hard("b", "a"),
          hard("a", "a"),
          hard("c", "mine"),
          hard("d", Path.join(outside, "file")),
          hard("e", "../outside/file"),
          { path: "link", type: "Link", target: "mine" },
          hard("f", "link")
        ]),
        root
      )
      assert.deepStrictEqual(
        skipped.map(({ path }) => path),
        ["c", "d", "e", "f"]
      )
      assert.deepInclude(contentOf(root), { a: "755 3 aaa", b: "755 3 aaa" })
    })
  )

  inDirectory("makes no devices, and nobody's rights greater", (root) =>
    Effect.gen(function* () {
      const { skipped } = yield* unpack(
        archiveOf([
          { path: "device", type: "Other" },
          { path: "set-id", mode: 0o6755, content: "x" },
          { path: "closed", mode: 0o000, content: "x" },
          { path: "dir", type: "Directory", mode: 0o1000 },
          { path: "dir/file", content: "x" }
        ]),
        root
      )
      assert.deepStrictEqual(
        skipped.map(({ path }) => path),
        ["device"]
      )
      const mode = (path: string) => (Fs.statSync(Path.join(root, path)).mode & 0o7777).toString(8)
      assert.deepStrictEqual(["set-id", "closed", "dir"].map(mode), ["755", "600", "700"])
    })
  )

  inDirectory("is no larger than allowed", (root) =>
    Effect.gen(function* () {
      const files = [1, 2, 3].map((index) => ({ path: `${index}`, content: "0123456789" }))
      assert.include(yield* refused(files, root, { maxBytes: 29 }), "larger than allowed")
      assert.include(yield* refused(files, root, { maxEntries: 2 }), "more than 2 entries")
      yield* unpack(archiveOf(files), root, { maxBytes: 30, maxEntries: 3 })
      // What is not wanted does not count.
      yield* unpack(archiveOf(files), root, { maxBytes: 10, accept: (path) => path === "2" })
    })
  )

  const name = Arbitrary.schema(Schema.Literals(["a", "b", "c", "..", ".", ""]))
  const path = Arbitrary.map(
    Arbitrary.all([Arbitrary.array(name, { minLength: 1, maxLength: 5 }), Arbitrary.schema(Schema.Int)]),
    ([names, flags]) =>
      `${flags % 13 === 0 ? "/" : ""}${names.filter((one) => one !== ".." || flags % 3 === 0).join("/")}`
  )
  const part = Arbitrary.map(
    Arbitrary.all([
      path,
      path,
      Arbitrary.schema(Schema.Literals(["File", "Directory", "Link", "HardLink", "Other"])),
      Arbitrary.schema(Schema.Literals([0o644, 0o7777, 0]))
    ]),
    ([path, target, type, mode]): Part => ({
      path,
      type,
      mode,
      target: type === "Link" || type === "HardLink" ? target : "",
      content: type === "File" ? "evil" : ""
    })
  )

  it.effect.prop(
    "leaves everything outside as it is, and no link that leads there",
    [Arbitrary.array(part, { maxLength: 12 }), Arbitrary.array(part, { maxLength: 12 })],
    ([first, second]) =>
      Effect.scoped(
        Effect.gen(function* () {
          const directory = yield* temporaryDirectory
          const root = Path.join(directory, "x/y/root")
          Fs.writeFileSync(Path.join(directory, "a"), "outside")
          // Of a failed archive, too, something may be there for the second.
          yield* Effect.exit(unpack(archiveOf(first), root))
          yield* Effect.exit(unpack(archiveOf(second), root))
          assert.deepStrictEqual(Fs.readdirSync(directory).sort(), ["a", "x"])
          assert.deepStrictEqual(Fs.readdirSync(Path.join(directory, "x/y")), ["root"])
          assert.strictEqual(Fs.readFileSync(Path.join(directory, "a"), "utf8"), "outside")
          const real = Fs.realpathSync(root)
          for (const path of Object.keys(contentOf(root))) {
            const target = realPath(Path.join(root, path))
            assert.isTrue(target === undefined || `${target}/`.startsWith(`${real}/`), `${path} leads to ${target}`)
          }
        })
      )
  )
})

/** Undefined for a link to nothing, or in a circle. */
const realPath = (path: string) => {
  try {
    return Fs.realpathSync(path)
  } catch (error) {
    if (error instanceof Error && "code" in error && /ENOENT|ELOOP|ENOTDIR/.test(String(error.code))) return undefined
    throw error
  }
}

describe("unpacking", () => {
  inDirectory("replaces what is in the way", (root) =>
    Effect.gen(function* () {
      Fs.mkdirSync(Path.join(root, "to-file/deep"), { recursive: true })
      Fs.writeFileSync(Path.join(root, "to-file/deep/x"), "")
      Fs.writeFileSync(Path.join(root, "to-dir"), "")
      Fs.writeFileSync(Path.join(root, "to-link"), "")
      Fs.writeFileSync(Path.join(root, "old"), "longer than the new one", { mode: 0o600 })
      yield* unpack(
        archiveOf([
          { path: "to-file", content: "f" },
          { path: "./to-dir/", type: "Directory", mode: 0o750 },
          { path: "to-link", type: "Link", target: "old" },
          { path: "old", content: "new" },
          { path: "old", content: "newer" }
        ]),
        root
      )
      assert.deepStrictEqual(contentOf(root), {
        old: "644 5 newer",
        "to-dir": "750 directory",
        "to-file": "644 1 f",
        "to-link": "-> old"
      })
    })
  )

  inDirectory("takes what is wanted only, with the directories above", (root) =>
    Effect.gen(function* () {
      const accept = (path: string, type: string) => type === "File" && path.endsWith(".yml")
      const { written } = yield* unpack(
        archiveOf([
          { path: "a", type: "Directory" },
          { path: "a/action.yml", content: "1" },
          { path: "a/other", content: "2" },
          { path: "b", type: "Directory" }
        ]),
        root,
        { accept }
      )
      assert.deepStrictEqual([...written], ["a/action.yml"])
      assert.deepStrictEqual(Object.keys(contentOf(root)), ["a", "a/action.yml"])
    })
  )

  inDirectory("fails for an archive without end, and leaves no part of a file", (root) =>
    Effect.gen(function* () {
      const whole = archiveOf([{ path: "whole", content: "w" }], false)
      const cut = whole.pipe(
        Stream.concat(
          Stream.make(encodeHeader({ path: "part", type: "File", size: 100, mode: 0o644, mtime: 0, target: "" }))
        ),
        Stream.concat(Stream.make(Buffer.from("only the beginning")))
      )
      for (const archive of [whole, cut]) {
        const { message } = yield* Effect.flip(unpack(archive, root))
        assert.include(message, "ends too soon")
      }
      assert.deepStrictEqual(Object.keys(contentOf(root)), ["whole"])
    })
  )

  inDirectory("passes on why the archive fails, and leaves no part of a file", (root) =>
    Effect.gen(function* () {
      Fs.writeFileSync(Path.join(root, "part"), "as it was")
      const header = encodeHeader({ path: "part", type: "File", size: 100, mode: 0o644, mtime: 0, target: "" })
      const exit = yield* Effect.exit(
        unpack(Stream.concat(Stream.make(header, Buffer.from("begin")), Stream.fail("broken")), root)
      )
      assert.isTrue(Exit.isFailure(exit) && JSON.stringify(exit.cause).includes("broken"))
      assert.deepStrictEqual(contentOf(root), { part: "644 9 as it was" })
    })
  )

  inDirectory("says what is no archive", (root) =>
    Effect.gen(function* () {
      const { message } = yield* Effect.flip(unpack(Stream.make(Buffer.alloc(600, "x")), root))
      assert.include(message, "cannot be read")
    })
  )
})

inDirectory("a file that replaces one is made where it is wanted, and half of one is never at its place", (root) =>
  Effect.gen(function* () {
    const making = Path.join(root, "making")
    Fs.mkdirSync(making)
    Fs.writeFileSync(Path.join(root, "file"), "old")
    const [whole] = yield* Stream.runCollect(archiveOf([{ path: "file", content: "x".repeat(2000) }]))
    const looked: Array<ReadonlyArray<string>> = []
    const look = Effect.sync(() => {
      looked.push(
        Fs.readdirSync(root).sort(),
        Fs.readdirSync(making).map((name) => name.slice(0, 10))
      )
      assert.strictEqual(Fs.readFileSync(Path.join(root, "file"), "utf8"), "old")
    })
    const parts = Stream.make(whole?.subarray(0, 1000) ?? Buffer.alloc(0)).pipe(
      Stream.concat(Stream.drain(Stream.fromEffect(look))),
      Stream.concat(Stream.make(whole?.subarray(1000) ?? Buffer.alloc(0)))
    )
    yield* unpack(parts, root, { making })
    assert.deepStrictEqual(looked, [["file", "making"], [".jobscope-"]])
    assert.deepStrictEqual(contentOf(root), { file: `644 2000 ${"x".repeat(40)}`, making: "755 directory" })
  })
)
