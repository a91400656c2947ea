import type * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import * as EnvVars from "../../../domain/EnvVars.ts"
import type { OutputChunk } from "../../../domain/JobEnvironment.ts"
import type { BackendError } from "../../../domain/JobError.ts"
import type { Step } from "../../../domain/Step.ts"
import type { Instruction, StepProgram } from "../MemoryProgram.ts"
import type { MemoryEnvironment, MemoryProcess } from "./memoryEnvironment.ts"

const signalNumbers: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGKILL: 9,
  SIGUSR1: 10,
  SIGUSR2: 12,
  SIGTERM: 15
}

/** A full pipe makes the writer wait, so output has a bound. */
const pipeCapacity = 64

/** Starts it, detached: like a real process it lives until it ends or is killed. */
export const startProcess = Effect.fnUntraced(function* (
  environment: MemoryEnvironment,
  step: Step,
  program: StepProgram,
  lose: Effect.Effect<void>
) {
  const exit = yield* Deferred.make<number, BackendError>()
  const pipe = yield* Queue.bounded<OutputChunk, Cause.Done>(pipeCapacity)
  const files = new Map(step.files.map(({ content, name }) => [name, content]))
  const end = (code: number) => Effect.andThen(Queue.end(pipe), Effect.asVoid(Deferred.succeed(exit, code)))

  const body = Effect.gen(function* () {
    for (const instruction of program.do) {
      const code = yield* obey(instruction, { environment, step, files, pipe })
      if (code !== undefined) return yield* end(code)
    }
    if (program.lose !== undefined) yield* lose
    return yield* program.exit === "never" ? Effect.never : end(program.exit)
  })
  const fiber = yield* Effect.forkDetach(body, { uninterruptible: false })
  const kill = (code: number) => Effect.andThen(Fiber.interrupt(fiber), end(code))
  const process: MemoryProcess = {
    step,
    exit,
    files,
    output: Stream.fromQueue(pipe),
    signal: (signal) =>
      Effect.suspend(() => {
        if (Deferred.isDoneUnsafe(exit)) return Effect.void
        if (signal !== "SIGKILL" && program.ignores.includes(signal)) return Effect.void
        return kill(128 + (signalNumbers[signal] ?? 0))
      }),
    kill: kill(137)
  }
  environment.processes.add(process)
  return process
})

interface Setting {
  readonly environment: MemoryEnvironment
  readonly step: Step
  readonly files: Map<string, string>
  readonly pipe: Queue.Queue<OutputChunk, Cause.Done>
}

/** Does one thing; a number ends the step with it. */
const obey = (instruction: Instruction, setting: Setting): Effect.Effect<number | undefined> => {
  const { environment, files, pipe, step } = setting
  const write = (text: string, stream: "stdout" | "stderr" = "stdout") =>
    Effect.as(Queue.offer(pipe, { stream, bytes: new TextEncoder().encode(text) }), undefined)
  switch (instruction._tag) {
    case "Print":
      return write(instruction.text, instruction.stream)
    case "PrintBytes":
      return Effect.as(Queue.offer(pipe, { stream: instruction.stream, bytes: instruction.bytes }), undefined)
    case "PrintFill":
      return Effect.as(
        Effect.forEach(
          chunkSizes(instruction.bytes),
          (size) => Queue.offer(pipe, { stream: instruction.stream, bytes: new Uint8Array(size).fill(120) }),
          { discard: true }
        ),
        undefined
      )
    case "PrintLines":
      return Effect.as(
        Stream.range(1, instruction.count).pipe(
          Stream.rechunk(1000),
          Stream.runForEachArray((numbers) =>
            write(numbers.map((number) => `line ${number}\n`).join(""), instruction.stream)
          )
        ),
        undefined
      )
    case "PrintEnv":
      return write(`${variables(environment, step)[instruction.variable] ?? ""}\n`)
    case "PrintWorkingDirectory":
      return write(`${step.workingDirectory ?? environment.spec.workingDirectory ?? workspacePath(environment)}\n`)
    case "Sleep":
      return Effect.as(Effect.sleep(instruction.millis), undefined)
    case "AppendFile":
      files.set(instruction.name, (files.get(instruction.name) ?? "") + instruction.text)
      return Effect.undefined
    case "PrintFile":
      return write(files.get(instruction.name) ?? "")
    case "WriteWorkspace":
      environment.workspace.set(instruction.path, instruction.text)
      return Effect.undefined
    case "AwaitWorkspace":
      return Effect.as(
        Effect.repeat(Effect.sleep(5), { until: () => environment.workspace.has(instruction.path) }),
        undefined
      )
    case "PrintWorkspace": {
      const text = environment.workspace.get(instruction.path)
      return text === undefined ? Effect.succeed(1) : write(text)
    }
  }
}

function* chunkSizes(bytes: number) {
  for (let left = bytes; left > 0; left -= 65536) yield Math.min(left, 65536)
}

export const workspacePath = (environment: MemoryEnvironment): string =>
  environment.spec.workspace?.path ?? `/memory/${environment.name}/workspace`

const variables = (environment: MemoryEnvironment, step: Step): Record<string, string> => ({
  ...EnvVars.reveal(environment.spec.env, step.env),
  ...Object.fromEntries(
    step.files.flatMap(({ name, variable }) =>
      variable === undefined ? [] : [[variable, `/memory/${environment.name}/files/${name}`]]
    )
  )
})
