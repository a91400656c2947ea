/** What we pack, unpacked by the programs that unpack it in pods, and by ourselves. */
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import type { BackendError } from "jobscope/domain/JobError"
import { pack } from "../../../../src/backends/pod/internal/files/Archive.ts"
import * as LocalTree from "../../../../src/backends/pod/internal/files/LocalTree.ts"
import { makeTarReader } from "../../../../src/backends/pod/internal/files/TarReader.ts"
import { unpack } from "../../../../src/backends/pod/internal/files/Unpack.ts"
import { contentOf, makeFifo, makeTree, temporaryDirectory, widened } from "./support/trees.ts"

const inDirectories = (title: string, body: (from: string, to: string) => Effect.Effect<void, BackendError>) =>
  it.live(title, () =>
    Effect.scoped(
      Effect.gen(function* () {
        yield* body(yield* temporaryDirectory, yield* temporaryDirectory)
      })
    )
  )

/** What an archive holds, and that it is one. */
const listed = (chunks: ReadonlyArray<Uint8Array>) => {
  const reader = makeTarReader()
  const events = chunks.flatMap((chunk) => reader.push(chunk))
  assert.strictEqual(events.at(-1)?._tag, "End")
  return events.flatMap((event) => (event._tag === "Entry" ? [event.header] : []))
}

const has = (command: string) => ChildProcess.spawnSync(command, ["--help"]).error === undefined

/** A chunk is valid until the next one is asked for. */
const collected = <E>(archive: Stream.Stream<Uint8Array, E>) =>
  Stream.runCollect(Stream.map(archive, (bytes) => Buffer.from(bytes)))

describe("an archive", () => {
  const tars: ReadonlyArray<ReadonlyArray<string>> = [["tar"], ["busybox", "tar"]]
  for (const [program = "", ...args] of tars.filter(([program = ""]) => has(program))) {
    inDirectories(`is unpacked by ${[program, ...args].join(" ")}`, (from, to) =>
      Effect.gen(function* () {
        makeTree(from)
        const archive = Buffer.concat(yield* collected(pack([{ root: from }])))
        ChildProcess.execFileSync(program, [...args, "-xpof", "-"], { cwd: to, input: archive })
        assert.deepStrictEqual(contentOf(to), contentOf(from))
        const file = "large/file"
        assert.isTrue(Fs.readFileSync(Path.join(from, file)).equals(Fs.readFileSync(Path.join(to, file))))
      })
    )
  }

  inDirectories("is unpacked here", (from, to) =>
    Effect.gen(function* () {
      makeTree(from)
      const { bytes, skipped, written } = yield* unpack(pack([{ root: from }]), to)
      assert.deepStrictEqual(contentOf(to), widened(contentOf(from)))
      assert.deepStrictEqual(skipped, [])
      assert.sameMembers([...written], Object.keys(contentOf(from)))
      assert.strictEqual(bytes, Fs.readdirSync(from).length > 0 ? sizeOf(from) : 0)
      const seconds = (root: string) => Math.floor(Fs.statSync(Path.join(root, "plain.txt")).mtimeMs / 1000)
      assert.strictEqual(seconds(to), seconds(from))
    })
  )

  inDirectories("holds several directories, each in its place, and only what is asked for", (from, other) =>
    Effect.gen(function* () {
      makeTree(from)
      Fs.writeFileSync(Path.join(other, "one"), "1")
      const { manifest } = yield* LocalTree.snapshot(from)
      const chunks = yield* Stream.runCollect(
        pack([
          { root: from, as: "/__w", manifest, paths: ["bin", "bin/run.sh", "no longer there"] },
          { root: other, as: "github/home/" },
          { root: other }
        ])
      )
      assert.deepStrictEqual(
        listed(chunks).map(({ path }) => path),
        ["__w/bin/", "__w/bin/run.sh", "github/home/one", "one"]
      )
    })
  )

  inDirectories("can be made again and again", (from) =>
    Effect.gen(function* () {
      makeTree(from)
      const archive = pack([{ root: from }])
      const first = Buffer.concat(yield* collected(archive))
      assert.isTrue(first.equals(Buffer.concat(yield* collected(archive))))
    })
  )

  inDirectories("stays one when files go, shrink, grow and turn into something else", (from, to) =>
    Effect.gen(function* () {
      const large = 1024 * 1024
      for (const name of ["cut-late", "grown-late"]) Fs.writeFileSync(Path.join(from, name), Buffer.alloc(large, "l"))
      for (const name of ["cut", "grown", "gone", "link", "directory", "fifo", "same"]) {
        Fs.writeFileSync(Path.join(from, name), "0123456789")
      }
      const { manifest } = yield* LocalTree.snapshot(from)
      const at = (name: string) => Path.join(from, name)
      Fs.writeFileSync(at("cut"), "01")
      Fs.writeFileSync(at("grown"), Buffer.alloc(200_000, "g"))
      for (const name of ["gone", "link", "directory", "fifo"]) Fs.rmSync(at(name))
      Fs.symlinkSync("same", at("link"))
      Fs.mkdirSync(at("directory"))
      makeFifo(at("fifo"))
      const notes: Array<string> = []
      const note = (text: string) => Effect.sync(() => notes.push(text.replace(`${from}/`, "")))
      let chunks = 0
      const watched = pack([{ root: from, manifest, paths: [...manifest.keys()].sort() }], {
        note: (text) => Effect.asVoid(note(text))
      }).pipe(
        Stream.tap(() =>
          Effect.sync(() => {
            // The first of both is open by now.
            if (chunks++ > 0) return
            Fs.truncateSync(at("cut-late"), 300_000)
            Fs.appendFileSync(at("grown-late"), "more")
          })
        )
      )
      const { written } = yield* unpack(watched, to)
      assert.deepStrictEqual([...written].sort(), ["cut", "cut-late", "grown", "grown-late", "same"])
      assert.strictEqual(Fs.readFileSync(Path.join(to, "cut"), "utf8"), "01")
      assert.strictEqual(Fs.statSync(Path.join(to, "grown")).size, 200_000)
      const late = Fs.readFileSync(Path.join(to, "cut-late"))
      assert.strictEqual(late.length, large)
      assert.strictEqual(late.lastIndexOf("l"), 299_999)
      assert.strictEqual(Fs.readFileSync(Path.join(to, "same"), "utf8"), "0123456789")
      assert.includeMembers(notes, [
        "cut-late became smaller while it was copied: its end is filled with zeros",
        "gone is not copied: it was removed meanwhile",
        "link is not copied: it is no file any more",
        "directory is not copied: it is no file any more",
        "fifo is not copied: it is no file any more"
      ])
    })
  )

  inDirectories("is read no further than it is wanted", (from) =>
    Effect.gen(function* () {
      const size = 64 * 1024 * 1024
      Fs.writeFileSync(Path.join(from, "large"), "")
      Fs.truncateSync(Path.join(from, "large"), size)
      const before = openFiles()
      yield* pack([{ root: from }]).pipe(Stream.take(2), Stream.runDrain)
      assert.strictEqual(openFiles(), before)
    })
  )
})

const sizeOf = (root: string) =>
  Object.values(contentOf(root)).reduce((sum, content) => sum + Number(/^\d+ (\d+) /.exec(content)?.[1] ?? 0), 0)

const openFiles = () => Fs.readdirSync("/proc/self/fd").length
