import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"

/** A process as the kernel shows it at one moment. */
export interface ProcessEntry {
  readonly pid: number
  readonly parent: number
  readonly group: number
  readonly session: number
  /** Tells a process from a later one with the same pid. */
  readonly startedAt: string
  readonly command: string
  /** Value of the marker variable that it was started with, if that can be read. */
  readonly marker: string | undefined
}

/** All processes that run now. Zombies are left out: they do nothing any more, and only their parent can remove them. */
export type ProcessTable = ReadonlyMap<number, ProcessEntry>

/** The variable by which processes of a job are known, whatever became of their parents and sessions. */
export const markerVariable = "JOBSCOPE_ENVIRONMENT"

/** Synchronous on purpose: it must also work while the program exits. */
export const readProcessTable = (): ProcessTable => (hasProc ? fromProc() : fromPs())

/** Start time of one process, `undefined` if there is none with that pid. */
export const startOf = (pid: number): string | undefined => {
  if (!hasProc) return fromPs().get(pid)?.startedAt
  const stat = readStat(pid)
  return stat === undefined || stat.zombie ? undefined : stat.startedAt
}

const hasProc = Fs.existsSync("/proc/self/stat")

const bootId = (() => {
  try {
    return Fs.readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim().slice(0, 8)
  } catch {
    return ""
  }
})()

const fromProc = (): ProcessTable => {
  const table = new Map<number, ProcessEntry>()
  const young = uptimeTicks() - settlingTicks
  for (const name of Fs.readdirSync("/proc")) {
    const pid = Number(name)
    if (!Number.isInteger(pid)) continue
    const stat = readStat(pid)
    // Children of 2 are kernel threads.
    if (stat === undefined || stat.zombie || stat.parent === 2) continue
    const { ticks, zombie: _, ...entry } = stat
    table.set(pid, { pid, ...entry, marker: ticks < young ? markerOfSettled(pid, entry.startedAt) : readMarker(pid) })
  }
  for (const pid of settled.keys()) if (!table.has(pid)) settled.delete(pid)
  return table
}

/** After two seconds (in ticks of 10 ms, as everywhere on Linux) a process has made its exec, and its variables do not change any more. */
const settlingTicks = 200

/** Markers of processes that have settled: most of a machine, read once instead of at every look. */
const settled = new Map<number, { readonly startedAt: string; readonly marker: string | undefined }>()

const markerOfSettled = (pid: number, startedAt: string): string | undefined => {
  const known = settled.get(pid)
  if (known?.startedAt === startedAt) return known.marker
  const marker = readMarker(pid)
  settled.set(pid, { startedAt, marker })
  return marker
}

const uptimeTicks = (): number => Number(Fs.readFileSync("/proc/uptime", "latin1").split(" ")[0]) * 100

/** Fields of proc(5)'s stat: the command, in parentheses, may itself hold spaces and parentheses. */
const readStat = (pid: number) => {
  const bytes = readProcFile(`/proc/${pid}/stat`)
  if (bytes === undefined) return undefined
  const text = bytes.toString("latin1")
  const open = text.indexOf("(")
  const close = text.lastIndexOf(")")
  const fields = text.slice(close + 2).split(" ")
  return {
    zombie: fields[0] === "Z" || fields[0] === "X",
    parent: Number(fields[1]),
    group: Number(fields[2]),
    session: Number(fields[3]),
    ticks: Number(fields[19]),
    startedAt: `${bootId}:${fields[19]}`,
    command: text.slice(open + 1, close)
  }
}

let procBuffer = Buffer.alloc(64 * 1024)

/**
 * A file of /proc, valid until the next call; `undefined` if the process has ended, or is not ours to look at. A scan reads hundreds of
 * them: one buffer, and no `stat` for a size that they do not tell.
 */
const readProcFile = (path: string): Buffer | undefined => {
  let file: number
  try {
    file = Fs.openSync(path, "r")
  } catch {
    return undefined
  }
  try {
    let length = 0
    for (;;) {
      const read = Fs.readSync(file, procBuffer, length, procBuffer.length - length, null)
      if (read === 0) return procBuffer.subarray(0, length)
      length += read
      if (length === procBuffer.length) procBuffer = Buffer.concat([procBuffer, Buffer.alloc(length)])
    }
  } catch {
    return undefined
  } finally {
    Fs.closeSync(file)
  }
}

const markerBytes = Buffer.from(`${markerVariable}=`)

const readMarker = (pid: number): string | undefined => {
  const environment = readProcFile(`/proc/${pid}/environ`)
  if (environment === undefined) return undefined
  let at = environment.indexOf(markerBytes)
  while (at > 0 && environment[at - 1] !== 0) at = environment.indexOf(markerBytes, at + 1)
  if (at < 0) return undefined
  const end = environment.indexOf(0, at)
  return environment.toString("utf8", at + markerBytes.length, end < 0 ? undefined : end)
}

/** Where there is no /proc (macOS, the BSDs). The environment is read where `ps` shows it. */
export const fromPs = (): ProcessTable => {
  const run = (args: ReadonlyArray<string>) =>
    ChildProcess.spawnSync("ps", args, {
      encoding: "utf8",
      env: { PATH: "/bin:/usr/bin", LC_ALL: "C" },
      maxBuffer: 1 << 28
    }).stdout ?? ""
  const markers = new Map<number, string>()
  for (const line of run(["-A", "-E", "-ww", "-o", "pid=,command="]).split("\n")) {
    const found = /^\s*(\d+) .*\bJOBSCOPE_ENVIRONMENT=(\S+)/.exec(line)
    if (found !== null) markers.set(Number(found[1]), found[2] ?? "")
  }
  const table = new Map<number, ProcessEntry>()
  for (const line of run(["-A", "-o", "pid=,ppid=,pgid=,sess=,stat=,lstart=,comm="]).split("\n")) {
    const found = /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\S+)\s+(\S+)\s+(\S+\s+\S+\s+\d+\s+\S+\s+\d+)\s+(.*)$/.exec(line)
    if (found === null || found[5]?.startsWith("Z") === true) continue
    const pid = Number(found[1])
    table.set(pid, {
      pid,
      parent: Number(found[2]),
      group: Number(found[3]),
      session: Number.parseInt(found[4] ?? "0", 10) || 0,
      startedAt: found[6] ?? "",
      command: found[7] ?? "",
      marker: markers.get(pid)
    })
  }
  return table
}
