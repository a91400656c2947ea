/** What the tests of workflow files have in common. */
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type * as Scope from "effect/Scope"
import * as LocalBackend from "../../../src/backends/local/LocalBackend.ts"
import { type JobEvent, JobEvents } from "../../../src/domain/JobEvent.ts"
import type { WorkflowInvalid } from "../../../src/programs/github/Diagnostic.ts"
import type { OptionInvalid } from "../../../src/programs/github/OptionInvalid.ts"
import type * as RunOptions from "../../../src/programs/github/RunOptions.ts"
import * as WorkflowFile from "../../../src/programs/github/WorkflowFile.ts"
import * as WorkflowRun from "../../../src/programs/github/WorkflowRun.ts"

/** `shell: python` is the command `python`, which many machines do not have, or only as `python3`. */
export const noPython = spawnSync("python", ["-c", ""]).status !== 0

/** A directory with these files, gone with the scope. */
export const directoryWith = (
  files: Readonly<Record<string, string | Uint8Array>>
): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const directory = mkdtempSync(join(tmpdir(), "jobscope-github-"))
      for (const [name, content] of Object.entries(files)) {
        mkdirSync(dirname(join(directory, name)), { recursive: true })
        writeFileSync(join(directory, name), content)
      }
      return directory
    }),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
  )

export const onDisk = <A, E, R>(
  effect: Effect.Effect<A, E, R | FileSystem.FileSystem>
): Effect.Effect<A, E, Exclude<R, FileSystem.FileSystem>> => Effect.provide(effect, NodeFileSystem.layer)

export const read = (text: string, files: Readonly<Record<string, string>> = {}) =>
  onDisk(
    Effect.gen(function* () {
      const workspace = yield* directoryWith(files)
      return yield* WorkflowFile.fromText(text, { workspace, file: "ci.yml" })
    })
  )

/** `line:column code message` of each diagnostic. */
export const complaints = (text: string, files: Readonly<Record<string, string>> = {}) =>
  Effect.map(
    Effect.match(read(text, files), {
      onFailure: ({ diagnostics }) => diagnostics,
      onSuccess: ({ warnings }) => warnings
    }),
    (diagnostics) =>
      diagnostics.map(
        ({ code, column, file, line, message }) =>
          `${file === "ci.yml" ? "" : `${file}:`}${line}:${column} ${code}: ${message}`
      )
  )

/** What a run showed and gave. */
export interface Ran extends WorkflowRun.RunOutcome {
  readonly events: ReadonlyArray<JobEvent>
  /** Output of a step, or of all, `run: step` in the keys. */
  readonly output: (step?: string) => string
  /** `job: conclusion`. */
  readonly jobs: Readonly<Record<string, string>>
  /** `id: outcome conclusion` of the steps of a run. */
  readonly steps: (job?: string) => ReadonlyArray<string>
}

/** Runs a workflow on this machine, in a workspace with these files. */
export const run = (
  text: string,
  options: RunOptions.Options & {
    readonly files?: Readonly<Record<string, string>>
    readonly actions?: WorkflowFile.ReadOptions["actions"]
  } = {}
): Effect.Effect<Ran, WorkflowInvalid | OptionInvalid, Scope.Scope> =>
  onDisk(
    Effect.gen(function* () {
      const workspace = yield* directoryWith({ "file.txt": "here\n", ...options.files })
      const state = yield* directoryWith({})
      const file = yield* WorkflowFile.fromText(text, { workspace, file: "ci.yml", actions: options.actions })
      return yield* runFile(file, options).pipe(
        Effect.provide(LocalBackend.layer({ stateDirectory: state }), { local: true })
      )
    })
  )

/** Runs a file on whatever backend there is. */
export const runFile = Effect.fnUntraced(function* (file: WorkflowFile.WorkflowFile, options: RunOptions.Options = {}) {
  const events: Array<JobEvent> = []
  const outcome = yield* Effect.provideService(WorkflowRun.run(file, options), JobEvents, {
    emit: (event) => Effect.sync(() => void events.push(event))
  })
  const { result } = outcome
  const ran: Ran = {
    ...outcome,
    events,
    output: (step) =>
      Buffer.concat(
        events.flatMap((event) =>
          event._tag === "StepOutput" && (step === undefined || event.step === step) ? [event.bytes] : []
        )
      ).toString(),
    jobs: Object.fromEntries(result.runs.map(({ conclusion, job }) => [job, conclusion])),
    steps: (job) =>
      (result.runs.find((each) => job === undefined || each.job === job)?.steps ?? []).map(
        ({ conclusion, id, outcome }) => `${id}: ${outcome}${conclusion === outcome ? "" : ` ${conclusion}`}`
      )
  }
  return ran
})

/** A file with one job of these steps. */
export const oneJob = (steps: string, job = ""): string => `on: push
jobs:
  a:
    runs-on: ubuntu-latest
${job.replace(/^(?=.)/gm, "    ")}
    steps:
${steps.replace(/^(?=.)/gm, "      ")}`
