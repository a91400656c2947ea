/** Runs `jobscope` as a process of its own, from its sources or bundled. */
import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { type Ended, killAll, type Running, start as startProcess } from "../console/process.ts"

const root = dirname(dirname(dirname(import.meta.dirname)))
const node = join(root, "node_modules/.bin/node")

const folders: Array<string> = []

/** For `afterEach`: no process and no file is left. */
export const cleanUp = (): void => {
  killAll()
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
}

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
  /** A bundle, and the Node to run it on. Default: the sources. */
  readonly bundled?: { readonly file: string; readonly node: string }
}

const commandOf = (args: ReadonlyArray<string>, { bundled }: Where): ReadonlyArray<string> =>
  bundled === undefined
    ? [node, "--conditions=@jobscope/source", join(root, "src/programs/cli/main.ts"), ...args]
    : [bundled.node, bundled.file, ...args]

export const start = (args: ReadonlyArray<string>, where: Where = {}): Running => {
  const cwd = where.cwd ?? folder()
  // What is on this machine, and how it is set up, is none of a test's business.
  const env = { JOBSCOPE_STATE_DIR: join(cwd, ".state"), GITHUB_ACTIONS: "", KUBECONFIG: "/dev/null", ...where.env }
  return startProcess(commandOf(args, where), { cwd, env })
}

export const run = (args: ReadonlyArray<string>, where?: Where): Promise<Ended> => start(args, where).ended

/** The bundle, as it is published, in a directory without `node_modules`. */
export const bundle = (program: string): string => {
  const made = folder()
  const script = `import { bundle } from ${JSON.stringify(join(root, "scripts/bundle.ts"))}; await bundle(${JSON.stringify(program)}, ${JSON.stringify(made)})`
  execFileSync(node, ["--input-type=module-typescript", "--eval", script], { cwd: root, stdio: "pipe" })
  return join(made, "index.js")
}

/** The Node of the Actions runner, where the machine has one. */
export const node20: string | undefined = ["/usr/bin/node", "/usr/local/bin/node"].find(
  (path) => existsSync(path) && execFileSync(path, ["--version"], { encoding: "utf8" }).startsWith("v20.")
)
