/**
 * Several jobs that need each other: one finds out what to test, a matrix tests it, and a report sees what came of it, whatever that
 * is. Each job has an environment of its own; the compiler knows the jobs' outputs and the values of the matrix.
 */
import { Effect } from "effect"
import { EnvVars, Job, Step, Workflow, WorkflowEngine } from "jobscope"
import * as LocalBackend from "jobscope/backends/local/LocalBackend"
import * as JobMain from "jobscope/programs/console/JobMain"

const sh = (script: string) => new Job.JobStep({ id: "main", run: new Step.ScriptStep({ script }) })

const plan = Workflow.job("plan", {
  outputs: { version: { step: "main", output: "version" } },
  job: () => ({
    workspace: new Job.Workspace({ path: `${import.meta.dirname}/word-count` }),
    steps: [sh(`node -p '"version=" + require("./package.json").version' >> "$JOBSCOPE_OUTPUT"`)]
  })
})

const test = Workflow.job("test", {
  needs: [plan],
  matrix: { values: { locale: ["C", "C.UTF-8"], text: ["to be or not to be"] } },
  failFast: false,
  job: ({ matrix, needs }) => ({
    env: EnvVars.fromRecord({ LC_ALL: matrix.locale, TEXT: matrix.text, VERSION: needs.plan.outputs.version }),
    steps: [sh('echo "word-count $VERSION in $LC_ALL: $(printf %s "$TEXT" | tr " " "\\n" | sort -u | wc -l) words"')]
  })
})

const report = Workflow.job("report", {
  needs: [plan, test],
  if: "always",
  job: ({ needs }) => ({ steps: [sh(`echo "tests of ${needs.plan.outputs.version}: ${needs.test.conclusion}"`)] })
})

const workflow = Workflow.make("word-count", [plan, test, report])

JobMain.runMain(WorkflowEngine.run(workflow).pipe(Effect.provide(LocalBackend.layer())))
