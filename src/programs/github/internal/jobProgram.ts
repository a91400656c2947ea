/** The steps of one job, as GitHub's runner takes them: one after the other, with actions in their place and their clean-up at the end. */

import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as CommandLine from "effect/process/CommandLine"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as EnvVars from "../../../domain/EnvVars.ts"
import { emit } from "../../../domain/JobEvent.ts"
import type { StepResult } from "../../../domain/JobResult.ts"
import { ContainerStep, ScriptStep, type Step, StepFile } from "../../../domain/Step.ts"
import type { Left, Meaning, NextStep, Situation, StepProgram } from "../../../domain/StepProgram.ts"
import type { Masker } from "../../commands/Masker.ts"
import * as WorkflowCommands from "../../commands/WorkflowCommands.ts"
import * as Words from "../../container-options/Words.ts"
import type { WorkflowFile } from "../WorkflowFile.ts"
import type { ActionSyntax, Condition, JobSyntax, StepSyntax } from "../WorkflowSyntax.ts"
import * as ContextData from "./contextData.ts"
import * as Contexts from "./contexts.ts"
import type { Scope } from "./expression.ts"
import { readFileCommands, stepFiles } from "./fileCommands.ts"
import { hashFiles } from "./hashFiles.ts"
import { type Entry, type Frame, githubMore, type JobContexts, type Moment, scopeOf } from "./jobScope.ts"
import * as Shells from "./shells.ts"
import { makeStepOutput } from "./stepOutput.ts"
import { written } from "./template.ts"
import * as Values from "./values.ts"

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

/** The step that was asked for last, until its result is known. */
interface Pending {
  readonly frame: Frame
  /** Left out: nobody can refer to it. */
  readonly id: string | undefined
  readonly continueOnError: boolean
  outputs: Readonly<Record<string, string>>
}

/** Clean-up that an action has asked for. */
interface Post {
  readonly id: string
  readonly name: string
  readonly file: string
  readonly condition: Condition | undefined
  readonly env: Readonly<Record<string, string>>
  readonly inputs: Readonly<Record<string, string>>
  readonly state: Record<string, string>
  readonly run: (fields: RunFields) => Step
}

interface RunFields {
  readonly env: EnvVars.EnvVars
  /** With what the job's container has. */
  readonly envInContainer: EnvVars.EnvVars
  readonly files: ReadonlyArray<StepFile>
  readonly prependPath: ReadonlyArray<string>
}

export const makeJobProgram = (setting: JobSetting): StepProgram => {
  const { contexts, file, job, masker } = setting
  const { syntax } = file
  /** Of the workflow, the job, and GITHUB_ENV, once the job has begun. */
  let env: Record<string, string> | undefined
  const paths: Array<string> = []
  const posts: Array<Post> = []
  const hashes = new Map<string, string>()
  const root: Frame = {
    file: syntax.file,
    steps: job.steps,
    index: 0,
    prefix: "",
    entries: new Map(),
    inputs: contexts.run.inputs,
    env: {},
    failed: false
  }
  let frames: ReadonlyArray<Frame> = [root]
  let pending: Pending | undefined

  const warn = (message: string) => emit({ _tag: "Warning", job: setting.name, message: masker.mask(message) })

  const moment = (situation: Situation, frame: Frame, own: Readonly<Record<string, string>>, action = ""): Moment => ({
    situation,
    frame,
    rootFailed: root.failed,
    env: { ...setting.baseEnv, ...env, ...frame.env, ...own },
    action,
    hashes
  })

  /** Evaluates, and looks at files as often as it is found that they are needed. */
  const evaluated = <A>(situation: Situation, evaluation: () => A): Effect.Effect<A, string> =>
    Effect.gen(function* () {
      while (true) {
        const result = Result.try({ try: evaluation, catch: (cause) => cause })
        if (Result.isSuccess(result)) return result.success
        const cause = result.failure
        if (!(cause instanceof Values.FilesNeeded)) {
          return yield* Effect.fail(masker.mask(cause instanceof Error ? cause.message : String(cause)))
        }
        const hash = yield* Effect.mapError(hashFiles(situation.environment, cause.patterns), (error) =>
          typeof error === "string" ? error : error.message
        )
        hashes.set(cause.patterns.join("\n"), hash)
      }
    })

  // ---- what came of the step before

  const absorb = ({ results }: Situation) => {
    const result = results.at(-1)
    if (pending === undefined || result === undefined) return
    const { continueOnError, frame, id, outputs } = pending
    pending = undefined
    const outcome = wordOf(result)
    record(frame, id, { outputs, outcome, conclusion: outcome === "failure" && continueOnError ? "success" : outcome })
  }

  const record = (frame: Frame, id: string | undefined, entry: Entry) => {
    if (entry.conclusion === "failure") frame.failed = true
    if (id !== undefined) frame.entries.set(id, entry)
  }

  // ---- the next step

  const next = Effect.fnUntraced(function* (situation: Situation) {
    absorb(situation)
    if (env === undefined) {
      env = {}
      const own = yield* Effect.result(evaluated(situation, () => jobEnv(situation)))
      if (Result.isFailure(own)) {
        // Nothing can run without its variables.
        frames = []
        return fail("set-up", "Set up job", own.failure, false)
      }
      env = own.success
    }
    while (true) {
      const frame = frames.at(-1)
      if (frame === undefined) return yield* nextPost(situation)
      hashes.clear()
      const step = frame.steps[frame.index]
      if (step === undefined) {
        frames = frames.slice(0, -1)
        if (frame.composite !== undefined) yield* leave(situation, frame, frame.composite)
        continue
      }
      frame.index++
      const planned = yield* plan(situation, frame, step)
      if (planned !== undefined) return planned
    }
  })

  const jobEnv = (situation: Situation): Record<string, string> => {
    const scope = scopeOf(contexts, moment(situation, root, {}))
    const ofWorkflow = Values.record(syntax.file, syntax.env, "`env`", scope)
    return { ...ofWorkflow, ...Values.record(syntax.file, job.env, "`env`", scope) }
  }

  const fail = (id: string, name: string, detail: string, continueOnError: boolean): NextStep => ({
    _tag: "Fail",
    id,
    name,
    detail,
    continueOnError
  })

  /** A step to run, or nothing if it is an action whose steps come next. */
  const plan = Effect.fnUntraced(function* (situation: Situation, frame: Frame, step: StepSyntax) {
    const id = `${frame.prefix}${step.id?.value ?? `step-${frame.index}`}`
    const action = step.id?.value ?? actionName(step, frame)
    const excusedAbove = frame.composite?.excused ?? false
    const label = masker.mask(defaultName(step))
    const refuse = (detail: string) => {
      pending = { frame, id: step.id?.value, continueOnError: false, outputs: {} }
      return fail(id, label, detail, excusedAbove)
    }
    const looked = yield* Effect.result(
      evaluated(situation, () => {
        const before = scopeOf(contexts, moment(situation, frame, {}, action))
        const own = Values.record(frame.file, step.env, "`env`", before)
        const now = moment(situation, frame, own, action)
        const scope = scopeOf(contexts, now)
        if (!Values.holds(frame.file, step.if, scope, !frame.failed && !situation.cancelled)) return undefined
        return {
          own,
          now,
          scope,
          name: nameIn(frame, step, scope),
          continueOnError: Values.boolean(frame.file, step.continueOnError, "`continue-on-error`", scope) ?? false,
          timeout: Values.minutes(frame.file, step.timeoutMinutes, "`timeout-minutes`", scope)
        }
      })
    )
    if (Result.isFailure(looked)) return refuse(looked.failure)
    if (looked.success === undefined) {
      record(frame, step.id?.value, { outputs: {}, outcome: "skipped", conclusion: "skipped" })
      return { _tag: "Skip", id, name: label } satisfies NextStep
    }
    const { continueOnError, name: plainName, now, own, scope, timeout } = looked.success
    const name = masker.mask(plainName).replaceAll(/\s*\n\s*/g, " ")
    const excused = continueOnError || excusedAbove
    pending = { frame, id: step.id?.value, continueOnError, outputs: {} }
    const about = { id, name, excused, own, now, scope, timeout: yield* timeLeft(frame, timeout) }
    const made = yield* Effect.result(
      step.does._tag === "Run"
        ? evaluated(situation, () => runStep(frame, step.does as RunDoes, about))
        : useStep(situation, frame, step, step.does, { ...about, continueOnError })
    )
    return Result.isSuccess(made) ? made.success : fail(id, name, made.failure, excused)
  })

  /** An action's time is the time of all of its steps. */
  const timeLeft = Effect.fnUntraced(function* (frame: Frame, own: Duration.Duration | undefined) {
    const deadline = frame.composite?.deadline
    if (deadline === undefined) return own
    const left = Duration.millis(Math.max(1, deadline - (yield* Clock.currentTimeMillis)))
    return own === undefined ? left : Duration.min(own, left)
  })

  const runStep = (frame: Frame, does: RunDoes, about: About): NextStep => {
    const { scope } = about
    const text = (value: JobSyntax["name"]) =>
      value === undefined ? undefined : Values.string(frame.file, value, scope) || undefined
    const inAction = frame.composite !== undefined
    const shell = text(does.shell) ?? (inAction ? undefined : (text(job.defaults.shell) ?? text(syntax.defaults.shell)))
    const problem = shell === undefined ? undefined : Shells.problemOf(shell)
    if (problem !== undefined) throw new Values.ValueProblem({ message: problem })
    const directory =
      text(does.workingDirectory) ??
      (inAction ? undefined : (text(job.defaults.workingDirectory) ?? text(syntax.defaults.workingDirectory)))
    const script = Values.string(frame.file, does.script, scope)
    return run(about, masker.mask(firstLine(script)), {}, undefined, (fields) =>
      Shells.scriptStep(shell, script, {
        ...scriptFields(fields),
        ...(directory === undefined ? {} : { workingDirectory: directory })
      })
    )
  }

  // ---- actions

  const useStep = Effect.fnUntraced(function* (
    situation: Situation,
    frame: Frame,
    step: StepSyntax,
    does: UsesDoes,
    about: About & { readonly continueOnError: boolean }
  ): Effect.fn.Return<NextStep | undefined, string> {
    const given = yield* evaluated(situation, () => Values.record(frame.file, does.with, "`with`", about.scope))
    switch (does.action._tag) {
      case "Remote": {
        const { ref = "", sha = "" } = contexts.run.github
        const outputs = { ref, commit: sha }
        if (pending !== undefined) pending.outputs = outputs
        const detail = `${does.uses.value}: the workspace is already here`
        return { _tag: "Done", id: about.id, name: about.name, detail, outputs }
      }
      case "Docker":
        return dockerStep(about, given, { image: does.action.image, args: [], env: {} })
      case "Local": {
        const action = file.actions.get(does.action.path)
        if (action === undefined) return yield* Effect.fail(`there is no action in ${does.action.path}`)
        if (!setting.hasFiles) {
          return yield* Effect.fail(
            `${does.uses.value} is not in the workspace, which is empty: no step of the job is an actions/checkout`
          )
        }
        return yield* localAction(situation, frame, step, action, does.action.path, given, about)
      }
    }
  })

  const localAction = Effect.fnUntraced(function* (
    situation: Situation,
    frame: Frame,
    step: StepSyntax,
    action: ActionSyntax,
    path: string,
    given: Readonly<Record<string, string>>,
    about: About & { readonly continueOnError: boolean }
  ): Effect.fn.Return<NextStep | undefined, string> {
    const { runs } = action
    const inputs = yield* inputsOf(situation, action, given, about)
    const directory = [situation.environment.facts.workspace, path].filter((part) => part !== "").join("/")
    switch (runs._tag) {
      case "Composite": {
        pending = undefined
        const composite = {
          action,
          path: directory,
          parent: frame,
          step,
          id: about.id,
          name: about.name,
          excused: about.excused,
          continueOnError: about.continueOnError,
          deadline:
            about.timeout === undefined
              ? undefined
              : (yield* Clock.currentTimeMillis) + Duration.toMillis(about.timeout)
        }
        const nested: Frame = {
          file: action.file,
          steps: runs.steps,
          index: 0,
          prefix: `${about.id}.`,
          entries: new Map(),
          inputs: ContextData.fromJson(inputs),
          env: { ...frame.env, ...about.own },
          failed: false,
          composite
        }
        frames = [...frames, nested]
        return undefined
      }
      case "JavaScript": {
        const state: Record<string, string> = {}
        if (runs.pre !== undefined)
          yield* warn(`\`pre\` of a local action does not run, on GitHub neither: ${action.file}`)
        const node = (script: string) => (fields: RunFields) =>
          new ScriptStep({
            ...scriptFields(fields),
            script: `exec node ${quoted(`${directory}/${script}`)}`,
            shell: "sh -e {0}"
          })
        if (runs.post !== undefined) {
          registerPost(about, { file: action.file, condition: runs.postIf, inputs, state, run: node(runs.post) })
        }
        return run(about, masker.mask(`node ${path}/${runs.main}`), inputs, state, node(runs.main))
      }
      case "Docker": {
        const scope: Scope = {
          contexts: { inputs: ContextData.fromJson(inputs), github: about.scope.contexts.github! }
        }
        const [args, env] = yield* evaluated(situation, () => [
          runs.args.map((arg) => Values.string(action.file, arg, scope)),
          Object.fromEntries(
            runs.env.flatMap(({ key, value }) =>
              value.kind === "text" ? [[key, Values.string(action.file, value, scope)]] : []
            )
          )
        ])
        const docker = {
          image: runs.image.value,
          args: args as ReadonlyArray<string>,
          env: env as Readonly<Record<string, string>>
        }
        const state: Record<string, string> = {}
        if (runs.postEntrypoint !== undefined) {
          const entryPoint = Words.split(runs.postEntrypoint)
          registerPost(about, {
            file: action.file,
            condition: runs.postIf,
            inputs,
            state,
            run: (fields) => containerStep(docker.image, entryPoint, docker.args, fields)
          })
        }
        return dockerStep(about, inputs, { ...docker, entrypoint: runs.entrypoint, state })
      }
    }
  })

  const inputsOf = Effect.fnUntraced(function* (
    situation: Situation,
    action: ActionSyntax,
    given: Readonly<Record<string, string>>,
    { scope }: About
  ) {
    const byName = new Map(Object.entries(given).map(([name, value]) => [name.toLowerCase(), value]))
    const known = new Set(action.inputs.map(({ name }) => name.toLowerCase()))
    if (action.runs._tag === "Docker") for (const name of ["args", "entrypoint"]) known.add(name)
    const unexpected = Object.keys(given).filter((name) => !known.has(name.toLowerCase()))
    if (unexpected.length > 0) {
      yield* warn(`${action.file}: there is no input ${unexpected.join(", ")}; there are: ${[...known].join(", ")}`)
    }
    const { env: _, inputs: __, secrets: ___, ...visible } = scope.contexts
    const inDefaults: Scope = { ...scope, contexts: visible }
    const values: Record<string, string> = { ...given }
    for (const { default: fallback, name } of action.inputs) {
      if (byName.has(name.toLowerCase())) continue
      values[name] =
        fallback === undefined
          ? ""
          : yield* evaluated(situation, () => Values.string(action.file, fallback, inDefaults))
    }
    return values
  })

  /** All steps of a composite action have ended. */
  const leave = Effect.fnUntraced(function* (
    situation: Situation,
    frame: Frame,
    composite: NonNullable<Frame["composite"]>
  ) {
    const scope = scopeOf(contexts, moment(situation, frame, {}))
    const outputs: Record<string, string> = {}
    for (const { name, value } of composite.action.outputs) {
      const output = yield* Effect.result(evaluated(situation, () => Values.string(frame.file, value, scope)))
      if (Result.isSuccess(output)) outputs[name] = output.success
      else yield* warn(`the output ${name} of ${composite.name}: ${output.failure}`)
    }
    const outcome = situation.cancelled ? "cancelled" : frame.failed ? "failure" : "success"
    record(composite.parent, composite.step.id?.value, {
      outputs,
      outcome,
      conclusion: outcome === "failure" && composite.continueOnError ? "success" : outcome
    })
  })

  interface Docker {
    readonly image: string
    readonly entrypoint?: string | undefined
    readonly args: ReadonlyArray<string>
    readonly env: Readonly<Record<string, string>>
    readonly state?: Record<string, string>
  }

  const dockerStep = (about: About, inputs: Readonly<Record<string, string>>, docker: Docker): NextStep => {
    const given = (wanted: string) =>
      Object.entries(inputs).find(([name, value]) => name.toLowerCase() === wanted && value !== "")?.[1]
    const entryPoint = given("entrypoint") ?? docker.entrypoint
    const own = given("args")
    const args = own === undefined ? docker.args : Words.split(own)
    const withEnv = { ...about, own: { ...docker.env, ...about.own } }
    return run(withEnv, masker.mask([docker.image, ...args].join(" ")), inputs, docker.state, (fields) =>
      containerStep(docker.image, entryPoint === undefined ? undefined : Words.split(entryPoint), args, fields)
    )
  }

  // ---- clean-up

  const registerPost = (
    { id, name, now }: About,
    post: Pick<Post, "file" | "condition" | "inputs" | "state" | "run">
  ) => {
    posts.push({ ...post, id: `${id}.post`, name: `Post ${name}`, env: now.env })
  }

  const nextPost = Effect.fnUntraced(function* (situation: Situation) {
    const post = posts.pop()
    if (post === undefined) return undefined
    hashes.clear()
    const now: Moment = { ...moment(situation, root, {}, post.id), env: { ...post.env, ...env } }
    const scope = scopeOf(contexts, now)
    pending = { frame: root, id: undefined, continueOnError: false, outputs: {} }
    const wanted = yield* Effect.result(
      // Without a condition it always runs.
      evaluated(
        situation,
        () =>
          post.condition === undefined ||
          Values.holds(post.file, post.condition, scope, !root.failed && !situation.cancelled)
      )
    )
    const { id, name } = post
    if (Result.isFailure(wanted)) return fail(id, name, wanted.failure, false)
    if (!wanted.success) return { _tag: "Skip", id, name } satisfies NextStep
    const about: About = { id, name, excused: false, own: {}, now, scope, timeout: undefined }
    return run(about, name, post.inputs, post.state, post.run)
  })

  // ---- running

  const run = (
    { excused, id, name, now, own, timeout }: About,
    command: string,
    inputs: Readonly<Record<string, string>>,
    state: Record<string, string> | undefined,
    make: (fields: RunFields) => Step
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
      command,
      run: make({
        env: EnvVars.fromRecord(variables),
        envInContainer: EnvVars.fromRecord({ ...setting.containerEnv, ...variables }),
        files: [...stepFiles, event],
        // The last one that was added is looked at first.
        prependPath: paths.toReversed()
      }),
      timeout,
      continueOnError: excused,
      filter: makeStepOutput({ masker, reader, obey: (instruction) => obey(said, masker, instruction) }),
      settle: (left) => settle(name, id, said, state, left)
    }
  }

  const settle = Effect.fnUntraced(function* (
    name: string,
    id: string,
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
    if (pending !== undefined) pending.outputs = outputs
    const failure = said.problem ?? commands.problems[0]
    const meaning: Meaning = {
      outputs: Object.fromEntries(Object.entries(outputs).map(([key, value]) => [key, masker.mask(value)])),
      ...(failure === undefined ? {} : { failure: masker.mask(failure) })
    }
    return meaning
  })

  // ---- what the job hands over

  const outputs = Effect.fnUntraced(function* (situation: Situation) {
    absorb(situation)
    const scope = scopeOf(contexts, moment(situation, root, {}))
    const values: Record<string, string> = {}
    for (const { name, value } of job.outputs) {
      const output = yield* Effect.result(evaluated(situation, () => Values.string(syntax.file, value, scope)))
      if (Result.isFailure(output)) {
        yield* warn(`the output ${name}: ${output.failure}`)
        values[name] = ""
        continue
      }
      // As on GitHub: other jobs may run elsewhere, and would not mask it.
      const secret = masker.mask(output.success) !== output.success
      if (secret) yield* warn(`the output ${name} is not handed over: there is a secret in it`)
      values[name] = secret ? "" : output.success
    }
    return values
  })

  return { length: job.steps.length, next, outputs }
}

type RunDoes = Extract<StepSyntax["does"], { readonly _tag: "Run" }>
type UsesDoes = Extract<StepSyntax["does"], { readonly _tag: "Uses" }>

/** What is known of a step when it is about to run. */
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

const wordOf = ({ outcome }: StepResult): string => (outcome === "timeout" || outcome === "error" ? "failure" : outcome)

const scriptFields = ({ envInContainer, files, prependPath }: RunFields) => ({
  env: envInContainer,
  files,
  prependPath
})

const containerStep = (
  image: string,
  entryPoint: ReadonlyArray<string> | undefined,
  args: ReadonlyArray<string>,
  { env, files }: RunFields
): Step => new ContainerStep({ image, args, env, files, ...(entryPoint === undefined ? {} : { entryPoint }) })

const inputVariable = (name: string): string => `INPUT_${name.replaceAll(" ", "_").toUpperCase()}`

const quoted = (path: string): string => Result.getOrThrow(CommandLine.quote(path))

const firstLine = (script: string): string => {
  const lines = script.split("\n").map((line) => line.trim())
  return lines.find((line) => line !== "" && !line.startsWith("#")) ?? "(empty script)"
}

const shortened = (line: string): string => (line.length > 60 ? `${line.slice(0, 59)}…` : line)

/** As it is written, for a step that is not evaluated. */
export const defaultName = ({ does, name }: StepSyntax): string =>
  name !== undefined
    ? written(name)
    : does._tag === "Uses"
      ? does.uses.value
      : shortened(firstLine(written(does.script)))

const nameIn = (frame: Frame, step: StepSyntax, scope: Scope): string => {
  if (step.name !== undefined) return Values.string(frame.file, step.name, scope) || defaultName(step)
  return step.does._tag === "Uses"
    ? step.does.uses.value
    : shortened(firstLine(Values.string(frame.file, step.does.script, scope)))
}

/** `github.action` of a step without an id: `__run`, `__run_2`, `__actions_checkout`. */
const actionName = ({ does }: StepSyntax, { index, steps }: Frame): string => {
  const nameOf = (each: StepSyntax["does"]) =>
    each._tag === "Run"
      ? "__run"
      : each.action._tag === "Remote"
        ? `__${each.action.repository.replace("/", "_")}`
        : each.action._tag === "Local"
          ? "__self"
          : `__${each.action.image.replaceAll(/[^A-Za-z0-9]+/g, "_")}`
  const name = nameOf(does)
  const before = steps.slice(0, index - 1).filter((each) => each.id === undefined && nameOf(each.does) === name)
  return before.length === 0 ? name : `${name}_${before.length + 1}`
}
