import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Masker from "../../../../src/programs/commands/Masker.ts"
import * as WorkflowCommands from "../../../../src/programs/commands/WorkflowCommands.ts"
import { makeStepOutput } from "../../../../src/programs/github/internal/stepOutput.ts"

const encoder = new TextEncoder()

const through = (chunks: ReadonlyArray<Uint8Array>) => {
  const said: Array<string> = []
  const masker = Masker.make([Redacted.make("the-secret")])
  const output = makeStepOutput({
    masker,
    reader: WorkflowCommands.make(),
    obey: (instruction) => {
      said.push(instruction._tag)
      if (instruction._tag === "AddMask") masker.add(instruction.value)
    }
  })
  const shown = chunks.map((bytes) => output.push({ stream: "stdout", bytes }).slice())
  const rest = output.flush().map(({ bytes }) => bytes)
  return { first: shown.map((bytes) => Buffer.from(bytes).toString()), shown: Buffer.concat([...shown, ...rest]), said }
}

describe("the output of a step", () => {
  it("what cannot become a command is shown at once, what may is held", () => {
    const { first } = through(
      ["50 %", " 60 %", "\r70 %\n", "::", "notice::x", "\n", "a: b"].map((text) => encoder.encode(text))
    )
    assert.deepStrictEqual(first, ["50 %", " 60 %", "\r70 %\n", "", "", "##[notice]x\n", "a: b"])
  })

  it("bytes that are no text stay as they are", () => {
    const bytes = Uint8Array.from({ length: 512 }, (_, index) => index % 256)
    assert.deepStrictEqual(Uint8Array.from(through([bytes]).shown), bytes)
  })

  it("a mask holds for what has been read already", () => {
    const { shown } = through([encoder.encode("before dynamic\n::add-mask::dynamic\nafter dynamic\nend dynamic")])
    assert.strictEqual(shown.toString(), "before dynamic\nafter ***\nend ***")
  })

  const pieces = [
    "line\n",
    "no end",
    "\n",
    "\r\n",
    "::set-output name=a::1\n",
    "::notice file=a.ts::x\n",
    " ::group::G\n",
    "x ::error::no command\n",
    "the-secret",
    "the-",
    "##[endgroup]\n",
    "##[debug]d\n",
    ":",
    "#",
    "::stop-commands::tok\n",
    "::tok::\n",
    "é€😀",
    "::add-mask::masked-now\n",
    "masked-now\n"
  ] as const
  it.prop(
    "is the same however it comes in pieces",
    [
      Arbitrary.schema(Schema.Array(Schema.Literals(pieces))),
      Arbitrary.array(Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 9 }))))
    ],
    ([parts, sizes]) => {
      // A line that has begun is no command any more: pieces are cut at the beginning of lines, or commands stand alone.
      const text = parts.map((part) => (/^\s*::|##\[/.test(part) ? `\n${part}` : part)).join("")
      const bytes = encoder.encode(text)
      const chunks: Array<Uint8Array> = []
      for (let at = 0, turn = 0; at < bytes.length; turn++) {
        const size = sizes[turn % Math.max(1, sizes.length)] ?? bytes.length
        chunks.push(bytes.slice(at, at + size))
        at += size
      }
      const whole = through([bytes])
      const cut = through(chunks)
      assert.strictEqual(cut.shown.toString(), whole.shown.toString())
      assert.deepStrictEqual(cut.said, whole.said)
    },
    { arbitrary: { runs: 500 } }
  )
})
