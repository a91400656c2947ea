/**
 * What `follow` (podScripts) writes to each of its streams: the step's own output, then, after a token that only we know, how it ended, and on stdout
 * files.
 */

/** What the pod says after the output: `lost` if the step's wrapper is gone without a word. */
export interface Trailer {
  readonly end: number | "lost" | "refused"
  readonly files: ReadonlyMap<string, Uint8Array>
}

const newline = 10

/** What a step's wrapper has written. Nothing else counts as an end: an empty text would be a zero. */
export const exitCodeOf = (text: string): number | undefined =>
  /^\d{1,3}$/.test(text.trim()) ? Number(text) : undefined

/** Takes the bytes of one connection apart; `running`: an earlier one has seen the step start. `push` gives the step's own bytes of what came. */
export const makeTrailerReader = (token: string, running: boolean) => {
  const mark = Buffer.from(token)
  let held: Buffer = Buffer.alloc(0)
  let started = running
  let trailer: ReturnType<typeof makeParser> | undefined

  const push = (bytes: Uint8Array): Uint8Array => {
    if (trailer !== undefined) {
      trailer.push(asBuffer(bytes))
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
    if (!started) {
      const told = all.subarray(at, at + startedLine.length)
      if (told.length < startedLine.length) {
        held = Buffer.from(all)
        return empty
      }
      if (told.toString("latin1") === startedLine) {
        started = true
        held = Buffer.alloc(0)
        // What was before is not the step's.
        return push(all.subarray(at + startedLine.length))
      }
    }
    held = Buffer.alloc(0)
    trailer = makeParser(token)
    trailer.push(all.subarray(at))
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
      return trailer?.result
    }
  }
}

const empty = new Uint8Array(0)

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** Takes the trailer as it comes: what was understood is not looked at again. */
const makeParser = (token: string) => {
  const files = new Map<string, Uint8Array>()
  let waiting: Array<Buffer> = []
  let length = 0
  /** So many bytes have to be there for the next part. */
  let needed = 1
  let end: Trailer["end"] | undefined
  let result: Trailer | undefined

  const push = (bytes: Buffer) => {
    // Whoever gives the bytes may use their memory again.
    waiting.push(Buffer.from(bytes))
    length += bytes.length
    if (result !== undefined || length < needed) return
    let rest = Buffer.concat(waiting)
    const keep = (need: number) => {
      waiting = [rest]
      length = rest.length
      needed = need
    }
    while (result === undefined) {
      const lineEnd = rest.indexOf(newline)
      if (lineEnd < 0) return keep(rest.length + 1)
      const line = rest.subarray(0, lineEnd).toString("utf8")
      const [word = "", ...words] = line.startsWith(`${token} `) ? line.slice(token.length + 1).split(" ") : []
      let next = lineEnd + 1
      if (word === "exit") {
        const [code = ""] = words
        end = code === "refused" ? code : (exitCodeOf(code) ?? "lost")
      } else if (word === "file") {
        const size = Number(words[0])
        if (rest.length < next + size + 1) return keep(next + size + 1)
        files.set(words.slice(1).join(" "), Uint8Array.from(rest.subarray(next, next + size)))
        next += size + 1
      } else {
        // If it is not ours, the pod's scripts are damaged: nobody else knows the token.
        result = word === "end" && end !== undefined ? { end, files } : { end: "lost", files }
      }
      rest = rest.subarray(next)
    }
  }

  return {
    push,
    get result() {
      return result
    }
  }
}
