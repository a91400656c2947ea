import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterEach, assert, beforeEach, describe, it } from "@effect/vitest"

const root = dirname(dirname(import.meta.dirname))

/** Stands in for npm: notes its arguments, and installs a `node` that says that it is the one. */
const npm = `#!/bin/sh
echo "$@" >> npm-calls
[ -e npm-fails ] && { echo "npm says why"; exit 7; }
rm -rf node_modules; mkdir -p node_modules/.bin
[ -e npm-ignores-scripts ] && exit 0
printf '#!/bin/sh\\necho "the node of node_modules: $*"\\n' > node_modules/.bin/node
chmod +x node_modules/.bin/node
`

describe("scripts/run.mjs", () => {
  let clone = ""

  beforeEach(() => {
    clone = mkdtempSync(join(tmpdir(), "jobscope-run-"))
    mkdirSync(join(clone, "scripts"))
    mkdirSync(join(clone, "bin"))
    copyFileSync(join(root, "scripts/run.mjs"), join(clone, "scripts/run.mjs"))
    writeFileSync(join(clone, "package-lock.json"), "{}")
    writeFileSync(join(clone, "bin/npm"), npm)
    chmodSync(join(clone, "bin/npm"), 0o755)
  })

  afterEach(() => {
    rmSync(clone, { recursive: true, force: true })
  })

  const env = (more: Record<string, string> = {}) => ({
    PATH: `${join(clone, "bin")}:${dirname(process.execPath)}:/usr/bin:/bin`,
    ...more
  })

  const run = (...args: ReadonlyArray<string>) =>
    spawnSync(process.execPath, ["scripts/run.mjs", ...args], { cwd: clone, env: env(), encoding: "utf8" })

  const calls = () => (existsSync(join(clone, "npm-calls")) ? readFileSync(join(clone, "npm-calls"), "utf8") : "")

  it("installs on a fresh clone, says so in one line, and runs the command with the node of node_modules", () => {
    const first = run("node", "x.ts")
    assert.strictEqual(first.stdout, "the node of node_modules: x.ts\n")
    assert.strictEqual(first.stderr, "run: no node_modules yet, installing with npm ci\n")
    assert.strictEqual(calls(), "ci --include=dev --loglevel=error --no-fund --no-audit\n")
  })

  it("installs once", () => {
    run("true")
    const second = run("true")
    assert.strictEqual(second.status, 0)
    assert.strictEqual(second.stderr, "")
    assert.lengthOf(calls().trim().split("\n"), 1)
  })

  it("installs again when package-lock.json has changed", () => {
    run("true")
    writeFileSync(join(clone, "package-lock.json"), '{ "changed": true }')
    assert.include(run("true").stderr, "node_modules is not what package-lock.json says")
    assert.lengthOf(calls().trim().split("\n"), 2)
    assert.strictEqual(run("true").stderr, "")
  })

  it("does not install what an install by hand has recorded", () => {
    mkdirSync(join(clone, "node_modules/.bin"), { recursive: true })
    for (const [command, lockOnly, known] of [
      ["pack", "", false],
      ["install", "true", false],
      ["ci", "", true]
    ] as const) {
      rmSync(join(clone, "node_modules/.jobscope-lock-hash"), { force: true })
      spawnSync(process.execPath, ["scripts/run.mjs", "--installed"], {
        cwd: clone,
        env: env({ npm_command: command, npm_config_package_lock_only: lockOnly })
      })
      assert.strictEqual(existsSync(join(clone, "node_modules/.jobscope-lock-hash")), known, command)
    }
    run("true")
    assert.strictEqual(calls(), "")
  })

  it("shows npm's output when the install fails, and tries again the next time", () => {
    writeFileSync(join(clone, "npm-fails"), "")
    const failed = run("echo", "ran")
    assert.strictEqual(failed.status, 1)
    assert.strictEqual(failed.stdout, "")
    assert.include(failed.stderr, "npm says why")
    assert.include(failed.stderr, "exit code 7")
    rmSync(join(clone, "npm-fails"))
    assert.strictEqual(run("echo", "ran").stdout, "ran\n")
  })

  it("says what to do when install scripts are off and there is no node", () => {
    writeFileSync(join(clone, "npm-ignores-scripts"), "")
    const failed = run("echo", "ran")
    assert.strictEqual(failed.status, 1)
    assert.include(failed.stderr, "npm rebuild node")
  })

  it("exits with the code of the command, 127 for one that is not there, 2 without one", () => {
    assert.strictEqual(run("sh", "-c", "exit 42").status, 42)
    assert.strictEqual(run("no-such-command").status, 127)
    assert.strictEqual(run().status, 2)
  })

  it("dies of the signal that the command died of", () => {
    assert.strictEqual(run("sh", "-c", "kill -TERM $$").signal, "SIGTERM")
    assert.strictEqual(run("sh", "-c", "kill -KILL $$").signal, "SIGKILL")
  })

  describe("signals", () => {
    /** A command that answers each signal with a line, and ends at the fifth or when its input ends. */
    const listener = `for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(name, () => console.log(name))
process.stdin.on("data", () => {}).on("end", () => process.exit(5))
console.log("ready")`

    const start = async () => {
      run("true")
      // Detached: in a session without a terminal, whoever runs the tests.
      const child = spawn(process.execPath, ["scripts/run.mjs", process.execPath, "-e", listener], {
        cwd: clone,
        env: env(),
        detached: true,
        stdio: ["pipe", "pipe", "inherit"]
      })
      let output = ""
      child.stdout.on("data", (chunk) => {
        output += chunk
      })
      const until = (text: string) =>
        new Promise<void>((resolve) => {
          const look = () => (output.includes(text) ? resolve() : setTimeout(look, 5))
          look()
        })
      await until("ready")
      return { child, until, output: () => output }
    }

    const ended = (child: ChildProcess) => new Promise<number | null>((resolve) => child.on("close", resolve))

    it("reach the command, and the launcher waits for what it makes of them", async () => {
      const { child, until } = await start()
      for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
        child.kill(signal)
        await until(signal)
      }
      child.stdin.end()
      assert.strictEqual(await ended(child), 5)
    })

    it("that come twice at once are one request", async () => {
      const { child, output, until } = await start()
      child.kill("SIGTERM")
      await until("SIGTERM")
      child.kill("SIGTERM")
      await new Promise((resolve) => setTimeout(resolve, 100))
      child.kill("SIGHUP")
      await until("SIGHUP")
      child.stdin.end()
      await ended(child)
      assert.strictEqual(output(), "ready\nSIGTERM\nSIGHUP\n")
    })
  })
})
