import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as TerminalText from "../../../../src/programs/console/internal/TerminalText.ts"

describe("TerminalText", () => {
  it("knows how wide characters are", () => {
    for (const [text, width] of [
      ["", 0],
      ["plain", 5],
      ["é e\u0301", 3],
      ["漢字", 4],
      ["🚀", 2],
      ["👩‍👩‍👧", 2],
      ["⠋ ✓ …", 5],
      ["\u200b", 0]
    ] as const) {
      assert.strictEqual(TerminalText.width(text), width, text)
    }
  })

  it("cuts to a width", () => {
    assert.strictEqual(TerminalText.cut("plain", 5), "plain")
    assert.strictEqual(TerminalText.cut("plain", 4), "pla…")
    assert.strictEqual(TerminalText.cut("漢字漢字", 6), "漢字…")
    assert.strictEqual(TerminalText.cut("x".repeat(100_000), 10), `${"x".repeat(9)}…`)
    assert.strictEqual(TerminalText.cut("plain", 1), "…")
    assert.strictEqual(TerminalText.cut("plain", 0), "")
  })

  it.prop(
    "never cuts wider than asked",
    [Schema.String, Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 40 }))],
    ([text, columns]) =>
      assert.isAtMost(TerminalText.width(TerminalText.cut(TerminalText.flat(text), columns)), columns)
  )

  it("keeps of a line what only colours it", () => {
    assert.strictEqual(TerminalText.still("\u001b[31mred\u001b[0m"), "\u001b[31mred\u001b[0m")
    assert.strictEqual(TerminalText.still("\u001b[2K\u001b[1A\u001b[?25lx\u001b[38;5;1my\u001bc\b"), "x\u001b[38;5;1my")
    assert.strictEqual(TerminalText.still("\u001b]0;title\u0007x\u001b]8;;u\u001b\\y"), "x\u001b]8;;u\u001b\\y")
    assert.strictEqual(TerminalText.still("10%\r50%\r100%\r"), "100%")
    assert.strictEqual(TerminalText.still("a\tb"), "a\tb")
  })

  it("makes plain text of one line", () => {
    assert.strictEqual(TerminalText.flat(" \u001b[1m10%\r\u001b[1ma\tb  c\u0000\r"), "a b c")
  })

  it("keeps the blanks of a text in one line, and nothing that is no text", () => {
    assert.strictEqual(TerminalText.inOneLine("a  \u001b[1mb\r\n\tc\u0000 \u001b[2Jd"), "a  b   c  d")
  })

  // What is left must not move the cursor: then no later redraw is at the wrong place.
  it.prop(
    "leaves nothing that moves the cursor",
    [
      Schema.Array(
        Schema.Literals(["\u001b", "[", "]", "8;", "3", "1", "m", "A", "\u0007", "\\", "\r", "x", ";", "?", "\u009b"])
      )
    ],
    ([parts]) => {
      const left = TerminalText.still(parts.join(""))
      // biome-ignore lint/suspicious/noControlCharactersInRegex: it is about control characters
      const harmless = left.replace(/\u001b\[[0-9;:]*m|\u001b\]8;[^\u0007\u001b]*(?:\u0007|\u001b\\)?/g, "")
      // biome-ignore lint/suspicious/noControlCharactersInRegex: it is about control characters
      assert.notMatch(harmless, /[\r\u009b]|\u001b[[\]]/)
    }
  )
})
