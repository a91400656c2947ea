import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { afterAll, assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as EnvVars from "../../../../src/domain/EnvVars.ts"
import * as Variables from "../../../../src/programs/cli/internal/variables.ts"

const folder = mkdtempSync(join(tmpdir(), "jobscope-variables-"))
afterAll(() => rmSync(folder, { recursive: true }))

const file = (name: string, content: string) => {
  writeFileSync(join(folder, name), content)
  return join(folder, name)
}

const read = (sources: Partial<Variables.Sources>) =>
  Variables.read({ flag: "--secret", files: [], pairs: [], ...sources }).pipe(
    Effect.provide(NodeFileSystem.layer),
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord({ HERE: "from here", EMPTY: "" }))
  )

describe("variables", () => {
  it.effect("come from files, pairs and this program's own", () =>
    Effect.gen(function* () {
      const files = [
        file("a.env", "A=1\nB=2\nC='x\ny'"),
        file("b.yml", "B: 3\nD: true\nE: |\n  several\n  lines\n"),
        file("c.yaml", "")
      ]
      const found = yield* read({
        files,
        pairs: [
          ["A", "4"],
          ["HERE", undefined]
        ]
      })
      assert.deepStrictEqual(EnvVars.reveal(found), {
        A: "4",
        B: "3",
        C: "x\ny",
        D: "true",
        E: "several\nlines\n",
        HERE: "from here"
      })
      assert.notInclude(JSON.stringify(found), "several")
    })
  )

  it.effect("that have no value are refused, and no value is ever told", () =>
    Effect.gen(function* () {
      const refused = (sources: Partial<Variables.Sources>) =>
        Effect.map(Effect.flip(read(sources)), ({ message }) => message)
      assert.include(yield* refused({ pairs: [["MISSING", undefined]] }), "--secret MISSING")
      assert.include(yield* refused({ pairs: [["EMPTY", undefined]] }), "--secret EMPTY")
      assert.include(yield* refused({ files: [join(folder, "none.env")] }), "there is no such file")
      for (const [name, content] of [
        ["d.env", "hunter22"],
        ["d.yml", "- hunter22"],
        ["e.yml", "A: [hunter22]"],
        ["f.yml", "A: 'hunter22"]
      ] as const) {
        const message = yield* refused({ files: [file(name, content)] })
        assert.include(message, name)
        assert.notInclude(message, "hunter22")
      }
    })
  )
})
