/**
 * The commands that a step gives through its output, `::error file=a.ts,line=3::message`, as GitHub's runner (actions/runner 2.336) reads
 * them: what is a command and what is not, how it is escaped, and what it means.
 *
 * `parse` and `render` are for the text of one command, `make` reads the lines of a step one by one.
 */
import * as Redacted from "effect/Redacted"

/**
 * A command as it is written.
 *
 * @category models
 */
export interface WorkflowCommand {
  /** As it was written; GitHub does not look at upper and lower case, see `names`. */
  readonly name: string
  /** By name in small letters, because GitHub does not look at upper and lower case; the last one of a name counts. */
  readonly properties: ReadonlyMap<string, string>
  readonly data: string
}

/**
 * The commands that there are; everything else is output.
 *
 * @category models
 */
export const names = [
  "add-mask",
  "add-matcher",
  "add-path",
  "debug",
  "echo",
  "endgroup",
  "error",
  "group",
  "notice",
  "remove-matcher",
  "save-state",
  "set-env",
  "set-output",
  "stop-commands",
  "warning"
] as const

/** @category models */
export type Name = (typeof names)[number]

/** @category guards */
export const isName = (name: string): name is Name => names.some((each) => each === name)

// ---- text

/**
 * The command in a line, if it is one.
 *
 * **Details**
 *
 * `::name key=value,key=value::data` counts at the beginning of a line, after blanks; the older `##[name key=value;key=value]data`
 * anywhere in it. A name that is not known (default: none but `names`) makes no command.
 *
 * @category parsing
 */
export const parse = (line: string, isKnown: (name: string) => boolean = isName): WorkflowCommand | undefined =>
  parseColons(line.trimStart(), isKnown) ?? parseHashes(line, isKnown)

const parseColons = (line: string, isKnown: (name: string) => boolean): WorkflowCommand | undefined => {
  if (!line.startsWith("::")) return undefined
  const end = line.indexOf("::", 2)
  if (end < 0) return undefined
  const [name, properties] = headOf(line.slice(2, end))
  if (!isKnown(name.toLowerCase())) return undefined
  return {
    name,
    properties: propertiesOf(properties.trim(), ",", unescapeProperty),
    data: unescapeData(line.slice(end + 2))
  }
}

const parseHashes = (line: string, isKnown: (name: string) => boolean): WorkflowCommand | undefined => {
  const start = line.indexOf("##[")
  if (start < 0) return undefined
  const end = line.indexOf("]", start)
  if (end < 0) return undefined
  const [name, properties] = headOf(line.slice(start + 3, end))
  if (!isKnown(name.toLowerCase())) return undefined
  return {
    name,
    properties: propertiesOf(properties, ";", unescapeHashes),
    data: unescapeHashes(line.slice(end + 1))
  }
}

const headOf = (text: string): readonly [name: string, properties: string] => {
  const blank = text.indexOf(" ")
  return blank < 0 ? [text, ""] : [text.slice(0, blank), text.slice(blank + 1)]
}

/** Empty names and values are dropped, and so is every `=` before either. */
const propertiesOf = (
  text: string,
  separator: string,
  unescaped: (text: string) => string
): ReadonlyMap<string, string> => {
  const properties = new Map<string, string>()
  for (const part of text.split(separator)) {
    const [, name, value] = /^=*([^=]+)=+([^=].*)$/s.exec(part) ?? []
    if (name !== undefined && value !== undefined) properties.set(name.toLowerCase(), unescaped(value))
  }
  return properties
}

/**
 * Writes a command as `::name key=value::data`.
 *
 * **Gotchas**
 *
 * The format cannot hold empty values, values that begin with `=`, and blanks at the very end of the last value.
 *
 * @category formatting
 */
export const render = ({ data, name, properties }: WorkflowCommand): string => {
  const parts = [...properties]
    .filter(([, value]) => value !== "")
    .map(([key, value]) => `${key}=${escapeProperty(value)}`)
  return `::${[name, ...(parts.length === 0 ? [] : [parts.join(",")])].join(" ")}::${escapeData(data)}`
}

/**
 * Writes a command as `##[name key=value]data`: the form that GitHub's own logs have it in.
 *
 * @category formatting
 */
export const renderLog = ({ data, name, properties }: WorkflowCommand): string => {
  const parts = [...properties]
    .filter(([, value]) => value !== "")
    .map(([key, value]) => `${key}=${escapeHashes(value)}`)
  return `##[${[name, ...(parts.length === 0 ? [] : [parts.join(";")])].join(" ")}]${escapeHashes(data)}`
}

const escaping = (signs: string) => {
  const hex = (sign: string) => `%${sign.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`
  const all = [...signs].map((sign) => [sign, hex(sign)] as const)
  return {
    // `%` first, and last on the way back: else what was escaped is escaped again.
    escape: (text: string) => all.reduceRight((text, [sign, escaped]) => text.replaceAll(sign, escaped), text),
    unescape: (text: string) => all.reduce((text, [sign, escaped]) => text.replaceAll(escaped, sign), text)
  }
}

const { escape: escapeData, unescape: unescapeData } = escaping("\r\n%")
const { escape: escapeProperty, unescape: unescapeProperty } = escaping("\r\n:,%")
const { escape: escapeHashes, unescape: unescapeHashes } = escaping(";\r\n]%")

/**
 * Makes a command of plain values; those that are undefined or empty are left out.
 *
 * @category constructors
 */
export const command = (
  name: Name,
  data = "",
  properties: Readonly<Record<string, string | number | undefined>> = {}
): WorkflowCommand => ({
  name,
  properties: new Map(
    Object.entries(properties).flatMap(([key, value]) =>
      value === undefined || value === "" ? [] : [[key, String(value)] as const]
    )
  ),
  data
})

// ---- meaning

/** @category models */
export type Level = "error" | "warning" | "notice"

/**
 * Something to show at a place in the code, or without one.
 *
 * @category models
 */
export interface Annotation {
  readonly level: Level
  readonly message: string
  readonly title?: string | undefined
  readonly file?: string | undefined
  readonly line?: number | undefined
  readonly endLine?: number | undefined
  readonly col?: number | undefined
  readonly endColumn?: number | undefined
}

/**
 * What a command asks for.
 *
 * `Refused` is a mistake for which GitHub fails the step; `Warned` one for which it does not.
 *
 * @category models
 */
export type Instruction =
  | { readonly _tag: "AddMask"; readonly value: Redacted.Redacted<string> }
  | { readonly _tag: "Annotate"; readonly annotation: Annotation }
  | { readonly _tag: "Debug"; readonly message: string }
  | { readonly _tag: "Group"; readonly name: string }
  | { readonly _tag: "EndGroup" }
  | { readonly _tag: "SetOutput"; readonly name: string; readonly value: string }
  | { readonly _tag: "SaveState"; readonly name: string; readonly value: string }
  | { readonly _tag: "SetEnv"; readonly name: string; readonly value: string }
  | { readonly _tag: "AddPath"; readonly path: string }
  | { readonly _tag: "AddMatcher"; readonly file: string }
  | { readonly _tag: "RemoveMatcher"; readonly owner?: string | undefined; readonly file?: string | undefined }
  | { readonly _tag: "Stop"; readonly token: string }
  | { readonly _tag: "Resume" }
  | { readonly _tag: "Echo"; readonly on: boolean }
  | { readonly _tag: "Warned"; readonly message: string }
  | { readonly _tag: "Refused"; readonly message: string }

/**
 * What came of a line.
 *
 * @category models
 */
export interface Read {
  /** What a log shows of it: the line itself if it is no command; commands as `renderLog` writes them. */
  readonly shown: ReadonlyArray<string>
  readonly instruction?: Instruction
}

/**
 * Reads the lines of one step, both its streams: commands may be stopped, and echoed.
 *
 * @category models
 */
export interface Reader {
  readonly read: (line: string) => Read
}

/** @category options */
export interface Options {
  /** Show commands as they were written, too, until a step says otherwise. GitHub does when it debugs a step. Default false. */
  readonly echo?: boolean | undefined
  /** Show what steps say for debugging. Default false. */
  readonly debug?: boolean | undefined
  /** `set-env` and `add-path` are obeyed: `ACTIONS_ALLOW_UNSECURE_COMMANDS`. Default false. */
  readonly allowUnsecure?: boolean | undefined
}

/** @category constructors */
export const make = ({ allowUnsecure = false, debug = false, echo = false }: Options = {}): Reader => {
  let echoes = echo
  let token: string | undefined
  const isKnown = (name: string) => isName(name) || name === token
  const read = (line: string): Read => {
    // Almost all lines.
    if (!line.includes("::") && !line.includes("##[")) return { shown: [line] }
    const found = parse(line, isKnown)
    if (found === undefined) return { shown: [line] }
    const name = found.name.toLowerCase()
    if (token !== undefined) {
      if (name !== token) return { shown: [line] }
      token = undefined
      return { shown: [line], instruction: { _tag: "Resume" } }
    }
    const instruction = meaningOf(found, allowUnsecure)
    const echoed = echoes && !silent.has(name) ? [line] : []
    switch (instruction._tag) {
      case "Stop":
        token = instruction.token.toLowerCase()
        return { shown: [line], instruction }
      case "Echo":
        echoes = instruction.on
        return { shown: echoed, instruction }
      case "AddMask":
        return { shown: echoes ? ["::add-mask::***"] : [], instruction }
      case "Annotate":
        return { shown: [renderLog(ofAnnotation(instruction.annotation))], instruction }
      case "Debug":
        return { shown: debug ? [renderLog(command("debug", instruction.message))] : [], instruction }
      case "Group":
        return { shown: [...echoed, renderLog(command("group", instruction.name))], instruction }
      case "EndGroup":
        return { shown: [...echoed, renderLog(command("endgroup"))], instruction }
      case "Warned":
        return { shown: [...echoed, renderLog(command("warning", instruction.message))], instruction }
      case "Refused":
        return { shown: [...echoed, renderLog(command("error", instruction.message))], instruction }
      default:
        return { shown: echoed, instruction }
    }
  }
  return { read }
}

/** Those that are not echoed. */
const silent: ReadonlySet<string> = new Set(["add-mask", "debug", "error", "warning", "notice"])

const meaningOf = (written: WorkflowCommand, allowUnsecure: boolean): Instruction => {
  const { data, properties } = written
  const name = written.name.toLowerCase()
  const refused = (detail: string): Instruction => ({ _tag: "Refused", message: `The command "${name}" ${detail}` })
  const named = (_tag: "SetOutput" | "SaveState" | "SetEnv"): Instruction => {
    const key = properties.get("name")
    return key === undefined ? refused('has no "name"') : { _tag, name: key, value: data }
  }
  switch (name) {
    case "add-mask":
      return data.trim() === ""
        ? { _tag: "Warned", message: 'The command "add-mask" has no value: nothing is masked for it' }
        : { _tag: "AddMask", value: Redacted.make(data) }
    case "error":
    case "warning":
    case "notice":
      return { _tag: "Annotate", annotation: annotationOf(name, written) }
    case "debug":
      return { _tag: "Debug", message: data }
    case "group":
      return { _tag: "Group", name: data }
    case "endgroup":
      return { _tag: "EndGroup" }
    case "set-output":
      return named("SetOutput")
    case "save-state":
      return named("SaveState")
    case "set-env":
      if (!allowUnsecure) return refused(disabled("GITHUB_ENV"))
      return properties.get("name")?.toUpperCase() === "NODE_OPTIONS"
        ? refused("cannot set NODE_OPTIONS")
        : named("SetEnv")
    case "add-path":
      if (!allowUnsecure) return refused(disabled("GITHUB_PATH"))
      return data === "" ? refused("has no path") : { _tag: "AddPath", path: data }
    case "add-matcher":
      return data === ""
        ? { _tag: "Warned", message: 'The command "add-matcher" has no file' }
        : { _tag: "AddMatcher", file: data }
    case "remove-matcher": {
      const owner = properties.get("owner")
      if ((owner === undefined) === (data === "")) {
        return { _tag: "Warned", message: 'The command "remove-matcher" takes an owner or a file' }
      }
      return { _tag: "RemoveMatcher", ...(owner === undefined ? { file: data } : { owner }) }
    }
    case "stop-commands":
      return data === "" || isName(data.toLowerCase()) || data.toLowerCase() === "pause-logging"
        ? refused("needs a token of its own, which is no command's name")
        : { _tag: "Stop", token: data }
    case "echo": {
      const on = data.trim().toLowerCase()
      return on === "on" || on === "off"
        ? { _tag: "Echo", on: on === "on" }
        : refused(`takes "on" or "off", not "${data}"`)
    }
    default:
      return refused("is not known")
  }
}

const disabled = (file: string) =>
  `is disabled, as on GitHub: write to the file of $${file}, or set ACTIONS_ALLOW_UNSECURE_COMMANDS to true`

/**
 * The annotation in a command, with contradictory places corrected as GitHub does it.
 *
 * @category getters
 */
export const annotationOf = (level: Level, { data, properties }: WorkflowCommand): Annotation => {
  const number = (key: string) => {
    const text = properties.get(key)?.trim() ?? ""
    return /^[+-]?\d+$/.test(text) ? Number(text) : undefined
  }
  const endLine = number("endline")
  const endColumn = number("endcolumn")
  const line = number("line") ?? endLine
  const col = number("col") ?? endColumn
  const backwards = line !== undefined && endLine !== undefined && endLine < line
  // A column says nothing without its line, or in a range of lines.
  const columns =
    line !== undefined &&
    (endLine ?? line) === line &&
    (col === undefined || endColumn === undefined || col <= endColumn)
  return {
    level,
    message: data,
    title: properties.get("title"),
    file: properties.get("file"),
    line: backwards ? undefined : line,
    endLine: backwards ? undefined : endLine,
    col: columns ? col : undefined,
    endColumn: columns ? endColumn : undefined
  }
}

/**
 * The command for an annotation; a message that is longer than GitHub takes is cut.
 *
 * @category constructors
 */
export const ofAnnotation = ({ level, message, ...place }: Annotation): WorkflowCommand =>
  command(level, message.slice(0, maxMessage), place)

const maxMessage = 4096
