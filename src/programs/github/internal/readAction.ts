/** `action.yml` of this repository: composite, JavaScript and Docker actions. */
import type { ActionSyntax, Condition } from "../WorkflowSyntax.ts"
import * as Availability from "./availability.ts"
import {
  isNothing,
  readCondition,
  readEntries,
  readFields,
  readInputs,
  readLiteral,
  readString,
  wrongType
} from "./fields.ts"
import { inAction, readSteps } from "./readSteps.ts"
import { didYouMean, type Source, start } from "./source.ts"
import { readText, readTree } from "./template.ts"
import type { Node } from "./yaml.ts"
import { readYaml } from "./yaml.ts"

const keys = ["name", "author", "description", "inputs", "outputs", "runs", "branding"]
const runKeys = {
  composite: ["using", "steps"],
  docker: ["using", "image", "env", "entrypoint", "args", "pre-entrypoint", "pre-if", "post-entrypoint", "post-if"],
  javascript: ["using", "main", "pre", "pre-if", "post", "post-if"]
}
const node = ["node12", "node16", "node20", "node24"]

export const readAction = (source: Source): ActionSyntax | undefined => {
  const root = readYaml(source)
  if (root === undefined) return undefined
  const fields = readFields(source, root, "An action", keys)
  if (fields === undefined) return undefined
  const runs = fields.get("runs")
  if (runs === undefined) {
    source.report("missing-key", start, "The action has no `runs`")
    return undefined
  }
  const read = readRuns(source, runs)
  if (read === undefined) return undefined
  return {
    file: source.file,
    range: fields.range,
    name: readLiteral(source, fields.get("name"), "`name`")?.value ?? source.file,
    inputs: readInputs(
      source,
      fields.get("inputs"),
      "`inputs`",
      ["description", "required", "default", "deprecationMessage", "type"],
      Availability.actionInputDefault
    ),
    outputs: readEntries(source, fields.get("outputs"), "`outputs`").flatMap(({ key, keyRange, value }) => {
      const output = isNothing(value)
        ? undefined
        : readFields(source, value, `The output "${key}"`, ["description", "value"])
      const text = readString(source, output?.get("value"), `The output "${key}"`, Availability.actionOutputs)
      if (text === undefined && read._tag === "Composite") {
        source.report("missing-key", keyRange, `The output "${key}" of a composite action has no \`value\``)
      }
      return text === undefined ? [] : [{ name: key, keyRange, value: text }]
    }),
    runs: read
  }
}

const readRuns = (source: Source, runs: Node): ActionSyntax["runs"] | undefined => {
  if (runs.kind !== "mapping") return wrongType(source, runs, "`runs`", "a mapping")
  const using = runs.entries.find(({ key }) => key === "using")
  const name = readLiteral(source, using?.value, "`using`")
  if (name === undefined) {
    if (using === undefined) source.report("missing-key", runs.range, "`runs` has no `using`")
    return undefined
  }
  const value = name.value.toLowerCase()
  if (value === "composite") {
    const fields = readFields(source, runs, "`runs` of a composite action", runKeys.composite)
    return { _tag: "Composite", steps: readSteps(source, fields?.get("steps"), "`steps`", inAction) }
  }
  if (value === "docker") return readDocker(source, runs)
  if (!node.includes(value)) {
    source.report("bad-value", name.range, `No action runs using "${name.value}"`, {
      hint: didYouMean(name.value, ["composite", "docker", ...node])
    })
    return undefined
  }
  const fields = readFields(source, runs, "`runs` of a JavaScript action", runKeys.javascript)
  const text = (key: string) => readLiteral(source, fields?.get(key), `\`${key}\``)?.value
  const main = text("main")
  if (main === undefined) {
    if (fields?.get("main") === undefined) source.report("missing-key", runs.range, "`runs` has no `main`")
    return undefined
  }
  const pre = text("pre")
  if (pre !== undefined) warnOfPre(source, fields?.get("pre") ?? runs)
  return {
    _tag: "JavaScript",
    using: value,
    main,
    pre,
    post: text("post"),
    postIf: readPostCondition(source, fields?.get("post-if"))
  }
}

/** As the runner does: when a local action is found, the job has long begun. */
const warnOfPre = (source: Source, { range }: Node) =>
  source.report("no-effect", range, "`pre` of a local action does not run, on GitHub neither", { severity: "warning" })

const readPostCondition = (source: Source, value: Node | undefined): Condition | undefined =>
  readCondition(source, value, "`post-if`", Availability.actionPostIf)

const readDocker = (source: Source, runs: Node): ActionSyntax["runs"] | undefined => {
  const fields = readFields(source, runs, "`runs` of a Docker action", runKeys.docker)
  const image = readLiteral(source, fields?.get("image"), "`image`")
  if (fields === undefined || image === undefined) {
    if (fields?.get("image") === undefined) source.report("missing-key", runs.range, "`runs` has no `image`")
    return undefined
  }
  const published = image.value.startsWith("docker://")
  const pre = fields.get("pre-entrypoint")
  if (pre !== undefined) warnOfPre(source, pre)
  const args = fields.get("args")
  const env = fields.get("env")
  const tree = env === undefined ? undefined : readTree(source, env, Availability.actionRuns)
  const text = (key: string) => readLiteral(source, fields.get(key), `\`${key}\``)?.value
  return {
    _tag: "Docker",
    from: published ? "image" : "dockerfile",
    image: { value: published ? image.value.slice("docker://".length) : image.value, range: image.range },
    entrypoint: text("entrypoint"),
    postEntrypoint: text("post-entrypoint"),
    postIf: readPostCondition(source, fields.get("post-if")),
    args:
      args?.kind === "sequence"
        ? args.items.flatMap((item) =>
            item.kind === "scalar" ? [readText(source, item, Availability.actionRuns)] : []
          )
        : [],
    env: tree?.kind === "mapping" ? tree.entries : []
  }
}
