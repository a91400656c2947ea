import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Yaml from "effect/encoding/Yaml"
import * as Result from "effect/Result"
import * as KubeCalls from "../../src/backends/kubernetes/KubeCalls.ts"
import * as PodTemplate from "../../src/backends/pod/PodTemplate.ts"
import * as HookConfig from "../../src/programs/hook/internal/HookConfig.ts"
import * as FakeRights from "../../src/testing/kubernetes/FakeRights.ts"

const root = join(import.meta.dirname, "../..")
const read = (path: string) => readFileSync(join(root, path), "utf8")
const pages = ["docs/hooks.md", "docs/migration.md", "docs/compatibility.md"]

/** The part of docs/hooks.md that is rendered from code. */
const generated = (name: string) => {
  const [, text] = new RegExp(`<!-- ${name} -->\n([^]*?)\n<!-- /${name} -->`).exec(read("docs/hooks.md")) ?? []
  return text ?? assert.fail(`no part ${name}`)
}

const slug = (heading: string) =>
  heading
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
    .replaceAll(" ", "-")

describe("docs/hooks.md", () => {
  it("has the Role of the calls that are made, and ARC's has all of it", () => {
    const role = KubeCalls.renderRole({ name: "jobscope-hook", calls: KubeCalls.required })
    assert.strictEqual(generated("role"), `\`\`\`yaml\n${role}\`\`\``, "paste the expected text")
    for (const call of KubeCalls.required) {
      assert.isTrue(
        FakeRights.actionsRunnerController.some((rule) => FakeRights.covers(rule, call)),
        `${call.verb} ${call.resource}`
      )
    }
  })

  it("has every variable", () => {
    assert.strictEqual(generated("variables"), HookConfig.renderTable(), "paste the expected text")
  })
})

describe.each(pages)("%s", (page) => {
  it("links to what is there", () => {
    for (const [, target = "", anchor] of read(page).matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)) {
      const file = target === "" ? page : join(dirname(page), target)
      assert.isTrue(existsSync(join(root, file)), target)
      if (anchor === undefined) continue
      const headings = [...read(file).matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) => slug(heading))
      assert.include(headings, anchor)
    }
  })

  it("names only variables that there are", () => {
    const known = [...Object.values(HookConfig.variables), HookConfig.ofLoader, ...HookConfig.withoutEffect].flatMap(
      ({ names }) => names
    )
    for (const [name] of read(page).matchAll(/\b(?:ACTIONS_RUNNER|JOBSCOPE)_[A-Z_]+\b/g)) assert.include(known, name)
  })
})

it("docs/migration.md names every strict switch", () => {
  const table = read("docs/migration.md")
  for (const word of HookConfig.deviations) assert.include(table, `\`${word}\` |`)
})

describe("examples/arc", () => {
  it.each(readdirSync(join(root, "examples/arc")))("%s is YAML without what breaks ARC", (file) => {
    const yaml = read(join("examples/arc", file))
    const value = Yaml.parse(yaml)
    assert.isObject(value)
    // An empty list or mapping in a pod template makes ARC create and delete runners for ever.
    assert.notMatch(JSON.stringify(value), /\[\]|\{\}/)
    const shown = read("docs/hooks.md")
    assert.include(shown, file)
    if (file !== "hook-template.yaml") return
    assert.isTrue(Result.isSuccess(PodTemplate.parse(yaml)))
  })
})
