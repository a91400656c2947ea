/** The job of the examples: compile and test a small project, then say what came out. */
import { Job, JobStep, OutputReference, Workspace } from "jobscope/domain/Job"
import { ScriptStep } from "jobscope/domain/Step"

const sh = (script: string) => new ScriptStep({ script })

export const job = new Job({
  name: "word-count",
  workspace: new Workspace({ path: `${import.meta.dirname}/word-count` }),
  steps: [
    new JobStep({ name: "compile", run: sh("tsc --project . --listEmittedFiles") }),
    new JobStep({ name: "test", run: sh("node --test --test-reporter=spec") }),
    new JobStep({
      id: "size",
      name: "measure",
      run: sh('echo "bytes=$(cat dist/*.js | wc -c | tr -d " ")" >> "$JOBSCOPE_OUTPUT"')
    }),
    new JobStep({
      name: "report",
      run: sh('echo "word-count is $BYTES bytes of JavaScript"'),
      envFrom: { BYTES: new OutputReference({ step: "size", output: "bytes" }) }
    })
  ]
})
