/** `steps.ts <steps>`: steps of one environment after each other, beside as many bare `sh -c true`; prints both medians in ms as JSON. */
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as LocalBackend from "jobscope/backends/local/LocalBackend"
import { JobSpec } from "jobscope/domain/Job"
import * as JobLifecycle from "jobscope/domain/JobLifecycle"
import { ScriptStep } from "jobscope/domain/Step"

const count = Number(process.argv[2] ?? 100)
const stateDirectory = mkdtempSync(join(tmpdir(), "jobscope-bench-"))

const timed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const before = performance.now()
    yield* effect
    return performance.now() - before
  })

const bare = Effect.callback<void>((resume) => {
  const child = spawn("/bin/sh", ["-c", "true"], { stdio: ["ignore", "pipe", "pipe"], detached: true })
  child.stdout.resume()
  child.stderr.resume()
  child.once("close", () => resume(Effect.void))
})

const median = (values: ReadonlyArray<number>) => [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN

const measured = await Effect.runPromise(
  JobLifecycle.withEnvironment(new JobSpec({ name: "steps" }))((environment) =>
    Effect.gen(function* () {
      const steps: Array<number> = []
      const bares: Array<number> = []
      for (let index = 0; index < count; index++) {
        steps.push(yield* timed(JobLifecycle.execute(environment, new ScriptStep({ script: "true" }))))
        bares.push(yield* timed(bare))
      }
      return { step: median(steps), bare: median(bares) }
    })
  ).pipe(Effect.provide(LocalBackend.layer({ stateDirectory })))
)
rmSync(stateDirectory, { recursive: true, force: true })
process.stdout.write(JSON.stringify(measured))
