import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as DockerIgnore from "../../../src/backends/dockerfile/DockerIgnore.ts"
import { matchesGlob, parseGlob } from "../../../src/backends/dockerfile/internal/glob.ts"
import { buildkit } from "./support/vectors.ts"

const bits = (values: ReadonlyArray<boolean>) => values.map((value) => (value ? "1" : "0")).join("")

describe(".dockerignore", () => {
  it("ignores what BuildKit ignores", () => {
    for (const [text, ignored] of buildkit.ignores) {
      const parsed = DockerIgnore.parse(text)
      const own = Result.isSuccess(parsed)
        ? bits(buildkit.paths.map((path) => parsed.success.decide(path).ignored))
        : null
      assert.strictEqual(own, ignored, JSON.stringify(text))
    }
  })

  it("decides on a child with what is known of its parent", () => {
    const ignore = Result.getOrThrow(DockerIgnore.parse("a\n!a/keep\n"))
    const above = ignore.decide("a")
    assert.isTrue(above.ignored)
    assert.isTrue(ignore.hasExceptions)
    assert.isTrue(ignore.decide("a/b", above).ignored)
    assert.isFalse(ignore.decide("a/keep", above).ignored)
  })

  it.prop("throws nothing", [Schema.String, Schema.String], ([text, path]) => {
    const parsed = DockerIgnore.parse(text)
    if (Result.isSuccess(parsed)) parsed.success.decide(path)
  })

  it("that is hostile decides at once", () => {
    const path = `${"a".repeat(200)}/`.repeat(20)
    for (const text of ["*a".repeat(10_000), "**/".repeat(10_000), `${"[a-b]*".repeat(5_000)}c`, "a?".repeat(30_000)]) {
      Result.getOrThrow(DockerIgnore.parse(text)).decide(path)
    }
  })
})

describe("a wildcard of COPY", () => {
  it("matches what Go's filepath.Match matches", () => {
    for (const [pattern, matches] of buildkit.globs) {
      const tokens = parseGlob(pattern, false)
      const own = Result.isSuccess(tokens)
        ? bits(buildkit.globPaths.map((path) => matchesGlob(tokens.success, path)))
        : null
      assert.strictEqual(own, matches, JSON.stringify(pattern))
    }
  })
})
