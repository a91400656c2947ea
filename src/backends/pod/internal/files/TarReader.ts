/**
 * Reads an archive as its bytes come, from whoever sent it.
 *
 * **Details**
 *
 * What one chunk of bytes holds is given as a list of events, so that thousands of small files cost no more than their bytes. The header
 * blocks of an entry come with it as they were, for whoever hands the archive on. Nothing is kept of the bytes that it is given, and events are
 * valid as long as those are.
 */
import { Buffer } from "node:buffer"
import { blockSize, decodeBlock, paddingOf, type TarHeader } from "./tarFormat.ts"

export type TarEvent =
  | {
      readonly _tag: "Entry"
      readonly header: TarHeader
      /** The blocks before the body: the entry's own, and those that say more of it. */
      readonly blocks: Buffer
    }
  /** A part of the body of the entry before. */
  | { readonly _tag: "Body"; readonly bytes: Buffer }
  /** All of the body has come. */
  | { readonly _tag: "EntryEnd" }
  /** The end of the archive. What comes after it does not belong to it, and is dropped. */
  | { readonly _tag: "End" }
  /** This is no archive; nothing comes after it. */
  | { readonly _tag: "Invalid"; readonly detail: string }

export interface TarReader {
  /** What these bytes, after those before, hold. */
  readonly push: (bytes: Uint8Array) => ReadonlyArray<TarEvent>
  /** Whether nothing is missing of what has begun. */
  readonly atBoundary: () => boolean
}

export interface TarReaderOptions {
  /** Several archives, one after another, are read as one, whose end only the end of the bytes tells: there is no `End`. */
  readonly several?: boolean | undefined
}

/** More than this before an entry is no name, but an attack. */
const largestExtension = 1024 * 1024

export const makeTarReader = ({ several = false }: TarReaderOptions = {}): TarReader => {
  /** Bytes of an unfinished header or extension. */
  let pending: Buffer = Buffer.alloc(0)
  /** Header blocks of the entry that comes. */
  let blocks: Array<Buffer> = []
  let extension: { readonly kind: "K" | "L" | "g" | "x"; readonly size: number } | undefined
  let more: Extended = {}
  let body = 0
  let padding = 0
  let state: "Header" | "Body" | "Padding" | "Ended" = "Header"
  let zeros = false

  const push = (chunk: Uint8Array): ReadonlyArray<TarEvent> => {
    const events: Array<TarEvent> = []
    let bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    if (pending.length > 0) {
      bytes = Buffer.concat([pending, bytes])
      pending = Buffer.alloc(0)
    }
    let at = 0
    const invalid = (detail: string) => {
      state = "Ended"
      events.push({ _tag: "Invalid", detail })
      return events
    }
    for (;;) {
      switch (state) {
        case "Ended":
          return events
        case "Body": {
          if (at === bytes.length) return events
          const part = bytes.subarray(at, at + body)
          at += part.length
          body -= part.length
          events.push({ _tag: "Body", bytes: part })
          if (body > 0) return events
          events.push({ _tag: "EntryEnd" })
          state = "Padding"
          break
        }
        case "Padding": {
          const skipped = Math.min(padding, bytes.length - at)
          at += skipped
          padding -= skipped
          if (padding > 0) return events
          state = "Header"
          break
        }
        case "Header": {
          const needed = extension === undefined ? blockSize : extension.size + paddingOf(extension.size)
          if (bytes.length - at < needed) {
            // A copy, because a slice would keep all of the chunk.
            pending = Buffer.from(bytes.subarray(at))
            return events
          }
          const block = bytes.subarray(at, at + needed)
          at += needed
          if (extension !== undefined) {
            const wrong = extend(more, extension.kind, block.subarray(0, extension.size))
            if (wrong !== undefined) return invalid(wrong)
            // What is said of all entries is applied here, and must not be handed on without the entries it was said of.
            if (extension.kind !== "g") blocks.push(Buffer.from(block))
            extension = undefined
            break
          }
          if (isZero(block)) {
            if (several) break
            if (zeros) {
              state = "Ended"
              if (blocks.length > 0) return invalid("it ends after an extended header")
              events.push({ _tag: "End" })
              return events
            }
            zeros = true
            break
          }
          if (zeros) return invalid("an entry follows on an empty block")
          const raw = decodeBlock(block)
          if (raw === undefined) return invalid("a header is damaged")
          if (raw.extension !== "") {
            if (raw.size > largestExtension) return invalid(`an extended header has ${raw.size} bytes`)
            extension = { kind: raw.extension, size: raw.size }
            if (raw.extension !== "g") blocks.push(Buffer.from(block))
            break
          }
          const { extension: _, ...plain } = raw
          const path = more.path ?? plain.path
          // Before there was a flag for directories, the slash was it; only the whole name tells.
          const type = plain.type === "File" && path.endsWith("/") ? "Directory" : plain.type
          const size = type === "File" ? (more.size ?? plain.size) : type === "Other" ? plain.size : 0
          const header: TarHeader = { ...plain, path, type, size, target: more.target ?? plain.target }
          events.push({
            _tag: "Entry",
            header,
            blocks: blocks.length === 0 ? block : Buffer.concat([...blocks, block])
          })
          blocks = []
          more = {}
          body = header.size
          padding = paddingOf(body)
          if (body > 0) state = "Body"
          else {
            events.push({ _tag: "EntryEnd" })
            state = "Header"
          }
          break
        }
      }
    }
  }
  return { push, atBoundary: () => state === "Header" && pending.length === 0 && blocks.length === 0 }
}

/** What extensions say of the next entry. */
interface Extended {
  path?: string
  target?: string
  size?: number
}

/** Takes over what an extension says; the text is why it cannot be. */
const extend = (more: Extended, kind: "K" | "L" | "g" | "x", data: Buffer): string | undefined => {
  switch (kind) {
    case "L":
      more.path = upToZero(data)
      return undefined
    case "K":
      more.target = upToZero(data)
      return undefined
    case "g":
      return undefined
    case "x": {
      for (let at = 0; at < data.length; ) {
        // A record is "<length> <key>=<value>\n", its length counted from its first digit on.
        const space = data.indexOf(32, at)
        const length = Number(data.toString("latin1", at, space < 0 ? at : space))
        const equals = data.indexOf(61, space)
        const end = at + length
        if (space < 0 || !Number.isInteger(length) || length <= 0 || equals < 0 || equals >= end || end > data.length) {
          return "an extended header is damaged"
        }
        const key = data.toString("utf8", space + 1, equals)
        const value = data.toString("utf8", equals + 1, end - 1)
        if (key === "path") more.path = value
        else if (key === "linkpath") more.target = value
        else if (key === "size") {
          if (!/^\d{1,15}$/.test(value)) return "an extended header is damaged"
          more.size = Number(value)
        } else if (key.startsWith("GNU.sparse.")) return "it holds sparse files"
        at = end
      }
      return undefined
    }
  }
}

const upToZero = (data: Buffer): string => {
  const end = data.indexOf(0)
  return data.toString("utf8", 0, end < 0 ? data.length : end)
}

const isZero = (block: Buffer): boolean => block.equals(emptyBlock)

const emptyBlock = Buffer.alloc(blockSize)
