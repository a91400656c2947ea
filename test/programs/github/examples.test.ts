/** examples/workflows: what users see first. */
import { cpSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as LocalBackend from "../../../src/backends/local/LocalBackend.ts"
import * as MemoryBackend from "../../../src/backends/memory/MemoryBackend.ts"
import type * as RunOptions from "../../../src/programs/github/RunOptions.ts"
import * as WorkflowFile from "../../../src/programs/github/WorkflowFile.ts"
import { directoryWith, onDisk, runFile } from "./support.ts"

const examples = join(import.meta.dirname, "../../../examples/workflows")

/** In a workspace that has nothing but the examples: a copy of this repository for each job would take its time. */
const file = Effect.fnUntraced(function* (name: string) {
  const workspace = yield* directoryWith({})
  cpSync(examples, join(workspace, "examples/workflows"), { recursive: true })
  return yield* WorkflowFile.read(join(workspace, "examples/workflows", name), { workspace })
})

const local = (name: string, options: RunOptions.Options = {}) =>
  onDisk(
    Effect.gen(function* () {
      const state = yield* directoryWith({})
      return yield* runFile(yield* file(name), options).pipe(
        Effect.provide(LocalBackend.layer({ stateDirectory: state }), { local: true })
      )
    })
  )

describe("examples/workflows", () => {
  it.live("matrix.yml", () =>
    Effect.gen(function* () {
      const ran = yield* local("matrix.yml")
      assert.deepStrictEqual(ran.jobs, {
        versions: "success",
        "Test with 20": "success",
        "Test with 22": "success",
        "Test with 24": "success",
        report: "success"
      })
      assert.include(ran.output(), "tests: success, newest: 24")
      assert.deepStrictEqual(
        ran.summaries.map(({ markdown }) => markdown),
        ["Newest: **24**\n"]
      )
    })
  )

  it.live("composite.yml", () =>
    Effect.gen(function* () {
      const ran = yield* local("composite.yml", { inputs: { who: "reader of this" } })
      assert.strictEqual(ran.output(), "Hello, reader of this!\nIt said 4 words\n")
    })
  )

  it.effect("services.yml runs where there are images, and says so elsewhere", () =>
    onDisk(
      Effect.gen(function* () {
        const ran = yield* runFile(yield* file("services.yml"))
        assert.strictEqual(ran.result.conclusion, "success")
        const refused = yield* Effect.flip(local("services.yml"))
        assert.match(refused.message, /The local backend has no job containers/)
        assert.match(refused.message, /The local backend has no services from images \("redis"\)/)
      })
    ).pipe(Effect.provide(MemoryBackend.layerTest(), { local: true }))
  )
})
