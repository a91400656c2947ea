/**
 * The same program as build-and-test.ts with its backend swapped by one layer: nothing runs, each step ends as it is told. So a
 * program that embeds jobscope is tested without a machine.
 */
import * as Effect from "effect/Effect"
import * as MemoryBackend from "jobscope/backends/memory/MemoryBackend"
import { StepProgram } from "jobscope/backends/memory/MemoryProgram"
import * as JobLifecycle from "jobscope/domain/JobLifecycle"
import * as JobMain from "jobscope/programs/console/JobMain"
import { job } from "./job.ts"

const failingTests = MemoryBackend.layerTest({
  step: (step) =>
    step._tag === "ScriptStep" && step.script.startsWith("node --test")
      ? new StepProgram({ do: [{ _tag: "Print", text: "1 of 3 tests failed\n", stream: "stdout" }], exit: 1 })
      : undefined
})

JobMain.runMain(JobLifecycle.run(job).pipe(Effect.provide(failingTests)))
