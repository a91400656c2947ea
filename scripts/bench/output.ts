/** `output.ts <lines>`: one step that prints so many lines, through the lifecycle and the events; prints ms and bytes of memory as JSON. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as LocalBackend from "jobscope/backends/local/LocalBackend"
import { Job, JobStep } from "jobscope/domain/Job"
import { JobEvents } from "jobscope/domain/JobEvent"
import * as JobLifecycle from "jobscope/domain/JobLifecycle"
import { ScriptStep } from "jobscope/domain/Step"

const lines = Number(process.argv[2] ?? 300_000)
const stateDirectory = mkdtempSync(join(tmpdir(), "jobscope-bench-"))
let bytes = 0
const before = performance.now()
const result = await Effect.runPromise(
  JobLifecycle.run(
    new Job({ name: "output", steps: [new JobStep({ run: new ScriptStep({ script: `seq 1 ${lines}` }) })] })
  ).pipe(
    Effect.provideService(JobEvents, {
      emit: (event) =>
        Effect.sync(() => {
          if (event._tag === "StepOutput") bytes += event.bytes.length
        })
    }),
    Effect.provide(LocalBackend.layer({ stateDirectory }))
  )
)
const wall = performance.now() - before
rmSync(stateDirectory, { recursive: true, force: true })
// What `seq` writes: each number, and a line end.
let expected = 0
for (let first = 1; first <= lines; first *= 10) {
  expected += (Math.min(lines, first * 10 - 1) - first + 1) * (String(first).length + 1)
}
if (result.conclusion !== "success" || bytes !== expected)
  throw new Error(`${result.conclusion}: ${bytes} bytes, not ${expected}`)
process.stdout.write(JSON.stringify({ wall, peak: process.resourceUsage().maxRSS * 1024 }))
