import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Dockerfile from "../../../src/backends/dockerfile/Dockerfile.ts"
import { parsed } from "./support/files.ts"
import { buildkit, type Told } from "./support/vectors.ts"

const refusalOf = (text: string) => {
  const result = Dockerfile.parse(text)
  return Result.isFailure(result) ? result.failure : assert.fail(`taken: ${text}`)
}

/** An instruction as BuildKit's own parser tells it: keyword, line, arguments, JSON, heredocs. */
const asBuildKit = (instruction: Dockerfile.Instruction): unknown => {
  const { at } = instruction
  const command = (command: Dockerfile.Command) =>
    command._tag === "Exec" ? command.argv : command.text === "" ? [] : [command.text]
  switch (instruction._tag) {
    case "Run":
      return [
        at.line,
        command(instruction.command),
        instruction.heredocs.map((each) => [each.name, each.content, each.expands, each.chomps])
      ]
    case "Cmd":
    case "Entrypoint":
      return [at.line, command(instruction.command)]
    case "Env":
    case "Label":
      return [at.line, instruction.pairs.flatMap(({ name, value }) => [name, value])]
    case "Arg":
      return [at.line, instruction.args.map(({ name, value }) => (value === undefined ? name : `${name}=${value}`))]
    case "Copy":
      return [at.line, instruction.destination, instruction.sources.length + instruction.files.length]
    case "From":
      return [at.line, instruction.image, instruction.name ?? ""]
    case "Workdir":
      return [at.line, instruction.path]
    case "User":
      return [at.line, instruction.user]
    case "Volume":
      return [at.line, instruction.paths]
    case "Shell":
      return [at.line, instruction.argv]
    case "Ignored":
      return [at.line]
  }
}

const told = ([keyword, line, args, , heredocs]: Told): unknown => {
  switch (keyword) {
    case "RUN":
      return [line, args, heredocs]
    case "CMD":
    case "ENTRYPOINT":
    case "ARG":
    case "VOLUME":
    case "SHELL":
      return [line, args]
    case "ENV":
    case "LABEL":
      return [line, args.filter((_, index) => index % 3 !== 2)]
    case "COPY":
    case "ADD":
      return [line, args.at(-1), args.length - 1]
    case "FROM":
      return [line, args[0], args[2] ?? ""]
    case "WORKDIR":
    case "USER":
      return [line, args[0]]
    default:
      return [line]
  }
}

describe("a Dockerfile is read", () => {
  it("as BuildKit reads it", () => {
    for (const [text, instructions] of buildkit.files) {
      const result = Dockerfile.parse(text)
      if (instructions === null) assert.isTrue(Result.isFailure(result), `taken: ${JSON.stringify(text)}`)
      else {
        const read = Result.isSuccess(result) ? result.success.instructions.map(asBuildKit) : result.failure.message
        assert.deepStrictEqual(read, instructions.map(told), JSON.stringify(text))
      }
    }
  })

  it("with its directives, flags, forms and heredocs", () => {
    const { directives, instructions } = parsed(
      [
        "# syntax=docker/dockerfile:1",
        "# escape=`",
        "FROM --platform=linux/amd64 golang:1.22 AS Build",
        "COPY --from=tools --chown=1:2 --chmod=u+x --link --exclude=*.md --exclude=x `",
        "  # why",
        "  a b `",
        "  /c/",
        'RUN --mount=type=cache,target=/root/.cache --network=none ["go", "build"]',
        "COPY <<-'ONE' <<TWO /files/",
        "\tone $A",
        "\tONE",
        "two $A",
        "TWO",
        "HEALTHCHECK --interval=1s CMD true"
      ].join("\n")
    )
    assert.deepStrictEqual(directives, { syntax: "docker/dockerfile:1", escapeToken: "`", check: undefined })
    const [from, copy, run, files, ignored] = instructions
    assert.deepInclude(from, { _tag: "From", image: "golang:1.22", name: "build", platform: "linux/amd64" })
    assert.deepInclude(copy, {
      sources: ["a", "b"],
      destination: "/c/",
      from: "tools",
      chown: "1:2",
      chmod: "u+x",
      link: true,
      exclude: ["*.md", "x"]
    })
    assert.deepInclude(run, {
      command: { _tag: "Exec", argv: ["go", "build"] },
      mounts: ["type=cache,target=/root/.cache"],
      network: "none"
    })
    assert.deepInclude(files, {
      files: [
        { name: "ONE", content: "one $A\n", expands: false },
        { name: "TWO", content: "two $A\n", expands: true }
      ]
    })
    assert.deepInclude(ignored, { _tag: "Ignored", keyword: "HEALTHCHECK" })
  })

  it("or refused with its first wrong line, what stands there, and who can change it", () => {
    const cases: ReadonlyArray<readonly [string, number, string]> = [
      ["FROM a\nFOO bar", 2, "unknown instruction: FOO"],
      ["RUN a", 1, "no build stage in current context"],
      ["", 1, "the file has no FROM"],
      ["ARG A=1", 1, "the file has no FROM"],
      ["FROM a\n\nCOPY --form=x a b", 3, "unknown flag: --form"],
      ["FROM a\nCOPY --chown a b c", 2, "missing a value on flag: --chown"],
      ["FROM a\nCOPY a", 2, "COPY requires at least two arguments: sources and a destination"],
      ["FROM a\nRUN <<EOF\nls", 2, "unterminated heredoc"],
      ["FROM a\nENV a", 2, "ENV must have two arguments"],
      ["FROM a\nENV a=b c", 2, `can't find = in "c". Must be of the form: name=value`],
      ["FROM a AS 1", 1, `invalid name for build stage: "1", it can't start with a number or contain symbols`],
      ["FROM a\nSHELL bash", 2, "SHELL requires the arguments to be in JSON form"],
      ["FROM a\nCMD [1]", 2, "when using JSON array syntax, arrays must be comprised of strings only"],
      ["# escape=x\nFROM a", 1, "the escape character is \\ or `"],
      ["# escape=`\n# escape=`\nFROM a", 2, "only one escape parser directive can be used"]
    ]
    for (const [text, line, detail] of cases) {
      const refusal = refusalOf(text)
      assert.deepStrictEqual(
        [refusal.line, refusal.detail, refusal.who],
        [line, `is not valid: ${detail}`, "author"],
        text
      )
    }
    assert.strictEqual(
      refusalOf("FROM a\n  Foo   \\\n  # x\n bar").message,
      "Dockerfile line 2: 'Foo bar' is not valid: unknown instruction: FOO"
    )
  })
})

const word = Schema.String.check(Schema.isPattern(/^[a-z0-9_./]{1,8}$/))
const anything = Schema.Literals([
  "FROM a\n",
  "RUN ",
  "COPY ",
  "ENV ",
  "ARG ",
  "ONBUILD ",
  "LABEL ",
  "SHELL ",
  "\n",
  "\\\n",
  "`\n",
  "\r\n",
  "a",
  "=",
  '"',
  "'",
  " ",
  "\t",
  "<<EOF",
  "EOF\n",
  '["a"',
  "]",
  "--from=",
  "#",
  "# escape=`\n",
  "$",
  "${",
  "}",
  "\u0000",
  "\uFEFF",
  "\uD800",
  "😀",
  "-"
])

describe("whatever the text is", () => {
  it.prop("nothing is thrown", [Schema.Array(anything), Schema.String], ([pieces, text]) => {
    Dockerfile.parse(pieces.join(""))
    Dockerfile.parse(text)
    Dockerfile.parse(`FROM a\n${text}`)
  })

  it.prop(
    "what is written is what is read",
    [
      Schema.Struct({
        image: word,
        pairs: Schema.NonEmptyArray(Schema.Struct({ name: word, value: Schema.String })),
        argv: Schema.NonEmptyArray(Schema.String),
        heredoc: Schema.Array(word)
      })
    ],
    ([{ argv, heredoc, image, pairs }]) => {
      const printable = (text: string) => text.replace(/[^\x20-\x7e]/g, "?")
      const quoted = (text: string) => `"${printable(text).replace(/["\\$]/g, "\\$&")}"`
      const text = [
        `FROM ${image}`,
        `ENV ${pairs.map(({ name, value }) => `${name}=${quoted(value)}`).join(" \\\n  ")}`,
        `RUN ${JSON.stringify(argv)}`,
        "RUN cat <<THE-END",
        ...heredoc,
        "THE-END"
      ].join("\n")
      const [from, env, run, here] = parsed(text).instructions
      assert.deepInclude(from, { _tag: "From", image })
      assert.deepInclude(env, { pairs: pairs.map(({ name, value }) => ({ name, value: quoted(value) })) })
      assert.deepInclude(run, { command: { _tag: "Exec", argv } })
      assert.deepStrictEqual(here?._tag === "Run" ? here.heredocs.map(({ content }) => content) : [], [
        heredoc.map((line) => `${line}\n`).join("")
      ])
    }
  )
})

describe("a hostile Dockerfile", () => {
  // Work, not time: what grows with the square of its input does not end within the test's time.
  const huge = 3_000_000
  it.each([
    ["a line without end", `FROM a\nRUN ${"x".repeat(huge)}`],
    ["continuations", `FROM a\nRUN ${"x \\\n".repeat(huge / 8)}`],
    ["empty continuations", `FROM a\nRUN a \\\n${"\n".repeat(huge)}`],
    ["white space", `FROM a\nRUN a${`${" ".repeat(60_000)}\\ x\n`.repeat(30)}`],
    ["escapes", `FROM a\nENV a=${"\\".repeat(60_000)}`],
    ["quotes", `FROM a\nENV ${"a='' ".repeat(12_000)}`],
    ["heredocs", `FROM a\nRUN ${"<<A ".repeat(15_000)}\n${"A\n".repeat(15_000)}`],
    ["brackets", `FROM a\nRUN ${"[".repeat(60_000)}`],
    ["braces", `FROM a\nRUN <<${"${a:-".repeat(12_000)}`],
    ["comments", `${"#\n".repeat(huge / 2)}FROM a`],
    ["instructions", `FROM a\n${"RUN x\n".repeat(200_000)}`]
  ])("of %s is read or refused at once", (_, text) => {
    const result = Dockerfile.parse(text)
    if (Result.isFailure(result)) assert.isBelow(result.failure.message.length, 400)
  })

  it("is too large", () => {
    assert.include(refusalOf("#".repeat(5 * 1024 * 1024)).message, "larger than 4 MiB")
    assert.include(refusalOf(`FROM a\nRUN ${"x".repeat(70_000)}`).message, "longer than 65535 characters")
  })
})
