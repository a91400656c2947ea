/**
 * A `LineSplitter` that needs no more memory for a stream that never ends its line: a longer line becomes several.
 *
 * Where it cuts depends on the bytes alone, not on how they came in chunks, and never parts a character.
 */
import * as LineSplitter from "../../../domain/LineSplitter.ts"

/** In bytes. */
export const maxLength = 64 * 1024

/** @category constructors */
export const make = (limit: number = maxLength): LineSplitter.LineSplitter => {
  const splitter = LineSplitter.make()
  /** Bytes since the last end of a line. */
  let pending = 0

  /** Where the line that continues at `start` must be cut, if it has to be before `end`. */
  const cutBetween = (bytes: Uint8Array, start: number, end: number): number | undefined => {
    for (let index = Math.max(start, start + limit - pending); index < end; index++) {
      // Bytes that only continue a character; more than three of them are no character, whatever they are.
      const continues = (bytes[index]! & 0xc0) === 0x80 && pending + index - start < limit + 4
      if (!continues) return index
    }
    return undefined
  }

  const push = (bytes: Uint8Array): ReadonlyArray<string> => {
    if (pending + bytes.length <= limit) {
      const lastEnd = bytes.lastIndexOf(newline)
      pending = lastEnd < 0 ? pending + bytes.length : bytes.length - lastEnd - 1
      return splitter.push(bytes)
    }
    const lines: Array<string> = []
    let pushed = 0
    let start = 0
    while (start < bytes.length) {
      const found = bytes.indexOf(newline, start)
      const end = found < 0 ? bytes.length : found
      const cut = cutBetween(bytes, start, end)
      if (cut !== undefined) {
        lines.push(...splitter.push(bytes.subarray(pushed, cut)), ...splitter.flush())
        pending = 0
        pushed = cut
        start = cut
      } else if (found < 0) {
        pending += bytes.length - start
        start = bytes.length
      } else {
        pending = 0
        start = found + 1
      }
    }
    // Not `push(...many)`: a chunk may hold more lines than a call may have arguments.
    return lines.concat(splitter.push(bytes.subarray(pushed)))
  }

  return {
    push,
    flush: () => {
      pending = 0
      return splitter.flush()
    }
  }
}

const newline = 10
