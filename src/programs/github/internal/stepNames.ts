/** What steps are called. */
import type { StepSyntax } from "../WorkflowSyntax.ts"
import type { Scope } from "./expression.ts"
import type { Frame } from "./jobScope.ts"
import { written } from "./template.ts"
import * as Values from "./values.ts"

/** The first line that says something. */
export const firstLine = (script: string): string => {
  const lines = script.split("\n").map((line) => line.trim())
  return lines.find((line) => line !== "" && !line.startsWith("#")) ?? "(empty script)"
}

const shortened = (line: string): string => (line.length > 60 ? `${line.slice(0, 59)}…` : line)

/** As it is written, for a step that is not evaluated. */
export const defaultName = ({ does, name }: StepSyntax): string =>
  name !== undefined
    ? written(name)
    : does._tag === "Uses"
      ? does.uses.value
      : shortened(firstLine(written(does.script)))

export const nameIn = (frame: Frame, step: StepSyntax, scope: Scope): string => {
  if (step.name !== undefined) return Values.string(frame.file, step.name, scope) || defaultName(step)
  return step.does._tag === "Uses"
    ? step.does.uses.value
    : shortened(firstLine(Values.string(frame.file, step.does.script, scope)))
}

/** `github.action` of a step without an id: `__run`, `__run_2`, `__actions_checkout`. */
export const actionName = ({ does }: StepSyntax, { index, steps }: Frame): string => {
  const name = generated(does)
  const before = steps.slice(0, index - 1).filter((each) => each.id === undefined && generated(each.does) === name)
  return before.length === 0 ? name : `${name}_${before.length + 1}`
}

const generated = (does: StepSyntax["does"]): string => {
  if (does._tag === "Run") return "__run"
  switch (does.action._tag) {
    case "Remote":
    case "LeftOut":
      return `__${does.action.repository.replace("/", "_")}`
    case "Local":
      return "__self"
    case "Docker":
      return `__${does.action.image.replaceAll(/[^A-Za-z0-9]+/g, "_")}`
  }
}
