/**
 * A container's output as the kubelet keeps it: both streams in one file, line by line with the time of each. A line is seen when it has
 * ended, is very long, or its writer is gone.
 */
import * as Fs from "node:fs"
import type * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"

export interface LogQuery {
  readonly follow: boolean
  readonly timestamps: boolean
  /** RFC 3339, to the second. */
  readonly sinceTime: string | undefined
  readonly sinceSeconds: number | undefined
  readonly tailLines: number | undefined
  readonly limitBytes: number | undefined
}

export interface ContainerLog {
  readonly write: (stream: "stdout" | "stderr", bytes: Uint8Array) => void
  /** No more comes. */
  readonly end: () => void
  /** Whether no more will come. */
  readonly ended: () => boolean
  /** What is there, from a position on, a part at a time; `undefined` at the end of it. */
  readonly read: (position: number) => Buffer | undefined
  readonly size: () => number
  readonly subscribe: (listener: () => void) => () => void
  /** Keeps it open for a reader, until that calls what this gives. */
  readonly hold: () => () => void
  readonly close: () => void
}

/** As container runtimes cut them. */
const longest = 16 * 1024

/** A record: the time, `F` for a whole line or `P` for a part of one, and the bytes. */
export const makeContainerLog = (file: string, clock: Clock.Clock): ContainerLog => {
  const descriptor = Fs.openSync(file, "w+")
  const listeners = new Set<() => void>()
  const partial = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) }
  let size = 0
  let ended = false
  /** Nobody writes any more; whoever reads still may. */
  let done = false
  let closed = false
  let readers = 0

  const release = () => {
    if (!done || closed || readers > 0) return
    closed = true
    Fs.closeSync(descriptor)
  }
  const notify = () => {
    for (const listener of [...listeners]) listener()
  }
  return {
    write: (stream, bytes) => {
      if (ended) return
      const time = timestampOf(clock.currentTimeNanosUnsafe())
      const records: Array<Uint8Array> = []
      let rest = Buffer.concat([partial[stream], bytes])
      for (;;) {
        const end = rest.indexOf(10)
        if (end === -1 && rest.length < longest) break
        const whole = end !== -1 && end <= longest
        const length = whole ? end : longest
        records.push(Buffer.from(`${time} ${whole ? "F" : "P"} `), rest.subarray(0, length), newline)
        rest = rest.subarray(whole ? length + 1 : length)
      }
      partial[stream] = Buffer.from(rest)
      if (records.length === 0) return
      const block = Buffer.concat(records)
      Fs.writeSync(descriptor, block)
      size += block.length
      notify()
    },
    end: () => {
      if (ended) return
      ended = true
      const time = timestampOf(clock.currentTimeNanosUnsafe())
      for (const rest of Object.values(partial)) {
        if (rest.length === 0) continue
        const block = Buffer.concat([Buffer.from(`${time} P `), rest, newline])
        Fs.writeSync(descriptor, block, 0, block.length)
        size += block.length
      }
      notify()
    },
    ended: () => ended,
    read: (position) => {
      if (closed || position >= size) return undefined
      const part = Buffer.alloc(Math.min(256 * 1024, size - position))
      const read = Fs.readSync(descriptor, part, 0, part.length, position)
      return part.subarray(0, read)
    },
    size: () => size,
    subscribe: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    hold: () => {
      readers++
      return () => {
        readers--
        release()
      }
    },
    close: () => {
      done = true
      ended = true
      notify()
      release()
    }
  }
}

const newline = Buffer.from("\n")

/** RFC 3339 with all nine digits. */
const timestampOf = (nanos: bigint): string => {
  const seconds = DateTime.formatIso(DateTime.makeUnsafe(Number(nanos / 1_000_000n))).slice(0, 19)
  return `${seconds}.${String(nanos % 1_000_000_000n).padStart(9, "0")}Z`
}

/** Turns records into what the API answers with, as they come. */
export const makeLogRenderer = (query: LogQuery, now: string) => {
  let rest = Buffer.alloc(0)
  let atLineStart = true
  let left = query.limitBytes ?? Number.POSITIVE_INFINITY
  const since = sinceOf(query, now)
  return (bytes: Buffer): Buffer => {
    const parts: Array<Buffer> = []
    rest = Buffer.concat([rest, bytes])
    for (let end = rest.indexOf(10); end !== -1; end = rest.indexOf(10)) {
      const record = rest.subarray(0, end)
      rest = rest.subarray(end + 1)
      const time = record.subarray(0, 30).toString("latin1")
      const whole = record[31] === 70
      const content = record.subarray(33)
      if (time < since) continue
      if (query.timestamps && atLineStart) parts.push(Buffer.from(`${time} `))
      parts.push(content)
      if (whole) parts.push(newline)
      atLineStart = whole
    }
    const rendered = Buffer.concat(parts).subarray(0, left)
    left -= rendered.length
    return rendered
  }
}

/** The earliest time wanted; texts of one form compare as their times. */
const sinceOf = ({ sinceSeconds, sinceTime }: LogQuery, now: string): string => {
  const time =
    sinceTime === undefined
      ? sinceSeconds === undefined
        ? undefined
        : DateTime.subtract(DateTime.makeUnsafe(now), { seconds: sinceSeconds })
      : DateTime.makeUnsafe(sinceTime)
  return time === undefined ? "" : DateTime.formatIso(time).slice(0, 19)
}

/** Where the last lines begin. */
export const positionOfTail = (log: ContainerLog, lines: number | undefined): number => {
  if (lines === undefined) return 0
  let starts: Array<number> = []
  let rest = Buffer.alloc(0)
  let position = 0
  let atLineStart = true
  for (let part = log.read(0); part !== undefined; part = log.read(position + rest.length)) {
    rest = Buffer.concat([rest, part])
    for (let end = rest.indexOf(10); end !== -1; end = rest.indexOf(10)) {
      if (atLineStart) starts.push(position)
      atLineStart = rest[31] === 70
      position += end + 1
      rest = rest.subarray(end + 1)
    }
    starts = lines === 0 ? [] : starts.slice(-lines)
  }
  return starts[0] ?? position
}
