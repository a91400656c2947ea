import { execFileSync } from "node:child_process"
import {
  chmodSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { createServer } from "node:net"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as BuildContext from "../../../src/backends/dockerfile/BuildContext.ts"
import { directoryOf, memory } from "./support/files.ts"

const at = { line: 3, text: "COPY x y" }
const secret = "the runner's own secret"

const open = Effect.fnUntraced(function* (files: Readonly<Record<string, string>>, options: BuildContext.Options = {}) {
  const directory = yield* directoryOf(files)
  return { directory, context: yield* BuildContext.open(directory, options) }
})
const namesOf = (context: BuildContext.BuildContext, source: string) =>
  Effect.map(context.find(source, at), (found) => found.map(({ name, path }) => (name === path ? name : [name, path])))
const treeOf = Effect.fnUntraced(function* (context: BuildContext.BuildContext, source: string) {
  const [found] = yield* context.find(source, at)
  return (yield* context.entries(found!, at)).map(({ path }) => path)
})
const refusalOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(effect), (error) => (error as { readonly message: string }).message)

describe("the sources of a COPY", () => {
  it.effect("are paths of the context, or wildcards in order", () =>
    Effect.gen(function* () {
      const { context } = yield* open({
        "b.sh": "",
        "a.sh": "",
        "d/x.sh": "",
        "d/e/y.sh": "",
        ".hidden.sh": "",
        "[z].sh": ""
      })
      assert.deepStrictEqual(yield* namesOf(context, "a.sh"), ["a.sh"])
      assert.deepStrictEqual(yield* namesOf(context, "./d/../a.sh"), ["a.sh"])
      assert.deepStrictEqual(yield* namesOf(context, "*.sh"), [".hidden.sh", "[z].sh", "a.sh", "b.sh"])
      assert.deepStrictEqual(yield* namesOf(context, "d/*"), [
        ["e", "d/e"],
        ["x.sh", "d/x.sh"]
      ])
      assert.deepStrictEqual(yield* namesOf(context, "*/*.sh"), [["x.sh", "d/x.sh"]])
      assert.deepStrictEqual(yield* namesOf(context, "?.sh"), ["a.sh", "b.sh"])
      assert.deepStrictEqual(yield* namesOf(context, "\\[z].sh*"), ["[z].sh"])
      assert.deepStrictEqual(yield* namesOf(context, "*.none"), [])
      assert.deepStrictEqual(yield* treeOf(context, "d"), ["", "e", "e/y.sh", "x.sh"])
      assert.deepStrictEqual(yield* treeOf(context, "/"), yield* treeOf(context, "."))
    })
  )

  it.effect("are not what .dockerignore excludes", () =>
    Effect.gen(function* () {
      const { context } = yield* open({
        ".dockerignore": "*.md\nsecret\n!secret/public\n!keep.md\n",
        "a.md": "",
        "keep.md": "",
        "secret/key": "",
        "secret/public/x": "",
        "src/a.md": ""
      })
      assert.deepStrictEqual(yield* namesOf(context, "*.md"), ["keep.md"])
      assert.deepStrictEqual(yield* treeOf(context, "."), [
        "",
        ".dockerignore",
        "keep.md",
        "secret",
        "secret/public",
        "secret/public/x",
        "src",
        "src/a.md"
      ])
      assert.include(
        yield* refusalOf(context.find("a.md", at)),
        "which is not in the action's directory: .dockerignore excludes it"
      )
    })
  )

  it.effect("follow the ignore file of their Dockerfile first", () =>
    Effect.gen(function* () {
      const files = { ".dockerignore": "a", "Other.dockerignore": "b", a: "", b: "" }
      const { context } = yield* open(files, { dockerfileName: "Other" })
      assert.deepStrictEqual(yield* treeOf(context, "[ab]"), [""])
      assert.deepStrictEqual(yield* namesOf(context, "[ab]"), ["a"])
    })
  )

  it.effect("are missing with their line", () =>
    Effect.gen(function* () {
      const { context } = yield* open({})
      const message = yield* refusalOf(context.find("dist/run.sh", at))
      assert.strictEqual(
        message,
        "Dockerfile line 3: 'COPY x y' names 'dist/run.sh', which is not in the action's directory"
      )
    })
  )
})

describe("nothing outside of the context is read", () => {
  it.effect("by a path that leads out", () =>
    Effect.gen(function* () {
      const { context } = yield* open({ "etc/passwd": "own" })
      assert.deepStrictEqual(yield* namesOf(context, "../../../../etc/passwd"), [["passwd", "etc/passwd"]])
      assert.include(yield* refusalOf(context.find("../../etc/shadow", at)), "not in the action's directory")
    })
  )

  it.effect("by a link: its top is the context's", () =>
    Effect.gen(function* () {
      const outside = yield* directoryOf({ key: secret })
      const { context, directory } = yield* open({ "etc/inside": "own" })
      symlinkSync(join(outside, "key"), join(directory, "stolen"))
      symlinkSync(outside, join(directory, "out"))
      symlinkSync("/etc/inside", join(directory, "absolute"))
      symlinkSync("loop", join(directory, "loop"))
      assert.include(yield* refusalOf(context.find("stolen", at)), "not in the action's directory")
      assert.include(yield* refusalOf(context.find("out/key", at)), "not in the action's directory")
      assert.include(yield* refusalOf(context.find("loop", at)), "not in the action's directory")
      assert.deepStrictEqual(yield* namesOf(context, "absolute"), [["absolute", "etc/inside"]])
      assert.deepStrictEqual(yield* namesOf(context, "etc/*"), [["inside", "etc/inside"]])
      // Within a directory links are copied as links.
      const target = join(yield* directoryOf(), "link")
      const [root] = yield* context.find(".", at)
      const link = (yield* context.entries(root!, at)).find(({ path }) => path === "stolen")
      yield* context.write(link!, target, at)
      assert.strictEqual(readlinkSync(target), join(outside, "key"))
    })
  )

  it.effect("by one that takes a file's, or its directory's, place in between", () =>
    Effect.gen(function* () {
      const outside = yield* directoryOf({ file: secret })
      const { context, directory } = yield* open({ "a/file": "own", "b/file": "own" })
      const target = join(yield* directoryOf(), "copy")
      const entryOf = Effect.fnUntraced(function* (path: string) {
        const [source] = yield* context.find(path, at)
        return (yield* context.entries(source!, at))[0]!
      })
      const [a, b] = [yield* entryOf("a/file"), yield* entryOf("b/file")]
      renameSync(join(directory, "a/file"), join(directory, "a/old"))
      symlinkSync(join(outside, "file"), join(directory, "a/file"))
      renameSync(join(directory, "b"), join(directory, "old"))
      symlinkSync(outside, join(directory, "b"))
      assert.include(yield* refusalOf(context.write(a, target, at)), "cannot be read: ELOOP")
      assert.include(yield* refusalOf(context.write(b, target, at)), "it was replaced while it was read")
      assert.throws(() => [...context.chunks(b)], /replaced/)
    })
  )
})

describe("a context that is hostile", () => {
  it.effect("with a named pipe, a socket or a device is refused, and nobody waits for it", () =>
    Effect.gen(function* () {
      const { context, directory } = yield* open({ "d/a": "" })
      execFileSync("sh", ["-c", `mkfifo "$1"`, "sh", join(directory, "d/pipe")])
      assert.include(yield* refusalOf(treeOf(context, "d")), "takes 'd/pipe', which is a named pipe")
      assert.include(yield* refusalOf(context.find("d/pipe", at)), "takes 'd/pipe', which is a named pipe")
      mkdirSync(join(directory, "s"))
      const server = createServer()
      yield* Effect.callback<void>((resume) => {
        server.listen(join(directory, "s/socket"), () => resume(Effect.void))
      })
      assert.include(yield* refusalOf(treeOf(context, "s")), "which is a socket")
      server.close()
      if (process.getuid?.() !== 0) return
      mkdirSync(join(directory, "n"))
      execFileSync("mknod", [join(directory, "n/zero"), "c", "1", "5"])
      assert.include(yield* refusalOf(treeOf(context, "n")), "which is a device")
    })
  )

  it.effect("with more files or bytes than a step can take is refused", () =>
    Effect.gen(function* () {
      const files = Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`d/${index}`, "0123456789"]))
      const few = yield* open(files, { limits: { files: 10 } })
      assert.include(
        yield* refusalOf(treeOf(few.context, "d")),
        "takes more than 10 files out of the action's directory"
      )
      assert.include(yield* refusalOf(few.context.find("*/*", at)), "takes more than 10 files")
      const small = yield* open(files, { limits: { bytes: 100 } })
      assert.include(yield* refusalOf(treeOf(small.context, "d")), "takes more than 0 MiB")
    })
  )

  it.effect(
    "of 100,000 files is refused, unless what is copied is little",
    () =>
      Effect.gen(function* () {
        const directory = yield* directoryOf({ main: "m", "only-main": "*\n!main" }, memory)
        for (let folder = 0; folder < 100; folder++) {
          mkdirSync(join(directory, `d/${folder}`), { recursive: true })
          for (let file = 0; file < 1000; file++) writeFileSync(join(directory, `d/${folder}/${file}`), "")
        }
        const context = yield* BuildContext.open(directory)
        const many = "takes more than 50,000 files out of the action's directory"
        assert.include(yield* refusalOf(treeOf(context, ".")), many)
        assert.include(yield* refusalOf(treeOf(context, "d")), many)
        assert.include(yield* refusalOf(context.find("d/*/none", at)), many)
        assert.strictEqual((yield* treeOf(context, "d/7")).length, 1001)
        assert.strictEqual((yield* treeOf(context, "main")).length, 1)
        renameSync(join(directory, "only-main"), join(directory, ".dockerignore"))
        const small = yield* BuildContext.open(directory)
        assert.deepStrictEqual(yield* treeOf(small, "."), ["", "main"])
      }),
    120_000
  )

  it.effect("whose Dockerfile is no file, leads out or is gigantic is refused", () =>
    Effect.gen(function* () {
      const directory = yield* directoryOf({ "docker/Dockerfile": "FROM a", outside: "a secret" })
      const textOf = (name: string, from = join(directory, "docker")) =>
        Effect.flatMap(BuildContext.open(from, { dockerfileName: name }), ({ dockerfile }) => dockerfile)
      assert.strictEqual(yield* textOf("Dockerfile"), "FROM a")
      symlinkSync("Dockerfile", join(directory, "docker/linked"))
      assert.strictEqual(yield* textOf("linked"), "FROM a")
      symlinkSync("../outside", join(directory, "docker/leading"))
      symlinkSync("/etc/passwd", join(directory, "docker/absolute"))
      for (const name of ["leading", "absolute", "missing"]) {
        assert.match(yield* refusalOf(textOf(name)), /^The Dockerfile \/.* cannot be read: it is not there$/)
      }
      execFileSync("mkfifo", [join(directory, "docker/pipe")])
      writeFileSync(join(directory, "docker/gigantic"), Buffer.alloc(64 * 1024 ** 2, "RUN "))
      mkdirSync(join(directory, "docker/folder"))
      for (const name of ["pipe", "gigantic", "folder"]) {
        assert.match(yield* refusalOf(textOf(name)), /cannot be read: it is no file of at most 4 MiB$/)
      }
      writeFileSync(join(directory, "docker/.dockerignore"), "*")
      assert.strictEqual(yield* textOf("Dockerfile"), "FROM a")
    })
  )

  it.effect("with names that are lines is refused", () =>
    Effect.gen(function* () {
      const { context } = yield* open({ "d/a\nb": "" })
      assert.include(yield* refusalOf(treeOf(context, "d")), "a line break in its name")
    })
  )

  it.effect("with an ignore file that is no file, or no pattern, is refused", () =>
    Effect.gen(function* () {
      const directory = yield* directoryOf({ ".dockerignore": "[" })
      assert.include(
        yield* refusalOf(BuildContext.open(directory)),
        ".dockerignore is not valid: syntax error in pattern: ["
      )
      const other = yield* directoryOf()
      execFileSync("sh", ["-c", `mkfifo "$1"`, "sh", join(other, ".dockerignore")])
      assert.include(yield* refusalOf(BuildContext.open(other)), ".dockerignore is no file that can be read")
    })
  )
})

it.effect("an entry is written with its content, mode and time", () =>
  Effect.gen(function* () {
    const { context, directory } = yield* open({ run: "" })
    const content = Buffer.alloc(3_000_000, "abc")
    writeFileSync(join(directory, "run"), content)
    chmodSync(join(directory, "run"), 0o4751)
    const [source] = yield* context.find("run", at)
    const [entry] = yield* context.entries(source!, at)
    const target = join(yield* directoryOf(), "run")
    yield* context.write(entry!, target, at)
    assert.isTrue(readFileSync(target).equals(content))
    assert.strictEqual(statSync(target).mode & 0o7777, 0o4751)
    assert.strictEqual(Math.trunc(statSync(target).mtimeMs), Math.trunc(statSync(join(directory, "run")).mtimeMs))
    assert.isTrue(Buffer.concat([...context.chunks(entry!)]).equals(content))
  })
)
