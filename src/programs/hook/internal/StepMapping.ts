/**
 * `run_script_step` and `run_container_step` in the domain's words.
 */
import * as Effect from "effect/Effect"
import { type BackendError, fail, InvalidInput } from "../../../domain/JobError.ts"
import { ContainerStep, ScriptStep } from "../../../domain/Step.ts"
import type { HookContainer, RunScriptStep } from "./HookInput.ts"
import { checkSizes, commandOf, credentialsOf, imageOf, withCi } from "./JobMapping.ts"
import * as Mounts from "./Mounts.ts"

/**
 * The runner has split the command line at every space, quotes and all, and wants `sh` to read it: that is what makes lines such as
 * `shell: bash -c "exec {0}"` work.
 */
export const toScriptStep = Effect.fnUntraced(function* (
  args: RunScriptStep
): Effect.fn.Return<ScriptStep, BackendError> {
  yield* checkSizes(args.environmentVariables, "args.environmentVariables")
  const command = [args.entryPoint, ...args.entryPointArgs].join(" ")
  return new ScriptStep({
    // A shell without a script is the whole command, unless it asks for one.
    ...(command.includes("{0}") ? { script: `exec ${command}\n` } : { script: "", shell: command }),
    env: args.environmentVariables,
    prependPath: args.prependPath,
    // The runner reads two pipes, and does not say which line came first.
    stderr: "with-stdout",
    ...(args.workingDirectory === undefined || args.workingDirectory === ""
      ? {}
      : { workingDirectory: args.workingDirectory })
  })
})

/** Arguments are words, and no shell looks at them, as with Docker. */
export const toContainerStep = Effect.fnUntraced(function* (
  args: HookContainer,
  places: Mounts.Places
): Effect.fn.Return<ContainerStep, BackendError> {
  const image = imageOf(args)
  const dockerfile = args.dockerfile === undefined || args.dockerfile === "" ? undefined : args.dockerfile
  if (image === undefined && dockerfile === undefined) {
    return yield* fail(new InvalidInput({ input: "args.image", detail: "it is empty" }))
  }
  const env = withCi(args.environmentVariables)
  yield* checkSizes(env, "args.environmentVariables")
  const system = Mounts.ofSystem(
    args.systemMountVolumes.length === 0 ? Mounts.stepDefaults(places.paths) : args.systemMountVolumes,
    places
  )
  const credentials = credentialsOf(args)
  const { args: words, entryPoint } = commandOf(args)
  return new ContainerStep({
    ...(image !== undefined ? { image } : dockerfile !== undefined ? { dockerfile } : {}),
    args: words,
    env,
    mounts: system.mounts,
    ...(credentials === undefined ? {} : { credentials }),
    ...(entryPoint === undefined ? {} : { entryPoint }),
    ...(args.workingDirectory === undefined || args.workingDirectory === ""
      ? {}
      : { workingDirectory: args.workingDirectory })
  })
})
