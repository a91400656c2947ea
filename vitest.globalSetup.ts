import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { TestProject } from "vitest/node"

declare module "vitest" {
  interface ProvidedContext {
    /** A directory for what all tests of a run share; it goes when all have ended. */
    readonly shared: string
  }
}

/** What a worker makes for all of its tests it cannot remove: workers are ended, they do not exit. */
export default (project: TestProject): (() => void) => {
  const shared = mkdtempSync(join(tmpdir(), "jobscope-tests-"))
  project.provide("shared", shared)
  return () => rmSync(shared, { recursive: true, force: true })
}
