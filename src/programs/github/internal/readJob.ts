import * as ContainerOptions from "../../container-options/ContainerOptions.ts"
import * as Ports from "../../container-options/Ports.ts"
import type { Range } from "../Diagnostic.ts"
import type {
  ConcurrencySyntax,
  ContainerSyntax,
  Defaults,
  JobSyntax,
  ServiceSyntax,
  StrategySyntax
} from "../WorkflowSyntax.ts"
import * as Availability from "./availability.ts"
import {
  checkIdentifier,
  isExpression,
  isNothing,
  literalOf,
  readBoolean,
  readCondition,
  readEntries,
  readFields,
  readLiteral,
  readLiterals,
  readPositive,
  readString,
  readVariables,
  wrongType
} from "./fields.ts"
import { checkShell, inJob, readSteps } from "./readSteps.ts"
import { didYouMean, type Source } from "./source.ts"
import { readText, readTree, type Text } from "./template.ts"
import type { Entry, Node } from "./yaml.ts"

const keys = [
  "name",
  "needs",
  "if",
  "runs-on",
  "permissions",
  "environment",
  "concurrency",
  "outputs",
  "env",
  "defaults",
  "steps",
  "timeout-minutes",
  "strategy",
  "continue-on-error",
  "container",
  "services"
]

export const readJob = (source: Source, { key, keyRange, value }: Entry): JobSyntax | undefined => {
  checkIdentifier(source, key, keyRange, "The job id")
  if (isNothing(value)) {
    source.report("wrong-type", keyRange, `The job "${key}" is empty`)
    return undefined
  }
  const refused = value.kind === "mapping" ? value.entries.find(({ key }) => key in unsupported) : undefined
  if (refused !== undefined) {
    source.report("unsupported", refused.keyRange, unsupported[refused.key]![0]!, {
      hint: unsupported[refused.key]![1]!
    })
    return undefined
  }
  const fields = readFields(source, value, `The job "${key}"`, keys)
  if (fields === undefined) return undefined
  const missing = (name: string) => {
    if (fields.get(name) === undefined) source.report("missing-key", keyRange, `The job "${key}" has no \`${name}\``)
  }
  missing("runs-on")
  missing("steps")
  const steps = readSteps(source, fields.get("steps"), "`steps`", inJob)
  if (fields.get("steps")?.kind === "sequence" && steps.length === 0 && !hasItems(fields.get("steps"))) {
    source.report("bad-value", keyRange, `The job "${key}" has no steps`)
  }
  const field = Availability.jobFields
  const runsOn = fields.get("runs-on")
  return {
    id: { value: key, range: keyRange },
    range: fields.range,
    name: readString(source, fields.get("name"), "`name`", field),
    needs: readLiterals(source, fields.get("needs"), "A job in `needs`"),
    if: readCondition(source, fields.get("if"), "`if`", Availability.jobIf),
    runsOn: runsOn === undefined ? undefined : readRunsOn(source, runsOn),
    env: readVariables(source, fields.get("env"), "`env`", Availability.jobEnv),
    defaults: readDefaults(source, fields.get("defaults"), Availability.jobDefaults),
    outputs: readEntries(source, fields.get("outputs"), "`outputs`").flatMap(({ key, keyRange, value }) => {
      const text = readString(source, value, `The output "${key}"`, Availability.jobOutputs)
      return text === undefined ? [] : [{ name: key, keyRange, value: text }]
    }),
    strategy: readStrategy(source, fields.get("strategy")),
    timeoutMinutes: readPositive(source, fields.get("timeout-minutes"), "`timeout-minutes`", field),
    continueOnError: readBoolean(source, fields.get("continue-on-error"), "`continue-on-error`", field),
    concurrency: readConcurrency(source, fields.get("concurrency"), field),
    container: readContainer(source, fields.get("container"), "`container`", containerKeys),
    services: readServices(source, fields.get("services")),
    environment: readEnvironment(source, fields.get("environment")),
    steps
  }
}

const hasItems = (node: Node | undefined) => node?.kind === "sequence" && node.items.length > 0

const unsupported: Readonly<Record<string, readonly [string, string]>> = {
  uses: ["Reusable workflows are not supported", "Run the called workflow by itself, with --input for its inputs."],
  snapshot: ["Snapshots of a runner are not supported", "Remove `snapshot`."],
  "cancel-timeout-minutes": [
    "`cancel-timeout-minutes` is not supported",
    "Remove it: `always()` steps have 5 minutes after a cancel."
  ]
}

const readRunsOn = (source: Source, node: Node) => {
  if (node.kind === "mapping") readFields(source, node, "`runs-on`", ["group", "labels"])
  else if (isNothing(node)) source.report("missing-key", node.range, "`runs-on` names no runner")
  return readTree(source, node, Availability.jobFields)
}

const readEnvironment = (source: Source, node: Node | undefined) => {
  if (node === undefined) return undefined
  if (node.kind === "mapping") readFields(source, node, "`environment`", ["name", "url", "deployment"])
  return readTree(source, node, Availability.environmentUrl)
}

export const readDefaults = (
  source: Source,
  node: Node | undefined,
  available: Availability.Availability
): Defaults => {
  if (node === undefined || isNothing(node)) return {}
  const run = readFields(source, node, "`defaults`", ["run"])?.get("run")
  const fields =
    run === undefined || isNothing(run)
      ? undefined
      : readFields(source, run, "`defaults.run`", ["shell", "working-directory"])
  // Where Windows is among the machines of a matrix, the shell may be for that one.
  checkShell(source, fields?.get("shell"), true)
  return {
    shell: readString(source, fields?.get("shell"), "`shell`", available),
    workingDirectory: readString(source, fields?.get("working-directory"), "`working-directory`", available)
  }
}

export const readConcurrency = (
  source: Source,
  node: Node | undefined,
  available: Availability.Availability
): ConcurrencySyntax | undefined => {
  if (node === undefined) return undefined
  if (node.kind === "scalar") {
    return { range: node.range, group: readText(source, node, available), queue: "single" }
  }
  const fields = readFields(source, node, "`concurrency`", ["group", "cancel-in-progress", "queue"])
  if (fields === undefined) return undefined
  const group = readString(source, fields.get("group"), "`group`", available)
  const queue = readLiteral(source, fields.get("queue"), "`queue`")
  if (queue !== undefined && queue.value !== "single" && queue.value !== "max") {
    source.report("bad-value", queue.range, '`queue` is "single" or "max"')
  }
  if (group === undefined) {
    source.report("missing-key", fields.range, "`concurrency` has no `group`")
    return undefined
  }
  return {
    range: fields.range,
    group,
    cancelInProgress: readBoolean(source, fields.get("cancel-in-progress"), "`cancel-in-progress`", available),
    queue: queue?.value === "max" ? "max" : "single"
  }
}

const readStrategy = (source: Source, node: Node | undefined): StrategySyntax | undefined => {
  if (node === undefined || isNothing(node)) return undefined
  const fields = readFields(source, node, "`strategy`", ["matrix", "fail-fast", "max-parallel"])
  if (fields === undefined) return undefined
  const available = Availability.jobStrategy
  const matrix = fields.get("matrix")
  if (matrix !== undefined && !isExpression(matrix)) checkMatrix(source, matrix)
  return {
    range: fields.range,
    failFast: readBoolean(source, fields.get("fail-fast"), "`fail-fast`", available),
    maxParallel: readPositive(source, fields.get("max-parallel"), "`max-parallel`", available),
    matrix: matrix === undefined ? undefined : readTree(source, matrix, available)
  }
}

const checkMatrix = (source: Source, node: Node) => {
  for (const { key, value } of readEntries(source, node, "`matrix`")) {
    if (isExpression(value)) continue
    if (value.kind !== "sequence") {
      wrongType(source, value, `\`matrix.${key}\``, "a list")
      continue
    }
    if (value.items.length === 0) source.report("bad-value", value.range, `\`matrix.${key}\` has no values`)
    if (key !== "include" && key !== "exclude") continue
    for (const item of value.items) {
      if (item.kind !== "mapping" && !isExpression(item)) wrongType(source, item, `What \`${key}\` lists`, "mappings")
    }
  }
}

const containerKeys = ["image", "credentials", "env", "ports", "volumes", "options"]
const serviceKeys = [...containerKeys, "entrypoint", "command"]

const readContainer = (
  source: Source,
  node: Node | undefined,
  what: string,
  known: ReadonlyArray<string>
): ContainerSyntax | undefined => {
  if (node === undefined || isNothing(node)) return undefined
  if (node.kind === "scalar") return readText(source, node, Availability.jobFields)
  const fields = readFields(source, node, what, known)
  if (fields === undefined || node.kind !== "mapping") return undefined
  if (fields.get("image") === undefined) source.report("missing-key", fields.range, `${what} has no \`image\``)
  const credentials = fields.get("credentials")
  if (credentials !== undefined && !isExpression(credentials)) {
    readFields(source, credentials, "`credentials`", ["username", "password"])
  }
  for (const key of ["ports", "volumes"]) {
    const list = fields.get(key)
    if (list !== undefined && !isExpression(list) && list.kind !== "sequence") {
      wrongType(source, list, `\`${key}\``, "a list")
    }
  }
  const ports = fields.get("ports")
  for (const port of ports?.kind === "sequence" ? ports.items : []) {
    const text = literalOf(port)
    if (text !== undefined && Ports.parse(text) === undefined) {
      source.report("bad-value", port.range, `"${text}" is no port`, { hint: "It is 80, 8080:80, or 53:53/udp." })
    }
  }
  const options = fields.get("options")
  const text = options === undefined ? undefined : literalOf(options)
  if (options !== undefined && text !== undefined) {
    for (const { detail, flag } of ContainerOptions.parse(text).problems) {
      source.report("unsupported", options.range, `The option ${flag}: ${detail}`)
    }
  }
  const places: Readonly<Record<string, Availability.Availability>> = {
    credentials: Availability.credentials,
    env: Availability.containerEnv
  }
  return {
    kind: "mapping",
    range: node.range,
    entries: node.entries.map((entry) => ({
      ...entry,
      value: readTree(source, entry.value, places[entry.key] ?? Availability.jobFields)
    }))
  }
}

const readServices = (source: Source, node: Node | undefined): ReadonlyArray<ServiceSyntax> | Text => {
  if (node !== undefined && isExpression(node)) return readText(source, node, Availability.jobFields)
  return readEntries(source, node, "`services`").flatMap(({ key, keyRange, value }) => {
    const container = readContainer(source, value, `The service "${key}"`, serviceKeys)
    return container === undefined ? [] : [{ name: { value: key, range: keyRange }, container }]
  })
}

/** Every job's needs: known, and no circle. */
export const checkNeeds = (source: Source, jobs: ReadonlyArray<JobSyntax>, ids: ReadonlyArray<string>): void => {
  const byId = new Map(jobs.map((job) => [job.id.value, job]))
  const known = new Set(ids)
  for (const job of jobs) {
    for (const { range, value } of job.needs) {
      if (known.has(value)) continue
      source.report("unknown-need", range, `The job "${job.id.value}" needs "${value}", which is no job`, {
        hint: didYouMean(value, ids)
      })
    }
  }
  const done = new Set<string>()
  const visit = (id: string, path: ReadonlyArray<string>, range: Range): void => {
    const at = path.indexOf(id)
    if (at >= 0) {
      source.report(
        "needs-cycle",
        range,
        `Jobs need each other in a circle: ${[...path.slice(at), id].join(" needs ")}`
      )
      return
    }
    if (done.has(id)) return
    done.add(id)
    for (const need of byId.get(id)?.needs ?? []) visit(need.value, [...path, id], need.range)
  }
  for (const job of jobs) visit(job.id.value, [], job.id.range)
}
