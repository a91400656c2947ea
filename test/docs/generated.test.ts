import { readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { generated } from "../../scripts/docs.ts"
import { everySetting } from "../../src/programs/cli/internal/command.ts"
import { JsonEvent } from "../../src/programs/report/JsonEvent.ts"

const root = join(import.meta.dirname, "../..")
const pageOf = (path: string) => readFileSync(join(root, path), "utf8")

describe("what docs have of the code", () => {
  for (const [path, text] of generated()) {
    it(`${path} is up to date (else: node scripts/docs.ts)`, () => {
      assert.strictEqual(pageOf(path), text)
    })
  }

  it("has every setting", () => {
    const page = pageOf("docs/cli.md")
    for (const { key, variable } of everySetting)
      assert.match(page, new RegExp(`\\| \`${variable}\` \\| \`${key}\` \\|`))
  })

  it("has every event, and examples that are some", () => {
    const page = pageOf("docs/events.md")
    for (const member of JsonEvent.members) assert.include(page, `\n### ${member.fields.type.literal}\n`)
    const examples = page.match(/^\{"type".*\}$/gm) ?? []
    assert.isAbove(examples.length, 0)
    const decode = Schema.decodeUnknownSync(Schema.fromJsonString(JsonEvent), { onExcessProperty: "error" })
    for (const example of examples) decode(example)
  })
})
