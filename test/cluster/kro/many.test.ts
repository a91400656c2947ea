import { join } from "node:path"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { bundled } from "../../support/bundled.ts"
import { layer as testNamespace } from "../support/testNamespace.ts"
import { makeRgd, pod } from "./support/rgds.ts"
import { nothingLeft, runnerPod, startRunner, startsOf } from "./support/runner.ts"

layer(testNamespace, { excludeTestServices: true, timeout: "5 minutes" })("twenty of kro-runner", (it) => {
  it.effect("run at once, each its own work once, and leave nothing", () =>
    Effect.gen(function* () {
      const label = { "actions.github.com/scale-set-name": "twenty" }
      const program = join(bundled("kro-runner"), "index.js")
      const rgd = yield* makeRgd({ labels: label, resources: [pod("sleep 3; exit 0")] })
      const names = Array.from({ length: 20 }, (_, index) => `many-${index}`)
      yield* Effect.forEach(names, (name) => runnerPod(name, { labels: label }, { nodeSelector: { nobody: "here" } }), {
        concurrency: 5
      })
      const starts = yield* Effect.forEach(names, startsOf)
      const ends = yield* Effect.forEach(
        names,
        (name) => Effect.flatMap(startRunner(name, { program }), ({ ended }) => ended),
        { concurrency: "unbounded" }
      )
      for (const [index, name] of names.entries()) {
        assert.strictEqual(ends[index]?.code, 0, ends[index]?.stderr)
        assert.strictEqual(starts[index]?.size, 1, name)
        yield* nothingLeft(rgd.spec.schema.kind, name)
      }
    })
  )
})
