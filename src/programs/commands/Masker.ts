/**
 * Keeps secrets out of output: whatever is written goes through it, and every secret leaves it as `***`.
 *
 * A secret is found as it is, line by line, in base64 (whatever is encoded around it), in hexadecimal digits, URL-encoded, as a string of
 * JSON, XML or a workflow expression, and quoted for a shell; also where a tool has wrapped it, and however the output comes in pieces.
 * Everything else stays byte for byte what it was. Memory is bounded by the longest secret.
 *
 * **Gotchas**
 *
 * Not found: what is encrypted, compressed, reversed or spelled out. Where a line ends with the first one to three characters of a secret,
 * and the next line begins with the rest, only the rest is masked: else such a line would have to wait for the next one.
 */
import * as Redacted from "effect/Redacted"
import * as PatternSearch from "./internal/patternSearch.ts"
import * as SecretForms from "./internal/secretForms.ts"

/** @category models */
export interface Masker {
  /**
   * Masks a value from here on, in all streams. Blank values are ignored, and so are the blanks around one; every other one counts, however
   * short, as on GitHub.
   */
  readonly add: (secret: Redacted.Redacted<string>) => void
  /** A text that is complete in itself. */
  readonly mask: (text: string) => string
  /** For the bytes of one stream. */
  readonly stream: () => MaskedStream
}

/** @category models */
export interface MaskedStream {
  /** What can be shown, with this chunk, of all that was pushed: what may yet become a secret stays until it is known. */
  readonly push: (bytes: Uint8Array) => Uint8Array
  /** The rest, when the stream has ended. */
  readonly flush: () => Uint8Array
}

/** @category constructors */
export const make = (secrets: Iterable<Redacted.Redacted<string>> = []): Masker => {
  const patterns = new Map<string, SecretForms.Pattern>()
  const known = new Set<string>()
  let search: PatternSearch.PatternSearch | undefined
  /** Made when it is needed: secrets often come many at a time. */
  const current = () => (search ??= PatternSearch.make(patterns.values()))

  const add = (secret: Redacted.Redacted<string>) => {
    const value = Redacted.value(secret)
    if (known.has(value)) return
    known.add(value)
    for (const pattern of SecretForms.of(value)) {
      const key = latin1.decode(pattern.bytes)
      if (patterns.get(key)?.acrossLines === true) continue
      patterns.set(key, pattern)
      search = undefined
    }
  }
  for (const secret of secrets) add(secret)

  return {
    add,
    stream: () => makeStream(current),
    mask: (text) => {
      if (patterns.size === 0) return text
      const stream = makeStream(current)
      const start = stream.push(utf8.encode(text))
      const masked = concat(start, stream.flush())
      // A text without secrets stays as it is, also where it has no UTF-8.
      return stream.found() ? new TextDecoder("utf-8", { ignoreBOM: true }).decode(masked) : text
    }
  }
}

const makeStream = (
  current: () => PatternSearch.PatternSearch
): MaskedStream & {
  /** Whether anything was masked. */
  readonly found: () => boolean
} => {
  let search = current()
  let state = 0
  /** Line ends in a row. */
  let lineEnds = 0
  /** Bytes that may yet be part of a secret, and the parts of them that are. */
  let held: Uint8Array = none
  let covered: Array<Range> = []
  /** The last byte that was given was masked: what follows at once is part of the same `***`. */
  let starred = false
  let found = false

  /** Looks at the bytes from `from` on, and adds to `covered`. */
  const scan = (bytes: Uint8Array, from: number) => {
    const { first } = search
    for (let index = from; index < bytes.length; index++) {
      if (state === 0) {
        while (index < bytes.length && first[bytes[index]!] === 0) index++
        if (index === bytes.length) return
      }
      const byte = bytes[index]!
      if (byte === lf || byte === cr) {
        // So many are no wrapping; and memory is bounded.
        state = ++lineEnds > maxLineEnds ? 0 : search.afterLineEnd(state)
        continue
      }
      lineEnds = 0
      state = search.next(state, byte)
      if (!search.finds(state)) continue
      const length = search.found(state, (length) => isUnbroken(bytes, index + 1, length))
      if (length > 0) {
        const start = leadingPart(bytes, startOf(bytes, index + 1, length), index + 1)
        cover(covered, { start, end: index + 1 })
      }
    }
  }

  const give = (bytes: Uint8Array, end: number): Uint8Array => {
    const ranges = covered.filter(({ start }) => start < end)
    covered = covered
      .filter((range) => range.end > end)
      .map((range) => ({ start: Math.max(0, range.start - end), end: range.end - end }))
    if (ranges.length === 0) {
      if (end > 0) starred = false
      return bytes.subarray(0, end)
    }
    found = true
    const given = new Output(end)
    let at = 0
    for (const range of ranges) {
      if (range.start > at) starred = false
      given.copy(bytes, at, range.start)
      at = Math.min(range.end, end)
      for (let index = range.start; index < at; index++) {
        const byte = bytes[index]!
        const isLineEnd = byte === lf || byte === cr
        if (isLineEnd) given.copy(bytes, index, index + 1)
        else if (!starred) given.copy(stars, 0, stars.length)
        starred = !isLineEnd
      }
    }
    if (end > at) starred = false
    given.copy(bytes, at, end)
    return given.bytes()
  }

  return {
    push: (chunk) => {
      if (search !== current()) {
        state = search.translate(state, current())
        search = current()
      }
      const bytes = held.length === 0 ? chunk : concat(held, chunk)
      scan(bytes, held.length)
      const depth = search.depth(state)
      const end = depth === 0 ? bytes.length : leadingPart(bytes, startOf(bytes, bytes.length, depth), bytes.length)
      const given = give(bytes, end)
      // A copy: whose chunk it is may use its memory again.
      held = end === bytes.length ? none : bytes.slice(end)
      return given
    },
    flush: () => {
      const given = give(held, held.length)
      held = none
      covered = []
      state = 0
      return given
    },
    found: () => found
  }
}

interface Range {
  readonly start: number
  readonly end: number
}

/** Adds a range that ends after all others. */
const cover = (ranges: Array<Range>, range: Range) => {
  let start = range.start
  while (ranges.length > 0 && ranges.at(-1)!.end >= start) start = Math.min(start, ranges.pop()!.start)
  ranges.push({ start, end: range.end })
}

/** Where the last `length` bytes before `end` begin, line ends not counted; 0 if some of them are not there any more. */
const startOf = (bytes: Uint8Array, end: number, length: number): number => {
  let at = end
  let left = length
  while (left > 0 && at > 0) {
    at--
    if (bytes[at] !== lf && bytes[at] !== cr) left--
  }
  return at
}

const isUnbroken = (bytes: Uint8Array, end: number, length: number): boolean => {
  if (end < length) return false
  for (let at = end - length; at < end; at++) if (bytes[at] === lf || bytes[at] === cr) return false
  return true
}

/** Without the lines at the beginning that are too short to wait for what the next one brings. */
const leadingPart = (bytes: Uint8Array, start: number, end: number): number => {
  let first = start
  for (let at = start; at < end && at - first <= maxUnmasked; at++) {
    if (bytes[at] === lf || bytes[at] === cr) first = at + 1
  }
  return first
}

/** Bytes of unknown number: stars may be more than what they stand for. */
class Output {
  #bytes: Uint8Array
  #length = 0
  constructor(size: number) {
    this.#bytes = new Uint8Array(size + 64)
  }
  copy(from: Uint8Array, start: number, end: number): void {
    const needed = this.#length + end - start
    if (needed > this.#bytes.length) {
      const larger = new Uint8Array(needed * 2)
      larger.set(this.#bytes.subarray(0, this.#length))
      this.#bytes = larger
    }
    this.#bytes.set(from.subarray(start, end), this.#length)
    this.#length = needed
  }
  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length)
  }
}

const concat = (a: Uint8Array, b: Uint8Array): Uint8Array => {
  const both = new Uint8Array(a.length + b.length)
  both.set(a)
  both.set(b, a.length)
  return both
}

const lf = 10
const cr = 13
const maxLineEnds = 4
const maxUnmasked = 3
const none = new Uint8Array(0)
const utf8 = new TextEncoder()
const stars = utf8.encode("***")
/** Each byte as one character: a key for a map. */
const latin1 = new TextDecoder("latin1")
