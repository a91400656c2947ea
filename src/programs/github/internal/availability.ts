/** Which contexts and functions GitHub gives in which place (docs.github.com, "Context availability", and the service's own schema). */
export interface Availability {
  readonly contexts: ReadonlyArray<string>
  /** Those of `functionArguments` that are `special`, lower case. */
  readonly functions: ReadonlyArray<string>
  /** `success('job')`: only in a job's `if`. */
  readonly statusArguments?: boolean
}

const base = ["github", "inputs", "vars"]
const job = [...base, "needs", "strategy", "matrix"]
const running = [...job, "steps", "job", "runner", "env"]
const status = ["success", "failure", "cancelled", "always"]

const here = (contexts: ReadonlyArray<string>, functions: ReadonlyArray<string> = []): Availability => ({
  contexts,
  functions
})

export const nowhere = here([])
export const runName = here(base)
export const concurrency = here(base)
export const workflowEnv = here([...base, "secrets"])
export const inputDefault = here(base)
export const jobIf: Availability = { contexts: [...base, "needs"], functions: status, statusArguments: true }
export const jobStrategy = here([...base, "needs"])
/** Name, `runs-on`, time-outs, `continue-on-error`, container, services, environment, concurrency. */
export const jobFields = here(job)
export const jobEnv = here([...job, "secrets"])
export const jobDefaults = here([...job, "env"])
export const credentials = here([...job, "secrets", "env"])
export const containerEnv = here([...running, "secrets"])
export const jobOutputs = here([...running, "secrets"])
export const environmentUrl = here(running)
export const stepFields = here([...running, "secrets"], ["hashfiles"])
export const stepIf = here(running, [...status, "hashfiles"])

/** Inside composite actions: no secrets, and the action's own inputs. */
const inAction = ["github", "inputs", "strategy", "matrix", "steps", "job", "runner", "env"]
export const actionFields = here(inAction, ["hashfiles"])
export const actionIf = here(inAction, [...status, "hashfiles"])
export const actionOutputs = here(inAction)
export const actionInputDefault = here(["github", "strategy", "matrix", "job", "runner"], ["hashfiles"])
export const actionRuns = here(["inputs", "github"])
export const actionPostIf = here(inAction, [...status, "hashfiles"])

export const contextNames: ReadonlyArray<string> = [...new Set([...running, "secrets", "jobs"])]

interface FunctionArguments {
  readonly name: string
  readonly count: readonly [number, number]
  /** Not everywhere. */
  readonly special?: boolean
}

export const functionArguments: Readonly<Record<string, FunctionArguments>> = Object.fromEntries(
  (
    [
      { name: "contains", count: [2, 2] },
      { name: "startsWith", count: [2, 2] },
      { name: "endsWith", count: [2, 2] },
      { name: "format", count: [1, 255] },
      { name: "join", count: [1, 2] },
      { name: "toJSON", count: [1, 1] },
      { name: "fromJSON", count: [1, 1] },
      { name: "case", count: [3, 255] },
      { name: "hashFiles", count: [1, 255], special: true },
      { name: "success", count: [0, 0], special: true },
      { name: "failure", count: [0, 0], special: true },
      { name: "cancelled", count: [0, 0], special: true },
      { name: "always", count: [0, 0], special: true }
    ] satisfies ReadonlyArray<FunctionArguments>
  ).map((each): [string, FunctionArguments] => [each.name.toLowerCase(), each])
)
