/**
 * A GitHub workflow file, read and checked: the workflow, and the local actions that it uses.
 *
 * **Details**
 *
 * Everything that is wrong is found at once, with its place, and before anything runs: YAML, keys, types, needs, expressions with their
 * contexts and functions, actions, and what is not supported (docs/workflows.md). What GitHub accepts and gives no meaning to, is a warning.
 *
 * **Example**
 *
 * ```ts
 * const file = WorkflowFile.read(".github/workflows/ci.yml")
 * ```
 */
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type { PlatformError } from "effect/PlatformError"
import { type Code, Diagnostic, hasErrors, inOrder, WorkflowInvalid } from "./Diagnostic.ts"
import { readAction } from "./internal/readAction.ts"
import { isCheckout } from "./internal/readSteps.ts"
import { readWorkflow } from "./internal/readWorkflow.ts"
import { type ActionsInPlace, makeSource, type Source, start } from "./internal/source.ts"
import type { ActionSyntax, StepSyntax, WorkflowSyntax } from "./WorkflowSyntax.ts"

/** @category models */
export interface WorkflowFile {
  readonly syntax: WorkflowSyntax
  /** The directory on this machine that jobs check out, absolute. */
  readonly workspace: string
  /** Local actions by their path in the workspace. */
  readonly actions: ReadonlyMap<string, ActionSyntax>
  /** A line of the file, or of an action of it, as diagnostics show it. */
  readonly excerptOf: (file: string, line: number) => string | undefined
  readonly warnings: ReadonlyArray<Diagnostic>
}

/** @category options */
export interface ReadOptions {
  /**
   * The directory that `actions/checkout` gives to jobs, and where local actions are. Default: above `.github/workflows`, else the nearest
   * directory above the file that has a `.git`, else the current directory.
   */
  readonly workspace?: string | undefined
  /**
   * What stands in for actions elsewhere, which cannot run here: an action of the workspace, or nothing (`skip`). By `owner/name`, with a path or
   * a `@ref` behind it or without, in which `*` stands for any text; the longest that fits counts.
   */
  readonly actions?: Readonly<Record<string, `./${string}` | "skip">> | undefined
}

/** Larger than any workflow; GitHub's runner reads no more of an action either. */
export const maxBytes = 1024 * 1024

/**
 * Reads a file, and refuses it with all that is wrong.
 *
 * @category reading
 */
export const read = (
  path: string,
  options: ReadOptions = {}
): Effect.Effect<WorkflowFile, WorkflowInvalid, FileSystem.FileSystem> => Effect.flatMap(check(path, options), orRefuse)

/**
 * Reads a text; `file` is what diagnostics call it.
 *
 * @category reading
 */
export const fromText = (
  text: string,
  options: ReadOptions & { readonly file?: string } = {}
): Effect.Effect<WorkflowFile, WorkflowInvalid, FileSystem.FileSystem> =>
  Effect.flatMap(
    checkText(options.file ?? "workflow.yml", text, Path.resolve(options.workspace ?? "."), options.actions),
    orRefuse
  )

/**
 * What came of a look at a file: for tools that show all diagnostics of many files.
 *
 * @category models
 */
export interface Checked {
  readonly diagnostics: ReadonlyArray<Diagnostic>
  /** Only where no diagnostic is an error. */
  readonly workflow?: WorkflowFile
}

/**
 * Reads a file, and gives what is wrong as a value.
 *
 * @category reading
 */
export const check = Effect.fnUntraced(function* (
  path: string,
  options: ReadOptions = {}
): Effect.fn.Return<Checked, never, FileSystem.FileSystem> {
  const text = yield* readText(path)
  if (typeof text !== "string") return { diagnostics: [text] }
  const workspace = options.workspace === undefined ? yield* workspaceOf(path) : Path.resolve(options.workspace)
  return yield* checkText(path, text, workspace, options.actions)
})

const orRefuse = ({ diagnostics, workflow }: Checked): Effect.Effect<WorkflowFile, WorkflowInvalid> =>
  workflow === undefined ? Effect.fail(new WorkflowInvalid({ diagnostics })) : Effect.succeed(workflow)

const checkText = Effect.fnUntraced(function* (
  file: string,
  text: string,
  workspace: string,
  actionsInPlace: ActionsInPlace = {}
) {
  const source = makeSource(file, text.replace(/^\uFEFF/, ""), actionsInPlace)
  const syntax = text.length > maxBytes ? tooLarge(source, text.length) : readWorkflow(source)
  const found = [source]
  const actions = new Map<string, ActionSyntax>()
  if (syntax !== undefined) {
    for (const job of syntax.jobs) yield* readActions({ workspace, actions, found, source, path: [] }, job.steps)
  }
  const diagnostics = inOrder(found.flatMap((each) => each.diagnostics))
  const excerptOf = (name: string, line: number) => found.find((each) => each.file === name)?.excerptOf(line)
  const checked: Checked =
    syntax === undefined || hasErrors(diagnostics)
      ? { diagnostics: errorsFirst(diagnostics) }
      : { diagnostics, workflow: { syntax, workspace, actions, warnings: diagnostics, excerptOf } }
  return checked
})

/** Of a file that is refused, what it is refused for comes first. */
const errorsFirst = (diagnostics: ReadonlyArray<Diagnostic>) =>
  diagnostics.toSorted((a, b) => Number(a.severity === "warning") - Number(b.severity === "warning"))

const tooLarge = (source: Source, bytes: number): undefined => {
  source.report("file-too-large", start, `The file has ${bytes} bytes, and no workflow has more than ${maxBytes}`)
  return undefined
}

// ---- local actions

interface ActionSetting {
  readonly workspace: string
  readonly actions: Map<string, ActionSyntax>
  readonly found: Array<Source>
  /** Where the steps are written. */
  readonly source: Source
  /** The actions that use each other, outermost first. */
  readonly path: ReadonlyArray<string>
}

/** GitHub's limit for composite actions in composite actions. */
const mostNested = 10

const readActions = (
  setting: ActionSetting,
  steps: ReadonlyArray<StepSyntax>
): Effect.Effect<void, never, FileSystem.FileSystem> =>
  Effect.forEach(steps, (step) => (step.does._tag === "Uses" ? readUsed(setting, step.does) : Effect.void), {
    discard: true
  })

const readUsed = Effect.fnUntraced(function* (
  { actions, found, path, source, workspace }: ActionSetting,
  { action, uses, with: given }: Extract<StepSyntax["does"], { readonly _tag: "Uses" }>
) {
  const refuse = (code: Code, message: string, hint?: string) => source.report(code, uses.range, message, { hint })
  if (action._tag === "Remote") {
    if (isCheckout(action.repository)) return checkCheckout(source, given)
    return refuse(
      "unsupported",
      `The action ${uses.value} cannot run here: only actions/checkout and actions of this repository can`,
      `Leave it out (--action ${action.repository}=skip), or put what it does into a \`run\` step or an action of this repository (--action ${action.repository}=./path).`
    )
  }
  if (action._tag === "Docker" || action._tag === "LeftOut") return
  if (path.includes(action.path) || path.length >= mostNested) {
    return refuse("action-invalid", `Actions use each other without an end: ${[...path, action.path].join(" uses ")}`)
  }
  if (actions.has(action.path)) return
  const loaded = yield* loadAction(workspace, action.path, source.actions)
  if (loaded === undefined) {
    return refuse(
      "action-not-found",
      `There is no action.yml or action.yaml in ${action.path === "" ? "the workspace" : action.path}`,
      `Looked for in ${Path.join(workspace, action.path)}.`
    )
  }
  if (loaded instanceof Diagnostic) return refuse("action-not-found", loaded.message)
  found.push(loaded)
  const syntax = readAction(loaded)
  if (syntax === undefined) return
  actions.set(action.path, syntax)
  if (syntax.runs._tag === "Composite") {
    const nested = { workspace, actions, found, source: loaded, path: [...path, action.path] }
    yield* readActions(nested, syntax.runs.steps)
  }
})

/** What of `actions/checkout` would give something else than the workspace as it is. */
const checkCheckout = (source: Source, given: Extract<StepSyntax["does"], { readonly _tag: "Uses" }>["with"]) => {
  if ("kind" in given) return
  for (const { keyRange, name, value } of given) {
    const key = name.toLowerCase()
    if (key === "path" && value.literal !== "." && value.literal !== "./") {
      source.report(
        "unsupported",
        keyRange,
        "A checkout into another directory is not supported: the workspace is used",
        {
          hint: "Remove `path`."
        }
      )
    }
    if (
      key === "repository" &&
      !(value.parts.length === 1 && /github\.repository/.test(expressionSource(value.parts[0])))
    ) {
      source.report("unsupported", keyRange, "A checkout of another repository is not supported", {
        hint: "Clone it in a `run` step."
      })
    }
    if (key === "ref") {
      source.report("no-effect", keyRange, "`ref` has no effect: the workspace is used as it is", {
        severity: "warning"
      })
    }
  }
}

const expressionSource = (part: string | { readonly source: string } | undefined): string =>
  part === undefined ? "" : typeof part === "string" ? part : part.source

const loadAction = Effect.fnUntraced(function* (workspace: string, path: string, actions: ActionsInPlace) {
  const fs = yield* FileSystem.FileSystem
  for (const name of ["action.yml", "action.yaml"]) {
    const file = Path.join(workspace, path, name)
    if (!(yield* Effect.orElseSucceed(fs.exists(file), () => false))) continue
    const text = yield* readText(file)
    return typeof text === "string" ? makeSource(Path.join(path, name), text.replace(/^\uFEFF/, ""), actions) : text
  }
  return undefined
})

// ---- files

/** The text of a file, or why it has none. */
const readText = Effect.fnUntraced(function* (path: string) {
  const fs = yield* FileSystem.FileSystem
  const refuse = (code: Code, message: string, hint?: string) =>
    new Diagnostic({ severity: "error", code, file: path, ...start, message, ...(hint === undefined ? {} : { hint }) })
  return yield* Effect.match(
    Effect.gen(function* () {
      const { size, type } = yield* fs.stat(path)
      if (type !== "File") return refuse("file-unreadable", `It is no file, but a ${type.toLowerCase()}`)
      if (Number(size) > maxBytes) {
        return refuse("file-too-large", `The file has ${size} bytes, and no workflow has more than ${maxBytes}`)
      }
      const bytes = yield* fs.readFile(path)
      const text = decoded(bytes)
      if (text === undefined) return refuse("file-not-text", "The file is no UTF-8 text")
      return text.trim() === ""
        ? refuse("file-empty", "The file is empty", "A workflow has at least `on` and `jobs`.")
        : text
    }),
    {
      onSuccess: (value) => value,
      onFailure: (error: PlatformError) =>
        refuse("file-unreadable", unreadable[error.reason._tag] ?? `The file cannot be read: ${error.reason._tag}`)
    }
  )
})

const unreadable: Readonly<Record<string, string>> = {
  NotFound: "There is no such file",
  PermissionDenied: "There is no permission to read the file"
}

const decoded = (bytes: Uint8Array): string | undefined => {
  // NUL is UTF-8, and the sign of everything that is no text.
  if (bytes.includes(0)) return undefined
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes)
  return text.includes("\uFFFD") ? undefined : text
}

const workspaceOf = Effect.fnUntraced(function* (path: string) {
  const fs = yield* FileSystem.FileSystem
  const directory = Path.dirname(Path.resolve(path))
  if (/[\\/]\.github[\\/]workflows$/.test(directory)) return Path.dirname(Path.dirname(directory))
  for (let at = directory; ; at = Path.dirname(at)) {
    if (yield* Effect.orElseSucceed(fs.exists(Path.join(at, ".git")), () => false)) return at
    if (Path.dirname(at) === at) return Path.resolve(".")
  }
})
