import { spawnSync } from "node:child_process"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"

/** Defect 1 of GitHub's hooks is this one: Node ends with 0 when nothing can happen any more, and the runner shows a step that has worked. */
describe("HookMain", () => {
  const run = (way: string) => {
    const fixture = join(import.meta.dirname, "fixtures/drained.ts")
    const { signal, status, stdout } = spawnSync(process.execPath, [fixture, way], {
      encoding: "utf8",
      timeout: 60_000
    })
    return { status, signal, stdout }
  }

  it.each(["drained", "forked"])("a command that waits for what cannot happen any more is a failure (%s)", (way) => {
    assert.deepStrictEqual(run(way), {
      status: 1,
      signal: null,
      stdout:
        "said before\n::error title=Hook defect::The hook waits for something that cannot happen any more. Report it.\n"
    })
  })

  it("a command that has ended is told by its exit code", () => {
    assert.deepStrictEqual(run("ended"), { status: 7, signal: null, stdout: "said before\n" })
  })
})
