/** Jobs without a container, where the backend has no machine of its own: each runs in an image, by what it runs on. */
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import type { WorkflowFile } from "../WorkflowFile.ts"
import type { JobSyntax, StepSyntax } from "../WorkflowSyntax.ts"
import * as ContextData from "./contextData.ts"
import { type Scope, unknown } from "./expression.ts"
import { combinationsBefore, contextsBefore } from "./foresight.ts"
import type { PreparedRun } from "./prepareRun.ts"
import * as Values from "./values.ts"
import { matches } from "./wildcard.ts"

/** By label, in which `*` stands for any text. */
export type Images = Readonly<Record<string, string>>

/** A label itself counts before a pattern, and a longer pattern before a shorter one. An empty image is none. */
export const imageFor = (images: Images, labels: ReadonlyArray<string>): string | undefined => {
  const fitting = Object.keys(images).filter((pattern) => labels.some((label) => matches(pattern, label)))
  const [best] = fitting.toSorted((a, b) => weight(b) - weight(a))
  return best === undefined ? undefined : images[best] || undefined
}

const weight = (pattern: string): number => (pattern.includes("*") ? pattern.length : Number.POSITIVE_INFINITY)

/** What the job runs on. */
export const labelsOf = (file: string, { runsOn }: JobSyntax, scope: Scope): ReadonlyArray<string> =>
  runsOn === undefined ? [] : texts(Values.json(file, runsOn, scope))

const texts = (value: Schema.Json | undefined): ReadonlyArray<string> => {
  if (value === undefined || value === null) return []
  if (Values.isRecord(value)) return texts(value.labels)
  return Array.isArray(value) ? value.flatMap((each: Schema.Json) => texts(each)) : [Values.textOf(value)]
}

/** It has something to run, and nowhere else to be. */
export const needsImage = (file: WorkflowFile, job: JobSyntax): boolean => {
  const runs = (steps: ReadonlyArray<StepSyntax>, seen: ReadonlySet<string>): boolean =>
    steps.some(({ does }) => {
      if (does._tag === "Run") return true
      const action = does.action._tag === "Local" ? file.actions.get(does.action.path) : undefined
      if (action?.runs._tag !== "Composite") return action?.runs._tag === "JavaScript"
      return !seen.has(action.file) && runs(action.runs.steps, new Set([...seen, action.file]))
    })
  const services = "kind" in job.services || job.services.length > 0
  return !services || runs(job.steps, new Set())
}

/** Labels of the job's combinations, as far as the file alone tells them, that no image is known for. */
export const withoutImage = (run: PreparedRun, images: Images, job: JobSyntax): ReadonlyArray<string> | undefined => {
  const contexts: Scope["contexts"] = { ...contextsBefore(run, job), strategy: unknown }
  const known = Result.flatMap(combinationsBefore(run, job, run.options.matrix), (all) =>
    Result.try(() =>
      all.map((combination) =>
        labelsOf(run.file.syntax.file, job, { contexts: { ...contexts, matrix: ContextData.fromJson(combination) } })
      )
    )
  )
  if (Result.isFailure(known)) return Object.keys(images).length === 0 ? [] : undefined
  return known.success.find((labels) => imageFor(images, labels) === undefined)
}

/** What is said of it. */
export const complaint = (job: string, labels: ReadonlyArray<string>) => {
  const label = labels[0] ?? "LABEL"
  return {
    message: `the job "${job}" has no \`container\`, and no image is known for ${labels.length === 0 ? "what it runs on" : labels.join(", ")}`,
    hint: `Give it a \`container\`, or say which image it runs in: --image ${label}=IMAGE.`
  }
}
