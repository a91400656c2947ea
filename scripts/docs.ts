/**
 * The parts of docs that are made of the code: `node scripts/docs.ts` writes them, a test holds them.
 *
 * In a page they are between `<!-- generated: name -->` and `<!-- end -->`.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import * as Schema from "effect/Schema"
import * as Cli from "../src/programs/cli/Cli.ts"
import type { Setting } from "../src/programs/cli/Setting.ts"
import { config } from "../src/programs/cli/settings.ts"
import { JsonEvent } from "../src/programs/report/JsonEvent.ts"

const root = dirname(import.meta.dirname)

const cell = (text: string) => text.replaceAll("|", "\\|")
const code = (text: string) => (text === "" ? "" : `\`${text}\``)

const settingsOf = (all: Readonly<Record<string, Setting<unknown>>>) => [
  "| Flag | Variable | In the file | What it is | Default |",
  "| --- | --- | --- | --- | --- |",
  ...Object.values(all).map(({ alias, choices, description, fallback, key, kind, metavar, name, variable }) => {
    const value = kind === "switch" ? "" : ` ${choices?.join("|") ?? metavar}`
    const negated = kind === "switch" ? `, --no-${name}` : ""
    const flag = `${alias === undefined ? "" : `-${alias}, `}--${name}${value}${negated}`
    return `| ${[code(cell(flag)), code(variable), code(key), cell(description), cell(fallback)].join(" | ")} |`
  })
]

interface JsonSchema {
  readonly type?: string
  readonly enum?: ReadonlyArray<unknown>
  readonly description?: string
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly required?: ReadonlyArray<string>
  readonly items?: JsonSchema
  readonly anyOf?: ReadonlyArray<JsonSchema>
  readonly allOf?: ReadonlyArray<JsonSchema>
  readonly $ref?: string
}

const { definitions, schema } = Schema.toJsonSchemaDocument(JsonEvent) as {
  readonly schema: JsonSchema
  readonly definitions: Readonly<Record<string, JsonSchema>>
}

const typeOf = (field: JsonSchema): string => {
  if (field.enum !== undefined) return field.enum.map((value) => code(JSON.stringify(value))).join(", ")
  if (field.type === "array") return `list of ${typeOf(field.items ?? {})}`
  if (field.type === "object" && field.properties !== undefined) {
    return `{ ${Object.keys(field.properties).join(", ")} }`
  }
  return field.type ?? "any"
}

const common = ["v", "at", "run", "job"]

const events = () =>
  (schema.anyOf ?? []).flatMap(({ description, properties = {}, required = [] }) => {
    const rows = Object.entries(properties).filter(([name]) => name !== "type" && !common.includes(name))
    return [
      `### ${properties.type?.enum?.[0]}`,
      "",
      `${description}.${"job" in properties ? "" : " It has no `run` and no `job`."}`,
      "",
      ...(rows.length === 0 ? [] : ["| Field | Type | What it is |", "| --- | --- | --- |"]),
      ...rows.map(
        ([name, field]) =>
          `| ${code(name)}${required.includes(name) ? "" : ", optional"} | ${cell(typeOf(field))} | ${cell(field.description ?? "")} |`
      ),
      ...(rows.length === 0 ? [] : [""])
    ]
  })

const parts: Readonly<Record<string, () => ReadonlyArray<string>>> = {
  events,
  "settings of all": () => settingsOf({ config }),
  ...Object.fromEntries(
    Object.entries(Cli.settings).map(([command, all]) => [`settings of ${command}`, () => settingsOf(all)])
  )
}

const between = (page: string): string =>
  page.replaceAll(
    /(<!-- generated: ([\w ]+) -->\n)[\s\S]*?(<!-- end -->)/g,
    (_, start: string, name: string, end: string) => {
      const part = parts[name]
      if (part === undefined) throw new Error(`there is no part "${name}"`)
      return `${start}\n${part().join("\n").trim()}\n\n${end}`
    }
  )

/** Every file with generated parts, as it is to be. */
export const generated = (): ReadonlyMap<string, string> =>
  new Map([
    ...["docs/cli.md", "docs/events.md"].map(
      (path) => [path, between(readFileSync(join(root, path), "utf8"))] as const
    ),
    [
      "docs/events.schema.json",
      `${JSON.stringify({ $schema: "https://json-schema.org/draft/2020-12/schema", title: "jobscope events, version 1", ...schema, ...(Object.keys(definitions).length === 0 ? {} : { $defs: definitions }) }, undefined, 2)}\n`
    ] as const
  ])

if (import.meta.main) for (const [path, text] of generated()) writeFileSync(join(root, path), text)
