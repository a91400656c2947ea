import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as RunOptions from "../../../src/programs/github/RunOptions.ts"
import * as WorkflowPlan from "../../../src/programs/github/WorkflowPlan.ts"
import { onDisk, read } from "./support.ts"

const planOf = (text: string, options: RunOptions.Options = {}, files: Readonly<Record<string, string>> = {}) =>
  onDisk(Effect.flatMap(read(text, files), (file) => WorkflowPlan.plan(file, options)))

const text = `name: Plan
on: [push, workflow_dispatch]
jobs:
  last: { runs-on: x, needs: [test, list], steps: [{ run: x }] }
  test:
    runs-on: \${{ matrix.os }}
    needs: list
    if: needs.list.outputs.any == 'true'
    strategy: { matrix: { os: [linux], node: [20, 22] } }
    container: node:\${{ matrix.node }}
    services: { redis: { image: redis } }
    steps: [{ run: x }]
  list:
    name: List for \${{ github.event_name }}
    runs-on: ubuntu-latest
    steps:
      - run: echo a
      - { id: two, run: echo b, if: "github.event_name == 'pull_request'" }
      - { name: "The \${{ env.X }}", run: echo c, if: steps.two.outcome == 'success' }
      - { run: echo d, if: "failure() || github.event_name == 'push'" }
      - { uses: ./act, if: always() }
  off: { runs-on: x, if: github.event_name == 'release' && needs.x, steps: [{ run: x }] }
  after-off: { runs-on: x, needs: off, steps: [{ run: x }] }
  anyway: { runs-on: x, needs: off, if: always(), steps: [{ run: x }] }
  if-failed: { runs-on: x, if: failure(), steps: [{ run: x }] }
  computed: { runs-on: x, needs: list, strategy: { matrix: "\${{ fromJSON(needs.list.outputs.m) }}" }, steps: [{ run: x }] }
  broken: { runs-on: x, strategy: { matrix: { a: "\${{ fromJSON('{') }}" } }, steps: [{ run: x }] }
`
const files = {
  "act/action.yml": `name: a
runs: { using: composite, steps: [{ shell: sh, run: inner, if: "inputs.x == 'y'" }] }`
}

describe("plan", () => {
  it.effect("says what would run, and what only the run tells", () =>
    Effect.gen(function* () {
      const plan = yield* planOf(text, {}, files)
      assert.deepStrictEqual([plan.workflow, plan.event], ["Plan", "push"])
      assert.deepStrictEqual(
        plan.jobs.map(({ id, verdict, why }) => [id, verdict, why]),
        [
          ["list", "runs", undefined],
          ["test", "unknown", "its `if` asks for needs"],
          ["last", "unknown", "whether test runs is not known"],
          ["off", "skipped", "its `if` does not hold"],
          ["after-off", "skipped", "off is skipped"],
          ["anyway", "runs", undefined],
          ["if-failed", "unknown", "its `if` asks for failure()"],
          ["computed", "runs", undefined],
          ["broken", "runs", undefined]
        ]
      )
      const job = (id: string) => plan.jobs.find((each) => each.id === id)
      assert.deepStrictEqual(job("list")?.name, { _tag: "Known", value: "List for push" })
      assert.deepStrictEqual(
        job("list")?.steps.map(({ name, verdict }) => `${name}: ${verdict}`),
        ["echo a: runs", "echo b: skipped", "The ${{ env.X }}: unknown", "echo d: runs", "./act: runs"]
      )
      assert.deepStrictEqual(
        job("list")?.steps[4]?.steps.map(({ condition, name, verdict }) => [name, verdict, condition]),
        [["inner", "unknown", "inputs.x == 'y'"]]
      )
      assert.deepStrictEqual(job("test")?.matrix, { _tag: "Known", value: ["linux, 20", "linux, 22"] })
      assert.deepStrictEqual(job("test")?.container, { _tag: "Known", value: "node:20, node:22" })
      assert.deepStrictEqual(job("test")?.services, ["redis"])
      assert.deepStrictEqual(job("computed")?.matrix, { _tag: "Unknown", until: "needs" })
      assert.strictEqual(job("broken")?.matrix?._tag, "Wrong")
    })
  )

  it.effect("takes the options of a run", () =>
    Effect.gen(function* () {
      const chosen = yield* planOf(
        text,
        { jobs: ["test"], matrix: { node: ["22"] }, event: { name: "release", payload: {} } },
        files
      )
      assert.deepStrictEqual(
        chosen.jobs.map(({ id }) => id),
        ["list", "test"]
      )
      assert.deepStrictEqual(chosen.jobs[1]?.container, { _tag: "Known", value: "node:22" })
      const alone = yield* planOf(text, { jobs: ["test"], needs: false }, files)
      assert.deepStrictEqual(
        alone.jobs.map(({ id }) => id),
        ["test"]
      )
      assert.strictEqual((yield* Effect.flip(planOf(text, { jobs: ["nope*"] }, files)))._tag, "OptionInvalid")
    })
  )
})
