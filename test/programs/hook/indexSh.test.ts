import { spawnSync } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"

const script = join(import.meta.dirname, "../../../src/programs/hook/index.sh")

/** A runner in a directory with a space, whose Nodes say who they are and what they were given. */
const runner = Effect.fnUntraced(function* (...nodes: ReadonlyArray<string>) {
  const home = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "jobscope index-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true }))
  )
  for (const name of nodes) {
    const bin = name === "node" ? join(home, "bin") : join(home, "externals", name, "bin")
    mkdirSync(bin, { recursive: true })
    writeFileSync(join(bin, "node"), `#!/bin/sh\necho "${name} $1 $(cat)"; exit 7\n`, { mode: 0o755 })
  }
  cpSync(script, join(home, "index.sh"))
  return (env: Record<string, string> = { RUNNER_WORKSPACE: join(home, "_work/repo") }) => {
    const path = `${join(home, "bin")}:/usr/bin:/bin`
    const ran = spawnSync("bash", ["-e", join(home, "index.sh")], { env: { PATH: path, ...env }, input: "stdin" })
    return `${ran.status} ${ran.stdout.toString().replaceAll(home, "~").trim()}`
  }
})

describe("index.sh", () => {
  it.effect.each([
    [["node20", "node24", "node"], "7 node24 ~/index.js stdin"],
    [["node20", "node"], "7 node20 ~/index.js stdin"],
    [["node"], "7 node ~/index.js stdin"]
  ] as ReadonlyArray<[ReadonlyArray<string>, string]>)("of %j takes the best", ([nodes, expected]) =>
    Effect.gen(function* () {
      const run = yield* runner(...nodes)
      assert.strictEqual(run(), expected)
    })
  )

  it.effect("without a work directory takes what is on the path", () =>
    Effect.gen(function* () {
      const run = yield* runner("node24", "node")
      assert.strictEqual(run({}), "7 node ~/index.js stdin")
    })
  )
})
