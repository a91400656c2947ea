/**
 * Headers of tar archives, as both GNU tar and busybox tar read them.
 *
 * **Details**
 *
 * `effect/encoding/Tar` is fast enough, but writes what does not fit into ustar as pax records only, of which busybox reads the path alone
 * (neither link targets nor sizes), and it cannot hand on an archive as it is. What does not fit is written here as GNU does, which every
 * tar in use reads: long names and link targets as entries before, sizes above 8 GiB in base 256. Both kinds are read.
 */
import { Buffer } from "node:buffer"

/** What an entry of an archive is. `Other`: devices, FIFOs and what else nobody should make of a foreign archive. */
type TarType = "File" | "Directory" | "Link" | "HardLink" | "Other"

export interface TarHeader {
  /** As in the archive: it may be absolute, and may hold `..`. */
  readonly path: string
  readonly type: TarType
  /** Bytes of the body. 0 for all but files. */
  readonly size: number
  /** Permission bits with set-id and sticky. */
  readonly mode: number
  /** Seconds since 1970. */
  readonly mtime: number
  /** Of links; of hard links the path of another entry. */
  readonly target: string
}

/** Archives consist of blocks of this size. */
export const blockSize = 512

/** Zeros that fill the last block of a body. */
export const paddingOf = (size: number): number => -size & (blockSize - 1)

/** Two blocks of zeros. */
export const endOfArchive: Uint8Array = new Uint8Array(2 * blockSize)

/** The blocks before the body. */
export const encodeHeader = (header: TarHeader): Buffer => {
  const path = Buffer.from(header.type === "Directory" ? `${header.path}/` : header.path)
  const target = Buffer.from(header.target)
  const split = path.length <= 100 ? 0 : splitAt(path)
  const parts: Array<Buffer> = []
  if (target.length > 100) parts.push(longEntry("K", target))
  if (split < 0) parts.push(longEntry("L", path))
  const block = Buffer.alloc(blockSize)
  path.copy(block, 0, split <= 0 ? 0 : split + 1, split <= 0 ? Math.min(path.length, 100) : path.length)
  if (split > 0) path.copy(block, 345, 0, split)
  target.copy(block, 157, 0, 100)
  fill(block, header.mode & 0o7777, header.type === "File" ? header.size : 0, header.mtime, typeFlags[header.type])
  parts.push(block)
  return parts.length === 1 ? block : Buffer.concat(parts)
}

/** Gives the entry whose header blocks these are another mode. */
export const withMode = (blocks: Buffer, mode: number): Buffer => {
  const changed = Buffer.from(blocks)
  const block = changed.subarray(changed.length - blockSize)
  octal(block, 100, 8, mode & 0o7777)
  writeChecksum(block)
  return changed
}

const typeFlags: Record<TarType, string> = { File: "0", HardLink: "1", Link: "2", Directory: "5", Other: "6" }

/** Where a path is cut into ustar's prefix (155 bytes) and name (100 bytes); -1 if it cannot be. */
const splitAt = (path: Buffer): number => {
  // The slash at the end of a directory's path does not cut.
  const slash = path.indexOf(47, Math.max(1, path.length - 101))
  return slash > 0 && slash <= 155 && slash < path.length - 1 ? slash : -1
}

/** GNU's entry that holds a name or link target of the next. */
const longEntry = (flag: "K" | "L", text: Buffer): Buffer => {
  const size = text.length + 1
  const blocks = Buffer.alloc(blockSize + size + paddingOf(size))
  blocks.write("././@LongLink")
  fill(blocks.subarray(0, blockSize), 0, size, 0, flag)
  text.copy(blocks, blockSize)
  return blocks
}

const fill = (block: Buffer, mode: number, size: number, mtime: number, flag: string) => {
  octal(block, 100, 8, mode)
  octal(block, 108, 8, 0)
  octal(block, 116, 8, 0)
  octal(block, 124, 12, size)
  octal(block, 136, 12, Math.max(0, Math.min(Math.floor(mtime), 0o77777777777)))
  block.write(flag, 156, "latin1")
  block.write("ustar\x0000", 257, "latin1")
  writeChecksum(block)
}

const octal = (block: Buffer, offset: number, length: number, value: number) => {
  const text = value.toString(8)
  if (text.length < length) {
    block.write(`${text.padStart(length - 1, "0")}\0`, offset, "latin1")
    return
  }
  block.fill(0, offset, offset + length)
  block.writeBigUInt64BE(BigInt(value), offset + length - 8)
  block[offset] = 0x80
}

const writeChecksum = (block: Buffer) => {
  block.write(`${checksum(block).toString(8).padStart(6, "0")}\0 `, 148, "latin1")
}

/** The sum of a header's bytes, its own field counted as spaces. */
const checksum = (block: Uint8Array): number => {
  let sum = 8 * 32
  for (let at = 0; at < 148; at++) sum += block[at] as number
  for (let at = 156; at < blockSize; at++) sum += block[at] as number
  return sum
}

/** One header block as it stands, without what the entries before it say. */
export interface RawHeader extends TarHeader {
  /** `""` for the kinds of `TarType`, else the flag of an entry about the next one. */
  readonly extension: "" | "K" | "L" | "g" | "x"
}

/** Reads a block. Undefined: it is no header. */
export const decodeBlock = (block: Buffer): RawHeader | undefined => {
  const sum = number(block, 148, 8)
  if (sum === undefined || sum !== checksum(block)) return undefined
  const size = number(block, 124, 12)
  const mode = number(block, 100, 8)
  const mtime = number(block, 136, 12)
  if (size === undefined || size < 0 || mode === undefined || mtime === undefined) return undefined
  const flag = block[156] === 0 ? "0" : String.fromCharCode(block[156] as number)
  // Only POSIX's ustar has a prefix; GNU's has times there.
  const prefix = block.toString("latin1", 257, 263) === "ustar\0" ? text(block, 345, 155) : ""
  const name = text(block, 0, 100)
  const path = prefix === "" ? name : `${prefix}/${name}`
  const extension = flag === "K" || flag === "L" || flag === "g" || flag === "x" ? flag : ""
  const type = extension === "" ? typeOf(flag) : "Other"
  const hasBody = type === "File" || extension !== "" || (type === "Other" && !/[3-6]/.test(flag))
  return {
    path,
    type,
    size: hasBody ? size : 0,
    mode: mode & 0o7777,
    mtime,
    target: text(block, 157, 100),
    extension
  }
}

const typeOf = (flag: string): TarType => {
  switch (flag) {
    case "0":
    case "7":
      return "File"
    case "1":
      return "HardLink"
    case "2":
      return "Link"
    case "5":
      return "Directory"
    default:
      return "Other"
  }
}

const text = (block: Buffer, offset: number, length: number): string => {
  const end = block.indexOf(0, offset)
  return block.toString("utf8", offset, end < 0 ? offset + length : Math.min(end, offset + length))
}

/** Octal digits, or GNU's base 256. Empty is 0. */
const number = (block: Buffer, offset: number, length: number): number | undefined => {
  const first = block[offset] as number
  if (first & 0x80) {
    // Negative numbers are times before 1970; nothing else may be.
    if (first & 0x40) return length === 12 ? -1 : undefined
    let value = first & 0x3f
    for (let at = 1; at < length; at++) value = value * 256 + (block[offset + at] as number)
    return Number.isSafeInteger(value) ? value : undefined
  }
  const digits = block
    .toString("latin1", offset, offset + length)
    .replace(/^ +/, "")
    .replace(/[\0 ].*$/s, "")
  if (digits === "") return 0
  return /^[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : undefined
}
