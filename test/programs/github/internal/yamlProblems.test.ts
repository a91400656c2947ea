import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { complaints } from "../support.ts"

/** A job with these lines, the first of them in line 4. */
const inJob = (...lines: ReadonlyArray<string>) =>
  `on: push\njobs:\n  a:\n${lines.map((line) => `    ${line}\n`).join("")}`

describe("mistakes in YAML", () => {
  const cases: ReadonlyArray<readonly [text: string, ...expected: ReadonlyArray<string>]> = [
    [inJob("name: foo: bar"), '4:11 yaml-syntax: A value with ": " in it needs quotes'],
    [inJob("steps:", '  - run: echo "a: b', "  - run: c"), '5:14 yaml-syntax: A value with ": " in it needs quotes'],
    [inJob("if: !cancelled()"), "4:9 yaml-feature: A value that begins with ! needs quotes"],
    [inJob("name: *"), "4:11 yaml-syntax: A value that begins with * needs quotes"],
    [inJob("needs: [*]"), "4:13 yaml-syntax: A value that begins with * needs quotes"],
    [
      inJob("name: @a", "if: `b`", "env: %c"),
      "4:11 yaml-syntax: A value that begins with @ needs quotes",
      "5:9 yaml-syntax: A value that begins with ` needs quotes",
      "6:10 yaml-syntax: A value that begins with % needs quotes"
    ],
    [inJob('name: "a', "runs-on: b"), "4:11 yaml-syntax: A text in quotes has no end"],
    [inJob("name: 'a", "runs-on: b"), "4:11 yaml-syntax: A text in quotes has no end"],
    [inJob("steps:", "  - run: a", " - run: b"), "6:6 yaml-syntax: The indentation of this line fits nothing above it"],
    [
      inJob("steps:", "  - run: a", "   name: b"),
      "6:8 yaml-syntax: The indentation of this line fits nothing above it"
    ],
    [
      inJob("name: a", "  runs-on: b"),
      "4:11 yaml-syntax: The line after this value is indented as if it belonged to it"
    ],
    [inJob("name: a", "runs-on b", "if: c"), "5:5 yaml-syntax: This is no `key: value`"],
    [inJob("env: { A: ${{ b }} }", "steps:", "  - run: a"), '4:16 yaml-syntax: Something is in the way: "{{ b }} }"'],
    [
      inJob("name: [a", "runs-on: b"),
      "5:5 yaml-syntax: A [ is not closed, or the lines up to its end are not indented"
    ],
    [inJob('name: "\\d"'), "4:12 yaml-syntax: Invalid escape sequence \\d"]
  ]
  for (const [text, ...expected] of cases) {
    it.effect(text.slice(text.indexOf("    ")), () =>
      Effect.map(complaints(text), (found) => assert.deepStrictEqual(found, expected))
    )
  }
})
