/** What every bundled program begins with (scripts/loader.cjs), with a program as it is shipped. */
import { spawnSync } from "node:child_process"
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"

const folder = mkdtempSync(join(tmpdir(), "jobscope-bundle-"))
const caches = mkdtempSync(join(tmpdir(), "jobscope-code-"))
afterAll(() => {
  for (const path of [folder, caches]) rmSync(path, { recursive: true, force: true })
})
beforeAll(() => {
  const scripts = join(import.meta.dirname, "../../scripts/bundle.ts")
  const program = `import { bundle } from ${JSON.stringify(scripts)}; await bundle("reaper", ${JSON.stringify(folder)})`
  const { status, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", program], { encoding: "utf8" })
  assert.strictEqual(status, 0, stderr)
}, 60_000)

const run = (cache: string, options: ReadonlyArray<string> = []) => {
  const { status, stderr, stdout } = spawnSync(process.execPath, [...options, join(folder, "index.js"), "--help"], {
    encoding: "utf8",
    env: { ...process.env, JOBSCOPE_CODE_CACHE: cache }
  })
  assert.strictEqual(status, 0, stderr)
  assert.strictEqual(stderr, "")
  return stdout
}
const entry = () => join(caches, readdirSync(caches)[0] ?? "none")

describe("the code cache of a program", () => {
  it("is made by the first run, used by the next, and changes nothing", () => {
    const first = run(caches)
    assert.include(first, "jobscope-reaper")
    assert.strictEqual(readdirSync(caches).length, 1)
    assert.strictEqual(statSync(entry()).mode & 0o777, 0o600)
    const made = statSync(entry()).mtimeMs
    assert.strictEqual(run(caches), first)
    assert.strictEqual(statSync(entry()).mtimeMs, made, "it was made again: it had been rejected")
    assert.strictEqual(run("off"), first)
  })

  it("takes in what a run of another kind has compiled, once", () => {
    run(caches)
    const kinds = join(folder, "kind.cjs")
    writeFileSync(kinds, 'globalThis[Symbol.for("jobscope.run")] = "another"')
    const before = statSync(entry()).mtimeMs
    const first = run(caches, ["--require", kinds])
    const made = statSync(entry()).mtimeMs
    assert.notStrictEqual(made, before)
    assert.strictEqual(run(caches, ["--require", kinds]), first)
    assert.strictEqual(run(caches), first)
    assert.strictEqual(statSync(entry()).mtimeMs, made)
  })

  it("is made anew when it is damaged", () => {
    run(caches)
    const whole = readFileSync(entry())
    writeFileSync(entry(), whole.subarray(0, 1000))
    run(caches)
    assert.isAbove(statSync(entry()).size, 1000)
  })

  it("is neither read nor made where others can write", () => {
    run(caches)
    writeFileSync(entry(), "not code")
    chmodSync(caches, 0o777)
    run(caches)
    assert.strictEqual(readFileSync(entry(), "utf8"), "not code")
    chmodSync(caches, 0o700)
  })

  it("is done without where it cannot be", () => {
    assert.include(run("/proc/nowhere"), "jobscope-reaper")
  })
})
