/** What expressions name that is not there: GitHub makes it the empty text without a word, so these are warnings. */
import type { Expression, JobSyntax, StepSyntax, Text, Variables, WorkflowSyntax } from "../WorkflowSyntax.ts"
import { didYouMean, type Source } from "./source.ts"
import { expressionsOf } from "./template.ts"

export const checkReferences = (source: Source, workflow: WorkflowSyntax): void => {
  const outputs = new Map(workflow.jobs.map((job) => [job.id.value, job.outputs.map(({ name }) => name)]))
  for (const job of workflow.jobs) checkJob(source, outputs, job)
}

const checkJob = (source: Source, outputs: ReadonlyMap<string, ReadonlyArray<string>>, job: JobSyntax) => {
  const needs = job.needs.map(({ value }) => value)
  const steps: Array<string> = []
  const allSteps = job.steps.flatMap(({ id }) => id?.value ?? [])
  const check = (expression: Expression, known: ReadonlyArray<string>) => {
    for (const { context, path } of expression.references) {
      const [first, second, third] = path
      const warn = (message: string, word: string, words: ReadonlyArray<string>) =>
        source.report("unknown-reference", expression.range, `${message}: the value is empty`, {
          severity: "warning",
          hint: didYouMean(word, words)
        })
      if (context === "needs" && first !== undefined) {
        if (!has(needs, first)) {
          const hint = outputs.has(first) ? `; add it to the job's \`needs\`` : ""
          warn(`The job "${job.id.value}" does not need "${first}"${hint}`, first, needs)
        } else if (second === "outputs" && third !== undefined && !has(outputs.get(first) ?? [third], third)) {
          warn(`The job "${first}" has no output "${third}"`, third, outputs.get(first) ?? [])
        }
      }
      if (context === "steps" && first !== undefined && !has(known, first)) {
        const later = has(allSteps, first)
        warn(later ? `The step "${first}" comes later` : `No step has the id "${first}"`, first, known)
      }
      if (context === "matrix" && job.strategy?.matrix === undefined) {
        warn("The job has no matrix", "", [])
      }
    }
  }
  for (const expression of expressionsOfJob(job)) check(expression, allSteps)
  for (const step of job.steps) {
    for (const expression of expressionsOfStep(step)) check(expression, steps)
    if (step.id !== undefined) steps.push(step.id.value)
  }
}

const has = (words: ReadonlyArray<string>, word: string): boolean =>
  words.some((each) => each.toLowerCase() === word.toLowerCase())

const of = (text: Text | undefined): ReadonlyArray<Expression> => (text === undefined ? [] : expressionsOf(text))

const ofCondition = (condition: JobSyntax["if"]): ReadonlyArray<Expression> =>
  condition === undefined ? [] : "ast" in condition.expression ? [condition.expression] : of(condition.expression)

const ofVariables = (variables: Variables): ReadonlyArray<Expression> =>
  "kind" in variables ? of(variables) : variables.flatMap(({ value }) => of(value))

/** Those of a job, without its steps. */
const expressionsOfJob = (job: JobSyntax): ReadonlyArray<Expression> => [
  ...of(job.name),
  ...ofCondition(job.if),
  ...(job.runsOn === undefined ? [] : expressionsOf(job.runsOn)),
  ...ofVariables(job.env),
  ...of(job.defaults.shell),
  ...of(job.defaults.workingDirectory),
  ...job.outputs.flatMap(({ value }) => of(value)),
  ...of(job.strategy?.failFast),
  ...of(job.strategy?.maxParallel),
  ...(job.strategy?.matrix === undefined ? [] : expressionsOf(job.strategy.matrix)),
  ...of(job.timeoutMinutes),
  ...of(job.continueOnError),
  ...of(job.concurrency?.group),
  ...(job.container === undefined ? [] : expressionsOf(job.container)),
  ...("kind" in job.services ? of(job.services) : job.services.flatMap(({ container }) => expressionsOf(container)))
]

const expressionsOfStep = (step: StepSyntax): ReadonlyArray<Expression> => [
  ...of(step.name),
  ...ofCondition(step.if),
  ...ofVariables(step.env),
  ...of(step.continueOnError),
  ...of(step.timeoutMinutes),
  ...(step.does._tag === "Run"
    ? [...of(step.does.script), ...of(step.does.shell), ...of(step.does.workingDirectory)]
    : ofVariables(step.does.with))
]
