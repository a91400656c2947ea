import { execFileSync } from "node:child_process"
import { rmSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as LocalBackend from "../../../src/backends/local/LocalBackend.ts"
import * as ExitCode from "../../../src/programs/console/ExitCode.ts"
import * as WorkflowFile from "../../../src/programs/github/WorkflowFile.ts"
import { directoryWith, onDisk, run, runFile } from "./support.ts"

const jobs = (
  body: string
) => `on: { push: , workflow_dispatch: { inputs: { n: { type: number, default: 2 }, who: { required: true }, yes: { type: boolean }, one: { type: choice, options: [a, b] } } } }
jobs:
${body.replace(/^(?=.)/gm, "  ")}`

describe("jobs", () => {
  it.live("hand outputs over, and tell how they ended", () =>
    Effect.gen(function* () {
      const ran = yield* run(
        jobs(`
build:
  runs-on: x
  outputs: { v: "\${{ steps.s.outputs.v }}-\${{ job.status }}", missing: "\${{ steps.no.outputs.x }}" }
  steps: [{ id: s, run: 'echo v=1 >> "$GITHUB_OUTPUT"' }]
bad: { runs-on: x, steps: [{ run: exit 1 }] }
after:
  runs-on: x
  needs: [build, bad]
  if: always() && needs.bad.result == 'failure'
  steps: [{ run: 'echo "\${{ needs.build.outputs.v }} [\${{ needs.build.outputs.missing }}] \${{ needs.bad.result }} \${{ join(needs.*.result, '','') }}"' }]
on-failure: { runs-on: x, needs: after, if: failure(), steps: [{ run: echo failure }] }
skipped: { runs-on: x, needs: bad, steps: [{ run: echo never }] }
never: { runs-on: x, needs: skipped, steps: [{ run: echo never }] }
no: { runs-on: x, if: github.ref == 'refs/heads/other', steps: [{ run: echo never }] }`)
      )
      assert.deepStrictEqual(ran.jobs, {
        build: "success",
        bad: "failure",
        after: "success",
        "on-failure": "success",
        skipped: "skipped",
        never: "skipped",
        no: "skipped"
      })
      assert.deepStrictEqual(ran.output(), "1-success [] failure success,failure\nfailure\n")
      assert.strictEqual(ExitCode.ofWorkflow(ran.result), 1)
    })
  )

  it.live("have a matrix, also a computed one, by which they are named and excused", () =>
    Effect.gen(function* () {
      const ran = yield* run(
        jobs(`
list:
  runs-on: x
  outputs: { all: "\${{ steps.s.outputs.all }}" }
  steps: [{ id: s, run: "echo 'all=[{\\"n\\":1},{\\"n\\":2,\\"bad\\":true}]' >> $GITHUB_OUTPUT" }]
computed:
  name: number \${{ matrix.n }} of \${{ strategy.job-total }}
  needs: list
  runs-on: x
  strategy: { matrix: { include: "\${{ fromJSON(needs.list.outputs.all) }}" } }
  continue-on-error: \${{ matrix.bad || false }}
  steps: [{ run: "exit \${{ matrix.bad && 1 || 0 }}" }]
plain:
  runs-on: \${{ matrix.os }}
  strategy:
    fail-fast: false
    max-parallel: 1
    matrix:
      os: [linux, mac]
      node: [20, 22]
      exclude: [{ os: mac, node: 20 }]
      include: [{ os: mac, node: 22, extra: more }, { os: windows }]
  steps: [{ run: "echo '\${{ strategy.job-index }} \${{ toJSON(matrix) }}' | tr -d ' \\\\n'; echo" }]`)
      )
      assert.deepStrictEqual(ran.jobs, {
        list: "success",
        "number 1 of 2": "success",
        "number 2 of 2": "failure",
        "plain (linux, 20)": "success",
        "plain (linux, 22)": "success",
        "plain (mac, 22, more)": "success",
        "plain (windows)": "success"
      })
      assert.strictEqual(ran.result.conclusion, "success")
      assert.deepStrictEqual(ran.output().trim().split("\n"), [
        '0{"os":"linux","node":20}',
        '1{"os":"linux","node":22}',
        '2{"os":"mac","node":22,"extra":"more"}',
        '3{"os":"windows"}'
      ])
    })
  )

  it.live("are selected with what they need, or without, and by combination", () =>
    Effect.gen(function* () {
      const text = jobs(`
a: { runs-on: x, outputs: { o: given }, steps: [{ run: echo a }] }
b:
  runs-on: x
  needs: a
  strategy: { matrix: { n: [1, 2], k: [x, y] } }
  steps: [{ run: 'echo "b\${{ matrix.n }}\${{ matrix.k }} \${{ needs.a.result }} [\${{ needs.a.outputs.o }}]"' }]
c: { runs-on: x, steps: [{ run: echo c }] }`)
      const matrix = { n: ["2"], k: ["x"], other: ["z"] }
      assert.strictEqual((yield* run(text, { jobs: ["B"], matrix })).output(), "a\nb2x success [given]\n")
      assert.strictEqual((yield* run(text, { jobs: ["b"], needs: false, matrix })).output(), "b2x success []\n")
      const unknown = yield* Effect.flip(run(text, { jobs: ["bb"] }))
      assert.strictEqual(unknown.message, 'jobs: there is no job "bb". Did you mean "b"?')
      const none = yield* Effect.flip(run(text, { jobs: ["b"], matrix: { n: ["3"] } }))
      assert.include(none.message, 'matrix: the job "b" has no such combination. It has: (1, x) (1, y) (2, x) (2, y).')
      const late = jobs(`
a: { runs-on: x, outputs: { m: "[1, 2]" }, steps: [{ run: "true" }] }
b: { runs-on: x, needs: a, strategy: { matrix: { n: "\${{ fromJSON(needs.a.outputs.m) }}" } }, steps: [{ run: x }] }`)
      const computed = yield* run(late, { matrix: { n: ["3"] } })
      assert.match(computed.result.job("b")?.runs[0]?.error?.message ?? "", /no combination of the matrix is wanted/)
    })
  )

  it.live("take inputs with their types, variables, secrets and the event", () =>
    Effect.gen(function* () {
      const text = jobs(
        `
a:
  runs-on: x
  env: { S: "\${{ secrets.S }}", T: "\${{ github.token }}" }
  steps:
    - run: echo "\${{ inputs.n + 0 == 5 }} \${{ inputs.who }} \${{ inputs.yes == true }} \${{ inputs.one }} \${{ github.event.inputs.who }} \${{ vars.V }} \${{ github.event_name }} \${#S} \${#T}"
      if: inputs.n > 4`.replace("inputs.n + 0", "inputs.n")
      )
      const secrets = { S: Redacted.make("abc"), GITHUB_TOKEN: Redacted.make("tokens") }
      const ran = yield* run(text, { inputs: { N: "5", who: "me", yes: "true" }, vars: { v: "var" }, secrets })
      assert.strictEqual(ran.output(), "true me true a me var workflow_dispatch 3 6\n")
      const refused = (inputs: Record<string, string>) =>
        Effect.map(Effect.flip(run(text, { inputs })), ({ message }) => message)
      assert.strictEqual(yield* refused({ n: "5" }), "inputs.who: the workflow requires it")
      assert.strictEqual(yield* refused({ who: "x", n: "five" }), 'inputs.n: "five" is no number')
      assert.strictEqual(yield* refused({ who: "x", yes: "maybe" }), 'inputs.yes: it is true or false, not "maybe"')
      assert.match(yield* refused({ who: "x", one: "c" }), /"c" is none of its options. There are: a, b/)
      assert.match(yield* refused({ whoo: "x" }), /inputs.whoo: .* Did you mean "who"\?/)
    })
  )

  it.live("run one after the other in a concurrency group, and end at their time", () =>
    Effect.gen(function* () {
      const ran = yield* run(
        jobs(`
one: { runs-on: x, concurrency: g, steps: [{ run: 'echo one; sleep 0.3; echo end' }] }
two: { runs-on: x, concurrency: { group: "\${{ 'G' }}" }, steps: [{ run: echo two }] }
slow: { runs-on: x, timeout-minutes: 0.005, steps: [{ run: exec sleep 60 }, { if: cancelled(), run: echo cleaned }] }`)
      )
      assert.deepStrictEqual(ran.jobs, { one: "success", two: "success", slow: "timeout" })
      const text = ran.output()
      assert.isBelow(text.indexOf("end"), text.indexOf("two"))
      assert.include(text, "cleaned")
    })
  )

  it.live("get the workspace when they check out, and an empty directory else", () =>
    Effect.gen(function* () {
      const text = jobs(`
with: { runs-on: x, steps: [{ uses: actions/checkout@v4, id: c }, { run: 'cat file.txt; echo changed > file.txt; echo "\${{ steps.c.outputs.ref }}"' }] }
without: { runs-on: x, needs: with, steps: [{ run: 'ls; echo none' }] }
again: { runs-on: x, needs: without, steps: [{ uses: actions/checkout@v4 }, { run: cat file.txt }] }`)
      assert.strictEqual((yield* run(text)).output(), "here\nrefs/heads/main\nnone\nhere\n")
      const inPlace = yield* run(text, { workspace: "in-place" })
      assert.strictEqual(inPlace.output(), "here\nrefs/heads/main\nfile.txt\nnone\nchanged\n")
    })
  )

  it.live("check out what git knows or would take, as it is now, and its history", () =>
    onDisk(
      Effect.gen(function* () {
        const workspace = yield* directoryWith({
          ".gitignore": "ignored/\n",
          "ignored/large": "x",
          "dir/known": "1",
          gone: "1",
          "new file": "2"
        })
        const git = (...args: ReadonlyArray<string>) =>
          execFileSync("git", ["-C", workspace, "-c", "user.name=n", "-c", "user.email=e@example", ...args])
        git("init", "-q", "-b", "trunk")
        git("add", "dir", "gone", ".gitignore")
        git("commit", "-qm", "first")
        git("remote", "add", "origin", "git@git.example:Own/Thing.git")
        rmSync(join(workspace, "gone"))
        writeFileSync(join(workspace, "dir/known"), "changed")
        symlinkSync("dir/known", join(workspace, "link"))
        const state = yield* directoryWith({})
        const file = yield* WorkflowFile.fromText(
          jobs(
            `a: { runs-on: x, steps: [{ uses: actions/checkout@v4 }, { run: 'find . -path ./.git -prune -o ! -type d -print | sort; cat link; git log --format=%s; git status --short gone; echo "$GITHUB_REF \${{ github.sha == env.SHA }} $GITHUB_REPOSITORY $GITHUB_SERVER_URL"', env: { SHA: ${git("rev-parse", "HEAD").toString().trim()} } }] }`
          ),
          { workspace, file: "ci.yml" }
        )
        const ran = yield* runFile(file, { event: { name: "push", payload: {} } }).pipe(
          Effect.provide(LocalBackend.layer({ stateDirectory: state }), { local: true })
        )
        assert.strictEqual(
          ran.output(),
          "./.gitignore\n./dir/known\n./link\n./new file\nchangedfirst\n D gone\nrefs/heads/trunk true Own/Thing https://git.example\n"
        )
      })
    )
  )

  it.live("that the backend cannot run are refused where they are written, and nothing is started", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        run(
          jobs(`
a: { runs-on: x, container: node:22, steps: [{ run: x }] }
b: { runs-on: x, services: { redis: { image: redis } }, steps: [{ uses: docker://alpine }] }
c: { runs-on: x, container: "\${{ matrix.image }}", strategy: { matrix: { image: ['', alpine] } }, steps: [{ run: x }] }`)
        )
      )
      assert.deepStrictEqual(
        error._tag === "WorkflowInvalid"
          ? error.diagnostics.map(({ column, line, message }) => `${line}:${column} ${message}`)
          : [],
        [
          "4:31 The local backend has no job containers",
          '5:32 The local backend has no services from images ("redis")',
          "5:75 The local backend has no container steps (docker://alpine)"
        ]
      )
      const computed = yield* run(
        jobs(
          `c: { runs-on: x, container: "\${{ matrix.image }}", strategy: { fail-fast: false, matrix: { image: ['', alpine] } }, steps: [{ run: echo ran }] }`
        )
      )
      assert.deepStrictEqual(computed.jobs, { "c ()": "success", "c (alpine)": "error" })
      assert.strictEqual(computed.output(), "ran\n")
    })
  )

  it.live("whose own words cannot be evaluated are errors, with the place and without secrets", () =>
    Effect.gen(function* () {
      const ran = yield* run(
        jobs(`
a: { runs-on: x, strategy: { matrix: { x: "\${{ fromJSON(vars.BAD) }}" } }, steps: [{ run: x }] }
b: { runs-on: x, timeout-minutes: "\${{ fromJSON('-1') }}", steps: [{ run: x }] }
c: { runs-on: x, env: { X: "\${{ fromJSON(secrets.S) }}" }, steps: [{ run: x }] }`),
        { vars: { BAD: "{" }, secrets: { S: Redacted.make("{very-secret") } }
      )
      const errors = ran.result.runs.map(({ error, steps }) => error?.message ?? steps[0]?.detail ?? "")
      assert.match(errors[0] ?? "", /ci\.yml:4:\d+: .*JSON/)
      assert.match(errors[1] ?? "", /ci\.yml:5:\d+: `timeout-minutes` must be a number above 0, and is -1/)
      assert.match(errors[2] ?? "", /ci\.yml:6:\d+: /)
      assert.notInclude(JSON.stringify(ran.events), "very-secret")
    })
  )
})
