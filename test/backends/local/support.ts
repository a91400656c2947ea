import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"

const root = join(import.meta.dirname, "../../..")

/** A state directory for one test, gone after it. */
export const stateDirectory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "jobscope-local-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
)

/** Processes whose environment names the directory: found without any code of ours. */
export const processesOf = (directory: string): ReadonlyArray<string> =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const marked = readFileSync(`/proc/${pid}/environ`, "utf8").includes(`JOBSCOPE_ENVIRONMENT=${directory}`)
        const zombie = /\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"))
        return marked && !zombie ? [`${pid} ${readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ")}`] : []
      } catch {
        return []
      }
    })

export const environmentsOf = (directory: string): ReadonlyArray<string> => {
  try {
    return readdirSync(join(directory, "jobs"))
  } catch {
    return []
  }
}

/** Runs a TypeScript program of the tests with the Node that runs the tests. */
export const start = (file: string, args: ReadonlyArray<string>): ChildProcess =>
  spawn(process.execPath, ["--conditions=@jobscope/source", join(import.meta.dirname, file), ...args], {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"]
  })

export const collected = (child: ChildProcess) => {
  const text = { stdout: "", stderr: "" }
  child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
    text.stdout += chunk
  })
  child.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
    text.stderr += chunk
  })
  return text
}

/** Code or signal. */
export const ended = (child: ChildProcess): Effect.Effect<number | string> =>
  Effect.callback((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) {
      return resume(Effect.succeed(child.exitCode ?? child.signalCode ?? ""))
    }
    child.once("exit", (code, signal) => resume(Effect.succeed(code ?? signal ?? "")))
  })

/** Waits for something that other processes do. */
export const eventually = (what: string, holds: () => boolean): Effect.Effect<void> =>
  Effect.repeat(Effect.delay(Effect.sync(holds), "20 millis"), { until: (held) => held }).pipe(
    Effect.asVoid,
    Effect.timeoutOrElse({ duration: "20 seconds", orElse: () => Effect.die(new Error(`never: ${what}`)) })
  )

export const reaper = (...args: ReadonlyArray<string>) => {
  const { status, stderr, stdout } = spawnSync(
    process.execPath,
    ["--conditions=@jobscope/source", join(root, "src/programs/reaper/main.ts"), ...args],
    { cwd: root, encoding: "utf8" }
  )
  return { status, stdout, stderr }
}
