/**
 * Lines of output that tell more than their text: commands, as `WorkflowCommands.renderLog` writes them.
 */
import * as WorkflowCommands from "../WorkflowCommands.ts"

/** @category models */
export type LogLine =
  | { readonly _tag: "Text"; readonly text: string }
  | { readonly _tag: "Annotation"; readonly annotation: WorkflowCommands.Annotation }
  | { readonly _tag: "Group"; readonly name: string }
  | { readonly _tag: "EndGroup" }
  | { readonly _tag: "Debug"; readonly message: string }

/** @category guards */
export const isCommand = (text: string): boolean => text.startsWith("##[")

/** @category parsing */
export const of = (text: string): LogLine => {
  const command = isCommand(text) ? WorkflowCommands.parse(text) : undefined
  switch (command?.name) {
    case "error":
    case "warning":
    case "notice":
      return { _tag: "Annotation", annotation: WorkflowCommands.annotationOf(command.name, command) }
    case "group":
      return { _tag: "Group", name: command.data }
    case "endgroup":
      return { _tag: "EndGroup" }
    case "debug":
      return { _tag: "Debug", message: command.data }
    default:
      return { _tag: "Text", text }
  }
}

/**
 * The same for people, in one line.
 *
 * @category formatting
 */
export const describe = (line: LogLine): string => {
  switch (line._tag) {
    case "Text":
      return line.text
    case "Annotation": {
      const { col, file, level, line: number, message, title } = line.annotation
      const place = [file, ...(file === undefined ? [] : [number, ...(number === undefined ? [] : [col])])]
      const parts = [level, place.filter((part) => part !== undefined).join(":"), title ?? "", message]
      return parts.filter((part) => part !== "").join(": ")
    }
    case "Group":
      return `▸ ${line.name}`
    case "EndGroup":
      return ""
    case "Debug":
      return `debug: ${line.message}`
  }
}
