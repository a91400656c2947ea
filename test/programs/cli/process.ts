/** Runs `jobscope` as a process of its own, bundled as it is published: from its sources it starts six times slower. */
import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterEach, beforeAll } from "@effect/vitest"
import { bundled } from "../../support/bundled.ts"
import { type Ended, killAll, onTerminal, type Running, start as startProcess } from "../console/process.ts"

const folders: Array<string> = []

/** A directory with these files in it. */
export const folder = (files: Readonly<Record<string, string | Uint8Array>> = {}): string => {
  const made = mkdtempSync(join(tmpdir(), "jobscope-cli-"))
  folders.push(made)
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(made, name)), { recursive: true })
    writeFileSync(join(made, name), content)
  }
  return made
}

export interface Where {
  /** Default: an empty one. */
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  /** Default: that of the tests. */
  readonly node?: string
}

const program = () => join(bundled("cli"), "index.js")

/** For the top of a test file. */
export const useJobscope = (): void => {
  beforeAll(() => {
    program()
  })
  afterEach(() => {
    killAll()
    for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
  })
}

export const start = (args: ReadonlyArray<string>, where: Where = {}): Running =>
  startProcess([where.node ?? process.execPath, program(), ...args], isolated(where))

/** What is on this machine, and how it is set up, is none of a test's business. */
const isolated = ({ cwd = folder(), env }: Where) => ({
  cwd,
  env: { JOBSCOPE_STATE_DIR: join(cwd, ".state"), GITHUB_ACTIONS: "", KUBECONFIG: "/dev/null", ...env }
})

/** On a terminal, with things to do when something is shown: see `onTerminal`. */
export const runOnTerminal = (
  actions: Parameters<typeof onTerminal>[0],
  args: ReadonlyArray<string>,
  { columns, ...where }: Where & { readonly columns: number }
): Promise<Ended> => onTerminal(actions, [process.execPath, program(), ...args], { ...isolated(where), columns })

export const run = (args: ReadonlyArray<string>, where?: Where): Promise<Ended> => start(args, where).ended

/** The Node of the Actions runner, where the machine has one. */
export const node20: string | undefined = ["/usr/bin/node", "/usr/local/bin/node"].find(
  (path) => existsSync(path) && execFileSync(path, ["--version"], { encoding: "utf8" }).startsWith("v20.")
)
