import { readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import { anchorOf, BackendError, JobCancelled, Reason, StepFailed } from "../../src/domain/JobError.ts"

const page = readFileSync(join(import.meta.dirname, "../../docs/errors.md"), "utf8")

/** The page's sections by their headings. */
const sections = new Map(
  page
    .split(/^(?=## )/m)
    .slice(1)
    .map((section) => {
      const end = section.indexOf("\n")
      return [section.slice("## ".length, end), section.slice(end).trim()] as const
    })
)

/** How GitHub makes an anchor of a heading. */
const slug = (heading: string) =>
  heading
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
    .replaceAll(" ", "-")

const anchors = (tag: string) => anchorOf(tag).slice("docs/errors.md#".length)
const userErrors = [
  { tag: "StepFailed", exitCode: 1, error: new StepFailed({ job: "", step: "", exitCode: 1, tail: [] }) },
  { tag: "JobCancelled", exitCode: 130, error: new JobCancelled({ job: "" }) }
]
const tags = [...Reason.members.map(({ identifier }) => identifier), ...userErrors.map(({ tag }) => tag)]

/** A part of a section: `**Why.** …` up to the next one. */
const part = (text: string, name: string) => {
  const start = text.indexOf(`**${name}.**`)
  if (start < 0) return assert.fail(`no **${name}.**`)
  const rest = text.slice(start + name.length + 5)
  const end = rest.indexOf("\n\n**")
  return (end < 0 ? rest : rest.slice(0, end)).trim()
}

describe("docs/errors.md", () => {
  it("has one section for each error, in the order of the code, and no other", () => {
    assert.deepStrictEqual([...sections.keys()].map(slug), tags.map(anchors))
    assert.strictEqual(page.match(/^## /gm)?.length, sections.size, "no heading twice")
    assert.strictEqual(page.match(/^#{3,} /gm), null, "anchors of deeper headings could be taken for errors")
  })

  it("is where errors say that it is", () => {
    for (const { error, tag } of userErrors) {
      assert.isTrue(sections.has(error.anchor.split("#")[1]!), tag)
      assert.strictEqual(error.anchor, anchorOf(tag))
    }
  })

  it("links only to what is there", () => {
    for (const [, target] of page.matchAll(/\]\(#([^)]*)\)/g)) assert.isTrue(sections.has(target!), target)
  })

  it("has an introduction of five lines, with the exit codes", () => {
    const introduction = page.slice(page.indexOf("\n"), page.indexOf("\n## ")).trim()
    assert.isAtMost(introduction.split("\n").length, 5)
    for (const code of [1, 2, 3, 4, 129, 130, 143]) assert.match(introduction, new RegExp(`\\b${code}\\b`))
  })

  it.each(tags)("%s: what it means, why, what to do, whether it is retried", (tag) => {
    const text = sections.get(anchors(tag)) ?? ""
    assert.isTrue(text.startsWith(`\`${tag}\`, exit code `), "it begins with the class and its exit code")
    const meaning = text.slice(0, text.indexOf("**Why.**"))
    for (const words of [meaning, part(text, "Why"), part(text, "What to do"), part(text, "Retried")]) {
      assert.isAbove(words.split(/\s+/).length, 4, words)
    }
  })

  it.effect.each(Reason.members.map((member) => ({ tag: member.identifier, member })))(
    "$tag: exit code and retries are those of the code",
    ({ member, tag }) =>
      Effect.gen(function* () {
        const samples = yield* Arbitrary.sampleEffect(Arbitrary.schema(member), { count: 50 })
        const errors = samples.map((reason) => new BackendError({ reason }))
        const text = sections.get(anchors(tag)) ?? ""
        for (const error of errors) {
          assert.isTrue(text.startsWith(`\`${tag}\`, exit code ${Runtime.getErrorExitCode(error)}.`))
          assert.strictEqual(error.anchor, anchorOf(tag))
        }
        const retryable = new Set(errors.map((error) => error.retryable))
        // Nothing tries a release again, though that may help.
        const expected = !retryable.has(true) || tag === "ReleaseFailed" ? "No" : retryable.has(false) ? "If" : "Yes"
        assert.match(part(text, "Retried"), new RegExp(`^${expected}\\b`))
      })
  )

  it.each(userErrors)("$tag: the exit code is that of the code", ({ error, exitCode, tag }) => {
    assert.strictEqual(Runtime.getErrorExitCode(error), exitCode)
    assert.isTrue(sections.get(anchors(tag))?.startsWith(`\`${tag}\`, exit code ${exitCode}.`))
    assert.match(part(sections.get(anchors(tag)) ?? "", "Retried"), /^No\b/)
  })
})
