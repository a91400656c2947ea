/**
 * Finds any of many patterns in a stream of bytes, each byte looked at once, as Aho and Corasick do it.
 *
 * Line ends are looked through: a pattern is also found where a tool has wrapped it. They are never part of what is found.
 */
import type { Pattern } from "./secretForms.ts"

/**
 * The machine. States are numbers; 0 is where nothing of any pattern has been seen.
 *
 * @category models
 */
export interface PatternSearch {
  /** For the bytes that lead out of 0, the state that they lead to. */
  readonly first: Int32Array
  readonly next: (state: number, byte: number) => number
  /** What a line end makes of a state: what cannot go on across one is given up. */
  readonly afterLineEnd: (state: number) => number
  /** How many bytes of a pattern a state has seen, of those patterns that are not complete. */
  readonly depth: (state: number) => number
  /** Length of the longest pattern that ends here, given whether its bytes so far are without a line end; 0 for none. */
  readonly found: (state: number, unbroken: (length: number) => boolean) => number
  /** Any pattern ends here. */
  readonly finds: (state: number) => boolean
  /** The state of a machine of more patterns that has seen the same. */
  readonly translate: (state: number, other: PatternSearch) => number
}

/** @category constructors */
export const make = (patterns: Iterable<Pattern>): PatternSearch => {
  const all = [...patterns]
  const size = all.reduce((sum, { bytes }) => sum + bytes.length, 1)
  // Columns of numbers, because a secret may be a file: an object a node would take ten times the memory.
  const column = () => new Int32Array(size)
  const parent = column()
  /** The byte that leads here. */
  const by = new Uint8Array(size)
  const depth = column()
  /** Most have one child: the byte that leads to it, and the child. */
  const only = new Int16Array(size).fill(-1)
  const child = column()
  const more = new Map<number, Map<number, number>>()
  /** Of the patterns that end here, or go on from here: whether any does, whether any may have line ends in it. */
  const flags = new Uint8Array(size)
  /** The longest other state that has seen the end of the same. */
  const fail = column()
  /** The longest one at which a pattern ends. */
  const shorter = column()
  /** This, or the longest one from which something goes on. */
  const rest = column()
  /** The same for what goes on after a line end. */
  const across = column()

  const childOf = (node: number, byte: number): number =>
    only[node] === byte ? child[node]! : (more.get(node)?.get(byte) ?? 0)

  let count = 1
  for (const { acrossLines, bytes } of all) {
    let at = 0
    for (const byte of bytes) {
      if (acrossLines) flags[at]! |= goesAcross
      const known = childOf(at, byte)
      if (known !== 0) {
        at = known
        continue
      }
      const made = count++
      parent[made] = at
      by[made] = byte
      depth[made] = depth[at]! + 1
      if (child[at] === 0) {
        only[at] = byte
        child[at] = made
      } else {
        const others = more.get(at)
        if (others === undefined) more.set(at, new Map([[byte, made]]))
        else others.set(byte, made)
      }
      at = made
    }
    flags[at]! |= acrossLines ? ends | endsAcross : ends
  }

  const first = new Int32Array(256)
  for (let byte = 0; byte < 256; byte++) first[byte] = childOf(0, byte)
  const next = (state: number, byte: number): number => {
    for (let at = state; at !== 0; at = fail[at]!) {
      const found = childOf(at, byte)
      if (found !== 0) return found
    }
    return first[byte]!
  }

  const endsAt = (node: number) => (flags[node]! & ends) !== 0
  // In the order of depth: where a node fails to is always less deep, and known when it is asked for.
  for (const node of byDepth(depth, count)) {
    const failure = depth[node] === 1 ? 0 : next(fail[parent[node]!]!, by[node]!)
    fail[node] = failure
    shorter[node] = endsAt(failure) ? failure : shorter[failure]!
    rest[node] = child[node] === 0 ? rest[failure]! : node
    across[node] = (flags[node]! & goesAcross) === 0 ? across[failure]! : node
  }

  return {
    first,
    next,
    afterLineEnd: (state) => across[state]!,
    depth: (state) => depth[rest[state]!]!,
    finds: (state) => endsAt(state) || shorter[state] !== 0,
    found: (state, unbroken) => {
      for (let at = endsAt(state) ? state : shorter[state]!; at !== 0; at = shorter[at]!) {
        if ((flags[at]! & endsAcross) !== 0 || unbroken(depth[at]!)) return depth[at]!
      }
      return 0
    },
    translate: (state, other) => {
      const path: Array<number> = []
      for (let at = state; at !== 0; at = parent[at]!) path.push(by[at]!)
      return path.reduceRight((at, byte) => other.next(at, byte), 0)
    }
  }
}

const ends = 1
const endsAcross = 2
const goesAcross = 4

/** All nodes but the first, the less deep ones before the others. */
const byDepth = (depth: Int32Array, count: number): Int32Array => {
  const deepest = depth.subarray(0, count).reduce((most, each) => Math.max(most, each), 0)
  const starts = new Int32Array(deepest + 2)
  for (let node = 1; node < count; node++) starts[depth[node]! + 1]!++
  for (let level = 1; level < starts.length; level++) starts[level]! += starts[level - 1]!
  const order = new Int32Array(count - 1)
  for (let node = 1; node < count; node++) order[starts[depth[node]!]!++] = node
  return order
}
