/** Our archives against Effect's own reader and writer, and against bytes that are no archive. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema, Stream } from "effect"
import * as Arbitrary from "effect/Arbitrary"
import * as Tar from "effect/encoding/Tar"
import { makeTarReader, type TarEvent } from "../../../../src/backends/pod/internal/files/TarReader.ts"
import {
  encodeHeader,
  endOfArchive,
  paddingOf,
  type TarHeader,
  withMode
} from "../../../../src/backends/pod/internal/files/tarFormat.ts"

interface Entry {
  readonly header: TarHeader
  readonly content: string
}

const name = Arbitrary.map(Arbitrary.schema(Schema.String.pipe(Schema.check(Schema.isMaxLength(40)))), (text) =>
  text.replaceAll(/[\0/]|^\.{0,2}$|[\uD800-\uDFFF]/gu, "x")
)

/** Short ones, and some that fit into no header. */
const path = Arbitrary.map(Arbitrary.array(name, { minLength: 1, maxLength: 12 }), (names) => names.join("/"))

const entry = Arbitrary.map(
  Arbitrary.all([
    path,
    path,
    Arbitrary.schema(Schema.Literals(["File", "Directory", "Link"])),
    Arbitrary.schema(Schema.Int.pipe(Schema.check(Schema.isBetween({ minimum: 0, maximum: 0o7777 })))),
    Arbitrary.schema(Schema.Int.pipe(Schema.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 33 - 1 })))),
    Arbitrary.schema(Schema.String)
  ]),
  ([path, target, type, mode, mtime, text]): Entry => {
    // As it comes out of a file: without halves of characters.
    const content = type === "File" ? Buffer.from(text.repeat(7)).toString() : ""
    return {
      header: { path, type, mode, mtime, size: Buffer.byteLength(content), target: type === "Link" ? target : "" },
      content
    }
  }
)

const entries = Arbitrary.array(entry, { maxLength: 8 })

const archiveOf = (entries: ReadonlyArray<Entry>) =>
  Buffer.concat([
    ...entries.flatMap(({ content, header }) => [
      encodeHeader(header),
      Buffer.from(content),
      Buffer.alloc(paddingOf(header.size))
    ]),
    endOfArchive
  ])

/** What events say, whatever the chunks were. */
const read = (events: ReadonlyArray<TarEvent>) => {
  const found: Array<{ header: TarHeader; content: string }> = []
  let body: Array<Buffer> = []
  let end: string | undefined
  for (const event of events) {
    if (event._tag === "Entry") found.push({ header: event.header, content: "" })
    else if (event._tag === "Body") body.push(event.bytes)
    else if (event._tag === "EntryEnd") {
      const last = found.at(-1)
      if (last !== undefined) last.content = Buffer.concat(body).toString()
      body = []
    } else end = event._tag
  }
  return { found, end }
}

/** Directories' paths end with a slash in the archive. */
const plain = ({ content, header }: Entry) => ({ content, header: { ...header, path: header.path.replace(/\/$/, "") } })

describe("archives", () => {
  it.prop(
    "are read as they were written, however they are cut into chunks",
    [entries, Schema.Int],
    ([entries, cut]) => {
      const archive = archiveOf(entries)
      const reader = makeTarReader()
      const size = (Math.abs(cut) % 1500) + 1
      const events: Array<TarEvent> = []
      for (let at = 0; at < archive.length; at += size) events.push(...reader.push(archive.subarray(at, at + size)))
      const { end, found } = read(events)
      assert.strictEqual(end, "End")
      assert.deepStrictEqual(found.map(plain), entries)
    }
  )

  it.effect.prop("are what Effect's reader reads", [entries], ([entries]) =>
    Effect.gen(function* () {
      const found: Array<Entry> = []
      yield* Stream.make(archiveOf(entries)).pipe(
        Stream.pipeThroughChannel(Tar.decode()),
        Stream.runForEach(({ body, header }) =>
          Effect.gen(function* () {
            const content = Buffer.concat(yield* Stream.runCollect(body)).toString()
            const { linkTarget: target = "", mode, mtime, path, size, type } = header
            const seconds = mtime.getTime() / 1000
            assert.include(["File", "Directory", "Symlink"], type)
            const kind = type === "Symlink" ? "Link" : type === "Directory" ? "Directory" : "File"
            found.push({ content, header: { path, type: kind, size, mode, mtime: seconds, target } })
          })
        )
      )
      assert.deepStrictEqual(found.map(plain), entries)
    })
  )

  it.effect.prop("of Effect's writer, with pax records, are read", [entries], ([entries]) =>
    Effect.gen(function* () {
      const all = entries.map(({ content, header: { mode, mtime: seconds, path, target, type } }): Tar.Entry => {
        const options = { mode, mtime: new Date(seconds * 1000) }
        if (type === "Directory") return Tar.directory(path, options)
        return type === "Link" ? Tar.symlink(path, target, options) : Tar.file(path, content, options)
      })
      const chunks = yield* Stream.fromIterable(all).pipe(Stream.pipeThroughChannel(Tar.encode()), Stream.runCollect)
      const { end, found } = read(makeTarReader().push(Buffer.concat(chunks)))
      assert.strictEqual(end, "End")
      // What pax says of times beyond 2242 is of no use to anybody.
      const inRange = (entry: Entry) => ({ ...plain(entry), header: { ...plain(entry).header, mtime: 0 } })
      assert.deepStrictEqual(found.map(inRange), entries.map(inRange))
    })
  )

  it.prop(
    "that are damaged are invalid or read otherwise, but never throw",
    [entries, Schema.Int, Schema.Int],
    ([entries, where, what]) => {
      const archive = archiveOf(entries)
      archive[Math.abs(where) % archive.length] = Math.abs(what) % 256
      const { end } = read(makeTarReader().push(archive))
      assert.include(["End", "Invalid", undefined], end)
    }
  )

  it.prop("that are cut have no end", [entries, Schema.Int], ([entries, where]) => {
    const archive = archiveOf(entries)
    // Of the two last blocks both must be there.
    const cut = archive.subarray(0, Math.abs(where) % (archive.length - 1))
    assert.notStrictEqual(read(makeTarReader().push(cut)).end, "End")
  })

  it("know an old directory by its whole name only", () => {
    // As a pax writer leaves it whose path has no letter that ASCII knows.
    const block = encodeHeader({ path: "x/\u{10044}", type: "File", size: 3, mode: 0o644, mtime: 7, target: "" })
    block.fill(0, 2, 100)
    const record = Buffer.from("15 path=x/\u{10044}\n")
    const pax = encodeHeader({ path: "pax", type: "File", size: record.length, mode: 0, mtime: 0, target: "" })
    pax.write("x", 156)
    const whole = [withMode(pax, 0o644), record, Buffer.alloc(paddingOf(record.length)), withMode(block, 0o644)]
    const { found } = read(makeTarReader().push(Buffer.concat([...whole, Buffer.from("abc"), Buffer.alloc(509)])))
    assert.deepInclude(found[0], { content: "abc" })
    const old = encodeHeader({ path: "d/", type: "File", size: 0, mode: 0o755, mtime: 7, target: "" })
    assert.strictEqual(read(makeTarReader().push(old)).found[0]?.header.type, "Directory")
  })

  it("get other modes without another difference", () => {
    const header: TarHeader = { path: "a".repeat(300), type: "File", size: 3, mode: 0o4755, mtime: 7, target: "" }
    const archive = Buffer.concat([
      withMode(encodeHeader(header), 0o640),
      Buffer.from("abc"),
      Buffer.alloc(509),
      endOfArchive
    ])
    const { end, found } = read(makeTarReader().push(archive))
    assert.strictEqual(end, "End")
    assert.deepStrictEqual(found, [{ header: { ...header, mode: 0o640 }, content: "abc" }])
  })

  it("hold files above 8 GiB", () => {
    const header: TarHeader = { path: "big", type: "File", size: 2 ** 40 + 5, mode: 0o644, mtime: 7, target: "" }
    const [event] = makeTarReader().push(encodeHeader(header))
    assert.deepStrictEqual(event?._tag === "Entry" ? event.header : undefined, header)
  })

  it("that follow on each other are one where that is known", () => {
    const one = archiveOf([
      { header: { path: "a", type: "File", size: 1, mode: 0o644, mtime: 1, target: "" }, content: "x" }
    ])
    const reader = makeTarReader({ several: true })
    // As tar fills its last record.
    const events = reader.push(Buffer.concat([one, Buffer.alloc(8192), one]))
    assert.lengthOf(read(events).found, 2)
    assert.isTrue(reader.atBoundary())
    reader.push(one.subarray(0, 512))
    assert.isFalse(reader.atBoundary())
  })
})
