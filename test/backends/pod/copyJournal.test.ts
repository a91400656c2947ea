import { appendFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { makeCopyJournal } from "../../../src/backends/pod/internal/copyJournal.ts"
import * as LocalTree from "../../../src/backends/pod/internal/files/LocalTree.ts"
import { temporaryDirectory } from "./files/support/trees.ts"

const inDirectory = <A, E>(title: string, body: (tree: string, state: string) => Effect.Effect<A, E>) =>
  it.effect(title, () =>
    Effect.scoped(
      Effect.gen(function* () {
        const root = yield* temporaryDirectory
        mkdirSync(join(root, "tree"))
        return yield* body(join(root, "tree"), join(root, "state"))
      })
    )
  )

const manifestOf = (root: string) => Effect.map(LocalTree.snapshot(root), ({ manifest }) => manifest)

describe("what was copied", () => {
  inDirectory("is known to the next process as it was noted, whatever came and went", (tree, state) =>
    Effect.gen(function* () {
      const journal = makeCopyJournal(state)
      const noteNow = Effect.gen(function* () {
        yield* journal.note("e", new Map([[tree, yield* manifestOf(tree)]]))
      })
      mkdirSync(join(tree, "directory/inner"), { recursive: true })
      for (const name of ["a", "b", "directory/c"]) writeFileSync(join(tree, name), name)
      yield* noteNow
      rmSync(join(tree, "directory"), { recursive: true })
      writeFileSync(join(tree, "directory"), "a file now")
      writeFileSync(join(tree, "b"), "longer than before")
      rmSync(join(tree, "a"))
      yield* noteNow
      const known = yield* makeCopyJournal(state).known("e", tree)
      assert.deepStrictEqual(new Map(known), new Map(yield* manifestOf(tree)))
      assert.strictEqual((yield* makeCopyJournal(state).known("another", tree)).size, 0)
      const before = readFileSync(join(state, "e.copied.jsonl"), "utf8")
      yield* noteNow
      assert.strictEqual(readFileSync(join(state, "e.copied.jsonl"), "utf8"), before)
    })
  )

  inDirectory("of several processes is all known, though none has read what the others wrote", (tree, state) =>
    Effect.gen(function* () {
      const journals = [1, 2, 3].map(() => makeCopyJournal(state))
      for (const journal of journals) assert.strictEqual((yield* journal.known("e", tree)).size, 0)
      for (const [at, journal] of journals.entries()) {
        writeFileSync(join(tree, `${at}`), "")
        const manifest = new Map([...(yield* manifestOf(tree))].filter(([path]) => path === `${at}`))
        yield* journal.note("e", new Map([[tree, manifest]]))
      }
      assert.deepStrictEqual([...(yield* makeCopyJournal(state).known("e", tree)).keys()], ["0", "1", "2"])
      assert.deepStrictEqual(readdirSync(state), ["e.copied.jsonl"])
    })
  )

  inDirectory("is known up to where a process was killed while it wrote, and from then on", (tree, state) =>
    Effect.gen(function* () {
      const note = Effect.fnUntraced(function* (name: string) {
        writeFileSync(join(tree, name), "")
        const manifest = new Map([...(yield* manifestOf(tree))].filter(([path]) => path === name))
        yield* makeCopyJournal(state).note("e", new Map([[tree, manifest]]))
      })
      yield* note("first")
      appendFileSync(join(state, "e.copied.jsonl"), '\n{"directory":"/x","set":[["torn",{"type":"Fi')
      const journal = makeCopyJournal(state)
      assert.deepStrictEqual([...(yield* journal.known("e", tree)).keys()], ["first"])
      assert.strictEqual((yield* journal.known("e", "/x")).size, 0)
      writeFileSync(join(tree, "second"), "")
      yield* journal.note("e", new Map([[tree, yield* manifestOf(tree)]]))
      assert.sameMembers([...(yield* makeCopyJournal(state).known("e", tree)).keys()], ["first", "second"])
    })
  )
})
