/** What a step writes, line by line: commands are obeyed, secrets are masked. */
import type { OutputChunk } from "../../../domain/JobEnvironment.ts"
import type { OutputFilter } from "../../../domain/StepProgram.ts"
import type { MaskedStream, Masker } from "../../commands/Masker.ts"
import type * as WorkflowCommands from "../../commands/WorkflowCommands.ts"

export interface Obeying {
  readonly reader: WorkflowCommands.Reader
  readonly masker: Masker
  readonly obey: (instruction: WorkflowCommands.Instruction) => void
}

/**
 * Lines without a sign of a command go on byte for byte. A line that is not finished is kept back only if it may yet become a command: an
 * indicator of progress, or a question, is seen at once. So the older form of commands, which counts anywhere in a line (`text ##[error]…`), does not
 * count in a line whose beginning has been shown already.
 */
export const makeStepOutput = (obeying: Obeying): OutputFilter => {
  const streams = { stdout: makeStream(obeying), stderr: makeStream(obeying) }
  return {
    push: ({ bytes, stream }) => streams[stream].push(bytes),
    flush: () =>
      (["stdout", "stderr"] as const).map((stream): OutputChunk => ({ stream, bytes: streams[stream].flush() }))
  }
}

interface Lines {
  readonly push: (bytes: Uint8Array) => Uint8Array
  readonly flush: () => Uint8Array
}

/** A line that is longer is no command. */
const longest = 1024 * 1024

const makeStream = ({ masker, obey, reader }: Obeying): Lines => {
  const masked: MaskedStream = masker.stream()
  /** The beginning of a line that may become a command. */
  let held: Uint8Array = none
  /** Part of the line has been shown: it is no command any more. */
  let begun = false

  const line = (bytes: Uint8Array): Uint8Array => {
    const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes)
    const end = /\r?\n?$/.exec(text)?.[0] ?? ""
    const { instruction, shown } = reader.read(text.slice(0, text.length - end.length))
    if (instruction === undefined) return bytes
    // A mask holds for the very next line, also in what has been read already.
    obey(instruction)
    return encoder.encode(shown.map((each) => `${each}\n`).join(""))
  }

  const push = (chunk: Uint8Array): Uint8Array => {
    const bytes = held.length === 0 ? chunk : joined([held, chunk])
    held = none
    if (!mayHaveCommands(bytes)) {
      // Only the beginning of its last line can still become one.
      const start = bytes.lastIndexOf(lf) + 1
      const open = start < bytes.length
      const hold = open && (start > 0 || !begun) && mayBecome(bytes.subarray(start)) ? start : bytes.length
      begun = open && hold === bytes.length && (start > 0 || begun || bytes.length > 0)
      held = bytes.slice(hold)
      return masked.push(bytes.subarray(0, hold))
    }
    const parts: Array<Uint8Array> = []
    let start = 0
    for (let end = bytes.indexOf(lf); end >= 0; end = bytes.indexOf(lf, start)) {
      const whole = bytes.subarray(start, end + 1)
      // Copies: the masker may keep what it was given until the next push.
      parts.push(masked.push(begun ? whole : line(whole)).slice())
      begun = false
      start = end + 1
    }
    const rest = bytes.subarray(start)
    if (rest.length > 0) {
      if (!begun && mayBecome(rest) && rest.length < longest) held = rest.slice()
      else {
        begun = true
        parts.push(masked.push(rest).slice())
      }
    }
    return joined(parts)
  }

  return {
    push,
    flush: () => {
      const last = held.length === 0 ? none : masked.push(begun ? held : line(held)).slice()
      held = none
      return joined([last, masked.flush()])
    }
  }
}

/** `::` and `##[`, and in a program without commands neither. */
const mayHaveCommands = (bytes: Uint8Array): boolean => {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return buffer.includes("::") || buffer.includes("##[")
}

/** A line that begins like a command, or ends like the beginning of one. */
const mayBecome = (rest: Uint8Array): boolean => {
  const start = new TextDecoder().decode(rest.subarray(0, 64)).trimStart()
  if (start === "" || start.startsWith(":")) return true
  const buffer = Buffer.from(rest.buffer, rest.byteOffset, rest.byteLength)
  return buffer.includes("##[") || rest[rest.length - 1] === hash
}

const joined = (parts: ReadonlyArray<Uint8Array>): Uint8Array => {
  const [only] = parts
  return parts.length === 0 ? none : parts.length === 1 && only !== undefined ? only : Buffer.concat(parts)
}

const lf = 10
const hash = 35
const none = new Uint8Array(0)
const encoder = new TextEncoder()
