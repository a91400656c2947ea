import { execFileSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { version } from "../../../src/programs/version.ts"
import { folder, run, useJobscope } from "./process.ts"

useJobscope()

const good = "on: push\njobs:\n  build:\n    runs-on: ubuntu-latest\n    steps:\n      - run: echo hi\n"
const bad =
  "on: push\njobs:\n  build:\n    runs-on: ubuntu-latest\n    stepz: []\n    steps: [run: a]\n    needs: nobody\n"

describe("jobscope", () => {
  it("helps", async () => {
    const { code, stderr, stdout } = await run(["--help"])
    assert.deepStrictEqual([code, stderr], [0, ""])
    for (const name of ["run", "plan", "validate", "list", "ps", "reap", "version"])
      assert.match(stdout, new RegExp(`\\n  ${name} `))
  })

  it("tells its version", async () => {
    assert.include((await run(["version"])).stdout, `jobscope ${version}\nnode `)
    assert.include((await run(["--version"])).stdout, version)
  })

  it.each(["bash", "zsh", "fish", "powershell"])("completes in %s", async (shell) => {
    const { code, stdout } = await run(["--completions", shell])
    assert.strictEqual(code, 0)
    assert.include(stdout, "validate")
  })

  it("completes commands, flags, values and files in bash", async () => {
    const cwd = folder({ "my secrets": "", "workflow.yml": "" })
    const script = join(cwd, "completion")
    writeFileSync(script, (await run(["--completions", "bash"])).stdout)
    const complete = (...words: ReadonlyArray<string>) =>
      execFileSync(
        "bash",
        [
          "-c",
          `. "$1"; shift; COMP_WORDS=(jobscope "$@"); COMP_CWORD=$#; COMP_LINE="jobscope $*"; COMP_POINT=\${#COMP_LINE}
          _jobscope jobscope "\${COMP_WORDS[COMP_CWORD]}" "\${COMP_WORDS[COMP_CWORD - 1]}"; printf '%s\\n' "\${COMPREPLY[@]}"`,
          "bash",
          script,
          ...words
        ],
        { cwd, encoding: "utf8" }
      ).split("\n")
    assert.includeMembers(complete("r"), ["run", "reap"])
    assert.include(complete("run", "--back"), "--backend")
    assert.includeMembers(complete("run", "--backend", ""), ["local", "pod", "kro"])
    assert.include(complete("run", "w"), "workflow.yml")
    assert.match(complete("run", "--secret-file", "my").join(), /my\\? secrets/)
  })

  it.each([
    { args: ["validat"], says: "validate" },
    { args: ["validate", "--outpt", "json"], says: "--output" },
    { args: ["validate", "--output", "xml"], says: "xml" },
    { args: ["reap", "--handed-over-for", "soon"], says: "expected a duration" },
    { args: ["reap", "--environment", "a", "--owner", "b"], says: "--owner" },
    { args: ["ps", "--backend", "cloud"], says: '"local", "pod", "kro"' },
    { args: ["validate", "--action", "a/b=no"], says: 'expected skip or ./path, not "no"' },
    { args: ["ps", "--config", "none.yml"], says: "none.yml" }
  ])("refuses $args", async ({ args, says }) => {
    const { code, stderr, stdout } = await run(args)
    assert.deepStrictEqual([code, stdout], [2, ""])
    assert.include(stderr, says)
    assert.isBelow(stderr.split("\n").length, 5)
  })
})

describe("jobscope validate", () => {
  it("looks at all workflows of a repository", async () => {
    const cwd = folder({
      ".github/workflows/b.yml": good,
      ".github/workflows/a.yaml": good,
      ".github/workflows/x.txt": ""
    })
    const { code, stdout } = await run(["validate"], { cwd })
    assert.deepStrictEqual([code, stdout], [0, "2 files: 0 errors, 0 warnings\n"])
  })

  it("finds them by name", async () => {
    const cwd = folder({ ".github/workflows/ci.yml": good })
    assert.strictEqual((await run(["validate", "ci"], { cwd })).code, 0)
    assert.strictEqual((await run(["validate", "ci.yml"], { cwd })).code, 0)
    assert.strictEqual((await run(["validate", "cd"], { cwd })).code, 2)
  })

  it("says what is wrong, and where", async () => {
    const { code, stdout } = await run(["validate", "bad.yml"], { cwd: folder({ "bad.yml": bad }) })
    assert.strictEqual(code, 2)
    assert.include(stdout, "bad.yml:5:5: error: ")
    assert.match(stdout, /1 file: \d+ errors, 0 warnings\n$/)
  })

  it("says it as JSON", async () => {
    const cwd = folder({ "bad.yml": bad, "good.yml": good })
    const { code, stdout } = await run(["validate", "bad.yml", "good.yml", "--output", "json"], { cwd })
    assert.strictEqual(code, 2)
    const { files, v } = JSON.parse(stdout)
    assert.deepStrictEqual([v, files[0].path, files[0].valid, files[1].valid], [1, "bad.yml", false, true])
    assert.deepInclude(files[0].diagnostics[0], { file: "bad.yml", line: 5, column: 5, severity: "error" })
  })

  it("does without actions of other repositories, where it is told to", async () => {
    const cwd = folder({ "ci.yml": good.replace("- run: echo hi", "- uses: actions/setup-node@v4") })
    assert.strictEqual((await run(["validate", "ci.yml"], { cwd })).code, 2)
    assert.strictEqual((await run(["validate", "ci.yml", "--action", "actions/setup-*=skip"], { cwd })).code, 0)
    writeFileSync(join(cwd, ".jobscope.yml"), "action:\n  actions/setup-node: skip\n")
    assert.strictEqual((await run(["validate", "ci.yml"], { cwd })).code, 0)
  })

  it("annotates in GitHub Actions", async () => {
    const { stdout } = await run(["validate", "bad.yml"], {
      cwd: folder({ "bad.yml": bad }),
      env: { GITHUB_ACTIONS: "true" }
    })
    assert.match(stdout, /^::error title=unknown-key,file=bad\.yml,line=5,endLine=5,col=5,/)
  })

  it("takes flags from variables and the configuration file", async () => {
    const cwd = folder({ "good.yml": good, ".jobscope.yml": "validate-output: json\n" })
    assert.match((await run(["validate", "good.yml"], { cwd })).stdout, /^\{/)
    const env = { JOBSCOPE_VALIDATE_OUTPUT: "text" }
    assert.match((await run(["validate", "good.yml"], { cwd, env })).stdout, /^1 file/)
  })
})

describe("jobscope list", () => {
  it("shows workflows and their jobs", async () => {
    const ci = `name: CI\non: [push, pull_request]\njobs:\n  build:\n    runs-on: x\n    strategy:\n      matrix: { a: [1] }\n    steps: [run: a, run: b]\n  test:\n    name: Test \${{ github.ref }}\n    needs: build\n    runs-on: x\n    steps: [run: c]\n`
    const cwd = folder({ ".github/workflows/ci.yml": ci, ".github/workflows/bad.yml": bad })
    const { code, stdout } = await run(["list"], { cwd })
    assert.strictEqual(code, 0)
    assert.match(stdout, /ci\.yml: CI \(on push, pull_request\)\n {2}JOB {4}NAME +NEEDS {2}MATRIX {2}STEPS\n/)
    assert.match(stdout, /\n {2}build +yes {5}2\n {2}test {3}Test \$\{\{ github.ref \}\} {2}build {10}1\n/)
    assert.include(stdout, "bad.yml:5:5: error:")
    const { workflows } = JSON.parse((await run(["list", "--output", "json"], { cwd })).stdout)
    assert.deepInclude(workflows[1].jobs[1], { id: "test", needs: ["build"], matrix: false, steps: 1 })
  })
})
