import { existsSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { folder, run, useJobscope } from "./process.ts"

useJobscope()

const workflow = `name: CI
on: [push, pull_request]
jobs:
  deploy:
    name: Deploy \${{ needs.build.outputs.v }}
    needs: build
    if: needs.build.outputs.v != ''
    runs-on: ubuntu-latest
    container: node:22
    services:
      db: { image: postgres }
    steps:
      - run: touch started
      - if: always()
        run: echo \${{ secrets.TOKEN }}
  build:
    runs-on: \${{ matrix.os }}
    strategy:
      matrix: { os: [linux, mac], exclude: [{ os: mac }] }
    outputs:
      v: 1
    steps:
      - uses: actions/checkout@v5
      - uses: ./
  never:
    if: github.event_name == 'push' && false
    runs-on: x
    steps: [run: touch started]
`
const action =
  "name: It\ndescription: It\nruns:\n  using: composite\n  steps:\n    - run: touch started\n      name: Inside\n      shell: sh\n"

describe("jobscope plan", () => {
  it("shows what would run, and what only the run tells", async () => {
    const cwd = folder({ ".github/workflows/ci.yml": workflow, "action.yml": action })
    const { code, stderr, stdout } = await run(["plan"], { cwd })
    assert.deepStrictEqual([code, stderr], [0, ""])
    assert.strictEqual(
      stdout,
      `CI, on push

build
  1 combination: (linux)
  runs on linux
  1. actions/checkout@v5
  2. ./
     1. Inside

deploy (unknown until run (needs)): unknown until run (its \`if\` asks for needs)
  after build
  if needs.build.outputs.v != ''
  runs on ubuntu-latest, in node:22
  services: db
  1. touch started
  2. echo \${{ secrets.TOKEN }}, if always()

never: skipped (its \`if\` does not hold)
  if github.event_name == 'push' && false
  runs on x
  1. touch started
`
    )
    assert.isFalse(existsSync(join(cwd, "started")))
    assert.isFalse(existsSync(join(cwd, ".state")))
  })

  it("shows it as JSON, for the jobs and the event that are asked for", async () => {
    const cwd = folder({ ".github/workflows/ci.yml": workflow, "action.yml": action })
    const { stdout } = await run(["plan", "-o", "json", "-j", "deploy", "--no-needs", "--event-name", "pull_request"], {
      cwd
    })
    const { event, jobs, v } = JSON.parse(stdout)
    assert.deepStrictEqual(
      [v, event, jobs.length, jobs[0].id, jobs[0].steps.length],
      [1, "pull_request", 1, "deploy", 2]
    )
  })

  it("refuses what cannot be run", async () => {
    const cwd = folder({ "bad.yml": workflow.replace("needs: build", "needs: nobody") })
    const { code, stderr, stdout } = await run(["plan", "bad.yml"], { cwd })
    assert.deepStrictEqual([code, stdout], [2, ""])
    assert.match(stderr, /bad\.yml:6:12: error: /)
  })

  it("says what a backend cannot do of it", async () => {
    const cwd = folder({ ".github/workflows/ci.yml": workflow, "action.yml": action })
    const { code, stderr, stdout } = await run(["plan", "-b", "local"], { cwd })
    assert.strictEqual(code, 2)
    assert.include(stdout, "CI, on push\n")
    assert.match(
      stderr,
      /ci\.yml:9:16: error: The local backend has no job containers .*\n +9 \| +container: node:22\n/
    )
    const without = await run(["plan", "-b", "pod"], { cwd })
    assert.deepStrictEqual([without.code, without.stdout], [0, stdout])
    assert.match(without.stderr, /^not looked at: pod: /)
  })
})
