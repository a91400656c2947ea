/** Runs single steps of one job: variables and paths that steps set reach the ones after them, output is masked, commands are obeyed. */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as EnvVars from "../../../domain/EnvVars.ts"
import { emit } from "../../../domain/JobEvent.ts"
import { type Step, StepFile } from "../../../domain/Step.ts"
import type { Left, Meaning, NextStep } from "../../../domain/StepProgram.ts"
import type { Masker } from "../../commands/Masker.ts"
import * as WorkflowCommands from "../../commands/WorkflowCommands.ts"
import type { WorkflowFile } from "../WorkflowFile.ts"
import type { JobSyntax } from "../WorkflowSyntax.ts"
import * as Contexts from "./contexts.ts"
import type { Scope } from "./expression.ts"
import { readFileCommands, stepFiles } from "./fileCommands.ts"
import { githubMore, type JobContexts, type Moment } from "./jobScope.ts"
import { makeStepOutput } from "./stepOutput.ts"

/**
 * What a step wrote for people to read.
 *
 * @category models
 */
export interface StepSummary {
  readonly job: string
  readonly step: string
  /** Secrets are masked. */
  readonly markdown: string
}

export interface JobSetting {
  readonly file: WorkflowFile
  readonly job: JobSyntax
  /** What the run of the job is called. */
  readonly name: string
  readonly contexts: JobContexts
  readonly masker: Masker
  /** Of the command line. */
  readonly baseEnv: Readonly<Record<string, string>>
  /** Of the job's container: for what runs in that one. */
  readonly containerEnv: Readonly<Record<string, string>>
  /** The job has the workspace's files: it checks out, or works in place. */
  readonly hasFiles: boolean
  readonly onSummary: (summary: StepSummary) => void
}

export /** What is known of a step when it is about to run. */
interface About {
  readonly id: string
  readonly name: string
  readonly excused: boolean
  /** Its own variables. */
  readonly own: Readonly<Record<string, string>>
  readonly now: Moment
  readonly scope: Scope
  readonly timeout: Duration.Duration | undefined
}

export interface RunFields {
  readonly env: EnvVars.EnvVars
  /** With what the job's container has. */
  readonly envInContainer: EnvVars.EnvVars
  readonly files: ReadonlyArray<StepFile>
  readonly prependPath: ReadonlyArray<string>
  /** Where containers of their own work. */
  readonly workspace: string
}

/** What a step is run with besides its variables. */
interface Given {
  /** For people, in one line. */
  readonly command: string
  /** `INPUT_…` variables. */
  readonly inputs?: Readonly<Record<string, string>>
  /** `STATE_…` variables, and where the step's own go; left out, it has none. */
  readonly state?: Record<string, string> | undefined
  readonly make: (fields: RunFields) => Step
}

export interface StepRunner {
  readonly run: (about: About, given: Given) => NextStep
  readonly warn: (message: string) => Effect.Effect<void>
  /** Of the workflow, the job, and what steps have set since. */
  readonly env: () => Readonly<Record<string, string>>
  readonly setEnv: (env: Readonly<Record<string, string>>) => void
}

export const makeStepRunner = (
  setting: JobSetting,
  onOutputs: (outputs: Readonly<Record<string, string>>) => void
): StepRunner => {
  const { contexts, masker } = setting
  let env: Readonly<Record<string, string>> = {}
  const paths: Array<string> = []

  const warn = (message: string) => emit({ _tag: "Warning", job: setting.name, message: masker.mask(message) })

  const run = (
    { excused, id, name, now, own, timeout }: About,
    { command, inputs = {}, make, state }: Given
  ): NextStep => {
    const plain = { ...now.env, ...own }
    const texts = Object.fromEntries(
      Object.entries(githubMore(contexts, now)).map(([key, value]) => [key, String(value)])
    )
    const variables = {
      ...plain,
      ...Object.fromEntries(Object.entries(inputs).map(([key, value]) => [inputVariable(key), value])),
      ...Object.fromEntries(Object.entries(state ?? {}).map(([key, value]) => [`STATE_${key}`, value])),
      ...Contexts.githubVariables({ ...contexts.run.github, ...texts }),
      ...Contexts.runnerVariables(Contexts.runnerTexts(now.situation.environment.facts, contexts.debug)),
      GITHUB_ACTIONS: "true",
      CI: plain.CI ?? "true"
    }
    const event = new StepFile({
      name: "event.json",
      variable: "GITHUB_EVENT_PATH",
      content: JSON.stringify(contexts.run.event.payload)
    })
    const said: Said = { outputs: {}, env: {}, paths: [], state: {}, problem: undefined }
    const reader = WorkflowCommands.make({
      debug: contexts.debug,
      echo: contexts.debug,
      allowUnsecure: plain.ACTIONS_ALLOW_UNSECURE_COMMANDS?.toLowerCase() === "true"
    })
    return {
      _tag: "Run",
      id,
      name,
      command: masker.mask(command),
      run: make({
        env: EnvVars.fromRecord(variables),
        envInContainer: EnvVars.fromRecord({ ...setting.containerEnv, ...variables }),
        files: [...stepFiles, event],
        // The last one that was added is looked at first.
        prependPath: paths.toReversed(),
        workspace: now.situation.environment.facts.workspace
      }),
      timeout,
      continueOnError: excused,
      unstartable: "failure",
      filter: makeStepOutput({ masker, reader, obey: (instruction) => obey(said, masker, instruction) }),
      settle: (left) => settle(name, said, state, left)
    }
  }

  const settle = Effect.fnUntraced(function* (
    name: string,
    said: Said,
    state: Record<string, string> | undefined,
    { files }: Left
  ) {
    const commands = readFileCommands(files)
    for (const warning of commands.warnings) yield* warn(`${name}: ${warning}`)
    env = { ...env, ...said.env, ...commands.env }
    for (const path of [...said.paths, ...commands.paths]) {
      if (paths.includes(path)) paths.splice(paths.indexOf(path), 1)
      paths.push(path)
    }
    if (state !== undefined) Object.assign(state, said.state, commands.state)
    if (commands.summary !== "") {
      setting.onSummary({ job: setting.name, step: name, markdown: masker.mask(commands.summary) })
    }
    const outputs = { ...said.outputs, ...commands.outputs }
    onOutputs(outputs)
    const failure = said.problem ?? commands.problems[0]
    const meaning: Meaning = {
      outputs: Object.fromEntries(Object.entries(outputs).map(([key, value]) => [key, masker.mask(value)])),
      ...(failure === undefined ? {} : { failure: masker.mask(failure) })
    }
    return meaning
  })

  return {
    run,
    warn,
    env: () => env,
    setEnv: (own) => {
      env = own
    }
  }
}

/** What a step has set by commands in its output. */
interface Said {
  readonly outputs: Record<string, string>
  readonly env: Record<string, string>
  readonly paths: Array<string>
  readonly state: Record<string, string>
  problem: string | undefined
}

const obey = (said: Said, masker: Masker, instruction: WorkflowCommands.Instruction): void => {
  switch (instruction._tag) {
    case "AddMask":
      masker.add(instruction.value)
      // GitHub masks each line of a value, too.
      for (const line of Redacted.value(instruction.value).split(/\r?\n/)) masker.add(Redacted.make(line))
      break
    case "SetOutput":
      said.outputs[instruction.name] = instruction.value
      break
    case "SaveState":
      said.state[instruction.name] = instruction.value
      break
    case "SetEnv":
      said.env[instruction.name] = instruction.value
      break
    case "AddPath":
      said.paths.push(instruction.path)
      break
    case "Refused":
      said.problem ??= instruction.message
      break
    default:
  }
}

const inputVariable = (name: string): string => `INPUT_${name.replaceAll(" ", "_").toUpperCase()}`

/** Of a script, in terms of the domain. */
export const scriptFields = ({ envInContainer, files, prependPath }: RunFields) => ({
  env: envInContainer,
  files,
  prependPath
})
