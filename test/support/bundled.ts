import { spawnSync } from "node:child_process"
import { existsSync, globSync, mkdirSync, renameSync, rmSync, statSync } from "node:fs"
import { join } from "node:path"
import { inject } from "vitest"

const root = join(import.meta.dirname, "../..")

/** A program as it is shipped: the directory with its `index.js`. Made by the first who asks for it, for all tests of a run. */
export const bundled = (program: "cli" | "hook" | "kro-runner" | "reaper"): string => {
  // Where tests are watched, sources change during a run.
  const changed = Math.max(
    ...globSync(["src/**", "scripts/*"], { cwd: root }).map((file) => statSync(join(root, file)).mtimeMs)
  )
  const folder = join(inject("shared"), `${program}-${changed}`)
  if (existsSync(folder)) return folder
  const mine = `${folder}.${process.pid}`
  mkdirSync(mine, { recursive: true })
  const script = `import { bundle } from ${JSON.stringify(join(root, "scripts/bundle.ts"))}; await bundle(${JSON.stringify(program)}, ${JSON.stringify(mine)})`
  const { status, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" })
  if (status !== 0) throw new Error(stderr)
  try {
    renameSync(mine, folder)
  } catch {
    // Another worker was quicker.
    rmSync(mine, { recursive: true })
  }
  return folder
}
