/** The script of one container of a build. */
import * as Result from "effect/Result"
import type { LogStyle } from "../LogStyle.ts"
import { excerpt } from "../Refusal.ts"
import type { Action, CopyFiles, Run, Stage } from "../Stage.ts"
import { parseGlob, type Token } from "./glob.ts"
import type { Directories } from "./inlineScripts.ts"
import { cleanPath, hasWildcards, rooted } from "./paths.ts"
import { quote, quoteDirectory, quoteTemplate } from "./shellText.ts"
import type { Staged, StagedStage } from "./stagedFiles.ts"

/** A COPY somewhere else that takes from here. */
export interface Exports {
  readonly id: string
  readonly copy: CopyFiles
}

export interface ScriptOptions {
  /** None: an image that others copy from. */
  readonly stage: Stage | undefined
  readonly staged: StagedStage | undefined
  /** By which id a COPY of another stage or image is known. */
  readonly imports: ReadonlyMap<CopyFiles, string>
  readonly exports: ReadonlyArray<Exports>
  readonly directories: Directories
  readonly log: LogStyle
}

export const makeScript = ({ directories, exports, imports, log, stage, staged }: ScriptOptions): string => {
  const lines = [`. ${directories.files}/lib`]
  for (const action of stage?.actions ?? []) lines.push(...perform(action))
  for (const { copy, id } of exports) lines.push(...handOut(copy, id))
  return `${lines.join("\n")}\n`

  function perform(action: Action): ReadonlyArray<string> {
    switch (action._tag) {
      case "Run":
        return runLines(action, staged?.scripts.get(action), log)
      case "Directory":
        return [
          ...ownerLines(action.owner),
          `make_directory ${quoteDirectory(action.directory)} "$__owner"${orRefuse(action, "failed")}`
        ]
      case "Copy": {
        const id = imports.get(action)
        const from = id === undefined ? [] : takeOver(action, id)
        return [
          `say ${log.line(action.at.text).map(quote).join(" ")}`,
          `need_root ${about(action)} ${quote(stage?.image ?? "")}`,
          ...ownerLines(action.owner, "0:0"),
          ...from,
          ...(staged?.copies.get(action) ?? []).map((each) => copyLine(action, each))
        ]
      }
    }
  }
}

const about = ({ at }: Pick<Action, "at">): string => `${at.line} ${quote(excerpt(at.text))}`

const orRefuse = (action: Action, what: string): string => ` || refuse ${about(action)} ${quote(what)}`

const ownerLines = (owner: string | undefined, otherwise = ""): ReadonlyArray<string> => [
  owner === undefined ? `__owner=${otherwise}` : `own ${quote(owner)}`
]

const runLines = (run: Run, script: string | undefined, log: LogStyle): ReadonlyArray<string> => {
  const env = new Map(run.env)
  const path = env.get("PATH")
  env.delete("PATH")
  const command = [
    "env --",
    path === undefined ? `"PATH=$__base_path"` : `PATH=${quoteTemplate(path)}`,
    ...Array.from(env, ([name, value]) => `${quote(`${name}=`)}${quoteTemplate(value)}`),
    ...(script === undefined ? run.argv.map(quote) : [`"$__files"/${quote(script)}`])
  ]
  return [
    `say ${log.open(run.at.text).map(quote).join(" ")}`,
    ...run.caches.map((cache) => `mkdir -p ${quoteDirectory(cache)}`),
    `__keep_home=${env.has("HOME") ? "1" : ""}`,
    `mkdir -p ${quoteDirectory(run.directory)} 2>/dev/null`,
    `run ${quoteDirectory(run.directory)} ${quote(run.user ?? "")} ${command.join(" ")}`,
    "__code=$?",
    ...(log.close.length === 0 ? [] : [`say ${log.close.map(quote).join(" ")}`]),
    `if [ $__code != 0 ]; then say ${quote(log.failed(failure(run)))}"$__code." >&2; give_up $__code; fi`
  ]
}

const failure = ({ at }: Run): string => `Dockerfile line ${at.line}: '${excerpt(at.text)}' ended with exit code `

const copyLine = (copy: CopyFiles, staged: Staged): string => {
  const from = `"$__files"/${quote(staged.path)}`
  const to = quoteDirectory(copy.destination)
  const failed = orRefuse(copy, "could not be copied")
  switch (staged._tag) {
    case "File": {
      const mode = staged.mode.toString(8)
      return `copy_file ${from} ${quote(staged.name)} ${to} ${copy.intoDirectory ? 1 : 0} "$__owner" ${mode}${failed}`
    }
    case "Archive":
      return `make_directory ${to} "$__owner" && tar -xf ${from} -C ${to}${orRefuse(copy, "could not be unpacked")}`
    case "Tree": {
      const modes = staged.special.map(([path, mode]) => ` && chmod ${mode.toString(8)} ${to}/${quote(path)}`)
      return `copy_tree ${from} ${to} "$__owner" "$__files"/${quote(staged.list)}${modes.join("")}${failed}`
    }
  }
}

const takeOver = (copy: CopyFiles, id: string): ReadonlyArray<string> => [
  `await ${id}`,
  ...copy.sources.map((_, index) => {
    const owner = copy.owner === undefined ? "''" : `"$__owner"`
    const into = copy.intoDirectory ? 1 : 0
    const to = quoteDirectory(copy.destination)
    const mode = quote(copy.chmod ?? "")
    return `take_over "$__shared"/${id}/${index} ${to} ${into} ${owner} ${mode}${orRefuse(copy, "could not be copied")}`
  })
]

const handOut = (copy: CopyFiles, id: string): ReadonlyArray<string> => [
  ...copy.sources.flatMap((source, index) => {
    const out = `"$__shared"/${id}/${index}`
    const names = cleanPath(rooted(source)).split("/").filter(Boolean)
    const first = names.findIndex(hasWildcards)
    const failed = orRefuse(copy, "could not be taken out of the stage that it copies from")
    const path = (parts: ReadonlyArray<string>) => quote(`/${parts.join("/")}`)
    if (first === -1) return [`hand_out ${out}/1 ${path(names)}${failed}`]
    const levels = names.slice(first)
    const base = first === 0 ? "" : path(names.slice(0, first))
    return matching(base, levels, `hand_out_match ${out} "$__level${levels.length}"${failed}`)
  }),
  `: >"$__shared"/${id}.done`
]

/** A loop for each level of a pattern. Names that begin with a dot match `*`, as they do in Go and not in sh. */
const matching = (base: string, levels: ReadonlyArray<string>, body: string): ReadonlyArray<string> => {
  const lines: Array<string> = []
  for (const [index, level] of levels.entries()) {
    const from = index === 0 ? base : `"$__level${index}"`
    const name = `__level${index + 1}`
    const isLast = index === levels.length - 1
    lines.push(
      `for ${name} in ${from}/* ${from}/.[!.]* ${from}/..?*; do`,
      `if [ ! -e "$${name}" ] && [ ! -L "$${name}" ]; then continue; fi`,
      ...(isLast ? [] : [`if [ -L "$${name}" ] || [ ! -d "$${name}" ]; then continue; fi`]),
      `case \${${name}##*/} in ${shellPattern(level)}) ;; *) continue ;; esac`
    )
  }
  return [...lines, body, ...levels.map(() => "done")]
}

/** A pattern of Go as one of sh. */
const shellPattern = (pattern: string): string => {
  const tokens: ReadonlyArray<Token> = Result.getOrElse(parseGlob(pattern, false), () => [])
  return tokens.length === 0 ? "''" : tokens.map(shellToken).join("")
}

const shellToken = (token: Token): string => {
  switch (token.kind) {
    case "character":
      return quote(token.character)
    case "one":
      return "?"
    case "class": {
      const ranges = token.of.ranges.map(([low, high]) => (low === high ? quote(low) : `${quote(low)}-${quote(high)}`))
      return `[${token.of.negated ? "!" : ""}${ranges.join("")}]`
    }
    default:
      return "*"
  }
}
