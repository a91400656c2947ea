import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { noPython, oneJob, run } from "./support.ts"

describe("a run step", () => {
  it.live("has what GitHub gives it", () =>
    Effect.gen(function* () {
      const ran = yield* run(
        oneJob(`
- id: one
  run: |
    echo "$GITHUB_JOB $GITHUB_ACTIONS $CI $GITHUB_EVENT_NAME $RUNNER_OS $GITHUB_REF $GITHUB_REPOSITORY $GITHUB_ACTION"
    test "$PWD" = "$GITHUB_WORKSPACE" && test "$GITHUB_WORKSPACE" = "\${{ github.workspace }}"
    test -d "$RUNNER_TEMP" && cat "$GITHUB_EVENT_PATH"`),
        { event: { name: "push", payload: { after: "x" } }, github: { repository: "me/it", ref: "refs/heads/b" } }
      )
      assert.strictEqual(ran.result.conclusion, "success", ran.output())
      assert.strictEqual(ran.output(), 'a true true push Linux refs/heads/b me/it one\n{"after":"x"}')
    })
  )

  it.live("runs in the shell that it names, with GitHub's options", () =>
    Effect.gen(function* () {
      const ran = yield* run(
        oneJob(`
- run: 'echo "default $-"; false | true'
- shell: bash
  run: 'echo "bash $- $BASH"; shopt -qo pipefail && echo pipefail'
- shell: sh
  run: 'echo "sh $-"'
- shell: cat {0}
  run: a script
- shell: bash
  run: false | true
- if: failure()
  run: echo after`)
      )
      assert.strictEqual(ran.result.conclusion, "failure")
      assert.match(ran.output(), /^default \w*e\w*\nbash \w*e\w* \S*bash\npipefail\nsh e\na script(?:\n)?after\n$/)
    })
  )

  it.live.skipIf(noPython)("runs in python", () =>
    Effect.gen(function* () {
      const ran = yield* run(
        oneJob(`
- shell: python
  run: |
    import os
    print("python " + os.environ["X"])
  env: { X: y }`)
      )
      assert.strictEqual(ran.result.conclusion, "success", ran.output())
      assert.strictEqual(ran.output(), "python y\n")
    })
  )

  it.live("works where it is told to, by itself, by the job, by the workflow", () =>
    Effect.gen(function* () {
      const text = `on: push
defaults: { run: { working-directory: w } }
jobs:
  a:
    runs-on: x
    steps:
      - uses: actions/checkout@v4
      - run: basename "$PWD"
  b:
    runs-on: x
    defaults: { run: { working-directory: j, shell: sh } }
    steps:
      - uses: actions/checkout@v4
      - run: basename "$PWD"
      - run: basename "$PWD"
        working-directory: w/\${{ 'inner' }}`
      const files = { "w/inner/x": "", "j/x": "" }
      assert.deepStrictEqual((yield* run(text, { files, jobs: ["a"] })).output(), "w\n")
      assert.deepStrictEqual((yield* run(text, { files, jobs: ["b"] })).output(), "j\ninner\n")
    })
  )

  it.live(
    "that cannot be started as it is described has failed, as on GitHub: it may be excused, and others see it",
    () =>
      Effect.gen(function* () {
        const steps = `
- id: nowhere
  run: echo never
  working-directory: not/there
  continue-on-error: true
- run: echo "\${{ steps.nowhere.outcome }} \${{ steps.nowhere.conclusion }}"
- run: echo never
  shell: no-such-shell {0}
- if: failure()
  run: echo seen`
        const ran = yield* run(oneJob(steps))
        assert.match(ran.output(), /^failure success\n.*no-such-shell: not found\nseen\n$/)
        assert.strictEqual(ran.result.conclusion, "failure")
        const [first] = ran.result.runs[0]?.steps ?? []
        assert.match(
          first?.detail ?? "",
          /^The step could not be started: the working directory .*not\/there does not exist$/
        )
      })
  )

  it.live("sees variables of the workflow, the job and itself, and what earlier steps set", () =>
    Effect.gen(function* () {
      const ran = yield* run(
        `on: push
env: { A: workflow, B: workflow, C: workflow }
jobs:
  a:
    runs-on: x
    env: { B: job, C: job, path: mine, FROM: "\${{ github.job }}" }
    steps:
      - run: |
          echo "$A $B $C $FROM $path \${{ env.A }} \${{ env.C }} \${{ env.path }}"
          echo B=set >> "$GITHUB_ENV"
          printf 'LONG<<EOF\\none\\ntwo\\r\\nEOF\\n' >> "$GITHUB_ENV"
          echo NODE_OPTIONS=--bad >> "$GITHUB_ENV"
          mkdir -p bin && echo 'echo found' > bin/tool && chmod +x bin/tool
          echo "$PWD/nowhere" >> "$GITHUB_PATH"
          echo "$PWD/bin" >> "$GITHUB_PATH"
        env: { C: "step \${{ env.B }}" }
      - run: |
          echo "$A $B $C \${{ env.B }} [$NODE_OPTIONS]"
          printf '%s' "$LONG" | od -c | head -1
          tool; echo "$PATH" | cut -d: -f1-2 | xargs -d: -n1 basename`,
        { env: { A: "command line", D: "d" } }
      )
      assert.strictEqual(ran.result.conclusion, "success", ran.output())
      assert.deepStrictEqual(ran.output().split("\n").slice(0, 7), [
        "workflow job step job a mine workflow step job mine",
        "workflow set job set []",
        "0000000   o   n   e  \\n   t   w   o  \\r",
        "found",
        "bin",
        "nowhere",
        ""
      ])
      const warnings = ran.events.flatMap((event) => (event._tag === "Warning" ? [event.message] : []))
      assert.match(warnings.join(), /NODE_OPTIONS cannot be set by \$GITHUB_ENV/)
    })
  )

  it.live("has outputs, an outcome and a conclusion", () =>
    Effect.gen(function* () {
      const ran = yield* run(
        oneJob(`
- id: set
  run: |
    echo "v=1" >> "$GITHUB_OUTPUT"
    echo "::set-output name=old::2"
    exit 3
  continue-on-error: \${{ true }}
- id: never
  if: steps.set.outcome == 'success'
  run: exit 1
- run: echo "\${{ steps.set.outputs.v }} \${{ steps.set.outputs.old }} \${{ steps.set.outcome }} \${{ steps.set.conclusion }} \${{ steps.never.outcome }} \${{ job.status }} [\${{ steps.set.outputs.nope }}]"
- run: echo "\${{ toJSON(steps) }}" | wc -l`)
      )
      assert.strictEqual(ran.output("step-3"), "1 2 failure success skipped success []\n")
      assert.deepStrictEqual(ran.steps(), [
        "set: failure success",
        "never: skipped",
        "step-3: success",
        "step-4: success"
      ])
      assert.strictEqual(ran.result.conclusion, "success")
    })
  )

  it.live("fails by its time, by an expression, and by a file that cannot be read", () =>
    Effect.gen(function* () {
      const ran = yield* run(
        oneJob(`
- { id: slow, run: exec sleep 60, timeout-minutes: 0.005 }
- { id: bad, run: "echo \${{ fromJSON('{') }}", if: always() }
- id: file
  if: always()
  run: echo nonsense >> "$GITHUB_OUTPUT"
- { id: time, run: 'true', timeout-minutes: "\${{ fromJSON('\\"x\\"') }}", if: always() }
- { id: next, run: 'true' }
- { id: status, if: failure(), run: "echo \${{ job.status }} \${{ steps.slow.outcome }}" }`)
      )
      assert.deepStrictEqual(ran.steps(), [
        "slow: timeout",
        "bad: failure",
        "file: failure",
        "time: failure",
        "next: skipped",
        "status: success"
      ])
      const details = ran.result.runs[0]?.steps.map(({ detail }) => detail ?? "") ?? []
      assert.match(details[1] ?? "", /^ci\.yml:9:\d+: .*JSON/)
      assert.match(details[2] ?? "", /GITHUB_OUTPUT cannot be read: line 1/)
      assert.match(details[3] ?? "", /`timeout-minutes` must be a number above 0, and is "x"/)
      assert.strictEqual(ran.output("status"), "failure failure\n")
    })
  )

  it.live("hashes files of the workspace", () =>
    Effect.gen(function* () {
      const ran = yield* run(
        oneJob(`
- uses: actions/checkout@v4
- run: |
    echo "\${{ hashFiles('**/*.lock') }}"
    (sha256sum a.lock; sha256sum b/c.lock) | cut -c1-64 | xxd -r -p | sha256sum | cut -c1-64
    echo "[\${{ hashFiles('nope*') }}] \${{ hashFiles('**/*.lock', '!b') == hashFiles('a.lock') }}"
- run: echo changed > a.lock
- run: echo "\${{ hashFiles('a.lock') }}"; sha256sum a.lock | cut -c1-64 | xxd -r -p | sha256sum | cut -c1-64`),
        { files: { "a.lock": "1", "b/c.lock": "2", "b/d": "3" } }
      )
      const lines = ran.output().trim().split("\n")
      assert.strictEqual(lines.length, 5)
      assert.match(lines[0] ?? "", /^[0-9a-f]{64}$/)
      assert.strictEqual(lines[0], lines[1])
      assert.strictEqual(lines[2], "[] true")
      assert.strictEqual(lines[3], lines[4])
    })
  )
})

describe("output", () => {
  it.live("has no secret in it, however it is printed", () =>
    Effect.gen(function* () {
      const secret = "s3cr3t-value\nsecond-line"
      const ran = yield* run(
        oneJob(
          `
- name: use \${{ secrets.TOKEN }} here
  id: leak
  env: { TOKEN: "\${{ secrets.TOKEN }}" }
  run: |
    echo "$TOKEN"
    echo "x $(printf %s "$TOKEN" | base64 -w0) y"
    echo "s3cr3t-va" | tr -d '\\n'; sleep 0.05; echo "lue"
    echo "::add-mask::dynamic-one"
    echo "dynamic-one" >&2
    echo "out=$TOKEN" | head -1 >> "$GITHUB_OUTPUT"
    echo "# $(echo "$TOKEN" | head -1)" >> "$GITHUB_STEP_SUMMARY"
    echo "::error::with s3cr3t-value"
    exit 1
- if: always()
  run: test "\${{ steps.leak.outputs.out }}" = "s3cr3t-value" && echo "same dynamic-one"`,
          'outputs: { o: "${{ steps.leak.outputs.out }}", fine: x }'
        ),
        { secrets: { TOKEN: Redacted.make(secret) } }
      )
      assert.strictEqual(ran.output("step-2"), "same ***\n")
      const all = JSON.stringify(ran.events) + JSON.stringify(ran.result) + JSON.stringify(ran.summaries) + ran.output()
      for (const part of ["s3cr3t-value", "second-line", "dynamic-one", Buffer.from(secret).toString("base64")]) {
        assert.notInclude(all, part)
      }
      assert.deepStrictEqual(ran.summaries, [{ job: "a", step: "use *** *** here", markdown: "# ***\n" }])
      assert.deepStrictEqual(ran.result.job("a")?.outputs, { o: "", fine: "x" })
    })
  )

  it.live("obeys commands, and stops doing so", () =>
    Effect.gen(function* () {
      const ran = yield* run(
        oneJob(`
- run: |
    printf 'no line end yet'; sleep 0.05; echo
    echo "::stop-commands::token-1"
    echo "::set-output name=a::1"
    echo "::token-1::"
    echo "::group::Group"
    echo "::debug::quiet"
    printf '::notice file=a.ts,line=3::No'; sleep 0.05; echo tice
- id: off
  run: echo "::set-env name=X::1"
- id: path
  if: always()
  env: { ACTIONS_ALLOW_UNSECURE_COMMANDS: true }
  run: |
    echo "::set-env name=X::1"
    echo "::add-path::/extra"
- if: always()
  run: echo "$X \${PATH%%:*} [\${{ steps.one.outputs.a }}]"`)
      )
      assert.strictEqual(
        ran.output("step-1"),
        "no line end yet\n::stop-commands::token-1\n::set-output name=a::1\n::token-1::\n##[group]Group\n##[notice file=a.ts;line=3]Notice\n"
      )
      assert.deepStrictEqual(ran.steps(), ["step-1: success", "off: failure", "path: success", "step-4: success"])
      assert.match(ran.result.runs[0]?.steps[1]?.detail ?? "", /"set-env" is disabled/)
      assert.strictEqual(ran.output("step-4"), "1 /extra []\n")
    })
  )
})
