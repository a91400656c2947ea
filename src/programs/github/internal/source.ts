import { type Code, Diagnostic, type Range } from "../Diagnostic.ts"

/** A text with its lines, and everything that is found to be wrong with it. */
export interface Source {
  readonly file: string
  readonly text: string
  readonly rangeOf: (start: number, end: number) => Range
  readonly offsetOf: (line: number, column: number) => number
  /** A line for people, cut where it is long; nothing if it is empty. */
  readonly excerptOf: (line: number) => string | undefined
  /** Adds a diagnostic, unless there are very many already: nobody reads the thousandth. */
  readonly report: (code: Code, range: Range, message: string, more?: More) => void
  readonly diagnostics: ReadonlyArray<Diagnostic>
  /** What stands in for actions elsewhere. */
  readonly actions: ActionsInPlace
}

/** By `owner/name`, with a path or a `@ref` behind it or without, in which `*` stands for any text. */
export type ActionsInPlace = Readonly<Record<string, `./${string}` | "skip">>

interface More {
  readonly hint?: string | undefined
  readonly severity?: "error" | "warning" | undefined
}

export const start: Range = { line: 1, column: 1, endLine: 1, endColumn: 1 }

const most = 500

export const makeSource = (file: string, text: string, actions: ActionsInPlace = {}): Source => {
  const starts = [0]
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1)
  const lineOf = (offset: number): number => {
    let low = 0
    let high = starts.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (starts[middle]! <= offset) low = middle
      else high = middle - 1
    }
    return low
  }
  const excerptOf = (line: number): string | undefined => {
    const from = starts[line - 1] ?? 0
    return text.slice(from, Math.min(starts[line] ?? text.length, from + 160)).replace(/\r?\n$/, "") || undefined
  }
  const diagnostics: Array<Diagnostic> = []
  return {
    file,
    text,
    diagnostics,
    actions,
    rangeOf: (start, end) => {
      const first = lineOf(start)
      const last = lineOf(Math.max(start, end))
      return {
        line: first + 1,
        column: start - starts[first]! + 1,
        endLine: last + 1,
        endColumn: Math.max(start, end) - starts[last]! + 1
      }
    },
    offsetOf: (line, column) => (starts[line - 1] ?? text.length) + column - 1,
    excerptOf,
    report: (code, range, message, { hint, severity = "error" } = {}) => {
      if (diagnostics.length >= most) return
      const excerpt = excerptOf(range.line)
      diagnostics.push(
        new Diagnostic({
          severity,
          code,
          file,
          ...range,
          message: shortened(message, 400),
          ...(hint === undefined ? {} : { hint: shortened(hint, 300) }),
          ...(excerpt === undefined ? {} : { excerpt })
        })
      )
    }
  }
}

const shortened = (text: string, length: number): string =>
  text.length > length ? `${text.slice(0, length - 1)}…` : text

/** The known word that was probably meant. */
const closest = (word: string, known: ReadonlyArray<string>): string | undefined => {
  const wanted = word.toLowerCase()
  let best: string | undefined
  // One mistake in a short word, two in a longer one; letters in the wrong order are two.
  let least = (wanted.length < 4 ? 1 : Math.max(2, Math.floor(wanted.length / 3))) + 1
  for (const candidate of known) {
    const distance = editDistance(wanted, candidate.toLowerCase(), least)
    if (distance < least) {
      least = distance
      best = candidate
    }
  }
  return best
}

/** Levenshtein's, up to a limit: words of a file may be long. */
const editDistance = (a: string, b: string, limit: number): number => {
  if (Math.abs(a.length - b.length) >= limit) return limit
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      row.push(Math.min(row[j - 1]! + 1, previous[j]! + 1, previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)))
    }
    previous = row
  }
  return previous[b.length]!
}

export const didYouMean = (word: string, known: ReadonlyArray<string>): string | undefined => {
  // A hint among thousands of words is not worth the time.
  if (known.length > 200 || word.length > 100) return undefined
  const found = closest(word, known)
  if (found !== undefined) return `Did you mean "${found}"?`
  return known.length === 0 || known.length > 24 ? undefined : `Known here: ${known.join(", ")}.`
}
