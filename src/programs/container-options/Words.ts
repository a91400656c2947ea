/**
 * Splits a text into words, as `options:`, `command:` and arguments of container actions are meant: with quotes, and with no shell that
 * evaluates anything.
 */

/**
 * The words of a text.
 *
 * **Details**
 *
 * Quotes, double and single, keep a word together, also in its middle: `--name="a b"`. A backslash escapes a quote, and outside of quotes white
 * space and itself too; anywhere else it is a character like any other, so `C:\dir` stays whole. That is how the Actions runner escapes what it
 * wraps in quotes. So are `$`, backticks, `;` and `*`, and a quote that is never closed.
 *
 * @category decoding
 */
export const split = (text: string): ReadonlyArray<string> => {
  const words: Array<string> = []
  let word: string | undefined
  let at = 0
  while (at < text.length) {
    const char = text.charAt(at)
    const quoted = char === '"' ? inDoubleQuotes(text, at) : char === "'" ? inSingleQuotes(text, at) : undefined
    if (quoted !== undefined) {
      word = (word ?? "") + quoted.content
      at = quoted.end
    } else if (char === "\\" && /["'\\\s]/.test(text.charAt(at + 1))) {
      word = (word ?? "") + text.charAt(at + 1)
      at += 2
    } else if (/\s/.test(char)) {
      if (word !== undefined) words.push(word)
      word = undefined
      at += 1
    } else {
      word = (word ?? "") + char
      at += 1
    }
  }
  return word === undefined ? words : [...words, word]
}

interface Quoted {
  readonly content: string
  /** Behind the closing quote. */
  readonly end: number
}

const inSingleQuotes = (text: string, start: number): Quoted | undefined => {
  const end = text.indexOf("'", start + 1)
  return end < 0 ? undefined : { content: text.slice(start + 1, end), end: end + 1 }
}

const inDoubleQuotes = (text: string, start: number): Quoted | undefined => {
  let content = ""
  let at = start + 1
  while (at < text.length) {
    const char = text.charAt(at)
    if (char === '"') return { content, end: at + 1 }
    if (char !== "\\") {
      content += char
      at += 1
      continue
    }
    let after = at
    while (text.charAt(after) === "\\") after += 1
    const count = after - at
    at = after
    // Only before a quote they mean something: half of them, and an odd one makes the quote a character.
    if (text.charAt(at) !== '"') content += "\\".repeat(count)
    else {
      content += "\\".repeat(count >> 1)
      if (count % 2 === 1) {
        content += '"'
        at += 1
      }
    }
  }
  return undefined
}
