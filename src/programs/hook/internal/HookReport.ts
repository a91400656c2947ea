/**
 * What the hook says about itself in a step's log: commands of the runner for warnings, errors and debugging, plain lines for progress.
 * What the user's own programs write never comes through here.
 */
import * as Cause from "effect/Cause"
import { BackendError } from "../../../domain/JobError.ts"
import type { JobEvent } from "../../../domain/JobEvent.ts"
import * as WorkflowCommands from "../../commands/WorkflowCommands.ts"

/** How much is said. */
export type Level = "error" | "warn" | "info" | "debug"

const levels: ReadonlyArray<Level> = ["error", "warn", "info", "debug"]

/** Whether something of a level is said where `least` is wanted. */
export const isSaid = (level: Level, least: Level): boolean => levels.indexOf(level) <= levels.indexOf(least)

/** One line in the form that the runner shows in colours, and keeps for the summary of a run. */
export const line = (level: Level, text: string, title?: string): string => {
  if (level === "info") return `${text}\n`
  const name = level === "warn" ? "warning" : level
  return `${WorkflowCommands.render(WorkflowCommands.command(name, text, { title }))}\n`
}

/** The one line for why a command failed: what happened, why, what to do, and where it is explained. */
export const ofError = (error: BackendError): string =>
  line("error", `${error.message}\n${error.advice} See ${error.anchor}`, titleOf(error.reason._tag))

/** The same for what is nobody's failure but ours. */
export const ofCause = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  return error instanceof BackendError
    ? ofError(error)
    : line("error", `The hook itself has a defect. Report it, with this text:\n${Cause.pretty(cause)}`, "Hook defect")
}

/** What of a job's events is worth a line here. */
export const ofEvent = (event: JobEvent): { readonly level: Level; readonly text: string } | undefined => {
  switch (event._tag) {
    case "Waiting":
      return { level: "info", text: `Waiting for ${event.reason}` }
    case "Warning":
      return { level: "warn", text: event.message }
    case "Leaked":
      return { level: "warn", text: `${event.error.message}. ${event.error.advice}` }
    case "Retrying":
      return { level: "info", text: `${event.error.message}. Trying again (${event.attempt} of ${event.of})` }
    case "EnvironmentRequested":
      return { level: "debug", text: `Environment ${event.environment}; remove it by: ${event.removal}` }
    default:
      return undefined
  }
}

/** `ImagePullFailed` is "Image pull failed". */
const titleOf = (tag: string): string => {
  const words = tag.replace(/(?<=[a-z])(?=[A-Z])/g, " ").toLowerCase()
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}`
}
