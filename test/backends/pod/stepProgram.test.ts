/** Programs of steps whose job's variables are in a file, run by the shells that images have. */
import { execFileSync } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as EnvVars from "jobscope/domain/EnvVars"
import { ScriptStep } from "jobscope/domain/Step"
import { jobVariables, stepProgram } from "../../../src/backends/pod/internal/stepProgram.ts"
import { shells } from "./support/shells.ts"

/** What a step of this job prints. */
const printed = Effect.fnUntraced(function* (
  path: string,
  job: Readonly<Record<string, string>>,
  step: Readonly<Record<string, string>>,
  lost = false
) {
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "jobscope-program-"))),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
  )
  const variables = join(directory, "the job's variables")
  if (!lost) writeFileSync(variables, yield* jobVariables(EnvVars.fromRecord(job)))
  // No shell between: shells drop variables of names that they do not know.
  const main = yield* stepProgram(new ScriptStep({ script: "", shell: "env", env: EnvVars.fromRecord(step) }), {
    id: "id",
    workingDirectory: directory,
    filePath: (name) => join(directory, name),
    variables
  })
  writeFileSync(join(directory, "main"), main)
  const run = Effect.sync(() =>
    execFileSync("sh", [join(directory, "main"), directory], {
      env: { PATH: path, OF_CONTAINER: "c" },
      encoding: "utf8"
    })
  )
  const exit = yield* Effect.exit(run)
  const refused = join(directory, "refused")
  return exit._tag === "Success"
    ? exit.value
    : existsSync(refused)
      ? readFileSync(refused, "utf8")
      : yield* Effect.failCause(exit.cause)
})

for (const { name, path } of shells()) {
  describe(name, () => {
    it.effect("has the container's variables, the job's over them, the step's over those; of any name and value", () =>
      Effect.gen(function* () {
        const awkward = "a'b\"c$(id) `id` \\\nü"
        const text = yield* printed(
          path,
          { OF_CONTAINER: "job", OF_JOB: awkward, "INPUT_WHO-TO-GREET": "x y", "A.B": "job", d: "1", BOTH: "job" },
          { BOTH: "step", "A.B": "step", "C-D": "step" }
        )
        assert.include(text, "OF_CONTAINER=job\n")
        assert.include(text, `OF_JOB=${awkward}\n`)
        assert.include(text, "INPUT_WHO-TO-GREET=x y\n")
        assert.include(text, "\nd=1\n")
        assert.include(text, "BOTH=step\n")
        assert.include(text, "A.B=step\n")
        assert.include(text, "C-D=step\n")
        assert.notInclude(text, "A.B=job")
      })
    )

    it.effect("adds to the job's PATH", () =>
      Effect.gen(function* () {
        assert.include(yield* printed(path, { PATH: `/of/job:${path}` }, {}), `PATH=/of/job:${path}\n`)
      })
    )

    it.effect("a job without variables, and none that are awkward", () =>
      Effect.gen(function* () {
        assert.include(yield* printed(path, {}, {}), "OF_CONTAINER=c\n")
        assert.include(yield* printed(path, { ONE: "1" }, {}), "ONE=1\n")
      })
    )

    it.effect("does not start without the file", () =>
      Effect.gen(function* () {
        assert.include(yield* printed(path, {}, {}, true), "its container was started again")
      })
    )
  })
}
