import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { afterEach, assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { everySetting } from "../../../../src/programs/cli/internal/command.ts"
import * as ConfigFile from "../../../../src/programs/cli/internal/configFile.ts"
import { resolve } from "../../../../src/programs/cli/internal/resolve.ts"
import type * as Setting from "../../../../src/programs/cli/Setting.ts"
import * as settings from "../../../../src/programs/cli/settings.ts"

const folders: Array<string> = []
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})

const folder = (files: Readonly<Record<string, string>>): string => {
  const made = mkdtempSync(join(tmpdir(), "jobscope-config-"))
  folders.push(made)
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(made, name, ".."), { recursive: true })
    writeFileSync(join(made, name), content)
  }
  return made
}

const all = {
  backend: settings.backend,
  parallel: settings.parallel,
  passthrough: settings.passthrough,
  job: settings.job,
  env: settings.env,
  matrix: settings.matrix
}
const nothing: Setting.Given<typeof all> = { backend: [], parallel: [], passthrough: [], job: [], env: [], matrix: [] }

interface Where {
  readonly flags?: Partial<Setting.Given<typeof all>>
  readonly variables?: Readonly<Record<string, string>>
  readonly file?: string
}

const resolved = ({ file, flags, variables = {} }: Where) =>
  Effect.flatMap(
    file === undefined
      ? Effect.succeed(ConfigFile.none)
      : ConfigFile.read(undefined, folder({ ".jobscope.yml": file }), everySetting),
    (config) => resolve(all, { ...nothing, ...flags }, config)
  ).pipe(
    Effect.provide(NodeFileSystem.layer),
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(variables))
  )

const refused = (where: Where) => Effect.map(Effect.flip(resolved(where)), (error) => error.message)

describe("settings", () => {
  it.effect("have defaults", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* resolved({}), {
        backend: undefined,
        parallel: undefined,
        passthrough: false,
        job: [],
        env: [],
        matrix: []
      })
    })
  )

  it.effect("come from flags before variables before the file", () =>
    Effect.gen(function* () {
      const flags = { parallel: ["1"], job: ["a"] }
      const variables = { JOBSCOPE_PARALLEL: "2", JOBSCOPE_JOB: "b,c\nd", JOBSCOPE_PASSTHROUGH: "true" }
      const file = "parallel: 3\njob: [e]\npassthrough: false\nbackend: local\nmatrix:\n  os: linux\n"
      const two = yield* resolved({ variables, file })
      assert.deepStrictEqual([two.parallel, two.job, two.passthrough, two.backend], [2, ["b", "c", "d"], true, "local"])
      const three = yield* resolved({ flags, variables, file })
      assert.deepStrictEqual([three.parallel, three.job, three.matrix], [1, ["a"], ["os:linux"]])
      const one = yield* resolved({ file })
      assert.deepStrictEqual([one.parallel, one.job, one.passthrough], [3, ["e"], false])
    })
  )

  it.effect("of pairs are put together", () =>
    Effect.gen(function* () {
      const { env } = yield* resolved({
        flags: { env: ["A=flag", "E"] },
        variables: { JOBSCOPE_ENV: "A=variable\nB=a,b=c" },
        file: "env:\n  A: file\n  C: 1\n  D: ''\n"
      })
      assert.deepStrictEqual(Object.fromEntries(env), { A: "flag", B: "a,b=c", C: "1", D: "", E: undefined })
    })
  )

  it.effect("that are not set are empty variables too", () =>
    Effect.gen(function* () {
      const { parallel } = yield* resolved({ variables: { JOBSCOPE_PARALLEL: "" }, file: "parallel: 3" })
      assert.strictEqual(parallel, 3)
    })
  )

  it.effect("that are wrong say where", () =>
    Effect.gen(function* () {
      assert.include(yield* refused({ flags: { parallel: ["0"] } }), "--parallel is not valid: expected a whole number")
      assert.include(yield* refused({ variables: { JOBSCOPE_PARALLEL: "x" } }), "$JOBSCOPE_PARALLEL is not valid")
      assert.match(yield* refused({ file: "parallel: -1" }), /\.jobscope\.yml: parallel is not valid/)
      assert.include(yield* refused({ variables: { JOBSCOPE_PASSTHROUGH: "maybe" } }), '"true" or "false"')
      assert.include(yield* refused({ variables: { JOBSCOPE_BACKEND: "cloud" } }), '"local", "pod", "kro"')
      assert.include(yield* refused({ flags: { env: ["=hunter22"] } }), "without a name")
      assert.notInclude(yield* refused({ flags: { env: ["=hunter22"] } }), "hunter22")
    })
  )

  it.effect("of a file that is wrong are refused", () =>
    Effect.gen(function* () {
      for (const [file, says] of [
        ["paralel: 3", 'no setting "paralel"'],
        ["- parallel", "expected a mapping"],
        ["parallel: [1]", '"parallel" is not a text'],
        ["passthrough: {a: 1}", '"passthrough" is not true or false'],
        ["env: [[1]]", '"env" is not a text, a list'],
        ["a: [", ".jobscope.yml is not valid"]
      ] as const) {
        assert.include(yield* refused({ file }), says)
      }
    })
  )

  it.effect("are looked for upwards, up to the top of the repository", () =>
    Effect.gen(function* () {
      const top = folder({
        ".jobscope.yml": "parallel: 1",
        "repo/.git/HEAD": "",
        "repo/a/b/x": "",
        "with/.jobscope.yml": "parallel: 2",
        "with/.git/HEAD": "",
        "with/a/b/x": ""
      })
      const at = (path: string) =>
        Effect.map(ConfigFile.read(undefined, join(top, path), everySetting), (file) =>
          file.valuesOf(settings.parallel)
        )
      assert.deepStrictEqual(yield* at("repo/a/b"), [])
      assert.deepStrictEqual(yield* at("with/a/b"), ["2"])
      assert.deepStrictEqual(yield* at("."), ["1"])
      const missing = yield* Effect.flip(ConfigFile.read(join(top, "no.yml"), top, everySetting))
      assert.include(missing.message, "there is no such file")
    }).pipe(Effect.provide(NodeFileSystem.layer))
  )
})

describe("the table of settings", () => {
  it("has each key and each variable once", () => {
    for (const of of [
      ({ key }: Setting.Setting<unknown>) => key,
      ({ variable }: Setting.Setting<unknown>) => variable
    ]) {
      const names = everySetting.map(of)
      assert.deepStrictEqual(
        names.filter((name, index) => names.indexOf(name) !== index),
        []
      )
    }
  })

  it("has no variable that jobs have a meaning for", () => {
    const taken = ["JOBSCOPE_OUTPUT", "JOBSCOPE_ENVIRONMENT"]
    assert.deepStrictEqual(
      everySetting.filter(({ variable }) => taken.includes(variable)).map(({ name }) => name),
      []
    )
  })

  it("has a default for everything that decodes without being given", () => {
    for (const setting of everySetting) assert.isTrue(Result.isSuccess(setting.decode([])), setting.key)
  })
})
