/**
 * The forms in which a secret turns up in output: as it is, line by line, and as the usual tools encode and quote it.
 */
import * as Base64 from "effect/encoding/Base64"
import * as Hex from "effect/encoding/Hex"

/**
 * What to look for.
 *
 * @category models
 */
export interface Pattern {
  /** Without line ends. */
  readonly bytes: Uint8Array
  /** Also found where line ends are between its bytes. */
  readonly acrossLines: boolean
}

/**
 * All forms of a secret; none for one that is blank.
 *
 * **Details**
 *
 * The value itself counts whatever its length, as on GitHub. Its lines count from three characters on: a secret that is JSON has lines that
 * are a brace, and GitHub, which masks them, makes such logs unreadable. Encoded forms count from four characters on.
 *
 * @category constructors
 */
export const of = (secret: string): ReadonlyArray<Pattern> => {
  // Half of a surrogate pair has no UTF-8, and is written as U+FFFD.
  const value = new TextDecoder().decode(utf8.encode(secret)).trim()
  if (value === "") return []
  const lines = value
    .split(/[\r\n]+/)
    .map((line) => line.trim())
    .filter((line) => line !== "")
  const texts = new Set<string>()
  const long = lines.filter((line) => line.length >= minLine)
  const plain = [value, ...(lines.length === 1 ? [] : long.length > 0 ? long : lines)].flatMap(unquoted)
  for (const text of plain) for (const form of quotedForms(text)) texts.add(form)
  const patterns = new Map<string, Pattern>()
  const add = (text: string, acrossLines: boolean) => {
    const found = text.replaceAll(/[\r\n]/g, "")
    if (found !== "") {
      patterns.set(found, { bytes: utf8.encode(found), acrossLines: acrossLines || found.length >= minAcrossLines })
    }
  }
  for (const text of texts) add(text, /[\r\n]/.test(text))
  for (const text of plain)
    for (const form of encodedForms(utf8.encode(text))) if (form.length >= minEncoded) add(form, false)
  return [...patterns.values()]
}

const minLine = 3
const minEncoded = 4
/** Shorter ones are found by chance too often, where a line ends with one part and the next begins with the other. */
const minAcrossLines = 8

const utf8 = new TextEncoder()

/** A shell takes quotes away: then what is in them is the secret. */
const unquoted = (text: string): ReadonlyArray<string> => {
  const quote = text[0]
  const quoted = text.length > 2 && (quote === '"' || quote === "'") && text.at(-1) === quote
  const inner = quoted ? text.slice(1, -1).trim() : ""
  return inner === "" ? [text] : [text, inner]
}

/** The text, and what quoting and escaping makes of it. */
const quotedForms = (text: string): ReadonlyArray<string> => {
  const json = JSON.stringify(text).slice(1, -1)
  const jsonAscii = json.replaceAll(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
  const uri = encodeURIComponent(text)
  const uriStrict = uri.replaceAll(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
  return [
    text,
    json,
    jsonAscii,
    // PHP, and JSON in HTML.
    json.replaceAll("/", "\\/"),
    jsonAscii.replaceAll("/", "\\/"),
    ...[uri, uriStrict, uriStrict.replaceAll("~", "%7E")]
      // A whole URL, and its path, as Python's `quote` takes it.
      .flatMap((form) => [form, form.replaceAll("%2F", "/")])
      .concat(encodeURI(text))
      .flatMap((form) => [form, form.replaceAll(/%[0-9A-F]{2}/g, lower)]),
    // Forms of HTML.
    uriStrict.replaceAll("%20", "+"),
    // `'…'` and `"…"` of a shell, and what `printf %q` and `set -x` write.
    text.replaceAll("'", "'\\''"),
    text.replaceAll("'", `'"'"'`),
    text.replaceAll(/["$`\\]/g, "\\$&"),
    text.replaceAll('"', '\\"'),
    text.replaceAll(/[^A-Za-z0-9_@%+=:,./\r\n-]/gu, "\\$&"),
    ansiC(text),
    // Expressions of workflows, and PowerShell.
    text.replaceAll("'", "''"),
    // XML and HTML.
    text
      .replaceAll("&", "&amp;")
      .replaceAll("<", "&lt;")
      .replaceAll(">", "&gt;")
      .replaceAll('"', "&quot;")
      .replaceAll("'", "&apos;"),
    text
      .replaceAll("&", "&amp;")
      .replaceAll("<", "&lt;")
      .replaceAll(">", "&gt;")
      .replaceAll('"', "&quot;")
      .replaceAll("'", "&#39;"),
    text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;"),
    // Workflow commands.
    text.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A")
  ]
}

const lower = (text: string) => text.toLowerCase()

/** `$'…'` of bash. */
const ansiC = (text: string): string =>
  text.replaceAll(
    /[\\'\n\r\t]/g,
    (char) => ({ "\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t" })[char]!
  )

/** Base64, whatever is encoded before and after it, and hexadecimal digits. */
const encodedForms = (bytes: Uint8Array): ReadonlyArray<string> => {
  const forms = [0, 1, 2].flatMap((before) => base64Within(bytes, before))
  const hex = Hex.encode(bytes)
  return [...forms, ...forms.map((form) => form.replaceAll("+", "-").replaceAll("/", "_")), hex, hex.toUpperCase()]
}

/**
 * What is certain of the base64 of a text that has these bytes in it, after so many others (modulo 3): without the characters that are
 * also made of what is before and after. And, if nothing comes after, to its end.
 */
const base64Within = (bytes: Uint8Array, before: number): ReadonlyArray<string> => {
  const shifted = new Uint8Array(before + bytes.length)
  shifted.set(bytes, before)
  const whole = Base64.encode(shifted)
  const start = before === 0 ? 0 : before + 1
  const certain = Math.floor((shifted.length * 8) / 6)
  return [whole.slice(start, certain), whole.slice(start).replace(/=+$/, ""), whole.slice(start)]
}
