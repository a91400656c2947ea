import type { ActionReference, StepSyntax } from "../WorkflowSyntax.ts"
import * as Availability from "./availability.ts"
import {
  checkIdentifier,
  isNothing,
  literalOf,
  readBoolean,
  readCondition,
  readFields,
  readLiteral,
  readPositive,
  readString,
  readVariables,
  wrongType
} from "./fields.ts"
import * as Shells from "./shells.ts"
import type { ActionsInPlace, Source } from "./source.ts"
import { matches } from "./wildcard.ts"
import type { Node } from "./yaml.ts"

/** Where the steps are: what they may say, and what their expressions see. */
export interface StepPlace {
  readonly fields: Availability.Availability
  readonly if: Availability.Availability
  readonly inAction: boolean
}

export const inJob: StepPlace = { fields: Availability.stepFields, if: Availability.stepIf, inAction: false }
export const inAction: StepPlace = { fields: Availability.actionFields, if: Availability.actionIf, inAction: true }

const keys = ["name", "id", "if", "run", "uses", "with", "env", "shell", "working-directory", "continue-on-error"]
/** Known, and not for us. */
const refused = ["background", "wait", "wait-all", "cancel", "parallel"]

export const readSteps = (
  source: Source,
  node: Node | undefined,
  what: string,
  place: StepPlace
): ReadonlyArray<StepSyntax> => {
  if (node === undefined) return []
  if (node.kind !== "sequence") {
    wrongType(source, node, what, "a list of steps")
    return []
  }
  const ids = new Map<string, number>()
  return node.items.flatMap((item) => {
    const step = readStep(source, item, place)
    if (step?.id !== undefined) {
      const { range, value } = step.id
      const first = ids.get(value.toLowerCase())
      if (first !== undefined) {
        source.report("duplicate-id", range, `Another step has the id "${value}" too, on line ${first}`)
      } else ids.set(value.toLowerCase(), range.line)
    }
    return step ?? []
  })
}

const readStep = (source: Source, node: Node, place: StepPlace): StepSyntax | undefined => {
  if (node.kind === "mapping") {
    const special = node.entries.find(({ key }) => refused.includes(key))
    if (special !== undefined) {
      source.report("unsupported", special.keyRange, `Background steps (\`${special.key}\`) are not supported`, {
        hint: "Start the program with `&` in a script: it lives until the job ends."
      })
      return undefined
    }
  }
  if (isNothing(node)) return wrongType(source, node, "A step", "a mapping")
  const fields = readFields(source, node, "A step", place.inAction ? keys : [...keys, "timeout-minutes"])
  if (fields === undefined) return undefined
  const id = readLiteral(source, fields.get("id"), "The id of a step")
  if (id !== undefined) checkIdentifier(source, id.value, id.range, "The id")
  const about = {
    range: fields.range,
    id,
    name: readString(source, fields.get("name"), "`name`", place.fields),
    if: readCondition(source, fields.get("if"), "`if`", place.if),
    env: readVariables(source, fields.get("env"), "`env`", place.fields),
    continueOnError: readBoolean(source, fields.get("continue-on-error"), "`continue-on-error`", place.fields),
    timeoutMinutes: readPositive(source, fields.get("timeout-minutes"), "`timeout-minutes`", place.fields)
  }
  const run = fields.get("run")
  const uses = fields.get("uses")
  if ((run === undefined) === (uses === undefined)) {
    source.report(
      "missing-key",
      node.kind === "mapping" && node.entries[0] !== undefined ? node.entries[0].keyRange : node.range,
      run === undefined ? "A step needs `run` or `uses`" : "A step has `run` or `uses`, not both"
    )
    return undefined
  }
  if (run !== undefined) {
    const withs = fields.entry("with")
    if (withs !== undefined) {
      source.report("unknown-key", withs.keyRange, "`with` belongs to `uses`; a `run` step has `env`")
    }
    const shell = fields.get("shell")
    if (place.inAction && shell === undefined) {
      source.report("missing-key", run.range, "In an action a `run` step needs a `shell`", {
        hint: "For example `shell: bash`."
      })
    }
    checkShell(source, shell, about.if !== undefined)
    const script = readString(source, run, "`run`", place.fields)
    if (script === undefined) return undefined
    return {
      ...about,
      does: {
        _tag: "Run",
        script,
        shell: readString(source, shell, "`shell`", place.fields),
        workingDirectory: readString(source, fields.get("working-directory"), "`working-directory`", place.fields)
      }
    }
  }
  for (const key of ["shell", "working-directory"]) {
    const entry = fields.entry(key)
    if (entry !== undefined) source.report("unknown-key", entry.keyRange, `\`${key}\` belongs to \`run\``)
  }
  const reference = readLiteral(source, uses, "`uses`")
  if (reference === undefined) return undefined
  const action = actionOf(reference.value)
  if (action === undefined) {
    source.report("bad-value", reference.range, `"${reference.value}" names no action`, {
      hint: "It is ./path, docker://image, or owner/repository@ref."
    })
    return undefined
  }
  return {
    ...about,
    does: {
      _tag: "Uses",
      uses: reference,
      action: inPlaceOf(action, source.actions),
      with: readVariables(source, fields.get("with"), "`with`", place.fields)
    }
  }
}

const actionOf = (uses: string): ActionReference | undefined => {
  if (uses.startsWith("docker://")) {
    const image = uses.slice("docker://".length)
    return image === "" ? undefined : { _tag: "Docker", image }
  }
  if (uses.startsWith("./") || uses.startsWith(".\\") || uses === ".") {
    return { _tag: "Local", path: uses.replaceAll("\\", "/").replace(/^\.\/?/, "") }
  }
  const [, repository, path, ref] = /^([^/\s@]+\/[^/\s@]+)(?:\/([^@\s]+))?@(\S+)$/.exec(uses) ?? []
  return repository === undefined || ref === undefined
    ? undefined
    : { _tag: "Remote", repository, path: path ?? "", ref }
}

/** The one action from elsewhere that we know. */
export const isCheckout = (repository: string): boolean => repository.toLowerCase() === "actions/checkout"

/** Of several that fit, the longest counts. */
const inPlaceOf = (action: ActionReference, actions: ActionsInPlace): ActionReference => {
  if (action._tag !== "Remote" || isCheckout(action.repository)) return action
  const { path, ref, repository } = action
  const name = path === "" ? repository : `${repository}/${path}`
  const [best] = Object.keys(actions)
    .filter((pattern) => matches(pattern, name) || matches(pattern, `${name}@${ref}`))
    .toSorted((a, b) => b.length - a.length)
  const other = best === undefined ? undefined : actions[best]
  if (other === undefined) return action
  return other === "skip" ? { _tag: "LeftOut", repository } : (actionOf(other) ?? action)
}

/** `conditional`: a step that only runs on Windows is none of ours. */
export const checkShell = (source: Source, node: Node | undefined, conditional: boolean): void => {
  const shell = node === undefined ? undefined : literalOf(node)
  if (shell === undefined || shell === "" || (conditional && Shells.isOfWindows(shell))) return
  const problem = Shells.problemOf(shell)
  if (problem !== undefined && node !== undefined) {
    source.report("unsupported", node.range, `${problem.charAt(0).toUpperCase()}${problem.slice(1)}`)
  }
}
