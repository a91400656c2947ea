/**
 * Words of a Dockerfile: quotes, escapes, and variables in all of BuildKit's forms.
 *
 * **Details**
 *
 * A word becomes a `Template`: text, and the variables of the base image that nobody knows before the container runs (`PATH` in
 * `ENV PATH=/app:$PATH`). With the image's configuration at hand everything is text.
 *
 * Behaves like BuildKit's `shell.Lex`, which the tests' tables were made with. Time is linear in the length of the word; nesting
 * and patterns are bounded.
 */
import * as Result from "effect/Result"
import { replacePattern, trimPattern } from "./internal/pattern.ts"

/**
 * Something that is known only in the container: a variable of the base image, with what stands for it if it is unset (`-`), empty
 * (`:-`), or not (`+`, `:+`).
 *
 * @category models
 */
export interface BaseVariable {
  readonly name: string
  readonly operator?: "-" | ":-" | "+" | ":+"
  readonly word?: Template
}

/** @category models */
export type Template = ReadonlyArray<string | BaseVariable>

/**
 * What a name stands for: a value, nothing, or something that only the base image knows.
 *
 * @category models
 */
export type Lookup = (name: string) => Template | undefined | "unknown"

/**
 * Why a word has no value. `variable`: its value cannot be told without the base image's configuration.
 *
 * @category errors
 */
export interface WordError {
  readonly detail: string
  readonly variable?: string
}

/** @category options */
export interface Options {
  /** Default `\`. */
  readonly escapeToken?: string
  /** Quotes are text, as in heredocs. */
  readonly plainQuotes?: boolean
  /** Quotes stay in the result. */
  readonly keepQuotes?: boolean
  /** Escapes stay in the result. */
  readonly keepEscapes?: boolean
  /** Names that stand for nothing stay as they are written. */
  readonly keepUnset?: boolean
}

/**
 * The value of a word.
 *
 * @category parsing
 */
export const expand = (source: string, lookup: Lookup, options: Options = {}): Result.Result<Template, WordError> => {
  const lexer = new Lexer(source, lookup, options)
  const { template } = lexer.until(undefined, options.keepEscapes === true, 0)
  return lexer.failure === undefined ? Result.succeed(compact(template)) : Result.fail(lexer.failure)
}

/**
 * The words of a line in which no variable has a value.
 *
 * @category parsing
 */
export const split = (source: string, options: Options = {}): Result.Result<ReadonlyArray<string>, WordError> => {
  const lexer = new Lexer(source, () => undefined, options)
  const { words } = lexer.until(undefined, options.keepEscapes === true, 0)
  return lexer.failure === undefined ? Result.succeed(words) : Result.fail(lexer.failure)
}

/**
 * The text of a template, if nothing in it depends on the base image.
 *
 * @category getters
 */
export const textOf = (template: Template): string | undefined => {
  let text = ""
  for (const part of template) {
    if (typeof part !== "string") return undefined
    text += part
  }
  return text
}

/**
 * The names of the base image's variables in a template.
 *
 * @category getters
 */
export const variablesOf = (template: Template): ReadonlyArray<string> =>
  template.flatMap((part) => (typeof part === "string" ? [] : [part.name, ...variablesOf(part.word ?? [])]))

const compact = (template: Template): Template => {
  const parts: Array<string | BaseVariable> = []
  for (const part of template) {
    const last = parts.length - 1
    if (typeof part === "string" && typeof parts[last] === "string") parts[last] = `${parts[last]}${part}`
    else if (part !== "") parts.push(part)
  }
  return parts
}

/** More than anybody writes, and less than a stack holds. */
const maxDepth = 100

const space = /\s/
const special = "@*#?-$!0"

class Lexer {
  failure: WordError | undefined
  private position = 0
  private readonly source: string
  private readonly lookup: Lookup
  private readonly options: Options
  private readonly escapeToken: string

  constructor(source: string, lookup: Lookup, options: Options) {
    this.source = source
    this.lookup = lookup
    this.options = options
    this.escapeToken = options.escapeToken ?? "\\"
  }

  private peek(): string | undefined {
    return this.source[this.position]
  }

  private next(): string | undefined {
    return this.source[this.position++]
  }

  private fail(detail: string, variable?: string): Template {
    this.failure ??= variable === undefined ? { detail } : { detail, variable }
    this.position = this.source.length
    return []
  }

  /** Up to the end, or to `stop`. */
  until(
    stop: string | undefined,
    keepEscapes: boolean,
    depth: number
  ): { readonly template: Template; readonly words: ReadonlyArray<string> } {
    const parts: Array<string | BaseVariable> = []
    const words: Array<string> = []
    let text = ""
    let word = ""
    let inWord = false
    const flush = () => {
      if (text !== "") parts.push(text)
      text = ""
    }
    const add = (character: string) => {
      if (!space.test(character)) {
        word += character
        inWord = true
      } else if (inWord && word !== "") {
        words.push(word)
        word = ""
        inWord = false
      }
    }
    const addRaw = (characters: string) => {
      word += characters
      inWord = true
    }
    if (depth > maxDepth) this.fail(`substitutions are nested more than ${maxDepth} deep`)
    let stopped = stop === undefined
    for (let character = this.peek(); character !== undefined && this.failure === undefined; character = this.peek()) {
      if (character === stop) {
        this.position++
        stopped = true
        break
      }
      if (character === "$") {
        flush()
        const value = this.dollar(depth)
        parts.push(...value)
        for (const part of value) if (typeof part === "string") for (const each of part) add(each)
      } else if (character === "'" && this.options.plainQuotes !== true) {
        const value = this.singleQuoted()
        text += value
        addRaw(value)
      } else if (character === '"' && this.options.plainQuotes !== true) {
        flush()
        const value = this.doubleQuoted(keepEscapes, depth)
        parts.push(...value)
        addRaw(value.filter((part) => typeof part === "string").join(""))
      } else if (character === "<") {
        const value = this.heredocOperator()
        text += value
        addRaw(value)
      } else {
        this.position++
        if (character === this.escapeToken) {
          if (keepEscapes) {
            text += character
            addRaw(character)
          }
          const escaped = this.next()
          if (escaped === undefined) break
          text += escaped
          addRaw(escaped)
        } else {
          text += character
          add(character)
        }
      }
    }
    if (!stopped) this.fail(`unexpected end of statement while looking for matching ${stop}`)
    flush()
    if (word !== "") words.push(word)
    return { template: parts, words }
  }

  private singleQuoted(): string {
    const start = this.position
    const end = this.source.indexOf("'", start + 1)
    if (end === -1) {
      this.fail("unexpected end of statement while looking for matching single-quote")
      return ""
    }
    this.position = end + 1
    return this.options.keepQuotes === true ? this.source.slice(start, end + 1) : this.source.slice(start + 1, end)
  }

  private doubleQuoted(keepEscapes: boolean, depth: number): Template {
    const keep = this.options.keepQuotes === true
    const parts: Array<string | BaseVariable> = []
    let text = keep ? '"' : ""
    this.position++
    while (this.failure === undefined) {
      const character = this.peek()
      if (character === undefined) {
        return this.fail("unexpected end of statement while looking for matching double-quote")
      }
      if (character === '"') {
        this.position++
        return [...parts, keep ? `${text}"` : text]
      }
      if (character === "$") {
        parts.push(text, ...this.dollar(depth))
        text = ""
        continue
      }
      this.position++
      if (character !== this.escapeToken) {
        text += character
        continue
      }
      if (keepEscapes) text += character
      const escaped = this.peek()
      if (escaped === undefined) continue
      if (escaped === '"' || escaped === "$" || escaped === this.escapeToken) {
        this.position++
        text += escaped
      } else {
        text += character
      }
    }
    return []
  }

  private heredocOperator(): string {
    this.position++
    if (this.peek() !== "<") return "<"
    const start = this.position - 1
    this.position++
    while (/[\t\r ]/.test(this.peek() ?? "")) this.position++
    return this.source.slice(start, this.position)
  }

  private name(): string {
    const start = this.position
    const first = this.peek() ?? ""
    if (/\p{Nd}/u.test(first)) {
      while (/\p{Nd}/u.test(this.peek() ?? "")) this.position++
    } else if (first !== "" && special.includes(first)) {
      this.position++
    } else {
      while (/[\p{L}\p{Nd}_]/u.test(this.peek() ?? "")) this.position++
    }
    return this.source.slice(start, this.position)
  }

  /** The value of a name. Names that the image's configuration could not have are unset. */
  private valueOf(name: string): Template | undefined {
    const value = this.lookup(name)
    if (value !== "unknown") return value
    return /^[A-Za-z_]\w*$/.test(name) ? [{ name }] : undefined
  }

  private dollar(depth: number): Template {
    this.position++
    if (this.peek() !== "{") {
      const name = this.name()
      if (name === "") return ["$"]
      return this.valueOf(name) ?? (this.options.keepUnset === true ? [`$${name}`] : [])
    }
    this.position++
    switch (this.peek()) {
      case undefined:
        return this.fail("syntax error: missing '}'")
      case "{":
      case "}":
      case ":":
        return this.fail("syntax error: bad substitution")
    }
    const name = this.name()
    let operator = this.next() ?? ""
    if (operator === "}") {
      return this.valueOf(name) ?? (this.options.keepUnset === true ? [`\${${name}}`] : [])
    }
    if (operator === "/") return this.replaced(name, depth)
    const colon = operator === ":"
    if (colon) operator = this.next() ?? ""
    const written = `${colon ? ":" : ""}${operator}`
    const trims = operator === "#" || operator === "%"
    if (operator === "" || !"+-?#%".includes(operator) || (colon && trims)) {
      return this.fail(`unsupported modifier (${written}) in substitution`)
    }
    const { template } = this.until("}", trims, depth + 1)
    if (this.failure !== undefined) {
      // BuildKit's words for the commonest mistake.
      if (this.failure.detail.endsWith("matching }")) this.failure = { detail: "syntax error: missing '}'" }
      return []
    }
    const word = compact(template)
    const value = this.valueOf(name)
    if (value === undefined && this.options.keepUnset === true) {
      return [`\${${name}${written}`, ...word, "}"]
    }
    return trims ? this.trimmed(name, value, operator, word) : this.chosen(name, value, colon, operator, word)
  }

  private chosen(
    name: string,
    value: Template | undefined,
    colon: boolean,
    operator: string,
    word: Template
  ): Template {
    const known = value === undefined ? undefined : textOf(value)
    const hasText = value?.some((part) => typeof part === "string" && part !== "") === true
    if (value !== undefined && known === undefined && !hasText && (colon || isBare(value, name))) {
      if (operator !== "?" && isBare(value, name)) {
        return [{ name, operator: `${colon ? ":" : ""}${operator}` as ":-", word }]
      }
      return this.fail(`the value of ${name} is not known`, name)
    }
    const there = value !== undefined && !(colon && known === "")
    if (operator === "-") return there ? (value as Template) : word
    if (operator === "+") return there ? word : []
    if (there) return value as Template
    const message = textOf(word)
    const what =
      message === undefined || message === ""
        ? `is not allowed to be ${value === undefined ? "unset" : "empty"}`
        : message
    return this.fail(`${name}: ${what}`)
  }

  private trimmed(name: string, value: Template | undefined, operator: string, word: Template): Template {
    const [subject, pattern] = [textOf(value ?? []), textOf(word)]
    if (subject === undefined || pattern === undefined) return this.fail(`the value of ${name} is not known`, name)
    const greedy = pattern.startsWith(operator)
    const trimmed = trimPattern(
      subject,
      greedy ? pattern.slice(1) : pattern,
      operator === "#" ? "start" : "end",
      greedy
    )
    return Result.isFailure(trimmed) ? this.fail(trimmed.failure) : [trimmed.success]
  }

  private replaced(name: string, depth: number): Template {
    const all = this.peek() === "/"
    if (all) this.position++
    const pattern = this.until("/", true, depth + 1).template
    const replacement = this.failure === undefined ? this.until("}", true, depth + 1).template : []
    if (this.failure !== undefined) {
      const missing = /matching ([/}])$/.exec(this.failure.detail)?.[1]
      if (missing !== undefined) {
        this.failure = { detail: `syntax error: missing '${missing}'${missing === "/" ? " in a substitution" : ""}` }
      }
      return []
    }
    const value = this.valueOf(name)
    if (value === undefined && this.options.keepUnset === true) {
      return [`\${${name}/`, ...pattern, "/", ...replacement, "}"]
    }
    const texts = [value ?? [], pattern, replacement].map(textOf)
    const [subject, search, by] = texts
    if (subject === undefined || search === undefined || by === undefined) {
      return this.fail(`the value of ${name} is not known`, name)
    }
    const result = replacePattern(subject, search, by, all)
    return Result.isFailure(result) ? this.fail(result.failure) : [result.success]
  }
}

/** The variable itself, and nothing else. */
const isBare = (value: Template, name: string): boolean => {
  const [only] = value
  return value.length === 1 && typeof only === "object" && only.name === name && only.operator === undefined
}
