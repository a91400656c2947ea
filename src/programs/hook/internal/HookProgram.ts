/**
 * One call of the hook: from what the runner wrote to stdin to the exit code.
 */
import * as Fs from "node:fs"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as BackendErrors from "../../../backends/kubernetes/BackendErrors.ts"
import * as KubeClient from "../../../backends/kubernetes/KubeClient.ts"
import { type BackendError, ConfigurationInvalid, fail } from "../../../domain/JobError.ts"
import * as Forwarder from "./Forwarder.ts"
import * as HookBackend from "./HookBackend.ts"
import * as HookConfig from "./HookConfig.ts"
import * as HookInput from "./HookInput.ts"
import type { HookProcess } from "./HookMain.ts"
import * as HookNames from "./HookNames.ts"
import * as HookResponse from "./HookResponse.ts"
import * as HookState from "./HookState.ts"
import * as PodSettings from "./PodSettings.ts"
import { type Host, prepareJob } from "./PrepareJob.ts"
import * as RunnerPod from "./RunnerPod.ts"
import { runStep } from "./RunStep.ts"
import * as StepMapping from "./StepMapping.ts"

type Environment = Readonly<Record<string, string | undefined>>

/** Gives the exit code: that of the user's own program, or 0. */
export const run = Effect.fnUntraced(function* (
  stdin: Effect.Effect<string>,
  env: Environment,
  host: Host,
  hook: HookProcess
): Effect.fn.Return<number, BackendError> {
  const input = yield* HookInput.parse(yield* stdin)
  // For the bundle's code cache (scripts/loader.cjs): each command compiles something of its own.
  Reflect.set(globalThis, Symbol.for("jobscope.run"), input.command)
  const read = HookConfig.read(env)
  if (Result.isFailure(read)) {
    return yield* fail(
      new ConfigurationInvalid({
        source: read.failure,
        detail: "it is not set",
        hint: "Actions Runner Controller and the Actions runner set it; see docs/hooks.md."
      })
    )
  }
  const { config, warnings } = read.success
  yield* hook.setLevel(config.logLevel ?? (config.debug ? "debug" : "info"))
  for (const warning of warnings) yield* hook.say("warn", warning)
  return yield* Effect.scoped(execute(input, config, env, host, hook)).pipe(
    Effect.provide(KubeClient.layer({ namespace: config.namespace, memory: "small" })),
    Effect.catchTag("KubeError", (error) => Effect.fail(BackendErrors.fromKubeError(error)))
  )
})

const execute = Effect.fnUntraced(function* (
  input: HookInput.HookInput,
  config: HookConfig.HookConfig,
  env: Environment,
  host: Host,
  hook: HookProcess
) {
  switch (input.command) {
    case "prepare_job": {
      const preparing = Effect.flatMap(RunnerPod.look(config, env), (looked) =>
        prepareJob(input, config, looked, host, hook)
      )
      // Interrupted, it leaves nothing behind.
      yield* Effect.raceFirst(preparing, Effect.andThen(hook.cancelled, Effect.interrupt))
      return 0
    }
    case "cleanup_job": {
      // What there is on the claim is known by the state; without one, or with somebody else's, the runner's pod is asked.
      const state = yield* Effect.option(HookState.decode(input.state))
      const listener = Option.getOrUndefined(state)?.listener
      if (listener !== undefined) yield* Forwarder.stop(listener)
      yield* Forwarder.stopIn(PodSettings.stateDirectoryOf(config))
      yield* HookResponse.removeUnfinished(input.responseFile)
      const runner = Option.isSome(state) ? state.value.runner : (yield* RunnerPod.look(config, env)).facts
      const backend = yield* HookBackend.make(config, runner, {
        namespace: config.namespace,
        ownerLabel: HookNames.ownerLabel,
        vigilance: "on-demand",
        sharing: PodSettings.sharingOf(config, runner)
      })
      yield* backend.release({ owner: config.podName })
      yield* Effect.ignore(
        Effect.try({
          // Something that a killed call has started may still write there.
          try: () => Fs.rmSync(PodSettings.stateDirectoryOf(config), { recursive: true, force: true, maxRetries: 5 }),
          catch: () => "it goes with the work directory" as const
        })
      )
      return 0
    }
    case "run_script_step":
    case "run_container_step": {
      const state = yield* HookState.decode(input.state)
      const step =
        input.command === "run_script_step"
          ? yield* StepMapping.toScriptStep(input.args)
          : yield* StepMapping.toContainerStep(input.args, {
              paths: config.paths,
              root: state.runner.claim?.root,
              externals: PodSettings.externalsIn(config, state.runner, PodSettings.externalsOf(config))
            })
      const settings = yield* PodSettings.make(config, state.runner, host.arch, PodSettings.externalsOf(config))
      const backend = yield* HookBackend.make(config, state.runner, settings.options)
      return yield* Effect.ensuring(
        runStep(backend, state, step, hook),
        Effect.suspend(() => Effect.forEach(settings.warnings, (text) => hook.say("warn", text), { discard: true }))
      )
    }
  }
})
