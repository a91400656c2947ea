import * as Path from "node:path"
import type { Readable } from "node:stream"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type { JobSpec } from "../../../domain/Job.ts"
import type { RunningStep } from "../../../domain/JobEnvironment.ts"
import { fail } from "../../../domain/JobError.ts"
import type { ScriptStep } from "../../../domain/Step.ts"
import * as StepCommand from "../../../domain/StepCommand.ts"
import { makePipeReader } from "./pipeReader.ts"
import { markerVariable, readProcessTable } from "./processTable.ts"
import { membersOf, signalAll, snapshot, type TreeSeed, terminate } from "./processTree.ts"
import { spawn } from "./spawn.ts"
import { deleted, during, isGone, type JobPaths } from "./stateDirectory.ts"

/** What a step needs to know of its environment. */
export interface StepSetting {
  readonly fs: FileSystem.FileSystem
  readonly paths: JobPaths
  readonly spec: JobSpec
  readonly workspace: string
  readonly inherited: Readonly<Record<string, string>>
  /** Processes of earlier steps of this environment that run on in the background. */
  readonly background: Map<number, string>
}

/** Every process of an environment carries its directory, every process of a step also the step's id. */
const stepMarker = (paths: JobPaths, id: string): string => `${paths.directory}#${id}`

export const isMarkedFor = (directory: string) => (marker: string) =>
  marker === directory || marker.startsWith(`${directory}#`)

/** Starts a script step; the scope is the step's. */
export const startStep = Effect.fnUntraced(function* (setting: StepSetting, step: ScriptStep, id: string) {
  const { fs, paths, spec } = setting
  const directory = Path.join(paths.steps, id)
  const filePath = (name: string) => Path.join(directory, name)
  // Step files never begin with a dot.
  const script = Path.join(directory, ".script")
  // Not recursive: a step must not bring back the directory of an environment that was released meanwhile.
  yield* Effect.gen(function* () {
    yield* fs.makeDirectory(directory, { mode: 0o700 })
    yield* fs.writeFileString(script, step.script, { mode: 0o700 })
    for (const { content, name } of step.files) yield* fs.writeFileString(filePath(name), content, { mode: 0o600 })
  }).pipe(
    during("writing the step's files"),
    Effect.catch((error) => (isGone(paths) ? fail(deleted(paths)) : Effect.fail(error)))
  )

  const marker = stepMarker(paths, id)
  const seen = new Map<number, string>()
  let running = true
  const seed = (leader: number): TreeSeed => ({
    marked: (other) => other === marker,
    leader: running ? leader : undefined,
    seen
  })

  const started = yield* Effect.acquireRelease(
    Effect.map(
      spawn("/bin/sh", ["-c", `exec ${StepCommand.commandLine(step, script)}`], {
        cwd: StepCommand.workingDirectory(spec, step, setting.workspace),
        env: {
          ...StepCommand.variables(spec, step, { ...setting.inherited, TMPDIR: paths.temp }, filePath),
          [markerVariable]: marker
        },
        stdio: ["ignore", "pipe", "pipe"]
      }),
      (spawned) => {
        const { stderr, stdout } = spawned.child as { readonly stdout: Readable; readonly stderr: Readable }
        return { ...spawned, reader: makePipeReader({ stdout, stderr }) }
      }
    ),
    ({ exit, pid, reader }) =>
      Effect.suspend(() => {
        reader.discard()
        if (Deferred.isDoneUnsafe(exit)) return Effect.void
        return Effect.asVoid(terminate(seed(pid), spec.timeouts.stopGrace))
      })
  )
  const { child, exit, pid, reader } = started

  const onExit = () => {
    rememberBackground(pid, marker, setting.background)
    running = false
    reader.exited()
  }
  // A fiber may yield after the spawn, and a short step end meanwhile: its event will not come again.
  if (Deferred.isDoneUnsafe(exit)) onExit()
  else child.once("exit", onExit)

  const exitCode = Effect.flatMap(Deferred.await(exit), ({ code, signal }) =>
    // Whoever released the environment also killed the step: that is not the step's own end.
    signal !== null && isGone(paths) ? fail(deleted(paths)) : Effect.succeed(code)
  )
  const result: RunningStep = {
    output: reader.output,
    exitCode,
    signal: (signal) =>
      Effect.suspend(() =>
        Deferred.isDoneUnsafe(exit)
          ? Effect.void
          : Effect.map(snapshot, (table) => signalAll(membersOf(table, seed(pid)), signal))
      ),
    files: Effect.map(
      Effect.forEach(
        step.files.filter(({ collect }) => collect),
        ({ name }) =>
          fs.readFileString(filePath(name)).pipe(
            Effect.map((content) => [[name, content] as const]),
            // The step has removed it.
            Effect.catchIf(
              (error) => error.reason._tag === "NotFound",
              () => Effect.succeed([])
            ),
            during(`reading the step's file ${name}`)
          )
      ),
      (entries) => new Map(entries.flat())
    )
  }
  return result
})

/**
 * Processes that outlive their step keep its group as long as they are in it, and only now is it certain that the group is theirs: later
 * its number may belong to somebody else. Cheap where there are none, which is the rule.
 */
const rememberBackground = (leader: number, marker: string, background: Map<number, string>): void => {
  try {
    process.kill(-leader, 0)
  } catch {
    return
  }
  const seed: TreeSeed = { marked: (other) => other === marker, leader, seen: background }
  membersOf(readProcessTable(), seed)
}
