import { readdirSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as LocalBackend from "../../../src/backends/local/LocalBackend.ts"
import { type JobEvent, JobEvents } from "../../../src/domain/JobEvent.ts"
import * as WorkflowFile from "../../../src/programs/github/WorkflowFile.ts"
import * as WorkflowRun from "../../../src/programs/github/WorkflowRun.ts"
import { directoryWith, onDisk } from "./support.ts"

const text = `on: push
jobs:
  work:
    runs-on: x
    strategy: { matrix: { n: [1, 2, 3, 4, 5, 6, 7, 8] } }
    steps:
      - uses: actions/checkout@v4
      - id: long
        run: echo started; exec sleep 600
      - if: cancelled()
        run: echo "cleaning \${{ steps.long.outcome }} \${{ job.status }}"
      - run: echo never
  waiting: { runs-on: x, needs: work, steps: [{ run: echo never }] }
  at-the-end: { runs-on: x, needs: work, if: always(), steps: [{ run: 'echo "end \${{ needs.work.result }}"' }] }
`

describe("a cancelled run", () => {
  it.live("stops eight jobs, lets them clean up, and leaves nothing", () =>
    onDisk(
      Effect.gen(function* () {
        const state = yield* directoryWith({})
        const workspace = yield* directoryWith({ a: "1" })
        const file = yield* WorkflowFile.fromText(text, { workspace, file: "ci.yml" })
        const events: Array<JobEvent> = []
        const started = yield* Deferred.make<void>()
        const count = () => new Set(events.flatMap((event) => (event._tag === "StepOutput" ? [event.run] : []))).size
        const running = yield* WorkflowRun.run(file, { parallel: 8 }).pipe(
          Effect.provideService(JobEvents, {
            emit: (event) =>
              Effect.suspend(() => {
                events.push(event)
                return count() === 8 ? Deferred.succeed(started, undefined) : Effect.void
              })
          }),
          Effect.provide(LocalBackend.layer({ stateDirectory: state }), { local: true }),
          Effect.forkChild
        )
        yield* Deferred.await(started)
        yield* Fiber.interrupt(running)
        const output = Buffer.concat(
          events.flatMap((event) => (event._tag === "StepOutput" ? [event.bytes] : []))
        ).toString()
        assert.strictEqual(output.split("cleaning cancelled cancelled").length, 9)
        assert.notInclude(output, "never")
        assert.include(output, "end cancelled")
        assert.deepStrictEqual(readdirSync(join(state, "jobs")), [])
      })
    )
  )
})
