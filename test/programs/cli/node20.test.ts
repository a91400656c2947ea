import { assert, describe, it } from "@effect/vitest"
import { folder, node20, run, useJobscope } from "./process.ts"

useJobscope()

const workflow = `on: push
jobs:
  build:
    runs-on: x
    outputs: { v: "\${{ steps.a.outputs.v }}" }
    steps:
      - id: a
        run: echo "v=\${{ fromJSON('[1]')[0] }}" >> $GITHUB_OUTPUT
  test:
    needs: build
    runs-on: x
    steps:
      - run: echo "got \${{ needs.build.outputs.v }}"; exit 3
`

/** Everything else is held on the Node of the tests; here, what another one may lack. */
describe.skipIf(node20 === undefined)("jobscope on Node 20, the Node of the Actions runner", () => {
  const where = node20 === undefined ? {} : { node: node20 }

  it("helps", async () => {
    const { code, stderr, stdout } = await run(["--help"], where)
    assert.deepStrictEqual([code, stderr], [0, ""])
    assert.include(stdout, "reap")
  })

  it("runs, plans, validates, lists", async () => {
    const cwd = folder({ ".github/workflows/ci.yml": workflow })
    const ran = await run(["run"], { ...where, cwd })
    assert.strictEqual(ran.code, 1)
    assert.include(ran.stdout, "| got 1\n")
    assert.include(ran.stdout, "2 jobs: 1 success, 1 failure")
    for (const command of ["plan", "validate", "list", "ps"]) {
      const { code, stderr } = await run([command], { ...where, cwd })
      assert.deepStrictEqual([command, code], [command, 0], stderr)
    }
  })

  it("needs a cluster only where one is asked for", async () => {
    const cwd = folder({ ".github/workflows/ci.yml": workflow })
    const { code, stderr } = await run(["run", "--backend", "pod"], { ...where, cwd })
    assert.strictEqual(code, 2)
    assert.include(stderr, "configuration")
  })
})
