/** The steps of one job, as GitHub's runner takes them: one after the other, with actions in their place and their clean-up at the end. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { StepResult } from "../../../domain/JobResult.ts"
import type { NextStep, Situation, StepProgram } from "../../../domain/StepProgram.ts"
import type { JobSyntax, StepSyntax } from "../WorkflowSyntax.ts"
import { hashFiles } from "./hashFiles.ts"
import { makeActions, type Post } from "./jobActions.ts"
import { type Entry, type Frame, type Moment, scopeOf } from "./jobScope.ts"
import * as Shells from "./shells.ts"
import { actionName, defaultName, firstLine, nameIn } from "./stepNames.ts"
import { type About, type JobSetting, makeStepRunner, scriptFields } from "./stepRunner.ts"
import * as Values from "./values.ts"

/** The step that was asked for last, until its result is known. */
interface Pending {
  readonly frame: Frame
  /** Left out: nobody can refer to it. */
  readonly id: string | undefined
  readonly continueOnError: boolean
  outputs: Readonly<Record<string, string>>
}

export const makeJobProgram = (setting: JobSetting): StepProgram => {
  const { contexts, job, masker } = setting
  const { syntax } = setting.file
  let begun = false
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

  const onOutputs = (outputs: Readonly<Record<string, string>>) => {
    if (pending !== undefined) pending.outputs = outputs
  }
  const runner = makeStepRunner(setting, onOutputs)
  const { warn } = runner

  const moment = (situation: Situation, frame: Frame, own: Readonly<Record<string, string>>, action = ""): Moment => ({
    situation,
    frame,
    rootFailed: root.failed,
    env: { ...setting.baseEnv, ...runner.env(), ...frame.env, ...own },
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
    if (!begun) {
      begun = true
      const own = yield* Effect.result(evaluated(situation, () => jobEnv(situation)))
      if (Result.isFailure(own)) {
        // Nothing can run without its variables.
        frames = []
        return fail("set-up", "Set up job", own.failure, false)
      }
      runner.setEnv(own.success)
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
    const id = `${frame.prefix}${step.id?.value ?? freeId(frame)}`
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
        : actions.use({ situation, frame, step, about, continueOnError }, step.does)
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
    return runner.run(about, {
      command: firstLine(script),
      make: (fields) =>
        Shells.scriptStep(shell, script, {
          ...scriptFields(fields),
          ...(directory === undefined ? {} : { workingDirectory: directory })
        })
    })
  }

  // ---- actions

  const actions = makeActions({
    setting,
    runner,
    evaluated,
    onOutputs,
    enter: (frame) => {
      // Its own result is made of those of its steps.
      pending = undefined
      frames = [...frames, frame]
    },
    registerPost: (post) => {
      posts.push(post)
    }
  })

  /** All steps of a composite action have ended. */
  const leave = Effect.fnUntraced(function* (
    situation: Situation,
    frame: Frame,
    composite: NonNullable<Frame["composite"]>
  ) {
    const scope = scopeOf(contexts, moment(situation, frame, {}))
    const outputs = yield* actions.outputsOf(situation, composite, scope)
    const outcome = situation.cancelled ? "cancelled" : frame.failed ? "failure" : "success"
    record(composite.parent, composite.step.id?.value, {
      outputs,
      outcome,
      conclusion: outcome === "failure" && composite.continueOnError ? "success" : outcome
    })
  })

  const nextPost = Effect.fnUntraced(function* (situation: Situation) {
    const post = posts.pop()
    if (post === undefined) return undefined
    hashes.clear()
    const now: Moment = { ...moment(situation, root, {}, post.id), env: { ...post.env, ...runner.env() } }
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
    return runner.run(about, { command: name, inputs: post.inputs, state: post.state, make: post.run })
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

/** For a step without an id: by its place, unless another one is called so. */
const freeId = ({ index, steps }: Frame): string => {
  let id = `step-${index}`
  while (steps.some((step) => step.id?.value === id)) id += "_"
  return id
}

const wordOf = ({ outcome }: StepResult): string => (outcome === "timeout" || outcome === "error" ? "failure" : outcome)
