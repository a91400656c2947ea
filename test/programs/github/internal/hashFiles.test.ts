import { assert, describe, it } from "@effect/vitest"
import { matching } from "../../../../src/programs/github/internal/hashFiles.ts"

const files = [
  "a.lock",
  "b/c.lock",
  "b/d/e.lock",
  "b/d.txt",
  ".hidden/x.lock",
  "B/z.lock",
  "b-c/y.lock",
  "x[1].txt",
  "q.txt"
]

describe("the files of hashFiles", () => {
  const cases: ReadonlyArray<readonly [patterns: ReadonlyArray<string>, found: ReadonlyArray<string>]> = [
    [["*.lock"], ["a.lock"]],
    [["**/*.lock"], [".hidden/x.lock", "B/z.lock", "a.lock", "b/c.lock", "b/d/e.lock", "b-c/y.lock"]],
    [["b"], ["b/c.lock", "b/d/e.lock", "b/d.txt"]],
    [
      ["b/**", "!b/d"],
      ["b/c.lock", "b/d.txt"]
    ],
    [["**/*.lock\n!b/**\nb/c.lock"], [".hidden/x.lock", "B/z.lock", "a.lock", "b/c.lock", "b-c/y.lock"]],
    [
      ["?.txt", "[a-q].lock"],
      ["a.lock", "q.txt"]
    ],
    [["[!a].txt"], ["q.txt"]],
    [["/work/space/b/*.lock"], ["b/c.lock"]],
    [["./a.lock", "# comment"], ["a.lock"]],
    [["nothing"], []]
  ]
  it.each(cases)("%j", (patterns, found) => {
    assert.deepStrictEqual(matching(files, patterns, "/work/space"), found)
  })
})
