/**
 * Bytes to whole lines of text, for one stream: characters and lines may be cut anywhere between two chunks.
 */

/**
 * A splitter with the state of one stream. Lines end at `\n`; a `\r` before it belongs to the line's end.
 *
 * **Gotchas**
 *
 * Bytes that are not UTF-8 become U+FFFD: use it for people, not to copy output.
 *
 * @category models
 */
export interface LineSplitter {
  /** The lines that this chunk completes. */
  readonly push: (bytes: Uint8Array) => ReadonlyArray<string>
  /** What is left after the last line end, if anything. */
  readonly flush: () => ReadonlyArray<string>
}

/** @category constructors */
export const make = (): LineSplitter => {
  // Made when there is something to decode: most steps write to one stream only, many to none.
  let decoder: InstanceType<typeof TextDecoder> | undefined
  let rest = ""
  const complete = (text: string): ReadonlyArray<string> => {
    const lines = text.split("\n")
    if (lines.length === 1) {
      rest += text
      return []
    }
    lines[0] = rest + lines[0]!
    rest = lines.pop()!
    for (let index = 0; index < lines.length; index++) {
      if (lines[index]!.endsWith("\r")) lines[index] = lines[index]!.slice(0, -1)
    }
    return lines
  }
  return {
    push: (bytes) => {
      decoder ??= new TextDecoder("utf-8", { ignoreBOM: true })
      return complete(decoder.decode(bytes, { stream: true }))
    },
    flush: () => {
      const lines = decoder === undefined ? [] : [...complete(decoder.decode())]
      if (rest !== "") lines.push(rest)
      rest = ""
      return lines
    }
  }
}
