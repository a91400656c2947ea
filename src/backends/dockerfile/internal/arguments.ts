/** How the arguments of an instruction are split: words that keep their quotes, flags, JSON. */
import * as Result from "effect/Result"

/** Words with quotes and escapes in them as written: those of ENV, ARG and LABEL. */
export const words = (text: string, escapeToken: string): ReadonlyArray<string> => {
  const found: Array<string> = []
  let word = ""
  let quote = ""
  // An empty pair of quotes is a word.
  let quoted = false
  const flush = () => {
    if (quoted || word !== "") found.push(word)
    word = ""
    quoted = false
  }
  for (let index = 0; index < text.length; index++) {
    const character = text[index]!
    if (quote === "" && /\s/.test(character)) {
      flush()
      continue
    }
    if (character === escapeToken && quote !== "'") {
      if (index + 1 < text.length) word += character + text[++index]!
      else quote = ""
      continue
    }
    if (quote === "" && (character === "'" || character === '"')) {
      quote = character
      quoted = true
    } else if (character === quote) {
      quote = ""
    }
    word += character
  }
  flush()
  return found
}

export interface Split {
  readonly flags: ReadonlyArray<string>
  readonly rest: string
}

/** The flags (`--name=value`) at the beginning, their quotes removed. */
export const splitFlags = (text: string, escapeToken: string): Split => {
  const flags: Array<string> = []
  let index = 0
  for (;;) {
    while (index < text.length && /\s/.test(text[index]!)) index++
    if (!text.startsWith("--", index)) return { flags, rest: text.slice(index).trim() }
    let flag = ""
    let quote = ""
    let quoted = false
    for (; index < text.length; index++) {
      const character = text[index]!
      if (quote === "" && /\s/.test(character)) break
      if (character === escapeToken) {
        if (index + 1 < text.length) flag += text[++index]!
      } else if (quote === "" && (character === "'" || character === '"')) {
        quote = character
        quoted = true
      } else if (character === quote) {
        quote = ""
      } else {
        flag += character
      }
    }
    if (flag === "--") return { flags, rest: text.slice(index).trim() }
    if (quoted || flag !== "") flags.push(flag)
  }
}

/** Separated by white space, no quotes: COPY, FROM, EXPOSE. */
export const fields = (text: string): ReadonlyArray<string> => (text === "" ? [] : text.split(/[\t\v\f\r ]+/))

/** The strings of a JSON array; nothing if it is none, a failure if it holds anything but strings. */
export const jsonStrings = (text: string): Result.Result<ReadonlyArray<string> | undefined, string> => {
  if (!text.trimStart().startsWith("[")) return Result.succeed(undefined)
  const parsed = Result.try((): unknown => JSON.parse(text))
  if (Result.isFailure(parsed) || !Array.isArray(parsed.success)) return Result.succeed(undefined)
  const strings: ReadonlyArray<unknown> = parsed.success
  return strings.every((string) => typeof string === "string")
    ? Result.succeed(strings)
    : Result.fail("when using JSON array syntax, arrays must be comprised of strings only")
}

/** What flags an instruction knows: `one` value, `many`, or `true`/`false`. */
export type FlagKinds = Readonly<Record<string, "one" | "many" | "switch">>

export type Flags = ReadonlyMap<string, ReadonlyArray<string>>

export const readFlags = (flags: ReadonlyArray<string>, kinds: FlagKinds): Result.Result<Flags, string> => {
  const found = new Map<string, ReadonlyArray<string>>()
  for (const flag of flags) {
    const equals = flag.indexOf("=")
    const name = flag.slice(2, equals === -1 ? undefined : equals)
    const value = equals === -1 ? undefined : flag.slice(equals + 1)
    const kind = Object.hasOwn(kinds, name) ? kinds[name] : undefined
    if (kind === undefined) return Result.fail(`unknown flag: --${name}`)
    if (kind !== "many" && found.has(name)) return Result.fail(`duplicate flag specified: --${name}`)
    if (kind === "switch") {
      const on = (value ?? "true").toLowerCase()
      if (value === "") return Result.fail(`missing a value on flag: --${name}`)
      if (on !== "true" && on !== "false")
        return Result.fail(`expecting boolean value for flag --${name}, not: ${value}`)
      found.set(name, [on])
      continue
    }
    if (value === undefined) return Result.fail(`missing a value on flag: --${name}`)
    found.set(name, [...(found.get(name) ?? []), value])
  }
  return Result.succeed(found)
}
