import * as Fs from "node:fs"
import { killNow, type TreeSeed } from "./processTree.ts"
import type { JobPaths } from "./stateDirectory.ts"

/** An environment that this process holds, and must not leave behind. */
export interface Guarded {
  readonly paths: JobPaths
  readonly seed: TreeSeed
}

const guarded = new Set<Guarded>()

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const

/** Kills and removes at once, without waiting for anybody: the program is about to be gone. */
const cleanUp = (): void => {
  for (const { paths, seed } of guarded) {
    killNow(seed)
    try {
      Fs.rmSync(paths.directory, { recursive: true, force: true, maxRetries: 2 })
    } catch {
      // The record is still there: `list` shows it, and the reaper removes it.
    }
  }
  guarded.clear()
}

/**
 * A signal that only we listen to would have ended the program: it still does, after the clean-up. Where the program handles it (as
 * `JobMain` and `NodeRuntime.runMain` do, by interrupting), scopes close in order, and this stays out of it.
 */
const onSignal = (signal: NodeJS.Signals): void => {
  if (process.listenerCount(signal) > 1) return
  cleanUp()
  uninstall()
  process.kill(process.pid, signal)
}

const install = (): void => {
  process.on("exit", cleanUp)
  for (const signal of signals) process.on(signal, onSignal)
}

const uninstall = (): void => {
  process.off("exit", cleanUp)
  for (const signal of signals) process.off(signal, onSignal)
}

/**
 * Sees to it that an environment is gone when the program exits without closing its scopes: `process.exit`, an uncaught exception, or a
 * signal that it does not handle. Only SIGKILL escapes; the reaper is for that. Gives the function that ends the guard.
 */
export const guard = (environment: Guarded): (() => void) => {
  if (guarded.size === 0) install()
  guarded.add(environment)
  return () => {
    if (guarded.delete(environment) && guarded.size === 0) uninstall()
  }
}
