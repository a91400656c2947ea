import { globSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Result } from "effect"
import * as Arguments from "../../../src/programs/kro-runner/Arguments.ts"
import * as Runner from "../../../src/programs/kro-runner/Runner.ts"
import * as Settings from "../../../src/programs/kro-runner/Settings.ts"

const root = dirname(dirname(dirname(import.meta.dirname)))
const page = readFileSync(join(root, "docs/kro.md"), "utf8")
const source = readFileSync(join(root, "src/programs/kro-runner/Settings.ts"), "utf8")

const variables = (text: string) => new Set(text.match(/\bKAR_[A-Z_]+\b/g))

describe("docs/kro.md", () => {
  it("names only variables that there are, and the help names all of them", () => {
    const known = variables(source)
    assert.deepStrictEqual(
      [...variables(page)].filter((name) => !known.has(name)),
      []
    )
    assert.sameMembers([...variables(Arguments.help)], [...known])
  })

  it("explains only messages that there are", () => {
    const texts = globSync(
      ["src/backends/{kro,kubernetes,pod}/**/*.ts", "src/programs/kro-runner/*.ts", "src/domain/JobError.ts"],
      {
        cwd: root
      }
    ).map((file) => readFileSync(join(root, file), "utf8"))
    // Of KRO and the kubelet: what they wrote is passed on.
    const others =
      /GraphAccepted is False|KindReady is False|another ResourceGraphDefinition|breaking changes detected|CreateContainerConfigError/
    const table = page.slice(page.indexOf("| Message | What to do |"), page.indexOf("## Migration"))
    const messages = [...table.matchAll(/^\| (`.*?`) \|/gm)].flatMap(([, cell]) =>
      [...(cell ?? "").matchAll(/`([^`]+)`/g)].map(([, message]) => message ?? "")
    )
    assert.isAtLeast(messages.length, 15)
    const missing = messages.flatMap((message) =>
      message
        .split("…")
        .map((part) =>
          part
            .replace(/^(?:2|Waiting for|:) /, "")
            .replace(/: *$/, "")
            .trim()
        )
        .filter((part) => part !== "" && !others.test(part) && !texts.some((text) => text.includes(part)))
    )
    assert.deepStrictEqual(missing, [])
  })

  it.effect("names every field that an RGD may ask for", () =>
    Effect.gen(function* () {
      const settings = yield* Settings.read(Result.getOrThrow(Arguments.parse([])))
      const names = ["scale-set-name", "scale-set-namespace", "organization", "repository", "enterprise"]
      const pod = {
        name: "r",
        namespace: "ci",
        uid: "u",
        labels: Object.fromEntries(names.map((name) => [`actions.github.com/${name}`, "x"])),
        annotations: { "actions.github.com/runner-scale-set-name": "x", "actions.github.com/runner-group-name": "x" },
        gracePeriod: 30
      }
      const { offered, otherwise } = Runner.offerOf({ ...settings, image: "i" }, pod, "s")
      const fields = new Set(["runnerName", "namespace", ...Object.keys(offered), ...Object.keys(otherwise ?? {})])
      const section = page.slice(page.indexOf("| Field | Value |"), page.indexOf("Anything else is yours"))
      const told = [...section.matchAll(/^\| ([^|]+) \|/gm)].flatMap(([, cell]) =>
        [...(cell ?? "").replace(/\([^)]*\)/g, "").matchAll(/`(\w+)`/g)].map(([, name]) => name)
      )
      assert.sameMembers(told, [...fields])
    }).pipe(Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord({}))))
  )
})
