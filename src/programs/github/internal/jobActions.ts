/** `uses`: actions of this repository, images, and the checkout that is already done. */
import * as Path from "node:path"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as CommandLine from "effect/process/CommandLine"
import * as Result from "effect/Result"
import { ContainerStep, ScriptStep, type Step } from "../../../domain/Step.ts"
import type { NextStep, Situation } from "../../../domain/StepProgram.ts"
import * as Words from "../../container-options/Words.ts"
import type { ActionSyntax, Condition, StepSyntax } from "../WorkflowSyntax.ts"
import * as ContextData from "./contextData.ts"
import type { Scope } from "./expression.ts"
import type { Composite, Frame } from "./jobScope.ts"
import { type About, type JobSetting, type RunFields, type StepRunner, scriptFields } from "./stepRunner.ts"
import * as Values from "./values.ts"

export /** Clean-up that an action has asked for. */
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

export interface ActionSetting {
  readonly setting: JobSetting
  readonly runner: StepRunner
  readonly evaluated: <A>(situation: Situation, evaluation: () => A) => Effect.Effect<A, string>
  /** The steps of a composite action come next. */
  readonly enter: (frame: Frame) => void
  readonly registerPost: (post: Post) => void
  /** Of a step that is done without running. */
  readonly onOutputs: (outputs: Readonly<Record<string, string>>) => void
}

/** A step that uses something, when it is about to run. */
interface Used {
  readonly situation: Situation
  readonly frame: Frame
  readonly step: StepSyntax
  readonly about: About
  readonly continueOnError: boolean
}

export interface Actions {
  /** A step to run, or nothing if it is an action whose steps come next. */
  readonly use: (used: Used, does: UsesDoes) => Effect.Effect<NextStep | undefined, string>
  /** The outputs of a composite action that has ended. */
  readonly outputsOf: (
    situation: Situation,
    composite: Composite,
    scope: Scope
  ) => Effect.Effect<Readonly<Record<string, string>>>
}

export const makeActions = ({ enter, evaluated, onOutputs, registerPost, runner, setting }: ActionSetting): Actions => {
  const use = Effect.fnUntraced(function* (used: Used, does: UsesDoes): Effect.fn.Return<NextStep | undefined, string> {
    const { about, frame, situation } = used
    const given = yield* evaluated(situation, () => Values.record(frame.file, does.with, "`with`", about.scope))
    switch (does.action._tag) {
      case "Remote": {
        const { ref = "", sha = "" } = setting.contexts.run.github
        const outputs = { ref, commit: sha }
        onOutputs(outputs)
        const detail = `${does.uses.value}: the workspace is already here`
        return { _tag: "Done", id: about.id, name: about.name, detail, outputs }
      }
      case "LeftOut":
        onOutputs({})
        return { _tag: "Done", id: about.id, name: about.name, detail: `${does.uses.value}: left out`, outputs: {} }
      case "Docker":
        return dockerStep(about, given, { source: { image: does.action.image }, args: [], env: {} })
      case "Local": {
        const action = setting.file.actions.get(does.action.path)
        if (action === undefined) return yield* Effect.fail(`there is no action in ${does.action.path}`)
        if (!setting.hasFiles) {
          return yield* Effect.fail(
            `${does.uses.value} is not in the workspace, which is empty: no step of the job is an actions/checkout`
          )
        }
        return yield* local(used, action, does.action.path, given)
      }
    }
  })

  const local = Effect.fnUntraced(function* (
    { about, continueOnError, frame, situation, step }: Used,
    action: ActionSyntax,
    path: string,
    given: Readonly<Record<string, string>>
  ): Effect.fn.Return<NextStep | undefined, string> {
    const { runs } = action
    const inputs = yield* inputsOf(situation, action, given, about)
    const directory = [situation.environment.facts.workspace, path].filter((part) => part !== "").join("/")
    switch (runs._tag) {
      case "Composite": {
        const composite = {
          action,
          path: directory,
          parent: frame,
          step,
          id: about.id,
          name: about.name,
          excused: about.excused,
          continueOnError,
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
        enter(nested)
        return undefined
      }
      case "JavaScript": {
        const state: Record<string, string> = {}
        if (runs.pre !== undefined)
          yield* runner.warn(`\`pre\` of a local action does not run, on GitHub neither: ${action.file}`)
        const node = (script: string) => (fields: RunFields) =>
          new ScriptStep({
            ...scriptFields(fields),
            script: `exec node ${quoted(`${directory}/${script}`)}`,
            shell: "sh -e {0}"
          })
        if (runs.post !== undefined) {
          registerPost(
            postOf(about, { file: action.file, condition: runs.postIf, inputs, state, run: node(runs.post) })
          )
        }
        return runner.run(about, { command: `node ${path}/${runs.main}`, inputs, state, make: node(runs.main) })
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
          source:
            runs.from === "image"
              ? { image: runs.image.value }
              : // As it is on this machine: what the job's steps have changed of it does not count.
                { dockerfile: Path.join(setting.file.workspace, path, runs.image.value) },
          args: args as ReadonlyArray<string>,
          env: env as Readonly<Record<string, string>>
        }
        const state: Record<string, string> = {}
        if (runs.postEntrypoint !== undefined) {
          const entryPoint = Words.split(runs.postEntrypoint)
          registerPost(
            postOf(about, {
              file: action.file,
              condition: runs.postIf,
              inputs,
              state,
              run: (fields) => containerStep(docker.source, entryPoint, docker.args, fields)
            })
          )
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
      yield* runner.warn(
        `${action.file}: there is no input ${unexpected.join(", ")}; there are: ${[...known].join(", ")}`
      )
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

  const dockerStep = (about: About, inputs: Readonly<Record<string, string>>, docker: Docker): NextStep => {
    const given = (wanted: string) =>
      Object.entries(inputs).find(([name, value]) => name.toLowerCase() === wanted && value !== "")?.[1]
    const entryPoint = given("entrypoint") ?? docker.entrypoint
    const own = given("args")
    const args = own === undefined ? docker.args : Words.split(own)
    const withEnv = { ...about, own: { ...docker.env, ...about.own } }
    return runner.run(withEnv, {
      command: [docker.source.image ?? docker.source.dockerfile, ...args].join(" "),
      inputs,
      state: docker.state,
      make: (fields) =>
        containerStep(docker.source, entryPoint === undefined ? undefined : Words.split(entryPoint), args, fields)
    })
  }

  const outputsOf = Effect.fnUntraced(function* (
    situation: Situation,
    { action, name: called }: Composite,
    scope: Scope
  ) {
    const outputs: Record<string, string> = {}
    for (const { name, value } of action.outputs) {
      const output = yield* Effect.result(evaluated(situation, () => Values.string(action.file, value, scope)))
      if (Result.isSuccess(output)) outputs[name] = output.success
      else yield* runner.warn(`the output ${name} of ${called}: ${output.failure}`)
    }
    return outputs
  })

  return { use, outputsOf }
}

type UsesDoes = Extract<StepSyntax["does"], { readonly _tag: "Uses" }>

type DockerSource =
  | { readonly image: string; readonly dockerfile?: never }
  | { readonly image?: never; readonly dockerfile: string }

interface Docker {
  readonly source: DockerSource
  readonly entrypoint?: string | undefined
  readonly args: ReadonlyArray<string>
  readonly env: Readonly<Record<string, string>>
  readonly state?: Record<string, string>
}

const postOf = (
  { id, name, now }: About,
  post: Pick<Post, "file" | "condition" | "inputs" | "state" | "run">
): Post => ({ ...post, id: `${id}.post`, name: `Post ${name}`, env: now.env })

const containerStep = (
  source: DockerSource,
  entryPoint: ReadonlyArray<string> | undefined,
  args: ReadonlyArray<string>,
  { env, files, workspace }: RunFields
): Step =>
  new ContainerStep({
    ...source,
    args,
    env,
    files,
    workingDirectory: workspace,
    ...(entryPoint === undefined ? {} : { entryPoint })
  })

const quoted = (path: string): string => Result.getOrThrow(CommandLine.quote(path))
