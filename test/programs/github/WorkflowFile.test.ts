import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import { render } from "../../../src/programs/github/Diagnostic.ts"
import * as WorkflowFile from "../../../src/programs/github/WorkflowFile.ts"
import { complaints, directoryWith, onDisk, read } from "./support.ts"

const job = (body: string) => `on: push
jobs:
  a:
    runs-on: ubuntu-latest
${body.replace(/^/gm, "    ")}`

const steps = "steps: [{ run: 'true' }]"

describe("WorkflowFile", () => {
  it.effect("reads values with their places, block scalars without their indentation", () =>
    Effect.gen(function* () {
      const { syntax, warnings } = yield* read(`name: CI
on: [push, pull_request]
env: { A: "1", B: 2.50 }
jobs:
  build:
    runs-on: \${{ 'x' }}
    steps:
      - run: |
          cat <<EOF
            two \${{ github.sha }}
          EOF
      - { uses: "docker://alpine:3", with: { args: x } }
`)
      assert.deepStrictEqual(warnings, [])
      const [build] = syntax.jobs
      const [first, second] = build?.steps ?? []
      assert.deepStrictEqual(build?.id, { value: "build", range: { line: 5, column: 3, endLine: 5, endColumn: 8 } })
      assert.deepStrictEqual(first?.does._tag === "Run" ? first.does.script.parts.slice(0, 1) : [], [
        "cat <<EOF\n  two "
      ])
      const expression = first?.does._tag === "Run" ? first.does.script.parts[1] : undefined
      assert.deepStrictEqual(typeof expression === "object" ? expression.range : undefined, {
        line: 10,
        column: 20,
        endLine: 10,
        endColumn: 32
      })
      assert.deepStrictEqual(second?.does._tag === "Uses" ? second.does.action : undefined, {
        _tag: "Docker",
        image: "alpine:3"
      })
    })
  )

  const cases: ReadonlyArray<readonly [what: string, text: string, ...expected: ReadonlyArray<string>]> = [
    [
      "bad YAML",
      "on: push\njobs: {a: [}",
      "2:12 yaml-syntax: A [ is not closed, or the lines up to its end are not indented"
    ],
    [
      "shells that are none, or only on Windows",
      `on: push
defaults: { run: { shell: fish } }
jobs:
  a:
    runs-on: x
    defaults: { run: { shell: powershell } }
    steps:
      - { run: a, shell: zsh }
      - { run: a, shell: cmd }
      - { run: a, shell: cmd, if: runner.os == 'Windows' }
      - { run: a, shell: "zsh {0}" }
      - { run: a, shell: "\${{ github.job }}" }`,
      '2:27 unsupported: There is no shell "fish": it is bash, sh, python, pwsh, or a command line with {0} for the script',
      '8:26 unsupported: There is no shell "zsh": it is bash, sh, python, pwsh, or a command line with {0} for the script',
      '9:26 unsupported: The shell "cmd" is only on Windows'
    ],
    [
      "options and ports of containers",
      `on: push
jobs:
  a:
    runs-on: x
    container: { image: a, options: --cpus 1 --network host --privilged }
    services:
      db: { image: a, ports: [5432, "a:b", "\${{ github.job }}:1"], options: "\${{ github.job }} --nonsense" }
    steps: [{ run: a }]`,
      "5:37 unsupported: The option --network: it is not supported: containers of a job share one network",
      "5:37 unsupported: The option --privilged: it is not supported",
      '7:37 bad-value: "a:b" is no port'
    ],
    ["tabs", "on:\n\tpush: 1", "2:1 yaml-syntax: Tabs are not allowed as indentation"],
    ["a list", "- 1", "1:1 wrong-type: A workflow must be a mapping, and is a list"],
    ["two documents", "on: push\n---\non: push", "2:1 yaml-syntax: The file has several documents"],
    [
      "a merge key",
      "on: push\njobs:\n  a: &a { runs-on: x, steps: [{ run: x }] }\n  b: { <<: *a }",
      "4:8 yaml-feature: Merge keys (`<<`) are not supported, by GitHub neither"
    ],
    [
      "a key twice",
      `on: push\non: push\njobs: { a: { runs-on: x, ${steps} } }`,
      '2:1 duplicate-key: The key "on" is here twice; the first is on line 1'
    ],
    ["no jobs", "on: push", "1:1 missing-key: The workflow has no jobs"],
    ["no on", `jobs: { a: { runs-on: x, ${steps} } }`, "1:1 missing-key: The workflow has no `on`"],
    [
      "an unknown event",
      `on: pusch\njobs: { a: { runs-on: x, ${steps} } }`,
      '1:5 bad-value: There is no event "pusch"'
    ],
    [
      "unknown keys",
      job("step: 1\nsteps: [{ run: x, wiht: 1 }]"),
      '5:5 unknown-key: The job "a" has no key "step"',
      '6:23 unknown-key: A step has no key "wiht"'
    ],
    ["no runs-on", `on: push\njobs:\n  a: { ${steps} }`, '3:3 missing-key: The job "a" has no `runs-on`'],
    ["run and uses", job("steps: [{ run: x, uses: ./a }]"), "5:15 missing-key: A step has `run` or `uses`, not both"],
    ["neither", job("steps: [{ name: x }]"), "5:15 missing-key: A step needs `run` or `uses`"],
    [
      "a timeout of text",
      job(`timeout-minutes: long\n${steps}`),
      "5:22 wrong-type: `timeout-minutes` must be a number, and is a text"
    ],
    ["no time at all", job(`timeout-minutes: 0\n${steps}`), "5:22 bad-value: `timeout-minutes` must be more than 0"],
    [
      "a circle",
      `on: push\njobs:\n  a: { runs-on: x, needs: b, ${steps} }\n  b: { runs-on: x, needs: [a], ${steps} }`,
      "4:28 needs-cycle: Jobs need each other in a circle: a needs b needs a"
    ],
    ["needing itself", job(`needs: a\n${steps}`), "5:12 needs-cycle: Jobs need each other in a circle: a needs a"],
    ["an unknown need", job(`needs: [b]\n${steps}`), '5:13 unknown-need: The job "a" needs "b", which is no job'],
    [
      "an unknown function",
      job("steps:\n  - run: echo ${{ sha256('x') }}"),
      '6:23 unknown-function: There is no function "sha256"'
    ],
    [
      "a function of nature",
      job("steps:\n  - run: echo ${{ constructor('x') }}"),
      '6:23 unknown-function: There is no function "constructor"'
    ],
    [
      "a wrong number of arguments",
      job("steps:\n  - if: contains('x')\n    run: x"),
      "6:13 expression-syntax: Too few parameters supplied: 'contains'"
    ],
    [
      "an unknown context",
      job("steps:\n  - run: echo ${{ foo.bar }}"),
      '6:23 unknown-context: There is no context "foo"'
    ],
    [
      "a context that is not here",
      job(`if: matrix.x == 1\n${steps}`),
      '5:9 unavailable-context: The context "matrix" is not available here'
    ],
    [
      "secrets in an if",
      job("steps:\n  - if: secrets.X != ''\n    run: x"),
      '6:13 unavailable-context: The context "secrets" is not available here'
    ],
    [
      "a status function in env",
      job(`env: { X: '\${{ failure() }}' }\n${steps}`),
      '5:20 unknown-function: The function "failure" is not available here'
    ],
    [
      "an expression without an end",
      job("steps:\n  - run: echo ${{ github.sha }\n"),
      "6:19 expression-syntax: The expression is never closed with `}}`"
    ],
    ["an empty expression", job("steps:\n  - run: echo ${{ }}\n"), "6:22 expression-syntax: An expression is missing"],
    [
      "double quotes",
      job('steps:\n  - if: github.ref == "x"\n    run: x'),
      "6:27 expression-syntax: Unexpected symbol: '\"x\"'"
    ],
    [
      "an id twice",
      job("steps:\n  - { id: a, run: x }\n  - { id: A, run: x }"),
      '7:15 duplicate-id: Another step has the id "A" too, on line 6'
    ],
    [
      "a remote action",
      job("steps:\n  - uses: actions/setup-node@v4"),
      "6:15 unsupported: The action actions/setup-node@v4 cannot run here: only actions/checkout and actions of this repository can"
    ],
    [
      "an action that is not there",
      job("steps:\n  - uses: ./nowhere"),
      "6:15 action-not-found: There is no action.yml or action.yaml in nowhere"
    ],
    ["no action", job("steps:\n  - uses: checkout"), '6:15 bad-value: "checkout" names no action'],
    [
      "another repository",
      job("steps:\n  - uses: actions/checkout@v4\n    with: { repository: a/b }"),
      "7:17 unsupported: A checkout of another repository is not supported"
    ],
    [
      "a reusable workflow",
      "on: push\njobs:\n  a:\n    uses: ./x.yml",
      "4:5 unsupported: Reusable workflows are not supported"
    ],
    [
      "a background step",
      job("steps:\n  - { run: x, background: true }"),
      "6:19 unsupported: Background steps (`background`) are not supported"
    ],
    ["an empty matrix", job(`strategy: { matrix: { x: [] } }\n${steps}`), "5:30 bad-value: `matrix.x` has no values"]
  ]
  for (const [what, text, ...expected] of cases) {
    it.effect(`refuses ${what}`, () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* complaints(text), expected)
        assert.isTrue((yield* Effect.exit(read(text)))._tag === "Failure")
      })
    )
  }

  const warnings: ReadonlyArray<readonly [what: string, text: string, ...expected: ReadonlyArray<string>]> = [
    [
      "a step that is not there",
      job("steps:\n  - run: echo ${{ steps.biuld.outputs.x }}"),
      '6:22 unknown-reference: No step has the id "biuld": the value is empty'
    ],
    [
      "a job that is not needed",
      `${job("steps:\n  - run: echo ${{ needs.b.result }}")}\n  b: { runs-on: x, ${steps} }`,
      '6:22 unknown-reference: The job "a" does not need "b"; add it to the job\'s `needs`: the value is empty'
    ],
    [
      "a condition that always holds",
      job("steps:\n  - if: ${{ github.sha }} == 'x'\n    run: x"),
      "6:13 no-effect: `if` always holds: what is around `${{ }}` makes it a text"
    ],
    [
      "a ref of checkout",
      job("steps:\n  - uses: actions/checkout@v4\n    with: { ref: main }"),
      "7:17 no-effect: `ref` has no effect: the workspace is used as it is"
    ]
  ]
  for (const [what, text, ...expected] of warnings) {
    it.effect(`warns of ${what}`, () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* complaints(text), expected)
        yield* read(text)
      })
    )
  }

  it.effect("finds everything at once, in local actions too", () =>
    Effect.gen(function* () {
      const found = yield* complaints(job("frobnicate: 1\nsteps:\n  - uses: ./one\n  - uses: ./two"), {
        "one/action.yml":
          "name: one\nruns:\n  using: composite\n  steps:\n    - run: echo ${{ secrets.X }}\n      shell: bash\n    - run: x\n    - uses: ./one",
        "two/action.yaml": "name: two\nruns: { using: node16, main: x.js, pre: y.js }"
      })
      assert.deepStrictEqual(found, [
        '5:5 unknown-key: The job "a" has no key "frobnicate"',
        'one/action.yml:5:21 unavailable-context: The context "secrets" is not available here',
        "one/action.yml:7:12 missing-key: In an action a `run` step needs a `shell`",
        "one/action.yml:8:13 action-invalid: Actions use each other without an end: one uses one",
        "two/action.yaml:2:41 no-effect: `pre` of a local action does not run, on GitHub neither"
      ])
    })
  )

  describe("hostile files", () => {
    const bomb = `a: &a [x, x, x, x, x, x, x, x, x]\n${"bcdefghij"
      .split("")
      .map((name, index) => `${name}: &${name} [${Array(9).fill(`*${"abcdefghi"[index]}`).join(", ")}]`)
      .join("\n")}`
    const files: Readonly<Record<string, readonly [content: string | Uint8Array, expected: RegExp]>> = {
      "bomb.yml": [
        bomb,
        /bomb\.yml:\d+:\d+: error: With its aliases written out the file has more than 100000 values \[alias-limit\]/
      ],
      "itself.yml": ["on: &a [*a]", /1:8: error: .*alias contains itself/],
      "deep.yml": ["[".repeat(500_000), /yaml-syntax/],
      "deep-closed.yml": ["[".repeat(50_000) + "]".repeat(50_000), /nested too deeply/],
      "large.yml": ["on: push\n".repeat(1_200_000), /10800000 bytes/],
      "mega.yml": [
        `on: push\njobs:\n${Array.from({ length: 30_000 }, (_, at) => `  j${at}: { frobnicate: 1 }`).join("\n")}`,
        /unknown-key/
      ],
      "binary.yml": [Uint8Array.from({ length: 4096 }, (_, at) => at % 256), /no UTF-8 text/],
      "utf16.yml": [new Uint8Array([0xff, 0xfe, 0x6f, 0x00, 0x6e, 0x00]), /no UTF-8 text/],
      "latin1.yml": [new Uint8Array([0x6f, 0x6e, 0x3a, 0x20, 0xe4]), /no UTF-8 text/],
      "empty.yml": ["", /The file is empty/],
      "blank.yml": ["\n  \n", /The file is empty/],
      "comment.yml": ["# nothing\n", /The file is empty/],
      "null.yml": ["~", /must be a mapping, and is nothing/],
      "expression.yml": [job(`steps:\n  - run: \${{ ${"(".repeat(10_000)} }}`), /expression depth/],
      "long.yml": [job(`steps:\n  - run: \${{ '${"x".repeat(30_000)}' }}`), /longer than 21000/],
      "line.yml": [`on: push\njobs: { "${"x".repeat(200_000)}": 1 }`, /wrong-type/]
    }
    for (const [name, [content, expected]] of Object.entries(files)) {
      it.effect(`${name} is refused at a place, on a screen`, () =>
        onDisk(
          Effect.gen(function* () {
            const directory = yield* directoryWith({ [name]: content })
            const before = process.cpuUsage()
            const error = yield* Effect.flip(WorkflowFile.read(join(directory, name)))
            const { system, user } = process.cpuUsage(before)
            assert.isBelow((system + user) / 1e6, 5, "seconds")
            assert.match(error.message, expected)
            assert.match(error.message, new RegExp(`${name}:\\d+:\\d+: error: `))
            assert.isAtMost(error.message.split("\n").length, 40)
            assert.isBelow(error.message.length, 20_000)
            assert.strictEqual(Runtime.getErrorExitCode(error), 2)
          })
        )
      )
    }

    it.effect("a file that is not there, and a directory", () =>
      onDisk(
        Effect.gen(function* () {
          const directory = yield* directoryWith({})
          const missing = yield* Effect.flip(WorkflowFile.read(join(directory, "no.yml")))
          assert.match(missing.message, /no\.yml:1:1: error: There is no such file \[file-unreadable\]/)
          assert.match((yield* Effect.flip(WorkflowFile.read(directory))).message, /It is no file, but a directory/)
        })
      )
    )
  })

  it.effect("shows the place", () =>
    Effect.gen(function* () {
      const { diagnostics } = yield* Effect.flip(read(job("steps:\n  - run: x\n    wiht: 1")))
      assert.strictEqual(
        render(diagnostics),
        `ci.yml:7:9: error: A step has no key "wiht" [unknown-key]
    7 |         wiht: 1
      |         ^^^^
        Did you mean "with"?`
      )
    })
  )
})
