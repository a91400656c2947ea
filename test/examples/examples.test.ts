import { spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"

const root = join(import.meta.dirname, "../..")

/** As `npm start` does, without a terminal. */
const run = (example: string, ...args: ReadonlyArray<string>) => {
  const state = mkdtempSync(join(tmpdir(), "jobscope-example-"))
  const { status, stderr, stdout } = spawnSync(
    process.execPath,
    ["--conditions=@jobscope/source", join(root, example), ...args],
    {
      cwd: root,
      encoding: "utf8",
      env: { PATH: `${join(root, "node_modules/.bin")}:${process.env.PATH}`, JOBSCOPE_STATE_DIR: state }
    }
  )
  const left = existsSync(join(state, "jobs")) ? readdirSync(join(state, "jobs")) : []
  rmSync(state, { recursive: true, force: true })
  return { status, stderr, stdout, left }
}

describe("examples", () => {
  it("a workflow file, which npm start runs", () => {
    const file = "examples/word-count/.github/workflows/ci.yml"
    const { start } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")).scripts
    assert.isTrue(start.endsWith(`src/programs/cli/main.ts run ${file}`), start)
    const { left, status, stderr, stdout } = run("src/programs/cli/main.ts", "run", file)
    assert.strictEqual(status, 0, stderr + stdout)
    assert.match(stdout, /word-count is \d{3} bytes of JavaScript, tested in Asia\/Tokyo\n/)
    assert.include(stdout, "3 jobs: 3 success")
    assert.deepStrictEqual(left, [])
    assert.isFalse(existsSync(join(root, "examples/word-count/dist")), "it worked in copies")
  })

  it("build-and-test compiles and tests a project, and leaves nothing", () => {
    const { left, status, stderr, stdout } = run("examples/build-and-test.ts")
    assert.strictEqual(status, 0, stderr + stdout)
    assert.include(stdout, "counts words, the most frequent first")
    assert.match(stdout, /word-count is \d{3} bytes of JavaScript/)
    assert.match(stdout, /✓ success +\S+ +word-count/)
    assert.deepStrictEqual(left, [])
    assert.isFalse(existsSync(join(root, "examples/word-count/dist")), "it worked in a copy")
  })

  it("workflow runs a job, its matrix, and a report that sees both", () => {
    const { left, status, stderr, stdout } = run("examples/workflow.ts")
    assert.strictEqual(status, 0, stderr + stdout)
    assert.include(stdout, "word-count 1.2.0 in C.UTF-8: 4 words")
    assert.include(stdout, "tests of 1.2.0: success")
    assert.include(stdout, "4 jobs: 4 success")
    assert.deepStrictEqual(left, [])
  })

  it("swapped-backend runs nothing, and fails where it is told to", () => {
    const { left, status, stdout } = run("examples/swapped-backend.ts")
    assert.strictEqual(status, 1)
    assert.include(stdout, "4 steps on memory")
    assert.include(stdout, "word-count › test: StepFailed, exit code 1")
    assert.deepStrictEqual(left, [])
  })
})
