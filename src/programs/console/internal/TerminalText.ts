/**
 * Text on a terminal: how wide it is, and what in it would do more than colour it.
 */
const esc = "\u001b"
/** CSI sequences, OSC sequences (titles, links), and the short ones. */
const sequences = new RegExp(
  `${esc}\\[[0-?]*[ -/]*[@-~]|${esc}\\][^\\u0007${esc}]*(?:\\u0007|${esc}\\\\)?|${esc}[ -/]*[0-~]`,
  "g"
)
const colours = new RegExp(`^${esc}\\[[0-9;:]*m$`)
/** One without an end would take the rest of the screen for its address. */
const links = new RegExp(`^${esc}\\]8;[^\\u0007${esc}]*(?:\\u0007|${esc}\\\\)$`)
const controls = /[\p{Cc}]/gu
const hasControls = /[\p{Cc}]/u

/**
 * The text alone, without colours and other escape sequences.
 *
 * @category formatting
 */
export const strip = (text: string): string => (text.includes(esc) ? text.replace(sequences, "") : text)

/**
 * What a terminal would show of a line in the end, colours and links included, without anything that moves the cursor or clears: so
 * that it can stand above lines that are drawn again and again. Of a progress bar, which returns to its beginning, this is its last
 * state.
 *
 * @category formatting
 */
export const still = (line: string): string => {
  if (!hasControls.test(line)) return line
  const states = line.split("\r").filter((state) => state !== "")
  const last = states.at(-1) ?? ""
  let shown = ""
  let at = 0
  for (const { 0: sequence, index } of last.matchAll(sequences)) {
    shown += textIn(last.slice(at, index))
    if (colours.test(sequence) || links.test(sequence)) shown += sequence
    at = index + sequence.length
  }
  return shown + textIn(last.slice(at))
}

/** Between whole sequences there are only halves of some, which would take what follows for their other half. */
const textIn = (text: string): string => text.replace(controls, (control) => (control === "\t" ? control : ""))

/**
 * Ends whatever colours a text of the user's leaves switched on.
 *
 * @category formatting
 */
export const closed = (text: string): string => (text.includes(`${esc}[`) ? `${text}${esc}[0m` : text)

/**
 * The last state of a line as plain text of one line.
 *
 * @category formatting
 */
export const flat = (line: string): string => {
  const last = line.slice(line.lastIndexOf("\r", line.length - 2) + 1)
  // Nobody's terminal shows more of it.
  return strip(last.slice(0, 4096)).replace(/\s+/g, " ").replace(controls, "").trim()
}

/**
 * A text that was not meant for a terminal as plain text of one line, its blanks as they are.
 *
 * @category formatting
 */
export const inOneLine = (text: string): string => strip(text).replace(controls, " ")

/**
 * Columns that a plain text takes.
 *
 * @category getters
 */
export const width = (text: string): number => {
  if (isAscii(text)) return text.length
  let total = 0
  for (const { segment } of graphemes.segment(text)) total += widthOf(segment)
  return total
}

/**
 * A plain text in at most so many columns; `…` stands for what was cut off.
 *
 * @category formatting
 */
export const cut = (text: string, columns: number): string => {
  if (columns <= 0) return ""
  // Nobody's terminal shows more, and measuring is not free.
  const head = text.slice(0, columns * 8)
  if (head.length === text.length && width(text) <= columns) return text
  let total = 0
  let kept = ""
  for (const { segment } of graphemes.segment(head)) {
    total += widthOf(segment)
    if (total > columns - 1) break
    kept += segment
  }
  return `${kept}…`
}

/**
 * Fills a plain text up with blanks.
 *
 * @category formatting
 */
export const pad = (text: string, columns: number): string => text + " ".repeat(Math.max(0, columns - width(text)))

const graphemes = new Intl.Segmenter("en", { granularity: "grapheme" })
const isAscii = (text: string) => /^[ -~]*$/.test(text)
const nothing = /^[\p{Cc}\p{Mn}\p{Me}\p{Cf}]+$/u
/** Emoji, and the blocks of East Asian scripts and full-width forms. */
const double =
  /\p{Emoji_Presentation}|\ufe0f|[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6]|[\u{20000}-\u{3fffd}]/u
const widthOf = (grapheme: string): number => (nothing.test(grapheme) ? 0 : double.test(grapheme) ? 2 : 1)
