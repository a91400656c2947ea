import { spawnSync } from "node:child_process"
import { cpSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"

const root = dirname(dirname(import.meta.dirname))
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))

/** src/domain/Job.ts -> jobscope/domain/Job, the barrels -> jobscope, jobscope/testing */
const specifierOf = (file: string) =>
  file === "src/index.ts" ? "jobscope" : `jobscope/${file.replace(/^src\//, "").replace(/\.ts$/, "")}`

const isPrivate = (file: string) => /\/internal\/|^src\/programs\/[^/]+\/main\.ts$|^src\/testing\//.test(file)

const files = globSync("src/**/*.ts", { cwd: root })
const exported = files.filter((file) => !isPrivate(file)).map(specifierOf)
const blocked = files.filter(isPrivate).map(specifierOf)

describe("the package as it is published", () => {
  let app = ""

  const run = (command: string, args: ReadonlyArray<string>, cwd: string) => {
    const { error, status, stderr, stdout } = spawnSync(command, args, { cwd, encoding: "utf8" })
    assert.strictEqual(status, 0, `${command} ${args.join(" ")}: ${error ?? ""}\n${stdout}${stderr}`)
    return stdout
  }

  /** An application with the package installed beside its peers, and nothing else that it could find by accident. */
  beforeAll(() => {
    app = mkdtempSync(join(tmpdir(), "jobscope-package-"))
    const staging = join(app, "staging")
    run("node", ["scripts/build.ts", "--out", join(staging, "dist")], root)
    for (const name of ["package.json", "LICENSE", "src"]) {
      cpSync(join(root, name), join(staging, name), { recursive: true })
    }
    run("npm", ["pack", "--ignore-scripts", "--silent", "--pack-destination", app], staging)
    const target = join(app, "node_modules/jobscope")
    mkdirSync(target, { recursive: true })
    run("tar", ["-xzf", join(app, `jobscope-${manifest.version}.tgz`), "--strip-components=1"], target)
    for (const name of Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies })) {
      mkdirSync(dirname(join(app, "node_modules", name)), { recursive: true })
      symlinkSync(join(root, "node_modules", name), join(app, "node_modules", name))
    }
    writeFileSync(join(app, "package.json"), '{ "type": "module" }')
    writeFileSync(
      join(app, "import.js"),
      `const results = {}
for (const specifier of JSON.parse(process.argv[2])) {
  results[specifier] = await import(specifier).then((module) => Object.keys(module).length, (error) => error.code ?? String(error))
}
console.log(JSON.stringify(results))
process.exit()
`
    )
  })

  afterAll(() => {
    if (app !== "") rmSync(app, { recursive: true, force: true })
  })

  const imported = (specifiers: ReadonlyArray<string>): Record<string, number | string> =>
    JSON.parse(run("node", ["import.js", JSON.stringify(specifiers)], app))

  it("lets every public module be imported", () => {
    assert.include(exported, "jobscope")
    const failed = Object.entries(imported(exported)).filter(([, result]) => typeof result !== "number")
    assert.deepStrictEqual(failed, [])
  })

  it("refuses what is internal, and programs' mains, whose import would run them", () => {
    const results = imported([...blocked, "jobscope/dist/index.js", "jobscope/src/index.ts"])
    for (const [specifier, result] of Object.entries(results)) {
      assert.strictEqual(result, "ERR_PACKAGE_PATH_NOT_EXPORTED", specifier)
    }
  })

  it("has types that resolve in an application, also those that they are made of", () => {
    const imports = exported.map((specifier, index) => `export * as m${index} from ${JSON.stringify(specifier)}`)
    writeFileSync(join(app, "types.ts"), imports.join("\n"))
    const options = [
      "--module",
      "nodenext",
      "--target",
      "es2023",
      "--strict",
      "--exactOptionalPropertyTypes",
      "--noEmit"
    ]
    const { stdout } = spawnSync("tsc", [...options, "--skipLibCheck", "false", "types.ts"], {
      cwd: app,
      encoding: "utf8"
    })
    // Other people's declarations are checked as well, and are theirs.
    const ours = stdout.split("\n").filter((line) => /^(?:types\.ts|node_modules\/jobscope)|^error/.test(line))
    assert.deepStrictEqual(ours, [])
  })

  it("has the types, the source and the maps beside the code", () => {
    const published = new Set(globSync("**/*", { cwd: join(app, "node_modules/jobscope") }))
    for (const file of files) {
      const compiled = file.replace(/^src\//, "dist/").replace(/\.ts$/, "")
      for (const name of [file, `${compiled}.js`, `${compiled}.js.map`, `${compiled}.d.ts`, `${compiled}.d.ts.map`]) {
        assert.isTrue(published.has(name), name)
      }
    }
  })

  it("has one executable file for every program, which needs no module beside it", () => {
    const programs = globSync("src/programs/*/main.ts", { cwd: root }).map((main) => dirname(main).split("/").at(-1))
    for (const program of programs) {
      const file = join(app, "node_modules/jobscope/dist", `${program}`, "index.js")
      const code = readFileSync(file, "utf8")
      assert.isTrue(code.startsWith("#!/usr/bin/env node\n"), file)
      const external = [...code.matchAll(/\brequire\("([^"]+)"\)/g)].map((match) => match[1] as string)
      const installed = Object.keys({ ...manifest.devDependencies })
      assert.deepStrictEqual(
        external.filter((name) => installed.includes(name)),
        [],
        file
      )
    }
  })
})
