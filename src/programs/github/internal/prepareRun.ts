/** From a file and options to what all jobs of a run share: which of them, with which event, inputs and contexts. */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Random from "effect/Random"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import * as Masker from "../../commands/Masker.ts"
import { OptionInvalid } from "../OptionInvalid.ts"
import type { Event, Options } from "../RunOptions.ts"
import type { WorkflowFile } from "../WorkflowFile.ts"
import type { InputSyntax, JobSyntax } from "../WorkflowSyntax.ts"
import * as ContextData from "./contextData.ts"
import { makeRunContexts, type RunContexts } from "./contexts.ts"
import { combinationsBefore, type Known } from "./foresight.ts"
import { readGitFacts } from "./gitFacts.ts"
import { didYouMean } from "./source.ts"
import { describe, isWanted } from "./strategy.ts"
import { evaluateText } from "./template.ts"
import { matches } from "./wildcard.ts"

export interface PreparedRun {
  readonly file: WorkflowFile
  readonly options: Options
  readonly contexts: RunContexts
  /** In the order of the file. */
  readonly jobs: ReadonlyArray<JobSyntax>
  /** A masker for one job, that knows the secrets. */
  readonly newMasker: () => Masker.Masker
}

export const prepareRun = Effect.fnUntraced(function* (
  file: WorkflowFile,
  options: Options
): Effect.fn.Return<PreparedRun, OptionInvalid, FileSystem.FileSystem> {
  const jobs = yield* Effect.fromResult(select(file, options))
  const event = yield* Effect.fromResult(eventOf(file, options))
  const git = yield* readGitFacts(file.workspace)
  const runId = yield* Random.nextIntBetween(1_000_000_000, 9_999_999_999)
  const bare = makeRunContexts(file, options, event, {}, git, `${runId}`)
  const inputs = yield* Effect.fromResult(inputsOf(file, options, event, bare))
  yield* Effect.fromResult(checkMatrix({ file, contexts: bare }, jobs, options.matrix))
  const withInputs = Object.keys(inputs).length === 0 ? event : { ...event, payload: { inputs, ...event.payload } }
  const secrets: ReadonlyArray<Redacted.Redacted<string>> = Object.values(options.secrets ?? {})
  return {
    file,
    options,
    jobs,
    contexts: makeRunContexts(file, options, withInputs, inputs, git, `${runId}`),
    newMasker: () => Masker.make(secrets)
  }
})

const refused = (option: string, detail: string, hint?: string) =>
  Result.fail(new OptionInvalid({ option, detail, ...(hint === undefined ? {} : { hint }) }))

const select = (
  { syntax }: WorkflowFile,
  { jobs: wanted = [], needs = true }: Options
): Result.Result<ReadonlyArray<JobSyntax>, OptionInvalid> => {
  if (wanted.length === 0) return Result.succeed(syntax.jobs)
  const ids = syntax.jobs.map(({ id }) => id.value)
  const chosen = new Set<string>()
  for (const pattern of wanted) {
    const found = ids.filter((id) => matches(pattern, id))
    if (found.length === 0) return refused("jobs", `there is no job "${pattern}"`, didYouMean(pattern, ids))
    for (const id of found) chosen.add(id)
  }
  if (needs) {
    // A set that grows while it is gone through.
    for (const id of chosen) {
      for (const need of syntax.jobs.find((job) => job.id.value === id)?.needs ?? []) chosen.add(need.value)
    }
  }
  return Result.succeed(syntax.jobs.filter(({ id }) => chosen.has(id.value)))
}

/** A matrix with a key that is asked for has the value, as far as it is known; another one is none of its business. */
const checkMatrix = (
  run: Known,
  jobs: ReadonlyArray<JobSyntax>,
  wanted: Options["matrix"] = {}
): Result.Result<void, OptionInvalid> => {
  for (const job of jobs) {
    const combinations = combinationsBefore(run, job, undefined)
    if (Result.isSuccess(combinations) && !combinations.success.some((combination) => isWanted(combination, wanted))) {
      const all = combinations.success.map((combination) => `(${describe(combination)})`).join(" ")
      return refused("matrix", `the job "${job.id.value}" has no such combination`, `It has: ${all}.`)
    }
  }
  return Result.void
}

const eventOf = ({ syntax }: WorkflowFile, options: Options): Result.Result<Event, OptionInvalid> => {
  if (options.event !== undefined) return Result.succeed(options.event)
  const hasInputs = Object.keys(options.inputs ?? {}).length > 0
  const names = syntax.on.map(({ name }) => name)
  const name = hasInputs ? names.find((each) => each === "workflow_dispatch" || each === "workflow_call") : names[0]
  return name === undefined
    ? refused("inputs", "the workflow takes none: neither `workflow_dispatch` nor `workflow_call` is in `on`")
    : Result.succeed({ name, payload: {} })
}

const inputsOf = (
  { syntax }: WorkflowFile,
  options: Options,
  event: Event,
  contexts: RunContexts
): Result.Result<{ readonly [name: string]: Schema.Json }, OptionInvalid> => {
  const declared = syntax.on.find(({ name }) => name === event.name)?.inputs ?? []
  const given = options.inputs ?? {}
  for (const name of Object.keys(given)) {
    if (!declared.some((input) => sameName(input.name, name))) {
      const names = declared.map((input) => input.name)
      return refused(`inputs.${name}`, `the workflow has no such input for ${event.name}`, didYouMean(name, names))
    }
  }
  const scope = { contexts: { github: ContextData.fromJson(contexts.github), vars: contexts.vars } }
  const values: Record<string, Schema.Json> = {}
  for (const input of declared) {
    const text = Object.entries(given).find(([name]) => sameName(name, input.name))?.[1]
    const fallback = input.default
    if (text === undefined && fallback === undefined && input.required) {
      return refused(`inputs.${input.name}`, "the workflow requires it")
    }
    const value =
      text ??
      (fallback === undefined
        ? null
        : ContextData.toJson(
            fallback.parts.length === 0 ? ContextData.fromJson(fallback.literal ?? null) : evaluateText(fallback, scope)
          ))
    const read = inputValue(input, value)
    if (Result.isFailure(read)) return Result.fail(read.failure)
    values[input.name] = read.success
  }
  return Result.succeed(values)
}

const sameName = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase()

const inputValue = (
  { name, options, type }: InputSyntax,
  value: Schema.Json
): Result.Result<Schema.Json, OptionInvalid> => {
  const option = `inputs.${name}`
  const text = value === null ? "" : String(value)
  switch (type) {
    case "boolean":
      return /^(?:true|false|)$/i.test(text)
        ? Result.succeed(text.toLowerCase() === "true")
        : refused(option, `it is true or false, not "${text}"`)
    case "number":
      return Number.isFinite(Number(text)) ? Result.succeed(Number(text)) : refused(option, `"${text}" is no number`)
    case "choice":
      return options.length === 0 || value === null || options.includes(text)
        ? Result.succeed(value === null ? (options[0] ?? "") : text)
        : refused(option, `"${text}" is none of its options`, `There are: ${options.join(", ")}.`)
    default:
      return Result.succeed(text)
  }
}
