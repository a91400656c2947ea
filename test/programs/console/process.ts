/** Runs the fixture as a process of its own. */
import { type ChildProcess, spawn } from "node:child_process"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const root = dirname(dirname(dirname(import.meta.dirname)))
const program = fileURLToPath(import.meta.resolve("./fixtures/main.ts"))
const terminal = join(import.meta.dirname, "fixtures/onTerminal.py")

export const command = (mode: string, scenario: object): ReadonlyArray<string> => [
  join(root, "node_modules/.bin/node"),
  "--conditions=@jobscope/source",
  program,
  mode,
  JSON.stringify(scenario)
]

/** What decides how output looks comes from the test alone. */
const environment = (more: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv => {
  const { CI: _ci, FORCE_COLOR: _force, NO_COLOR: _no, ...rest } = process.env
  return { ...rest, TERM: "xterm", ...more }
}

export interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
  readonly millis: number
}

export interface Running {
  readonly child: ChildProcess
  readonly ended: Promise<Ended>
  readonly soFar: () => { readonly stdout: string; readonly stderr: string }
  /** Resolves when this text is on stdout or stderr. */
  readonly says: (text: string) => Promise<void>
  readonly kill: (signal: NodeJS.Signals) => void
}

export interface StartOptions {
  readonly env?: Readonly<Record<string, string>>
  /** Do not read stdout. */
  readonly deaf?: boolean
  readonly cwd?: string
}

const running = new Set<ChildProcess>()

/** For `afterEach`: a failed test must not leave its process behind. */
export const killAll = (): void => {
  for (const child of running) child.kill("SIGKILL")
}

export const start = ([file, ...args]: ReadonlyArray<string>, { cwd, deaf, env }: StartOptions = {}): Running => {
  const begin = performance.now()
  const child = spawn(file!, args, { cwd, env: environment(env), stdio: ["ignore", "pipe", "pipe"] })
  running.add(child)
  const text = { stdout: "", stderr: "" }
  const waiting: Array<() => void> = []
  const listen = (name: "stdout" | "stderr") =>
    child[name]!.setEncoding("utf8").on("data", (data: string) => {
      text[name] += data
      for (const look of waiting) look()
    })
  if (deaf !== true) listen("stdout")
  listen("stderr")
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on("error", reject)
    child.on(deaf === true ? "exit" : "close", (code, signal) => {
      running.delete(child)
      child.stdout!.destroy()
      for (const look of waiting) look()
      resolve({ code: code ?? (signal === "SIGKILL" ? 137 : -1), ...text, millis: performance.now() - begin })
    })
  })
  return {
    child,
    ended,
    soFar: () => text,
    says: (wanted) =>
      new Promise((resolve, reject) => {
        const look = () => {
          if (text.stdout.includes(wanted) || text.stderr.includes(wanted)) resolve()
          else if (!running.has(child)) reject(new Error(`ended without "${wanted}":\n${text.stdout}${text.stderr}`))
        }
        waiting.push(look)
        look()
      }),
    kill: (signal) => {
      child.kill(signal)
    }
  }
}

export const run = (mode: string, scenario: object, options?: StartOptions): Promise<Ended> =>
  start(command(mode, scenario), options).ended

/** Waits until python3 has run it on a terminal; see fixtures/onTerminal.py. */
export const onTerminal = (
  actions: ReadonlyArray<readonly [shown: string, seconds: number, what: string]>,
  args: ReadonlyArray<string>,
  options: StartOptions & { readonly columns?: number } = {}
): Promise<Ended> =>
  start(
    ["python3", terminal, String(options.columns ?? 100), "30", JSON.stringify(actions), ...args],
    options
  ).ended.then((ended) => ({ ...ended, code: Number(ended.stderr.trim().split("\n").at(-1)) }))

export const sleep = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis))
