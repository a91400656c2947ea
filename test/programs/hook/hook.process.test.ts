/**
 * The bundled hook as the runner calls it, against a fake cluster whose pods run for real, with and without a claim. Where GitHub's own hooks
 * are known to do otherwise, a test is named after it.
 */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FakeKubernetes from "../../../src/testing/kubernetes/FakeKubernetes.ts"
import { FakeRunner, layer, podName } from "./support/FakeRunner.ts"

const unsupported = FakeKubernetes.unsupported()

describe.skipIf(unsupported !== undefined).each(["claim", "copy"] as const)("%s", (mode) => {
  it.live("a job: prepare, steps, cleanup", () =>
    Effect.gen(function* () {
      const runner = yield* FakeRunner
      const kubernetes = yield* FakeKubernetes.FakeKubernetes
      writeFileSync(join(runner.workspace, "README"), "hello")
      const { response, state } = yield* runner.prepare({ environmentVariables: { HOME: "/github/home", JOB: "j b" } })
      assert.isFalse(response.isAlpine)
      const first = yield* runner.script(
        state,
        `echo "$JOB $STEP"; cat README; cat /github/workflow/event.json; /__e/node20/bin/node x; echo "$PATH"; pwd
echo out=1 >> $GITHUB_OUTPUT; echo sum >> $GITHUB_STEP_SUMMARY; echo made > made.txt; echo err >&2`,
        { args: { environmentVariables: { STEP: "s 'q'" }, prependPath: ["/new bin", "/old"] } }
      )
      assert.strictEqual(first.code, 0, first.stdout)
      assert.match(
        first.stdout,
        /^j b s 'q'\nhello\{"action":"opened"\}node20 x\n\/new bin:\/old:\/.*\n\/__w\/repo\/repo\nerr\n$/
      )
      assert.strictEqual(first.stderr, "")
      assert.deepStrictEqual([first.outputs, first.summary], ["out=1\n", "sum\n"])
      const second = yield* runner.script(state, "cat made.txt; exit 42")
      assert.deepStrictEqual([second.code, second.stdout], [42, "made\n"])
      const cleaned = yield* runner.call("cleanup_job", {}, { state })
      assert.strictEqual(cleaned.code, 0, cleaned.stdout)
      assert.deepStrictEqual(
        (yield* kubernetes.left).filter((name) => !name.includes(podName) || name.includes("-workflow")),
        []
      )
    }).pipe(Effect.provide(layer(mode)))
  )
})
