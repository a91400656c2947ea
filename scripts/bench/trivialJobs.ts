/** `trivialJobs.ts <jobs> <at a time>`: runs trivial jobs on the local backend, and prints what they took as JSON. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as LocalBackend from "jobscope/backends/local/LocalBackend"
import { Job, JobStep } from "jobscope/domain/Job"
import * as JobLifecycle from "jobscope/domain/JobLifecycle"
import { ScriptStep } from "jobscope/domain/Step"

const [count, concurrency] = process.argv.slice(2).map(Number)
const stateDirectory = mkdtempSync(join(tmpdir(), "jobscope-bench-"))
const job = (index: number) =>
  new Job({ name: `trivial-${index}`, steps: [new JobStep({ run: new ScriptStep({ script: "true" }) })] })

const before = performance.now()
const results = await Effect.runPromise(
  Effect.forEach(
    Array.from({ length: count ?? 50 }, (_, index) => job(index)),
    JobLifecycle.run,
    { concurrency: concurrency ?? 8 }
  ).pipe(Effect.provide(LocalBackend.layer({ stateDirectory })))
)
const wall = performance.now() - before
rmSync(stateDirectory, { recursive: true, force: true })
const failed = results.find(({ conclusion }) => conclusion !== "success")
if (failed !== undefined) throw new Error(`a job did not succeed: ${failed.conclusion} ${failed.error?.message}`)
process.stdout.write(JSON.stringify({ wall, peak: process.resourceUsage().maxRSS * 1024 }))
