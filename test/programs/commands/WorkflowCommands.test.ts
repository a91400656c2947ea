import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as WorkflowCommands from "../../../src/programs/commands/WorkflowCommands.ts"

const { annotationOf, command, make, parse, render, renderLog } = WorkflowCommands

const plain = (found: WorkflowCommands.WorkflowCommand | undefined) =>
  found === undefined ? undefined : [found.name, Object.fromEntries(found.properties), found.data]

describe("parse", () => {
  it.each([
    { line: "::error::broken", found: ["error", {}, "broken"] },
    { line: "  \t::error::broken", found: ["error", {}, "broken"] },
    {
      line: "::error file=a.ts,line=3,endLine=4::broken",
      found: ["error", { file: "a.ts", line: "3", endline: "4" }, "broken"]
    },
    { line: "::Error::broken", found: ["Error", {}, "broken"] },
    { line: "::error::a::b", found: ["error", {}, "a::b"] },
    { line: "::error  file=a.ts , line=3 ::x", found: ["error", { file: "a.ts ", " line": "3" }, "x"] },
    { line: "::error file=a%2Cb%3A%25%0A%0D::100%25%0A%3A", found: ["error", { file: "a,b:%\n\r" }, "100%\n%3A"] },
    { line: "::error::%250A", found: ["error", {}, "%0A"] },
    { line: "::error file=::x", found: ["error", {}, "x"] },
    { line: "::error =a==b=c=::x", found: ["error", { a: "b=c=" }, "x"] },
    { line: "::error title=one,title=two::x", found: ["error", { title: "two" }, "x"] },
    { line: "::group::", found: ["group", {}, ""] },
    { line: "##[group]Install", found: ["group", {}, "Install"] },
    { line: "12:00 ##[error file=a;line=3]x%5D%3B", found: ["error", { file: "a", line: "3" }, "x];"] },
    { line: "::unknown:: ##[debug]x", found: ["debug", {}, "x"] },
    { line: "::error", found: undefined },
    { line: "::error:", found: undefined },
    { line: "text ::error::x", found: undefined },
    { line: "::unknown::x", found: undefined },
    { line: "::", found: undefined },
    { line: "::::x", found: undefined },
    { line: "##[error", found: undefined },
    { line: "##[unknown]x", found: undefined },
    { line: ":: error::x", found: undefined },
    { line: "", found: undefined }
  ])("$line", ({ found, line }) => {
    assert.deepStrictEqual(plain(parse(line)), found)
  })
})

const parts = Schema.Literals([
  "a",
  "=",
  ",",
  ";",
  ":",
  "::",
  "%",
  "%25",
  "%0A",
  "\n",
  "\r",
  "]",
  "##[",
  " ",
  "ü",
  "😀",
  "error"
])
const text = Arbitrary.schema(Schema.Array(Schema.Union([parts, Schema.String]))).pipe(
  Arbitrary.map((all) => all.join(""))
)
const name = Arbitrary.schema(Schema.Literals(WorkflowCommands.names))
const key = Arbitrary.schema(Schema.Literals(["file", "line", "title", "name"]))
/** What the format can hold. */
const value = text.pipe(Arbitrary.map((raw) => raw.replace(/^[\s=]+/, "").trim() || "value"))
const written = Arbitrary.all([name, Arbitrary.array(Arbitrary.all([key, value]), { maxLength: 4 }), text]).pipe(
  Arbitrary.map(([name, properties, data]) => ({ name, properties: new Map(properties), data }))
)

describe("render", () => {
  it.prop(
    "what it writes is read back, in one line",
    [written],
    ([written]) => {
      assert.deepStrictEqual(plain(parse(render(written))), plain(written))
      assert.notMatch(render(written), /[\r\n]/)
    },
    { arbitrary: { runs: 1000 } }
  )

  it.prop(
    "so is what it writes for a log",
    [written],
    ([written]) => {
      assert.deepStrictEqual(plain(parse(renderLog(written))), plain(written))
      assert.notMatch(renderLog(written), /[\r\n]/)
    },
    { arbitrary: { runs: 1000 } }
  )

  it("leaves out what is not given", () => {
    assert.strictEqual(render(command("error", "x", { file: undefined, line: 3, title: "" })), "::error line=3::x")
    assert.strictEqual(render(command("endgroup")), "::endgroup::")
    assert.strictEqual(renderLog(command("error", "x;y", { file: "a;b" })), "##[error file=a%3Bb]x%3By")
  })

  it("escapes as GitHub does", () => {
    assert.strictEqual(
      render(command("error", "100%\r\n:,", { file: "a:b,c%\r\n" })),
      "::error file=a%3Ab%2Cc%25%0D%0A::100%25%0D%0A:,"
    )
  })
})

describe("a reader", () => {
  const read = (lines: ReadonlyArray<string>, options?: WorkflowCommands.Options) => {
    const reader = make(options)
    return lines.map(reader.read)
  }
  const tags = (lines: ReadonlyArray<string>, options?: WorkflowCommands.Options) =>
    read(lines, options).map(({ instruction }) => instruction?._tag)
  const shown = (lines: ReadonlyArray<string>, options?: WorkflowCommands.Options) =>
    read(lines, options).flatMap(({ shown }) => shown)

  it.prop(
    "shows what is no command as it is",
    [text],
    ([text]) => {
      if (parse(text) !== undefined) return
      assert.deepStrictEqual(make().read(text), { shown: [text] })
    },
    { arbitrary: { runs: 500 } }
  )

  it("never shows a mask", () => {
    const [first] = read(["::add-mask::hunter22"])
    assert.deepStrictEqual(first!.shown, [])
    assert.strictEqual(first!.instruction?._tag, "AddMask")
    assert.strictEqual(
      first!.instruction?._tag === "AddMask" ? Redacted.value(first!.instruction.value) : "",
      "hunter22"
    )
    assert.deepStrictEqual(shown(["::echo::on", "::add-mask::hunter22"]), ["::add-mask::***"])
    assert.deepStrictEqual(tags(["::add-mask::  "]), ["Warned"])
  })

  it("stops, and goes on at the token", () => {
    const lines = [
      "::stop-commands::T0ken",
      "::error::x",
      "::stop-commands::other",
      "##[t0KEN]",
      "::error::y",
      "::T0ken::"
    ]
    assert.deepStrictEqual(tags(lines), ["Stop", undefined, undefined, "Resume", "Annotate", undefined])
    assert.deepStrictEqual(shown(lines), [...lines.slice(0, 4), "##[error]y", "::T0ken::"])
  })

  it("does not stop for a token that cannot be told from other output", () => {
    assert.deepStrictEqual(
      tags(["::stop-commands::", "::stop-commands::error", "::stop-commands::pause-logging", "::error::x"]),
      ["Refused", "Refused", "Refused", "Annotate"]
    )
  })

  it("echoes commands when asked to, but not those that are shown anyway", () => {
    const lines = [
      "::set-output name=a::1",
      "::echo::on",
      "::set-output name=a::2",
      "::warning::w",
      "::echo::off",
      "::set-output name=a::3"
    ]
    assert.deepStrictEqual(shown(lines), ["::set-output name=a::2", "##[warning]w", "::echo::off"])
    assert.deepStrictEqual(shown(["::group::g"], { echo: true }), ["::group::g", "##[group]g"])
    assert.deepStrictEqual(tags(["::echo::maybe"]), ["Refused"])
  })

  it("shows debugging only on request", () => {
    assert.deepStrictEqual(shown(["::debug::x"]), [])
    assert.deepStrictEqual(shown(["::debug::x"], { debug: true }), ["##[debug]x"])
  })

  it("refuses what GitHub has disabled, unless it is allowed", () => {
    const lines = ["::set-env name=A::1", "::add-path::/a"]
    assert.deepStrictEqual(tags(lines), ["Refused", "Refused"])
    assert.deepStrictEqual(tags([...lines, "::set-env name=node_options::1"], { allowUnsecure: true }), [
      "SetEnv",
      "AddPath",
      "Refused"
    ])
  })

  it.each([
    { line: "::set-output name=a::1", instruction: { _tag: "SetOutput", name: "a", value: "1" } },
    { line: "::save-state name=a::", instruction: { _tag: "SaveState", name: "a", value: "" } },
    { line: "::group::Install", instruction: { _tag: "Group", name: "Install" } },
    { line: "::endgroup::", instruction: { _tag: "EndGroup" } },
    { line: "::add-matcher::a.json", instruction: { _tag: "AddMatcher", file: "a.json" } },
    { line: "::remove-matcher owner=tsc::", instruction: { _tag: "RemoveMatcher", owner: "tsc" } },
    { line: "::remove-matcher::a.json", instruction: { _tag: "RemoveMatcher", file: "a.json" } }
  ])("$line", ({ instruction, line }) => {
    assert.deepStrictEqual(make().read(line).instruction, instruction as WorkflowCommands.Instruction)
  })

  it.each([
    "::set-output::1",
    "::save-state::1",
    "::remove-matcher::",
    "::remove-matcher owner=a::b",
    "::add-matcher::"
  ])("%s is a mistake", (line) => {
    assert.include(["Refused", "Warned"], make().read(line).instruction?._tag)
  })
})

describe("annotations", () => {
  const place = (properties: string) => {
    const { col, endColumn, endLine, line } = annotationOf("error", parse(`::error ${properties}::x`)!)
    return [line, endLine, col, endColumn]
  }
  it.each([
    { properties: "line=3", is: [3, undefined, undefined, undefined] },
    { properties: "line=3,endLine=3,col=4,endColumn=5", is: [3, 3, 4, 5] },
    { properties: "endLine=3", is: [3, 3, undefined, undefined] },
    { properties: "line=3,endColumn=3", is: [3, undefined, 3, 3] },
    { properties: "col=3", is: [undefined, undefined, undefined, undefined] },
    { properties: "line=3,endLine=4,col=1", is: [3, 4, undefined, undefined] },
    { properties: "line=4,endLine=3", is: [undefined, undefined, undefined, undefined] },
    { properties: "line=3,col=5,endColumn=4", is: [3, undefined, undefined, undefined] },
    { properties: "line=x,col=3", is: [undefined, undefined, undefined, undefined] }
  ])("$properties", ({ is, properties }) => {
    assert.deepStrictEqual(place(properties), is)
  })

  it("are written with their place, and never longer than GitHub takes", () => {
    const written = WorkflowCommands.ofAnnotation({
      level: "warning",
      message: "m".repeat(5000),
      file: "a.ts",
      line: 1,
      title: "t"
    })
    assert.strictEqual(render(written), `::warning file=a.ts,line=1,title=t::${"m".repeat(4096)}`)
  })
})
