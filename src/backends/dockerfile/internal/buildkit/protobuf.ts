/** Protocol buffers by hand: the few messages that are needed do not pay for a compiler. */
import { Buffer } from "node:buffer"

const varint = (value: number | bigint): Buffer => {
  const bytes: Array<number> = []
  // Negative numbers are ten bytes, as two's complement of 64 bits.
  let rest = BigInt.asUintN(64, BigInt(value))
  do {
    const low = Number(rest & 0x7fn)
    rest >>= 7n
    bytes.push(rest === 0n ? low : low | 0x80)
  } while (rest !== 0n)
  return Buffer.from(bytes)
}

/** A number; 0 is what a missing one means, and left out. */
export const number = (field: number, value: number | bigint): Buffer =>
  value === 0 || value === 0n ? Buffer.alloc(0) : Buffer.concat([varint(field * 8), varint(value)])

/** Text, bytes, or a message in a message. */
export const bytes = (field: number, value: string | Uint8Array): Buffer => {
  const content = typeof value === "string" ? Buffer.from(value, "utf8") : value
  return Buffer.concat([varint(field * 8 + 2), varint(content.length), content])
}

/** A map of texts. */
export const texts = (field: number, entries: Readonly<Record<string, string>>): Buffer =>
  Buffer.concat(
    Object.entries(entries).map(([key, value]) => bytes(field, Buffer.concat([bytes(1, key), bytes(2, value)])))
  )

export interface Message {
  /** The last one counts. */
  readonly number: (field: number) => number
  readonly text: (field: number) => string
  readonly bytes: (field: number) => ReadonlyArray<Buffer>
  readonly has: (field: number) => boolean
}

/** What is in a message; nothing, if it is none. Numbers above 2^53 are not exact. */
export const decode = (message: Buffer): Message | undefined => {
  const fields = new Map<number, Array<Buffer | number>>()
  let at = 0
  const next = (): number | undefined => {
    let value = 0
    for (let shift = 1; at < message.length; shift *= 128) {
      const byte = message[at++]!
      value += (byte & 0x7f) * shift
      if (byte < 0x80) return value
      if (shift > 2 ** 63) return undefined
    }
    return undefined
  }
  while (at < message.length) {
    const key = next()
    if (key === undefined) return undefined
    const field = Math.floor(key / 8)
    const kind = key % 8
    const length = kind === 1 ? 8 : kind === 5 ? 4 : kind === 0 ? 0 : kind === 2 ? next() : undefined
    const value = kind === 0 ? next() : length
    if (length === undefined || value === undefined || at + length > message.length) return undefined
    const list = fields.get(field) ?? []
    list.push(kind === 0 ? value : message.subarray(at, at + length))
    fields.set(field, list)
    at += length
  }
  const buffers = (field: number) => (fields.get(field) ?? []).filter((value) => typeof value !== "number")
  return {
    number: (field) => fields.get(field)?.findLast((value) => typeof value === "number") ?? 0,
    bytes: buffers,
    text: (field) => buffers(field).at(-1)?.toString("utf8") ?? "",
    has: (field) => fields.has(field)
  }
}

/** A map of texts, as `texts` writes it. */
export const textsOf = (message: Message, field: number): ReadonlyMap<string, string> =>
  new Map(
    message.bytes(field).flatMap((entry) => {
      const decoded = decode(entry)
      return decoded === undefined ? [] : [[decoded.text(1), decoded.text(2)] as const]
    })
  )
