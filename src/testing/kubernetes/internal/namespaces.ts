/**
 * Processes with a view of their own: Linux namespaces for mounts and processes, as containers have them. As root, or as any user where
 * the kernel allows that user namespaces; nowhere else.
 */
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Process from "node:process"
import type { Readable } from "node:stream"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"

export interface Ended {
  /** 0 to 255, 128 + n if signal n ended it. */
  readonly code: number
  readonly signal: number | undefined
}

export interface ContainerOptions {
  readonly root: string
  /** A file, for `mount -a -T`. */
  readonly table: string
  readonly command: ReadonlyArray<string>
  readonly env: Readonly<Record<string, string>>
  readonly workingDir: string
  readonly user?: number | undefined
  readonly group?: number | undefined
  readonly onOutput: (stream: "stdout" | "stderr", bytes: Buffer) => void
}

export interface ContainerProcess {
  readonly exit: Deferred.Deferred<Ended>
  /** To the first process; SIGKILL ends all. */
  readonly signal: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** Starts another command in the same view. */
  readonly exec: (options: ExecOptions) => ChildProcess.ChildProcess
}

interface ExecOptions {
  readonly command: ReadonlyArray<string>
  readonly env: Readonly<Record<string, string>>
  readonly workingDir: string
  readonly user?: number | undefined
  readonly group?: number | undefined
  readonly stdin: boolean
}

/** Why a container did not start: the words of the runtime. */
export interface StartFailure {
  readonly reason: "StartError" | "CreateContainerError"
  readonly message: string
}

const tools = ["unshare", "nsenter", "setpriv", "setsid", "mount", "env", "sh"] as const

const searched = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]

const pathOfTool = (name: (typeof tools)[number]): string =>
  searched.map((directory) => Path.join(directory, name)).find((file) => Fs.existsSync(file)) ?? name

const isRoot = Process.getuid?.() === 0

const namespaceArguments = [
  ...(isRoot ? [] : ["--map-root-user"]),
  "--mount",
  "--pid",
  "--fork",
  "--kill-child=SIGKILL"
]

let knownReason: string | undefined | null = null

/** Why containers cannot be played on this machine, or nothing. */
export const unsupported = (): string | undefined => {
  if (knownReason === null) knownReason = findReason()
  return knownReason
}

const findReason = (): string | undefined => {
  if (Process.platform !== "linux") return "the fake's containers need Linux namespaces"
  const missing = tools.filter((tool) => !Path.isAbsolute(pathOfTool(tool)))
  if (missing.length > 0) return `the fake's containers need ${missing.join(", ")} (of util-linux)`
  const args = [...namespaceArguments, pathOfTool("mount"), "-t", "proc", "proc", "/proc"]
  const { status, stderr } = ChildProcess.spawnSync(pathOfTool("unshare"), args, { encoding: "utf8", env: {} })
  if (status === 0) return undefined
  const advice = isRoot
    ? "run it with the right to mount (CAP_SYS_ADMIN)"
    : "allow user namespaces, on Ubuntu: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"
  return `the fake's containers need mount namespaces, which this system refuses (${stderr.trim()}); ${advice}`
}

/** Ends with this process, whatever becomes of it: else containers would live on after a SIGKILL. */
const tied = ["--pdeathsig", "KILL", "--"]

/** `env` carries what is not a name for a shell: it would drop that. */
const script =
  'mount=$1 env=$2 table=$3; shift 3; "$mount" -a -T "$table" || exit 125; echo >&3; exec 3>&-; exec "$env" -i "$@"'

export const start = Effect.fnUntraced(function* (
  options: ContainerOptions
): Effect.fn.Return<ContainerProcess, StartFailure> {
  const nsenter = pathOfTool("nsenter")
  const exit = Deferred.makeUnsafe<Ended>()
  const mounted = Deferred.makeUnsafe<boolean>()
  const identity = identityOf(options)
  const child = spawn(
    pathOfTool("setpriv"),
    [
      ...tied,
      pathOfTool("unshare"),
      ...namespaceArguments,
      pathOfTool("setsid"),
      pathOfTool("sh"),
      "-c",
      script,
      "sh",
      pathOfTool("mount"),
      pathOfTool("env"),
      options.table,
      ...Object.entries(options.env).map(([name, value]) => `${name}=${value}`),
      nsenter,
      `--root=${options.root}`,
      `--wd=${options.workingDir}`,
      ...identity,
      "--",
      ...options.command
    ],
    { env: {}, stdio: ["ignore", "pipe", "pipe", "pipe"], detached: true }
  )
  if (child === "TooLong") {
    options.onOutput("stderr", Buffer.from(`exec ${options.command[0]}: argument list too long\n`))
    Deferred.doneUnsafe(exit, Effect.succeed({ code: 1, signal: undefined }))
    return { exit, signal: () => Effect.void, exec: (call) => refusing(call.command[0] ?? "") }
  }
  // Until its own program runs, what comes is of the tools that start it.
  let early: Array<readonly ["stdout" | "stderr", Buffer]> | undefined = []
  let said = ""
  const hear = (stream: "stdout" | "stderr") => (bytes: Buffer) => {
    if (early === undefined) return options.onOutput(stream, bytes)
    early.push([stream, bytes])
    said = `${said}${bytes.toString()}`.slice(-2000)
  }
  child.stdout?.on("data", hear("stdout"))
  child.stderr?.on("data", hear("stderr"))
  const ready = child.stdio[3] as Readable
  ready.once("data", () => Deferred.doneUnsafe(mounted, Effect.succeed(true)))
  child.once("error", (cause) => {
    said = cause.message
    Deferred.doneUnsafe(exit, Effect.succeed({ code: 125, signal: undefined }))
  })
  let killed = false
  child.once("close", (code, signal) => {
    // unshare tells the end of its child by SIGKILL as 1. From inside, nothing can send that to the first process.
    const end = killed && code === 1 ? endOf(null, "SIGKILL") : endOf(code, signal)
    Deferred.doneUnsafe(exit, Effect.succeed(end))
  })

  const isMounted = yield* Effect.raceFirst(Deferred.await(mounted), Effect.as(Deferred.await(exit), false))
  if (!isMounted) return yield* Effect.fail<StartFailure>({ reason: "CreateContainerError", message: said.trim() })
  const first = yield* firstProcess(child.pid ?? 0, nsenter, exit)
  if (first === undefined) {
    const failed = startErrorIn(said, options.command[0] ?? "")
    if (failed !== undefined) return yield* Effect.fail<StartFailure>({ reason: "StartError", message: failed })
  }

  for (const [stream, bytes] of early) options.onOutput(stream, bytes)
  early = undefined

  return {
    exit,
    signal: (signal) =>
      Effect.sync(() => {
        if (first === undefined || child.exitCode !== null || child.signalCode !== null) return
        if (signal === "SIGKILL") killed = true
        sendSignal(first, signal)
      }),
    exec: (call) => {
      const process = spawn(
        nsenter,
        [
          "-t",
          String(first ?? 0),
          ...(isRoot ? [] : ["--user", "--preserve-credentials"]),
          "--pid",
          "--",
          // A session of its own, as runtimes make it: within the namespace, so that its number is its first process's.
          pathOfTool("setsid"),
          nsenter,
          "-t",
          String(first ?? 0),
          "--mount",
          "--root",
          `--wd=/proc/${first ?? 0}/root${call.workingDir}`,
          ...identityOf(call),
          "--",
          ...call.command
        ],
        { env: { ...call.env }, stdio: [call.stdin ? "pipe" : "ignore", "pipe", "pipe"], detached: true }
      )
      return process === "TooLong" ? refusing(call.command[0] ?? "") : process
    }
  }
})

/** Linux takes 128 KiB for one argument or variable, and some megabytes for all. */
const spawn = (
  command: string,
  args: ReadonlyArray<string>,
  options: ChildProcess.SpawnOptions
): ChildProcess.ChildProcess | "TooLong" => {
  try {
    return ChildProcess.spawn(command, args, options)
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "E2BIG") return "TooLong"
    throw cause
  }
}

/** What a command comes to whose arguments are too long, as a runtime tells it. */
const refusing = (program: string): ChildProcess.ChildProcess =>
  ChildProcess.spawn(pathOfTool("sh"), ["-c", 'echo "exec $0: argument list too long" >&2; exit 1', program], {
    env: {},
    stdio: ["ignore", "pipe", "pipe"]
  })

export const startErrorPrefix = "nsenter: failed to execute"

/** The text of nsenter when there is no such program, in the words of a container runtime. */
export const startErrorIn = (output: string, program: string): string | undefined => {
  const found = /^nsenter: failed to execute [^\n]*: ([^:\n]+)$/m.exec(output.trim())
  if (found === null) return undefined
  const why =
    found[1] === "No such file or directory" && !program.includes("/")
      ? "executable file not found in $PATH"
      : found[1] === "No such file or directory"
        ? "no such file or directory"
        : (found[1] ?? "").toLowerCase()
  return `exec: ${JSON.stringify(program)}: ${why}`
}

export const endOf = (code: number | null, signal: NodeJS.Signals | null): Ended => {
  const number = signal === null ? undefined : Os.constants.signals[signal]
  return { code: code ?? 128 + (number ?? 0), signal: number }
}

const identityOf = ({ group, user }: { readonly user?: number | undefined; readonly group?: number | undefined }) => [
  // Another user needs another user's rights, which only root can give.
  ...(user === undefined || !isRoot ? [] : [`--setuid=${user}`]),
  ...(!isRoot || (user === undefined && group === undefined) ? [] : [`--setgid=${group ?? 0}`])
]

/** The pid, here, of the namespace's first process once it is the container's own program; nothing if it has ended before. */
const firstProcess = Effect.fnUntraced(function* (
  outer: number,
  starter: string,
  exit: Deferred.Deferred<Ended>
): Effect.fn.Return<number | undefined> {
  const name = Path.basename(starter)
  while (!Deferred.isDoneUnsafe(exit)) {
    const [first] = read(`/proc/${outer}/task/${outer}/children`).split(" ").map(Number)
    if (first !== undefined && first > 0 && chrooted(first) && read(`/proc/${first}/comm`).trim() !== name) return first
    yield* Effect.sleep(1)
  }
  return undefined
})

const chrooted = (pid: number): boolean => {
  try {
    return Fs.readlinkSync(`/proc/${pid}/root`) !== "/"
  } catch {
    return false
  }
}

const read = (file: string): string => {
  try {
    return Fs.readFileSync(file, "utf8")
  } catch {
    return ""
  }
}

const sendSignal = (pid: number, signal: NodeJS.Signals): void => {
  try {
    Process.kill(pid, signal)
  } catch {
    // It has ended.
  }
}
