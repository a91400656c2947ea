/**
 * A Dockerfile as instructions, each with its line and its text.
 *
 * **Details**
 *
 * Reads what BuildKit's Dockerfile frontend reads, in the same way: parser directives, continuations, comments, heredocs, flags, shell
 * and JSON forms. Variables are left as written, `Word` expands them. Our own, because the parsers on npm are either made for editors,
 * which accept anything and do not read heredocs, or not kept any more.
 *
 * @example
 *
 * ```ts
 * Dockerfile.parse("FROM alpine\nRUN apk add jq\nENTRYPOINT [\"/run.sh\"]\n")
 * ```
 */
import * as Result from "effect/Result"
import { type FlagKinds, type Flags, fields, jsonStrings, readFlags, splitFlags, words } from "./internal/arguments.ts"
import { type Directives, type Heredoc, type HeredocWord, type LogicalLine, readLines } from "./internal/lines.ts"
import { type At, invalid, type Refusal } from "./Refusal.ts"
import * as Word from "./Word.ts"

/**
 * `RUN ls` goes through a shell, `RUN ["ls"]` does not.
 *
 * @category models
 */
export type Command =
  | { readonly _tag: "Shell"; readonly text: string }
  | { readonly _tag: "Exec"; readonly argv: ReadonlyArray<string> }

/** @category models */
export interface Pair {
  readonly name: string
  readonly value: string
}

/**
 * A file that a COPY or ADD brings along.
 *
 * @category models
 */
export interface InlineFile {
  readonly name: string
  readonly content: string
  readonly expands: boolean
}

/** @category models */
export interface From {
  readonly _tag: "From"
  readonly at: At
  readonly image: string
  readonly name: string | undefined
  readonly platform: string | undefined
}

/** @category models */
export interface Arg {
  readonly _tag: "Arg"
  readonly at: At
  readonly args: ReadonlyArray<{ readonly name: string; readonly value: string | undefined }>
}

/** @category models */
export interface Run {
  readonly _tag: "Run"
  readonly at: At
  readonly command: Command
  readonly heredocs: ReadonlyArray<Heredoc>
  readonly mounts: ReadonlyArray<string>
  readonly network: string | undefined
  readonly security: string | undefined
  readonly devices: ReadonlyArray<string>
}

/**
 * COPY and ADD.
 *
 * @category models
 */
export interface Copy {
  readonly _tag: "Copy"
  readonly at: At
  readonly keyword: "COPY" | "ADD"
  readonly sources: ReadonlyArray<string>
  readonly files: ReadonlyArray<InlineFile>
  readonly destination: string
  readonly from: string | undefined
  readonly chown: string | undefined
  readonly chmod: string | undefined
  readonly exclude: ReadonlyArray<string>
  readonly parents: boolean
  readonly link: boolean
  /** Left out, ADD unpacks archives. */
  readonly unpack: boolean | undefined
}

/**
 * One instruction.
 *
 * @category models
 */
export type Instruction =
  | From
  | Arg
  | Run
  | Copy
  | { readonly _tag: "Env"; readonly at: At; readonly pairs: ReadonlyArray<Pair> }
  | { readonly _tag: "Workdir"; readonly at: At; readonly path: string }
  | { readonly _tag: "User"; readonly at: At; readonly user: string }
  | { readonly _tag: "Shell"; readonly at: At; readonly argv: ReadonlyArray<string> }
  | { readonly _tag: "Entrypoint"; readonly at: At; readonly command: Command }
  | { readonly _tag: "Cmd"; readonly at: At; readonly command: Command }
  | { readonly _tag: "Volume"; readonly at: At; readonly paths: ReadonlyArray<string> }
  | { readonly _tag: "Label"; readonly at: At; readonly pairs: ReadonlyArray<Pair> }
  /** EXPOSE, HEALTHCHECK, STOPSIGNAL, MAINTAINER and ONBUILD, which say nothing about how a step runs. */
  | { readonly _tag: "Ignored"; readonly at: At; readonly keyword: string }

/** @category models */
export interface Dockerfile {
  readonly directives: Directives
  readonly instructions: ReadonlyArray<Instruction>
}

/**
 * Reads a Dockerfile. Fails with the first line that is wrong; never throws, whatever the text.
 *
 * @category parsing
 */
export const parse = (text: string): Result.Result<Dockerfile, Refusal> =>
  Result.flatMap(readLines(text, heredocsOf), ({ directives, lines }) => {
    const instructions: Array<Instruction> = []
    for (const line of lines) {
      const instruction = parseLine(line, directives.escapeToken)
      if (Result.isFailure(instruction)) return Result.fail(instruction.failure)
      const { _tag, at } = instruction.success
      if (_tag !== "From" && _tag !== "Arg" && !instructions.some((earlier) => earlier._tag === "From")) {
        return Result.fail(invalid(at, "no build stage in current context", "begin the Dockerfile with FROM."))
      }
      instructions.push(instruction.success)
    }
    if (!instructions.some((instruction) => instruction._tag === "From")) {
      return Result.fail(invalid({ line: 1, text: lines[0]?.text ?? "" }, "the file has no FROM"))
    }
    return Result.succeed({ directives, instructions })
  })

/**
 * Reads one instruction, as a base image's ONBUILD gives it.
 *
 * @category parsing
 */
export const parseTrigger = (text: string): Result.Result<Instruction, Refusal> =>
  Result.flatMap(readLines(text, heredocsOf), ({ lines }) => {
    const [line] = lines
    if (line === undefined || lines.length !== 1) return Result.fail(invalid({ line: 0, text }, "no ONBUILD trigger"))
    return Result.map(parseLine(line, "\\"), (instruction) => ({ ...instruction, at: { line: 0, text } }))
  })

/**
 * The heredoc that a word opens, if it does: `<<EOF`, `<<-"EOF"`, `3<<EOF`.
 *
 * @category parsing
 */
export const heredocOf = (word: string): Result.Result<HeredocWord | undefined, string> => {
  const match = /^(\d*)<<(-?)\s*([^<]+)$/.exec(word)
  if (match === null) return Result.succeed(undefined)
  const rest = match[3]!
  const plain = Word.split(rest, { keepUnset: true })
  const raw = Word.split(rest, { keepUnset: true, keepQuotes: true })
  if (Result.isFailure(plain)) return Result.fail(plain.failure.detail)
  if (Result.isFailure(raw)) return Result.fail(raw.failure.detail)
  const [name] = plain.success
  if (name === undefined || plain.success.length !== 1) return Result.succeed(undefined)
  const quotes = (text: string) => text.replace(/[^'"]/g, "").length
  return Result.succeed({
    name,
    fileDescriptor: Number(match[1]),
    expands: quotes(name) === quotes(raw.success.join("")),
    chomps: match[2] === "-"
  })
}

/**
 * A heredoc's text without leading tabs, where it asks for that.
 *
 * @category getters
 */
export const contentOf = ({ chomps, content }: Heredoc): string => (chomps ? content.replace(/^\t+/gm, "") : content)

const heredocsOf = (line: string, escapeToken: string): Result.Result<ReadonlyArray<HeredocWord>, string> => {
  if (!line.includes("<<")) return Result.succeed([])
  let { keyword, rest } = headOf(line, escapeToken)
  if (keyword === "ONBUILD") ({ keyword, rest } = headOf(rest, escapeToken))
  if (keyword !== "RUN" && keyword !== "COPY" && keyword !== "ADD") return Result.succeed([])
  const json = jsonStrings(rest)
  if (Result.isFailure(json) || json.success !== undefined) return Result.succeed([])
  const split = Word.split(line, { keepQuotes: true, keepEscapes: true, keepUnset: true })
  const found: Array<HeredocWord> = []
  for (const word of Result.isFailure(split) ? [] : split.success) {
    const heredoc = heredocOf(word)
    if (Result.isFailure(heredoc)) return Result.fail(heredoc.failure)
    if (heredoc.success !== undefined) found.push(heredoc.success)
  }
  return Result.succeed(found)
}

const headOf = (line: string, escapeToken: string) => {
  const trimmed = line.trim()
  const match = /^[^\t\v\f\r ]+/.exec(trimmed)
  const keyword = match?.[0] ?? ""
  return { keyword: keyword.toUpperCase(), ...splitFlags(trimmed.slice(keyword.length), escapeToken) }
}

const parseLine = (line: LogicalLine, escapeToken: string): Result.Result<Instruction, Refusal> => {
  const { keyword, flags, rest } = headOf(line.text, escapeToken)
  const at: At = { line: line.line, text: line.text.trim() }
  const parser = Object.hasOwn(parsers, keyword) ? parsers[keyword] : undefined
  if (parser === undefined) return Result.fail(invalid(at, `unknown instruction: ${keyword.slice(0, 50)}`))
  return Result.mapError(
    Result.flatMap(readFlags(keyword === "ARG" ? [] : flags, parser.flags ?? {}), (flags) =>
      parser.parse({ at, keyword, flags, rest, escapeToken, line })
    ),
    (error) => (typeof error === "string" ? invalid(at, error) : error)
  )
}

interface Head {
  readonly at: At
  readonly keyword: string
  readonly flags: Flags
  readonly rest: string
  readonly escapeToken: string
  readonly line: LogicalLine
}

interface Parser {
  readonly flags?: FlagKinds
  readonly parse: (head: Head) => Result.Result<Instruction, Refusal | string>
}

const exactlyOne = (keyword: string) => Result.fail(`${keyword} requires exactly one argument`)
const atLeastOne = (keyword: string) => Result.fail(`${keyword} requires at least one argument`)

const command = (rest: string): Result.Result<Command, string> =>
  Result.map(jsonStrings(rest), (argv) => (argv === undefined ? { _tag: "Shell", text: rest } : { _tag: "Exec", argv }))

/** `NAME=value ...`, or the old `NAME value`. */
const pairs = ({ escapeToken, keyword, rest }: Head): Result.Result<ReadonlyArray<Pair>, string> => {
  const found = words(rest, escapeToken)
  const [first] = found
  if (first === undefined) return atLeastOne(keyword)
  if (!first.includes("=")) {
    const match = /^([^\t\v\f\r ]+)[\t\v\f\r ]+([\s\S]*)$/.exec(rest)
    return match === null
      ? Result.fail(`${keyword} must have two arguments`)
      : Result.succeed([{ name: match[1]!, value: match[2]! }])
  }
  const split = found.map((word) => /^([^=]*)(=?)([\s\S]*)$/.exec(word)!)
  const wrong = split.find(([, name, equals]) => equals === "" || name === "")
  if (wrong !== undefined) {
    return Result.fail(
      wrong[2] === ""
        ? `can't find = in "${wrong[0]}". Must be of the form: name=value`
        : `${keyword} names can not be blank`
    )
  }
  return Result.succeed(split.map(([, name, , value]) => ({ name: name!, value: value! })))
}

const copy = (head: Head): Result.Result<Instruction, string> => {
  const json = jsonStrings(head.rest)
  if (Result.isFailure(json)) return Result.fail(json.failure)
  const list = json.success ?? fields(head.rest)
  const destination = list.at(-1)
  if (destination === undefined || list.length < 2) {
    return Result.fail(`${head.keyword} requires at least two arguments: sources and a destination`)
  }
  const asHeredoc = (word: string) => Result.getOrUndefined(heredocOf(word))
  if (asHeredoc(destination) !== undefined) {
    return Result.fail(`${head.keyword} cannot accept a heredoc as a destination`)
  }
  const sources: Array<string> = []
  const files: Array<InlineFile> = []
  for (const source of list.slice(0, -1)) {
    const word = asHeredoc(source)
    if (word === undefined) {
      sources.push(source)
      continue
    }
    const heredoc = head.line.heredocs.findLast(({ name }) => name === word.name)
    const content = heredoc === undefined ? "" : contentOf({ ...heredoc, chomps: word.chomps })
    files.push({ name: word.name, content, expands: word.expands })
  }
  const one = (name: string) => head.flags.get(name)?.[0] || undefined
  return Result.succeed({
    _tag: "Copy",
    at: head.at,
    keyword: head.keyword === "ADD" ? "ADD" : "COPY",
    sources,
    files,
    destination,
    from: one("from"),
    chown: one("chown"),
    chmod: one("chmod"),
    exclude: head.flags.get("exclude") ?? [],
    parents: one("parents") === "true",
    link: one("link") === "true",
    unpack: one("unpack") === undefined ? undefined : one("unpack") === "true"
  })
}

const ignored =
  (check: (head: Head) => string | undefined = () => undefined): Parser["parse"] =>
  (head) => {
    const wrong = check(head)
    return wrong === undefined
      ? Result.succeed({ _tag: "Ignored", at: head.at, keyword: head.keyword })
      : Result.fail(wrong)
  }

const missing = ({ keyword, rest }: Head) => (rest === "" ? `${keyword} requires an argument` : undefined)

const parsers: Readonly<Record<string, Parser>> = {
  FROM: {
    flags: { platform: "one" },
    parse: ({ at, flags, rest }) => {
      const [image, as, name, ...more] = fields(rest)
      if (image === undefined || more.length > 0 || (as !== undefined && (name === undefined || !/^as$/i.test(as)))) {
        return Result.fail("FROM requires either one or three arguments")
      }
      const lower = name?.toLowerCase()
      if (lower !== undefined && !/^[a-z][a-z0-9-_.]*$/.test(lower)) {
        return Result.fail(`invalid name for build stage: "${name}", it can't start with a number or contain symbols`)
      }
      return Result.succeed({ _tag: "From", at, image, name: lower, platform: flags.get("platform")?.[0] || undefined })
    }
  },
  ARG: {
    parse: ({ at, escapeToken, keyword, rest }) => {
      const args = words(rest, escapeToken).map((word) => {
        const equals = word.indexOf("=")
        return equals === -1
          ? { name: word, value: undefined }
          : { name: word.slice(0, equals), value: word.slice(equals + 1) }
      })
      if (args.length === 0) return atLeastOne(keyword)
      return args.some(({ name }) => name === "")
        ? Result.fail("ARG names can not be blank")
        : Result.succeed({ _tag: "Arg", at, args })
    }
  },
  ENV: { parse: (head) => Result.map(pairs(head), (pairs) => ({ _tag: "Env", at: head.at, pairs })) },
  LABEL: { parse: (head) => Result.map(pairs(head), (pairs) => ({ _tag: "Label", at: head.at, pairs })) },
  RUN: {
    flags: { mount: "many", network: "one", security: "one", device: "many" },
    parse: ({ at, flags, line, rest }) =>
      Result.flatMap(command(rest), (command) => {
        if (line.heredocs.length > 0 && command._tag !== "Shell") return Result.fail("an invalid run command")
        return Result.succeed({
          _tag: "Run",
          at,
          command,
          heredocs: line.heredocs,
          mounts: flags.get("mount") ?? [],
          network: flags.get("network")?.[0],
          security: flags.get("security")?.[0],
          devices: flags.get("device") ?? []
        })
      })
  },
  COPY: {
    flags: { from: "one", chown: "one", chmod: "one", link: "switch", exclude: "many", parents: "switch" },
    parse: copy
  },
  ADD: {
    flags: {
      chown: "one",
      chmod: "one",
      link: "switch",
      exclude: "many",
      "keep-git-dir": "switch",
      checksum: "one",
      unpack: "switch"
    },
    parse: copy
  },
  WORKDIR: {
    parse: ({ at, keyword, rest }) =>
      rest === "" ? exactlyOne(keyword) : Result.succeed({ _tag: "Workdir", at, path: rest })
  },
  USER: {
    parse: ({ at, keyword, rest }) =>
      rest === "" ? exactlyOne(keyword) : Result.succeed({ _tag: "User", at, user: rest })
  },
  SHELL: {
    parse: ({ at, keyword, rest }) =>
      Result.flatMap(jsonStrings(rest), (argv) => {
        if (argv === undefined) return Result.fail("SHELL requires the arguments to be in JSON form")
        return argv.length === 0 ? atLeastOne(keyword) : Result.succeed({ _tag: "Shell", at, argv })
      })
  },
  ENTRYPOINT: {
    parse: ({ at, rest }) => Result.map(command(rest), (command) => ({ _tag: "Entrypoint", at, command }))
  },
  CMD: { parse: ({ at, rest }) => Result.map(command(rest), (command) => ({ _tag: "Cmd", at, command })) },
  VOLUME: {
    parse: ({ at, keyword, rest }) =>
      Result.flatMap(jsonStrings(rest), (json) => {
        const paths = (json ?? fields(rest)).map((path) => path.trim())
        if (paths.length === 0) return atLeastOne(keyword)
        return paths.includes("")
          ? Result.fail("VOLUME specified can not be an empty string")
          : Result.succeed({ _tag: "Volume", at, paths })
      })
  },
  ONBUILD: {
    // The trigger is for images built on this one: nobody here looks at it closer.
    parse: ({ at, escapeToken, keyword, rest }) => {
      const trigger = headOf(rest, escapeToken).keyword
      if (trigger === "") return atLeastOne(keyword)
      return trigger === "ONBUILD" || trigger === "FROM" || trigger === "MAINTAINER"
        ? Result.fail(`${trigger} isn't allowed as an ONBUILD trigger`)
        : Result.succeed({ _tag: "Ignored", at, keyword })
    }
  },
  EXPOSE: { parse: ignored(missing) },
  MAINTAINER: { parse: ignored(missing) },
  STOPSIGNAL: { parse: ignored(missing) },
  HEALTHCHECK: {
    flags: { interval: "one", timeout: "one", "start-period": "one", "start-interval": "one", retries: "one" },
    parse: ignored(({ rest }) => {
      const [type = "", ...more] = rest.split(/\s+/)
      if (type === "") return "HEALTHCHECK requires at least one argument"
      if (/^none$/i.test(type)) return more.length === 0 ? undefined : "HEALTHCHECK NONE takes no arguments"
      if (!/^cmd$/i.test(type)) return `unknown type "${type}" in HEALTHCHECK (try CMD)`
      return more.length === 0 ? "missing command after HEALTHCHECK CMD" : undefined
    })
  }
}
