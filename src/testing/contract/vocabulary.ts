/**
 * The steps of the contract suite: each is a POSIX script, and carries the same behaviour for the memory backend.
 */
import { forStep, type Instruction } from "../../backends/memory/MemoryProgram.ts"
import * as EnvVars from "../../domain/EnvVars.ts"
import { ScriptStep, type StepFile } from "../../domain/Step.ts"

export interface StepOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly workingDirectory?: string
  readonly files?: ReadonlyArray<StepFile>
}

const step = (
  script: string,
  program: Parameters<typeof forStep>[0],
  { env = {}, files = [], workingDirectory }: StepOptions = {}
): ScriptStep =>
  new ScriptStep({
    script,
    env: { ...EnvVars.fromRecord(env), ...forStep(program) },
    files,
    ...(workingDirectory === undefined ? {} : { workingDirectory })
  })

/** A program of memory instructions. */
const doing = (...instructions: ReadonlyArray<Instruction>) => ({ do: instructions })

export const exit = (code: number): ScriptStep => step(`exit ${code}`, { exit: code })

/** Ends itself by a signal. */
export const dieBy = (signal: "TERM" | "KILL" | "INT", number: number): ScriptStep =>
  step(`kill -${signal} $$; sleep 60`, { exit: 128 + number })

export const hang: ScriptStep = step("echo started; while :; do sleep 0.1; done", {
  ...doing({ _tag: "Print", text: "started\n", stream: "stdout" }),
  exit: "never"
})

export const hangIgnoring = (...signals: ReadonlyArray<"TERM" | "INT">): ScriptStep =>
  step(`trap '' ${signals.join(" ")}; echo started; while :; do sleep 0.1; done`, {
    ...doing({ _tag: "Print", text: "started\n", stream: "stdout" }),
    exit: "never",
    ignores: signals.map((signal) => `SIG${signal}`)
  })

export const print = (text: string, stream: "stdout" | "stderr" = "stdout"): ScriptStep =>
  step(`printf '%s' ${quoted(text)}${stream === "stderr" ? " >&2" : ""}`, doing({ _tag: "Print", text, stream }))

export const printLines = (count: number, stream: "stdout" | "stderr" = "stdout"): ScriptStep =>
  step(
    `i=0; while [ $i -lt ${count} ]; do i=$((i+1)); echo "line $i"; done${stream === "stderr" ? " >&2" : ""}`,
    doing({ _tag: "PrintLines", count, stream })
  )

/** Lines on both streams; a real process alternates between them. */
export const printBoth = (count: number): ScriptStep =>
  step(
    `i=0; while [ $i -lt ${count} ]; do i=$((i+1)); echo "line $i"; echo "line $i" >&2; done`,
    doing({ _tag: "PrintLines", count, stream: "stdout" }, { _tag: "PrintLines", count, stream: "stderr" })
  )

/** Octal, because that is what every `printf` reads. */
export const printBytes = (bytes: Uint8Array): ScriptStep =>
  step(
    `printf '${[...bytes].map((byte) => `\\${byte.toString(8).padStart(3, "0")}`).join("")}'`,
    doing({ _tag: "PrintBytes", bytes, stream: "stdout" })
  )

/** So many MiB, quickly. */
export const printMebibytes = (count: number): ScriptStep =>
  step(
    `head -c ${count * 1024 * 1024} /dev/zero | tr '\\0' x`,
    doing({ _tag: "PrintFill", bytes: count * 1024 * 1024, stream: "stdout" })
  )

export const printEnv = (variable: string, env: Readonly<Record<string, string>> = {}): ScriptStep =>
  step(`printf '%s\\n' "$${variable}"`, doing({ _tag: "PrintEnv", variable }), { env })

export const printWorkingDirectory = (options?: StepOptions): ScriptStep =>
  step("pwd -P", doing({ _tag: "PrintWorkingDirectory" }), options)

export const writeWorkspace = (path: string, text: string): ScriptStep =>
  step(`printf '%s' ${quoted(text)} > ${quoted(path)}`, doing({ _tag: "WriteWorkspace", path, text }))

export const printWorkspace = (path: string): ScriptStep =>
  step(`cat ${quoted(path)}`, doing({ _tag: "PrintWorkspace", path }))

/** Says that it is there, and waits until the other is. */
export const meet = (own: string, other: string): ScriptStep =>
  step(`: > ${quoted(own)}; while [ ! -e ${quoted(other)} ]; do sleep 0.02; done; echo met ${own}`, {
    ...doing(
      { _tag: "WriteWorkspace", path: own, text: "" },
      { _tag: "AwaitWorkspace", path: other },
      { _tag: "Print", text: `met ${own}\n`, stream: "stdout" }
    )
  })

/** Prints a step file, then appends to it, then ends with a code. */
export const useFile = (file: StepFile, append: string, exitCode: number): ScriptStep =>
  step(
    `cat "$${file.variable}"; printf '%s' ${quoted(append)} >> "$${file.variable}"; exit ${exitCode}`,
    {
      ...doing({ _tag: "PrintFile", name: file.name }, { _tag: "AppendFile", name: file.name, text: append }),
      exit: exitCode
    },
    { files: [file] }
  )

/** For backends with real processes only. */
export const shell = (script: string, options?: StepOptions): ScriptStep => step(script, {}, options)

const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`
