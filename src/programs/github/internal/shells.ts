import { ScriptStep, StepFile } from "../../../domain/Step.ts"

/** What `shell:` stands for on Linux and macOS, word for word as the runner has it. */
const shells: Readonly<Record<string, string>> = {
  bash: "bash --noprofile --norc -e -o pipefail {0}",
  sh: "sh -e {0}",
  python: "python {0}"
}

/** Without a `shell:` it is bash where there is one, and then without `pipefail`. */
const unspecified = '"$(command -v bash || command -v sh)" -e {0}'

export const isOfWindows = (shell: string): boolean => shell === "cmd" || shell === "powershell"

/** Why a shell cannot be used here. */
export const problemOf = (shell: string): string | undefined => {
  if (isOfWindows(shell)) return `the shell "${shell}" is only on Windows`
  if (Object.hasOwn(shells, shell) || shell === "pwsh" || shell.includes("{0}")) return undefined
  return `there is no shell "${shell}": it is bash, sh, python, pwsh, or a command line with {0} for the script`
}

type Fields = Omit<ConstructorParameters<typeof ScriptStep>[0], "script" | "shell">

/** A `run` step. */
export const scriptStep = (shell: string | undefined, script: string, fields: Fields): ScriptStep => {
  if (shell !== "pwsh") {
    return new ScriptStep({ ...fields, script, shell: shell === undefined ? unspecified : (shells[shell] ?? shell) })
  }
  // PowerShell takes only files with its own extension; the texts around the script are the runner's.
  const content = `$ErrorActionPreference = 'stop'\n${script}\nif ((Test-Path -LiteralPath variable:\\LASTEXITCODE)) { exit $LASTEXITCODE }`
  const file = new StepFile({ name: "script.ps1", content, variable: "JOBSCOPE_SCRIPT" })
  return new ScriptStep({
    ...fields,
    script: `exec pwsh -command ". '$JOBSCOPE_SCRIPT'"`,
    shell: "sh -e {0}",
    files: [...(fields.files ?? []), file]
  })
}
