/**
 * Files of variables: `NAME=value` lines, as most tools read `.env`.
 *
 * Values are as they are written, or in quotes: then they may have line ends in them. In double quotes `\n`, `\r`, `\t`, `\"`, `\$` and
 * `\\` are escapes. Nothing is ever replaced in a value. `#` begins a comment at the beginning of a line, and after a value and a blank.
 */
import * as Result from "effect/Result"

/**
 * Reads a file; the failure is a sentence with the line's number, and never has a value in it. The last one of a name counts.
 *
 * @category parsing
 */
export const parse = (text: string): Result.Result<ReadonlyMap<string, string>, string> => {
  const source = text.replace(/^\uFEFF/, "").replaceAll(/\r\n?/g, "\n")
  const values = new Map<string, string>()
  let at = 0
  while (at < source.length) {
    const end = endOfLine(source, at)
    const line = source.slice(at, end)
    if (/^\s*(?:#|$)/.test(line)) {
      at = end + 1
      continue
    }
    const [head, name] = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*=[ \t]*/.exec(line) ?? []
    if (head === undefined || name === undefined) return Result.fail(`line ${lineAt(source, at)}: expected NAME=value`)
    const start = at + head.length
    const quote = source[start]
    if (quote === "'" || quote === '"') {
      const close = closing(source, start, quote)
      if (close === undefined) return Result.fail(`line ${lineAt(source, at)}: the quote never ends`)
      const rest = source.slice(close + 1, endOfLine(source, close))
      if (!/^\s*(?:#|$)/.test(rest)) {
        return Result.fail(`line ${lineAt(source, close)}: there is something behind the closing quote`)
      }
      const inner = source.slice(start + 1, close)
      values.set(name, quote === "'" ? inner : unescaped(inner))
      at = endOfLine(source, close) + 1
    } else {
      values.set(
        name,
        source
          .slice(start, end)
          .replace(/(?:^|\s)#.*$/, "")
          .trim()
      )
      at = end + 1
    }
  }
  return Result.succeed(values)
}

/**
 * Writes one value so that it is read back.
 *
 * @category formatting
 */
export const render = (name: string, value: string): string =>
  `${name}="${value.replaceAll(/[\\"$\n\r\t]/g, (char) => escapes.get(char) ?? `\\${char}`)}"`

const escapes: ReadonlyMap<string, string> = new Map([
  ["\n", "\\n"],
  ["\r", "\\r"],
  ["\t", "\\t"]
])

const unescaped = (text: string): string =>
  text.replaceAll(/\\([nrt"$\\])/g, (_, char: string) => ({ n: "\n", r: "\r", t: "\t" })[char] ?? char)

const endOfLine = (source: string, from: number): number => {
  const end = source.indexOf("\n", from)
  return end < 0 ? source.length : end
}

const lineAt = (source: string, index: number): number => source.slice(0, index).split("\n").length

const closing = (source: string, start: number, quote: string): number | undefined => {
  for (let at = start + 1; at < source.length; at++) {
    if (source[at] === quote) return at
    if (quote === '"' && source[at] === "\\") at++
  }
  return undefined
}
