/** The shells that images have, as directories for PATH: what runs in a pod is run here, by each of them. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll } from "@effect/vitest"
import * as podScripts from "../../../../src/backends/pod/internal/podScripts.ts"

export interface Shell {
  readonly name: string
  /** Has `setsid` and `mkfifo`. */
  readonly complete: boolean
  readonly path: string
}

/** Those of this machine. */
export const shells = (): ReadonlyArray<Shell> => {
  const root = mkdtempSync(join(tmpdir(), "jobscope-shells-"))
  afterAll(() => rmSync(root, { recursive: true, force: true }))
  const made: Array<Shell> = []
  for (const name of ["dash", "bash"]) {
    const program = programOf(name)
    if (program === undefined) continue
    const directory = join(root, name)
    mkdirSync(directory)
    symlinkSync(program, join(directory, "sh"))
    made.push({ name, complete: true, path: `${directory}:/usr/bin:/bin` })
  }
  const busybox = programOf("busybox")
  if (busybox !== undefined) {
    const applets = execFileSync(busybox, ["--list"]).toString().trim().split("\n")
    for (const complete of [true, false]) {
      const directory = join(root, `busybox-${complete}`)
      mkdirSync(directory)
      for (const applet of applets)
        if (complete || !["setsid", "mkfifo"].includes(applet)) symlinkSync(busybox, join(directory, applet))
      made.push({ name: complete ? "busybox" : "busybox without setsid and mkfifo", complete, path: directory })
    }
  }
  return made
}

const programOf = (name: string) =>
  ["/usr/bin", "/bin", "/usr/local/bin"].map((directory) => join(directory, name)).find((path) => existsSync(path))

export interface Ended {
  readonly code: number | null
  readonly signal: string | null
  readonly stdout: Buffer
  readonly stderr: Buffer
}

/** Runs a script as `openScript` does: on stdin, as a function. */
export const runScript = (shell: Shell, script: string, argv: ReadonlyArray<string> = []) => {
  const child = spawn("sh", ["-s", "--", ...argv], { env: { PATH: shell.path }, stdio: "pipe" })
  child.stdin.on("error", () => {}).end(`j() {\n${script}\n}\nj "$@"\nexit\n`)
  return { child, ended: collect(child) }
}

const collect = (child: ChildProcess): Promise<Ended> => {
  const out: Array<Buffer> = []
  const err: Array<Buffer> = []
  child.stdout?.on("data", (chunk) => out.push(chunk))
  child.stderr?.on("data", (chunk) => err.push(chunk))
  return new Promise((resolve) =>
    child.on("close", (code, signal) =>
      resolve({ code, signal, stdout: Buffer.concat(out), stderr: Buffer.concat(err) })
    )
  )
}

/** A step's directory, started as the launch over exec does it. */
export const startStep = (
  shell: Shell,
  main: string,
  { merged = false, fifos = shell.complete }: { readonly merged?: boolean; readonly fifos?: boolean } = {}
) => {
  const directory = mkdtempSync(join(tmpdir(), "jobscope-step-"))
  const id = directory.slice(directory.lastIndexOf("-") + 1)
  mkdirSync(join(directory, "files"))
  for (const name of ["out", "err", ...(merged ? ["merged"] : [])]) writeFileSync(join(directory, name), "")
  if (fifos) execFileSync("mkfifo", ["-m", "666", join(directory, "o"), join(directory, "e")])
  writeFileSync(join(directory, "run"), podScripts.run)
  writeFileSync(join(directory, "files", ".script"), main)
  writeFileSync(
    join(directory, "main"),
    `d=$1\necho $$ >"$d/pid"\nexport d ${podScripts.markerVariable}=${id}\nexec sh "$d/files/.script"\n`
  )
  const wrapper = spawn("sh", [join(directory, "run"), directory], {
    detached: true,
    env: { PATH: shell.path },
    stdio: "ignore"
  })
  const ended = new Promise<void>((resolve) => wrapper.on("exit", () => resolve()))
  const read = (name: string) =>
    existsSync(join(directory, name)) ? readFileSync(join(directory, name), "utf8") : undefined
  const marker = `${podScripts.markerVariable}=${id}`
  return {
    directory,
    marker,
    wrapper,
    ended,
    read,
    /** How it ended, once the wrapper has. */
    code: ended.then(() => read("code")?.trim()),
    /** Waits until a file of it has this content. */
    until: async (name: string, content: string | RegExp) => {
      for (;;) {
        const now = read(name)
        if (now !== undefined && (typeof content === "string" ? now.includes(content) : content.test(now))) return
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    },
    members: () => membersOf(marker),
    remove: () => {
      for (const pid of membersOf(marker)) kill(pid)
      if (wrapper.pid !== undefined && wrapper.exitCode === null && wrapper.signalCode === null) kill(wrapper.pid)
      rmSync(directory, { recursive: true, force: true })
    }
  }
}

const kill = (pid: number) => {
  try {
    process.kill(pid, "SIGKILL")
  } catch {
    // Gone.
  }
}

/** Pids of processes with a variable. */
const membersOf = (marker: string): ReadonlyArray<number> =>
  readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return []
    try {
      return readFileSync(`/proc/${name}/environ`, "utf8").split("\0").includes(marker) ? [Number(name)] : []
    } catch {
      return []
    }
  })
