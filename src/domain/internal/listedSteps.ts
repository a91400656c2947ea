import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { type Condition, identifiedSteps, type Job, type JobStep } from "../Job.ts"
import type { StepResult } from "../JobResult.ts"
import { ContainerStep, ScriptStep, type Step, StepFile } from "../Step.ts"
import * as StepOutputs from "../StepOutputs.ts"
import type { Left, Meaning, NextStep, Situation, StepProgram } from "../StepProgram.ts"

/** The steps of a job, one after the other. */
export const listedSteps = (job: Job): StepProgram => {
  const all = identifiedSteps(job)
  return {
    length: all.length,
    next: (situation) =>
      Effect.sync((): NextStep | undefined => {
        const identified = all[situation.results.length]
        if (identified === undefined) return undefined
        const { command, id, name, step } = identified
        if (!holds(step.if, situation)) return { _tag: "Skip", id, name }
        const { continueOnError, timeout } = step
        const run = prepared(step, situation.results)
        return { _tag: "Run", id, name, command, run, timeout, continueOnError, settle }
      })
  }
}

const holds = (condition: Condition, { cancelled, failed }: Situation): boolean => {
  switch (condition) {
    case "always":
      return true
    case "cancelled":
      return cancelled
    case "failure":
      return failed && !cancelled
    case "success":
      return !failed && !cancelled
  }
}

const settle = ({ exitCode, files }: Left): Effect.Effect<Meaning> => {
  if (exitCode === undefined) return Effect.succeed({ outputs: {} })
  const outputs = StepOutputs.parse(files.get(StepOutputs.fileName) ?? "")
  return Effect.succeed(
    Result.isSuccess(outputs)
      ? { outputs: outputs.success }
      : { outputs: {}, failure: `the output file (${StepOutputs.variable}) cannot be read: ${outputs.failure}` }
  )
}

/** The step as the backend gets it: with outputs of earlier steps, and a file for its own. */
const prepared = (step: JobStep, soFar: ReadonlyArray<StepResult>): Step => {
  const { run } = step
  const outputFile = new StepFile({ name: StepOutputs.fileName, variable: StepOutputs.variable, collect: true })
  const fromOutputs = Object.entries(step.envFrom).map(([name, { output, step: id }]) => {
    const outputs = soFar.find((result) => result.id === id)?.outputs ?? {}
    // Own ones only: `constructor` is an output that was never set.
    return [name, Redacted.make(Object.hasOwn(outputs, output) ? outputs[output]! : "")] as const
  })
  const changes = { env: { ...run.env, ...Object.fromEntries(fromOutputs) }, files: [...run.files, outputFile] }
  return run._tag === "ScriptStep" ? new ScriptStep({ ...run, ...changes }) : new ContainerStep({ ...run, ...changes })
}
