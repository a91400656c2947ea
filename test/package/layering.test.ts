import { globSync, readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { cycles, forbidden, importsOf, violations } from "./layering.ts"

const root = new URL("../..", import.meta.url).pathname
const files = globSync("src/**/*.ts", { cwd: root })
const graph = new Map(files.map((file) => [file, importsOf(readFileSync(`${root}/${file}`, "utf8"))]))

describe("the imports of src", () => {
  it("are read at all", () => {
    assert.isAbove(files.length, 0)
    assert.isAbove([...graph.values()].flat().length, 0)
  })

  it("go down only", () => {
    assert.deepStrictEqual(violations(graph), [])
  })

  it("have no cycle", () => {
    assert.deepStrictEqual(cycles(graph), [])
  })
})

describe("the rule", () => {
  const allowed: ReadonlyArray<[file: string, specifier: string]> = [
    ["src/domain/Job.ts", "effect/Schema"],
    ["src/domain/Job.ts", "effect/process/ChildProcess"],
    ["src/domain/Job.ts", "./Step.ts"],
    ["src/domain/Job.ts", "./internal/names.ts"],
    ["src/backends/local/LocalBackend.ts", "../../domain/Job.ts"],
    ["src/backends/local/LocalBackend.ts", "./internal/process.ts"],
    ["src/backends/local/LocalBackend.ts", "node:fs"],
    ["src/backends/local/LocalBackend.ts", "@effect/platform-node/NodeServices"],
    ["src/backends/pod/PodBackend.ts", "../kubernetes/Client.ts"],
    ["src/backends/kro/internal/watch.ts", "../../kubernetes/Client.ts"],
    ["src/backends/kro/KroHosted.ts", "../pod/HostedPods.ts"],
    ["src/backends/kubernetes/Client.ts", "@kubernetes/client-node"],
    ["src/programs/reaper/main.ts", "../../backends/local/LocalBackend.ts"],
    ["src/programs/reaper/main.ts", "../../domain/Job.ts"],
    ["src/programs/reaper/main.ts", "./Reaper.ts"],
    ["src/index.ts", "./domain/Job.ts"],
    ["src/testing.ts", "./backends/memory/MemoryBackend.ts"],
    ["src/testing/contract.ts", "@effect/vitest"]
  ]
  for (const [file, specifier] of allowed) {
    it(`lets ${file} import ${specifier}`, () => {
      assert.isUndefined(forbidden(file, specifier))
    })
  }

  const refused: ReadonlyArray<[file: string, specifier: string]> = [
    ["src/domain/Job.ts", "node:fs"],
    ["src/domain/Job.ts", "@effect/platform-node/NodeRuntime"],
    ["src/domain/Job.ts", "@kubernetes/client-node"],
    ["src/domain/Job.ts", "effective"],
    ["src/domain/Job.ts", "effect"],
    ["src/domain/Job.ts", "effect/process"],
    ["src/domain/Job.ts", "../backends/local/LocalBackend.ts"],
    ["src/domain/Job.ts", "../programs/cli/Render.ts"],
    ["src/domain/Job.ts", "../index.ts"],
    ["src/domain/Job.ts", "jobscope/domain/Step"],
    ["src/domain/Job.ts", "../../test/contract/JobBackendContract.ts"],
    ["src/domain/Job.ts", "../domainish/Job.ts"],
    ["src/backends/local/LocalBackend.ts", "../memory/MemoryBackend.ts"],
    ["src/backends/local/LocalBackend.ts", "../kubernetes/Client.ts"],
    ["src/backends/local/LocalBackend.ts", "@kubernetes/client-node"],
    ["src/backends/local/LocalBackend.ts", "../../programs/cli/Render.ts"],
    ["src/backends/local/LocalBackend.ts", "../../testing.ts"],
    ["src/backends/kubernetes/Client.ts", "../pod/PodBackend.ts"],
    ["src/backends/pod/PodBackend.ts", "../kro/KroBackend.ts"],
    ["src/backends/pod/PodBackend.ts", "@effect/platform-node"],
    ["src/programs/cli/Run.ts", "../../index.ts"],
    ["src/programs/cli/Run.ts", "../reaper/main.ts"],
    ["src/helpers.ts", "effect/Effect"],
    ["src/index.ts", "./testing.ts"]
  ]
  for (const [file, specifier] of refused) {
    it(`does not let ${file} import ${specifier}`, () => {
      assert.isString(forbidden(file, specifier))
    })
  }

  it("says which file imports what, and why not", () => {
    const graph = new Map([["src/domain/Job.ts", ["effect/Schema", "node:fs"]]])
    assert.deepStrictEqual(violations(graph), ["src/domain/Job.ts imports node:fs: domain does not know node:fs"])
  })
})

describe("cycles", () => {
  it("finds one through several files, once", () => {
    const graph = new Map([
      ["src/domain/A.ts", ["./B.ts", "effect/Effect"]],
      ["src/domain/B.ts", ["./internal/c.ts"]],
      ["src/domain/internal/c.ts", ["../A.ts"]],
      ["src/domain/D.ts", ["./A.ts"]]
    ])
    assert.deepStrictEqual(cycles(graph), [
      "src/domain/A.ts -> src/domain/B.ts -> src/domain/internal/c.ts -> src/domain/A.ts"
    ])
  })

  it("finds a file that imports itself", () => {
    assert.lengthOf(cycles(new Map([["src/domain/A.ts", ["./A.ts"]]])), 1)
  })

  it("finds none where two ways lead to one file", () => {
    const graph = new Map([
      ["src/domain/A.ts", ["./B.ts", "./C.ts"]],
      ["src/domain/B.ts", ["./D.ts"]],
      ["src/domain/C.ts", ["./D.ts"]]
    ])
    assert.deepStrictEqual(cycles(graph), [])
  })
})

describe("importsOf", () => {
  it("sees every form", () => {
    const source = `
import "a"
import b from "b"
import * as c from "c"
import type { D } from "d"
import {
  e,
  type E
} from "e"
import f, { g } from "f"
export * from "g"
export * as H from "h"
export { i } from "i"
export type { J } from "j"
const k = () => import("k")
type L = import("l").L
const m = require("m")
`
    assert.deepStrictEqual([...importsOf(source)].sort(), [..."abcdefghijklm"])
  })

  it("does not take examples in comments and strings in code for imports", () => {
    const source = `
/**
 * import { a } from "a"
 */
// import { b } from "b"
export const c = { from: "c" }
export const d = 1
const text = 'no import from "e"'
`
    assert.deepStrictEqual(importsOf(source), [])
  })
})
