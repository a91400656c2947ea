import { execFileSync } from "node:child_process"
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as BuildContext from "../../../src/backends/dockerfile/BuildContext.ts"
import type { ImageConfig } from "../../../src/backends/dockerfile/ImageConfig.ts"
import * as Inline from "../../../src/backends/dockerfile/Inline.ts"
import { githubLog } from "../../../src/backends/dockerfile/LogStyle.ts"
import * as StepPlan from "../../../src/backends/dockerfile/StepPlan.ts"
import { corpus, refused, type Taken, taken } from "./corpus.ts"
import { directoryOf, parsed } from "./support/files.ts"

const nothing: ImageConfig = {
  entrypoint: [],
  cmd: [],
  env: new Map(),
  user: "",
  workingDirectory: "/",
  shell: undefined,
  onBuild: []
}

/** Plans, with the configurations that are asked for, and writes the files. */
const planned = Effect.fnUntraced(function* (directory: string, options: Inline.Options = {}) {
  const context = yield* BuildContext.open(directory)
  const plan = yield* Inline.plan(parsed(readFileSync(join(directory, "Dockerfile"), "utf8")), context, options)
  const files = join(yield* directoryOf(), "files")
  const enter = plan.enter({ env: { INPUT_NAME: "Mona" }, workingDirectory: "/github/workspace" })
  yield* StepPlan.write([...plan.files, ...enter], files, context)
  const read = (name: string) => readFileSync(join(files, name === "enter" ? (enter[0]?.path ?? name) : name), "utf8")
  return { plan, files, read, enter: enter[0]?.path ?? "" }
})

const fromText = Effect.fnUntraced(function* (
  dockerfile: string,
  files: Readonly<Record<string, string>> = {},
  options: Inline.Options = {}
) {
  return yield* planned(yield* directoryOf({ Dockerfile: dockerfile, ...files }), options)
})

describe("the Dockerfiles of actions", () => {
  it.effect.each([...taken])("$name", ({ args, entryPoint, name, plan: expected }: Taken) =>
    Effect.gen(function* () {
      const directory = join(corpus, name)
      const options = { args, entryPoint }
      for (const image of expected.asks ?? []) {
        const asked = yield* Effect.flip(planned(directory, options))
        assert.deepInclude(asked, { _tag: "NeedsConfig", image })
      }
      const configs = new Map((expected.asks ?? []).map((image) => [image, nothing]))
      const { enter, files, plan, read } = yield* planned(directory, { ...options, configs })
      assert.strictEqual(plan.image, expected.image)
      assert.deepStrictEqual(
        plan.beside.map(({ image }) => image),
        [...(expected.beside ?? [])]
      )
      assert.strictEqual(plan.before.length > 0, expected.tools === true)
      assert.strictEqual(plan.security.runAsUser === 0, expected.root === true)
      assert.include(read("enter"), expected.enters)
      // Every shell must be able to read them.
      for (const script of ["lib", enter, "step", ...plan.beside.map(({ name }) => name)]) {
        execFileSync("sh", ["-n", join(files, script)])
      }
    })
  )

  it("are all there", () => {
    assert.sameMembers(
      readdirSync(corpus),
      [...taken, ...refused].map(({ name }) => name)
    )
  })

  it.effect.each([...refused])("$name is refused", ({ name, refusal, who }) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(planned(join(corpus, name)))
      if (error._tag !== "Refusal") return assert.fail(error._tag)
      assert.strictEqual(error.message, refusal)
      assert.strictEqual(error.who, who)
      assert.match(error.advice, who === "author" ? /^Author of the action: / : /^Administrator: /)
      return undefined
    })
  )
})

describe("what is refused", () => {
  it.effect.each([
    ["RUN --security=insecure x", "needs an image builder for --security"],
    ["RUN --device=a x", "needs an image builder for --device"],
    ["RUN --mount=type=cache x", "a mount has no target"],
    ["RUN --mount=type=secret,id=a,required x", "needs an image builder for --mount=type=secret"],
    ["RUN --mount=type=cache,target=/x,from=b x", "needs an image builder for --mount=type=cache"],
    ["COPY --parents a /b/", "needs an image builder for --parents"],
    ["COPY --from=9 /a /b", "there is no stage 9"],
    ["COPY --from=x --exclude=a /a /b", "needs an image builder for --exclude from another stage"],
    ["COPY --chmod=999 a /b", "'999' is no mode for --chmod"],
    ["COPY https://x/y /z", "a source cannot be a URL"],
    ["ADD git@github.com:a/b.git /z", "needs an image builder for a URL"],
    ["COPY --from=scratch /a /b", "needs an image builder to copy from scratch"],
    [`ENV A=\${B:?missing}`, "has to be asked for"],
    ["ENV A='", "unexpected end of statement"]
  ] as const)("%s", ([line, detail]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(fromText(`FROM a\n${line}\nENTRYPOINT ["x"]`, { a: "" }))
      if (error._tag === "NeedsConfig") assert.strictEqual(detail, "has to be asked for")
      else assert.include(error.message, detail)
    })
  )
})

describe("the base image's configuration", () => {
  const base: ImageConfig = {
    ...nothing,
    entrypoint: ["/base"],
    cmd: ["cmd"],
    env: new Map([
      ["HOME", "/base-home"],
      ["DIR", "/dir"]
    ]),
    user: "node",
    workingDirectory: "/base-directory",
    onBuild: ["RUN echo triggered"]
  }
  const configs = new Map([["a", base]])

  it.effect.each([
    ["", "for the ENTRYPOINT, of which the Dockerfile has none"],
    ['CMD ["x"]', "for the ENTRYPOINT, of which the Dockerfile has none"],
    ['WORKDIR $DIR\nENTRYPOINT ["x"]', "for the value of DIR"],
    ['ENV A=$HOME\nENTRYPOINT ["x"]', "for the value of HOME"],
    [`ENV A=\${DIR#/}\nENTRYPOINT ["x"]`, "for the value of DIR"],
    ['COPY x $DIR\nENTRYPOINT ["x"]', "for the value of DIR"]
  ] as const)("is asked for by %s", ([lines, why]) =>
    Effect.gen(function* () {
      const asked = yield* Effect.flip(fromText(`FROM a\n${lines}`, { x: "" }))
      assert.deepInclude(asked, { _tag: "NeedsConfig", image: "a", why })
      const { plan } = yield* fromText(`FROM a\n${lines}`, { x: "" }, { configs })
      assert.strictEqual(plan.image, "a")
    })
  )

  it.effect("is what the Dockerfile builds on", () =>
    Effect.gen(function* () {
      const { plan, read } = yield* fromText("FROM a\nWORKDIR sub\nENV A=$DIR/$HOME", {}, { configs })
      assert.include(read("enter"), "export A=/dir//base-home")
      assert.include(read("enter"), "become node env")
      assert.match(read("enter"), / \/base cmd\n$/)
      assert.include(read("step"), "run /base-directory node env -- \"PATH=$__base_path\" /bin/sh -c 'echo triggered'")
      assert.include(read("step"), "make_directory /base-directory/sub")
      assert.strictEqual(plan.security.runAsUser, 0)
    })
  )

  it.effect("is not needed with an entry point of action.yml", () =>
    Effect.gen(function* () {
      const { read } = yield* fromText('FROM a\nCMD ["x"]', {}, { entryPoint: ["/main"] })
      assert.match(read("enter"), / \/main\n$/)
    })
  )
})

describe("the scripts", () => {
  it.effect("leave variables of the base image to the container", () =>
    Effect.gen(function* () {
      const text = `FROM a\nENV PATH=/x:$PATH B=\${C:-d} E=\${F:+$C}\nRUN y\nENTRYPOINT ["z"]`
      const { read } = yield* fromText(text)
      const run = read("step")
        .split("\n")
        .find((line) => line.startsWith("run "))!
      const shown = (variables: Readonly<Record<string, string>>) =>
        execFileSync("sh", ["-c", `__base_path=/base; run() { shift 4; printf '%s\\n' "$@"; }; ${run}`], {
          env: variables
        })
          .toString()
          .split("\n")
          .slice(0, 3)
      assert.deepStrictEqual(shown({}), ["PATH=/x:/base", "B=d", "E="])
      assert.deepStrictEqual(shown({ C: "c 'q", F: "f" }), ["PATH=/x:/base", "B=c 'q", "E=c 'q"])
    })
  )

  it.effect("give variables to the entry point and not to RUN", () =>
    Effect.gen(function* () {
      const { files, plan } = yield* fromText('FROM a\nRUN x\nENTRYPOINT ["y"]')
      const names = readdirSync(files, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
      for (const { name, parentPath } of names) {
        const text = readFileSync(join(parentPath, name), "utf8")
        assert.strictEqual(text.includes("Mona"), name === "enter", name)
      }
      assert.deepStrictEqual(plan.env, {})
    })
  )

  it.effect("ask for them when the last RUN has ended, of all stages that are waited for", () =>
    Effect.gen(function* () {
      const { enter, plan, read } = yield* fromText(
        'FROM a AS tools\nRUN make\nFROM a\nCOPY --from=tools /t /t\nENTRYPOINT ["y"]'
      )
      assert.deepStrictEqual(plan.handOver, { asked: "late/asked", given: "late/given" })
      assert.strictEqual(enter, "late/enter")
      const order = ["await copy-0", "late/asked", '"$__files/late/given"', '. "$__enter"']
      const places = order.map((text) => read("step").indexOf(text))
      assert.deepStrictEqual(
        places,
        [...places].sort((a, b) => a - b)
      )
      assert.notInclude(places, -1)
      const plain = yield* fromText('FROM a\nCOPY f /\nENTRYPOINT ["y"]', { f: "" })
      assert.strictEqual(plain.plan.handOver, undefined)
      assert.strictEqual(plain.enter, "enter")
    })
  )

  it.effect("show the Dockerfile's lines as groups, in which nothing is a command", () =>
    Effect.gen(function* () {
      const { read } = yield* fromText(
        'FROM a\nRUN echo 100% \\\n  ::error::x\nCOPY f /\nENTRYPOINT ["y"]',
        { f: "" },
        { log: githubLog("t0ken") }
      )
      const script = read("step")
      const order = [
        "'::group::RUN echo 100%25 ::error::x'",
        "::stop-commands::t0ken",
        "run ",
        "::t0ken::",
        "::endgroup::",
        "##[command]COPY f /"
      ]
      const places = order.map((text) => script.indexOf(text))
      assert.deepStrictEqual(
        places,
        [...places].sort((a, b) => a - b)
      )
      assert.notInclude(places, -1)
      assert.include(script, "::error::Dockerfile line 2: ")
    })
  )

  it.effect("take nothing but what COPY names, once .dockerignore has had its say", () =>
    Effect.gen(function* () {
      const { files } = yield* fromText('FROM a\nCOPY src/ /app/\nENTRYPOINT ["y"]', {
        "src/a": "a",
        "src/b.md": "",
        "other/secret": "",
        ".dockerignore": "**/*.md"
      })
      assert.deepStrictEqual(readdirSync(join(files, "step.d")), ["0-0", "0-0.list"])
      assert.deepStrictEqual(readdirSync(join(files, "step.d/0-0")), ["a"])
      assert.strictEqual(readFileSync(join(files, "step.d/0-0.list"), "utf8"), "a\n")
    })
  )

  it.effect("do not overwrite what is there already", () =>
    Effect.gen(function* () {
      const directory = yield* directoryOf({ Dockerfile: 'FROM a\nENTRYPOINT ["y"]' })
      const context = yield* BuildContext.open(directory)
      const plan = yield* Inline.plan(parsed('FROM a\nENTRYPOINT ["y"]'), context)
      const target = yield* directoryOf()
      writeFileSync(join(target, "step"), "foreign")
      const error = yield* Effect.flip(StepPlan.write(plan.files, target, context))
      assert.strictEqual(error.reason._tag, "StorageFailed")
      assert.isTrue(existsSync(join(target, "step")))
    })
  )

  it.effect("have tools where the base has no shell", () =>
    Effect.gen(function* () {
      for (const [image, tools] of [
        ["gcr.io/distroless/static", true],
        ["gcr.io/distroless/base:debug", false],
        ["cgr.dev/chainguard/node:latest", true],
        ["cgr.dev/chainguard/node:latest-dev", false],
        ["debian", false]
      ] as const) {
        const { plan } = yield* fromText(`FROM ${image}\nENTRYPOINT ["y"]`)
        assert.strictEqual(plan.before.length === 1, tools, image)
        assert.strictEqual(plan.command?.[0], tools ? "/__jobscope/tools/sh" : "/bin/sh", image)
      }
      const { plan } = yield* fromText('FROM debian\nENTRYPOINT ["y"]', {}, { alwaysTools: true, toolsImage: "mine" })
      assert.deepStrictEqual(
        plan.before.map(({ image }) => image),
        ["mine"]
      )
    })
  )
})
