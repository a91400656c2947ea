/**
 * What `follow` (podScripts) writes to its stdout: the step's own output, then, after a token that only we know, how it ended and files.
 */

/** What the pod says after the output: `lost` if the step's wrapper is gone without a word. */
export interface Trailer {
  readonly end: number | "lost" | "refused"
  readonly files: ReadonlyMap<string, Uint8Array>
}

const newline = 10

/** Takes the bytes of one connection apart; `running`: an earlier one has seen the step start. `push` gives the step's own bytes of what came. */
export const makeTrailerReader = (token: string, running: boolean) => {
  const mark = Buffer.from(token)
  let held: Buffer = Buffer.alloc(0)
  let started = running
  let trailer: Buffer | undefined
  let parsed: Trailer | undefined

  const push = (bytes: Uint8Array): Uint8Array => {
    if (trailer !== undefined) {
      trailer = Buffer.concat([trailer, bytes])
      parsed = parse(trailer, token)
      return empty
    }
    const all = held.length === 0 ? asBuffer(bytes) : Buffer.concat([held, bytes])
    const at = all.indexOf(mark)
    if (at < 0) {
      // The start of a token may be at the end.
      const tail = all.lastIndexOf(mark[0] ?? 0)
      const keep =
        tail >= 0 && all.length - tail < mark.length && mark.subarray(0, all.length - tail).equals(all.subarray(tail))
      held = keep ? Buffer.from(all.subarray(tail)) : Buffer.alloc(0)
      return keep ? all.subarray(0, tail) : all
    }
    const startedLine = `${token} started\n`
    if (!started && at === 0) {
      if (all.length < startedLine.length) {
        held = Buffer.from(all)
        return empty
      }
      if (all.subarray(0, startedLine.length).toString("latin1") === startedLine) {
        started = true
        held = Buffer.alloc(0)
        return push(all.subarray(startedLine.length))
      }
    }
    held = Buffer.alloc(0)
    trailer = Buffer.from(all.subarray(at))
    parsed = parse(trailer, token)
    return all.subarray(0, at)
  }

  return {
    push,
    /** The step runs, or has run: its output has begun. */
    get started() {
      return started
    },
    /** There once all of it has come. */
    get trailer() {
      return parsed
    }
  }
}

const empty = new Uint8Array(0)

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** Nothing as long as it is not complete. */
const parse = (bytes: Buffer, token: string): Trailer | undefined => {
  const files = new Map<string, Uint8Array>()
  let end: Trailer["end"] | undefined
  for (let at = 0; ; ) {
    const lineEnd = bytes.indexOf(newline, at)
    if (lineEnd < 0) return undefined
    const line = bytes.subarray(at, lineEnd).toString("utf8")
    at = lineEnd + 1
    const [word = "", ...rest] = line.startsWith(`${token} `) ? line.slice(token.length + 1).split(" ") : []
    if (word === "exit") {
      const [code = ""] = rest
      end = code === "lost" || code === "refused" ? code : Number(code)
    } else if (word === "file") {
      const size = Number(rest[0])
      if (bytes.length < at + size + 1) return undefined
      files.set(rest.slice(1).join(" "), Uint8Array.from(bytes.subarray(at, at + size)))
      at += size + 1
    } else if (word === "end" && end !== undefined) {
      return { end, files }
    } else {
      // Not ours: whoever wrote it cannot know the token, so the pod's scripts are damaged.
      return { end: "lost", files }
    }
  }
}
