/**
 * How a script step becomes a process: the parts that are the same wherever it runs.
 */
import * as CommandLine from "effect/process/CommandLine"
import * as Result from "effect/Result"
import * as EnvVars from "./EnvVars.ts"
import type { JobSpec } from "./Job.ts"
import type { ScriptStep, Step } from "./Step.ts"

/**
 * The line that `sh -c` is given: the step's shell with the path of the script in place of `{0}`, or after it.
 *
 * **Details**
 *
 * The shell's words are for `sh` to read, as GitHub's `shell:` is; the path is quoted. An empty script is not appended: the shell
 * is then the whole command.
 *
 * @category getters
 */
export const commandLine = (step: ScriptStep, scriptPath: string): string => {
  const path = Result.getOrThrow(CommandLine.quote(scriptPath))
  if (step.shell.includes("{0}")) return step.shell.replaceAll("{0}", () => path)
  return step.script === "" ? step.shell : `${step.shell} ${path}`
}

/**
 * The variables of a step: the base, the job's, the step's, the paths of its files; then `prependPath` before the `PATH` that results.
 *
 * @category getters
 */
export const variables = (
  spec: JobSpec,
  step: Step,
  base: Readonly<Record<string, string>>,
  filePath: (name: string) => string
): Record<string, string> => {
  const env: Record<string, string> = { ...base, ...EnvVars.reveal(spec.env, step.env) }
  for (const { name, variable } of step.files) if (variable !== undefined) env[variable] = filePath(name)
  if (step._tag === "ScriptStep" && step.prependPath.length > 0) {
    env.PATH = [...step.prependPath, ...(env.PATH ? [env.PATH] : [])].join(":")
  }
  return env
}

/**
 * Where a script step works: its own directory, else the job's, else the workspace, to which they are relative.
 *
 * @category getters
 */
export const workingDirectory = (
  spec: Pick<JobSpec, "workingDirectory">,
  step: ScriptStep,
  workspace: string
): string => {
  const directory = step.workingDirectory ?? spec.workingDirectory
  return directory === undefined ? workspace : directory.startsWith("/") ? directory : `${workspace}/${directory}`
}
