import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as MemoryBackend from "../../../src/backends/memory/MemoryBackend.ts"
import { MemoryWorld } from "../../../src/backends/memory/MemoryWorld.ts"
import * as EnvVars from "../../../src/domain/EnvVars.ts"
import { prepareRun } from "../../../src/programs/github/internal/prepareRun.ts"
import { refusals } from "../../../src/programs/github/internal/refusals.ts"
import * as WorkflowFile from "../../../src/programs/github/WorkflowFile.ts"
import { directoryWith, onDisk, oneJob, run, runFile } from "./support.ts"

const composite = (body: string) => `name: composite
${body}`

describe("a composite action", () => {
  it.live("has inputs and outputs, steps of its own, and others in it", () =>
    Effect.gen(function* () {
      const ran = yield* run(
        oneJob(
          `
- uses: actions/checkout@v4
- id: outer
  uses: ./.github/actions/outer
  with: { Who: "\${{ env.NAME }}" }
  env: { NAME: step, ONLY: here }
- run: echo "after \${{ steps.outer.outputs.result }} [\${{ steps.inner.outputs.x }}] $FROM_ACTION [$ONLY]"`,
          "env: { NAME: job }"
        ),
        {
          files: {
            ".github/actions/outer/action.yml": composite(`inputs:
  who: { required: true }
  greeting: { default: "Hello from \${{ github.event_name }}" }
outputs:
  result: { value: "\${{ steps.inner.outputs.x }}/\${{ steps.nested.outputs.deep }}" }
runs:
  using: composite
  steps:
    - id: inner
      shell: bash
      run: |
        echo "\${{ inputs.greeting }}, \${{ inputs.WHO }} $NAME $ONLY \${{ env.ONLY }}"
        cat "$GITHUB_ACTION_PATH/data.txt" "\${{ github.action_path }}/data.txt"
        echo "x=1" >> "$GITHUB_OUTPUT"
        echo "FROM_ACTION=yes" >> "$GITHUB_ENV"
    - id: nested
      uses: ./nested
    - if: steps.nested.outcome == 'success' && inputs.who == 'step'
      shell: sh
      run: echo "end $FROM_ACTION"
`),
            ".github/actions/outer/data.txt": "data\n",
            "nested/action.yaml": composite(`outputs: { deep: { value: "\${{ steps.s.outputs.v }}" } }
runs:
  using: composite
  steps: [{ id: s, shell: sh, run: 'echo v=deep >> "$GITHUB_OUTPUT"; echo "nested [\${{ inputs.who }}] $ONLY"' }]`)
          }
        }
      )
      assert.strictEqual(ran.result.conclusion, "success", JSON.stringify(ran.result))
      assert.strictEqual(
        ran.output(),
        "Hello from push, step step here here\ndata\ndata\nnested [] here\nend yes\nafter 1/deep [] yes []\n"
      )
      assert.deepStrictEqual(
        ran.steps().map((step) => step.split(":")[0]),
        ["step-1", "outer.inner", "outer.nested.s", "outer.step-3", "step-3"]
      )
    })
  )

  it.live("fails with its steps, is excused as a whole, and is skipped as a whole", () =>
    Effect.gen(function* () {
      const ran = yield* run(
        oneJob(`
- uses: actions/checkout@v4
- { id: one, uses: ./bad, continue-on-error: true }
- { id: two, uses: ./bad, if: "false" }
- { id: three, run: "echo \${{ steps.one.outcome }} \${{ steps.one.conclusion }} \${{ steps.one.outputs.o }} \${{ steps.two.outcome }}" }
- { id: slow, uses: ./slow, timeout-minutes: 0.005 }
- { id: last, if: failure(), run: "echo \${{ steps.slow.outcome }}" }`),
        {
          files: {
            "bad/action.yml": composite(`outputs: { o: { value: "\${{ steps.a.outputs.v }}" } }
runs:
  using: composite
  steps:
    - { id: a, shell: sh, run: 'echo v=set >> "$GITHUB_OUTPUT"; exit 1' }
    - { id: b, shell: sh, run: echo never }
    - { id: c, shell: sh, if: failure(), run: echo cleanup }`),
            "slow/action.yml": composite(
              "runs: { using: composite, steps: [{ id: s, shell: sh, run: exec sleep 60 }, { id: t, shell: sh, run: echo never }] }"
            )
          }
        }
      )
      assert.deepStrictEqual(ran.steps(), [
        "step-1: success",
        "one.a: failure success",
        "one.b: skipped",
        "one.c: success",
        "two: skipped",
        "three: success",
        "slow.s: timeout",
        "slow.t: skipped",
        "last: success"
      ])
      assert.strictEqual(ran.output(), "cleanup\nfailure success set skipped\nfailure\n")
    })
  )

  it.live("needs a checkout before it", () =>
    Effect.gen(function* () {
      const ran = yield* run(oneJob("- uses: ./a"), {
        files: { "a/action.yml": composite("runs: { using: composite, steps: [{ shell: sh, run: x }] }") }
      })
      assert.match(ran.result.runs[0]?.steps[0]?.detail ?? "", /no step of the job is an actions\/checkout/)
    })
  )
})

describe("a JavaScript action", () => {
  it.live("runs main, and at the end post, the last one first, with its state", () =>
    Effect.gen(function* () {
      const action = composite(`inputs: { the name: { default: none }, other: { default: "\${{ github.job }}" } }
runs: { using: node20, main: dist/main.js, pre: pre.js, post: dist/post.js, post-if: "success() || github.job == 'a'" }`)
      const ran = yield* run(
        oneJob(`
- uses: actions/checkout@v4
- { id: one, uses: ./act, with: { the name: first } }
- { id: two, name: Second, uses: ./act, with: { the name: second, Unknown: x } }
- { id: three, if: "false", uses: ./act }
- { id: four, uses: ./in }
- { id: fails, run: "echo \${{ steps.one.outputs.o }} $SET; exit 1" }`),
        {
          files: {
            "act/action.yml": action,
            "act/dist/main.js": `const fs = require("fs")
console.log("main", process.env.INPUT_THE_NAME, process.env.INPUT_OTHER)
fs.appendFileSync(process.env.GITHUB_STATE, "who=" + process.env.INPUT_THE_NAME + "\\n")
fs.appendFileSync(process.env.GITHUB_OUTPUT, "o=out\\n")
fs.appendFileSync(process.env.GITHUB_ENV, "SET=by-action\\n")
console.log("::save-state name=more::state")`,
            "act/dist/post.js": `console.log("post", process.env.INPUT_THE_NAME, process.env.STATE_who, process.env.STATE_more)`,
            "in/action.yml": composite(
              "runs: { using: composite, steps: [{ uses: ./act, with: { the name: inner } }] }"
            )
          }
        }
      )
      assert.strictEqual(
        ran.output(),
        "main first a\nmain second a\nmain inner a\nout by-action\npost inner inner state\npost second second state\npost first first state\n"
      )
      assert.deepStrictEqual(ran.steps(), [
        "step-1: success",
        "one: success",
        "two: success",
        "three: skipped",
        "four.step-1: success",
        "fails: failure",
        "four.step-1.post: success",
        "two.post: success",
        "one.post: success"
      ])
      assert.strictEqual(ran.result.runs[0]?.steps.at(-2)?.name, "Post Second")
      const warnings = ran.events.flatMap((event) => (event._tag === "Warning" ? [event.message] : []))
      assert.isTrue(warnings.some((message) => /there is no input Unknown/.test(message)))
      assert.isTrue(warnings.some((message) => /`pre` of a local action does not run/.test(message)))
    })
  )
})

describe("containers", () => {
  it.effect("of jobs, services, steps and Docker actions are what the backend is asked for", () =>
    onDisk(
      Effect.gen(function* () {
        const workspace = yield* directoryWith({
          "docker/action.yml": `name: d
inputs: { a: { default: dflt } }
runs:
  using: docker
  image: docker://alpine:3
  entrypoint: /run.sh
  args: ["one \${{ inputs.a }}", two]
  env: { FROM: "\${{ inputs.a }}" }`,
          "built/action.yml": "runs: { using: docker, image: sub/Dockerfile, args: [x], post-entrypoint: /post.sh }"
        })
        const file = yield* WorkflowFile.fromText(
          oneJob(
            `
- uses: actions/checkout@v4
- run: "true"
- { uses: docker://busybox, with: { entrypoint: /bin/echo, args: 'x "y z"' } }
- { uses: ./docker }
- { uses: ./built }`,
            `container:
  image: registry.example:5000/node:\${{ matrix.v }}
  credentials: { username: me, password: "\${{ secrets.NONE || 'pw' }}" }
  env: { C: "1" }
  ports: [80, "8080:81/udp"]
  volumes: ["data:/data", "/host:/in:ro", "/anon"]
  options: --cpus 2 --user 1001
strategy: { matrix: { v: [22] } }
services:
  redis:
    image: redis:7
    ports: ["6379:6379"]
    env: { X: y }
    command: redis-server --save ""
    options: --health-cmd "redis-cli ping" --health-interval 2s`
          ),
          { workspace, file: "ci.yml" }
        )
        const ran = yield* runFile(file)
        assert.strictEqual(ran.result.conclusion, "success", JSON.stringify(ran.result.runs[0]))
        const records = yield* (yield* MemoryWorld).records
        const provisioned = records.find(({ _tag }) => _tag === "Provisioning")
        const started = records.filter(({ _tag }) => _tag === "StepStarted")
        const [script, docker, action, built, post] = started.map((record) =>
          "step" in record ? record.step : undefined
        )
        assert.strictEqual(provisioned?._tag, "Provisioning")
        assert.strictEqual(Redacted.value(script?.env.C ?? Redacted.make("")), "1")
        assert.isUndefined(docker?.env.C, "what the job's container has is not in other containers")
        assert.deepInclude(docker, {
          image: "busybox",
          workingDirectory: workspace,
          entryPoint: ["/bin/echo"],
          args: ["x", "y z"]
        })
        const dockerfile = join(workspace, "built/sub/Dockerfile")
        assert.deepInclude(built, { dockerfile, args: ["x"] })
        assert.deepInclude(post, { dockerfile, entryPoint: ["/post.sh"] })
        const prepared = yield* prepareRun(file, {})
        const without = { ...MemoryBackend.capabilities, dockerfileSteps: false }
        assert.deepStrictEqual(
          refusals(prepared, "mine", without, undefined).map(({ line, message }) => `${line} ${message}`),
          ["26 The mine backend has no container steps from a Dockerfile (./built)"]
        )
        assert.deepStrictEqual(refusals(prepared, "mine", MemoryBackend.capabilities, undefined), [])
        assert.deepInclude(action, { image: "alpine:3", entryPoint: ["/run.sh"], args: ["one dflt", "two"] })
        assert.deepStrictEqual(EnvVars.reveal({ FROM: action!.env.FROM!, INPUT_A: action!.env.INPUT_A! }), {
          FROM: "dflt",
          INPUT_A: "dflt"
        })
      })
    ).pipe(Effect.provide(MemoryBackend.layerTest(), { local: true }))
  )

  it.live("has others of the workspace in place of those elsewhere, or none", () =>
    Effect.gen(function* () {
      const text = oneJob(`
- uses: actions/checkout@v4
- id: node
  uses: actions/setup-node@v4
  with: { node-version: 22 }
- id: cache
  uses: actions/cache@v4
- uses: actions/cache/save@v4
- run: echo "\${{ steps.node.outputs.said }}, \${{ steps.cache.outcome }} [\${{ steps.cache.outputs.cache-hit }}]"
- uses: ./nested`)
      const composite = (steps: string) => `name: It\nruns:\n  using: composite\n  steps:\n${steps}`
      const files = {
        "ci/node/action.yml": `inputs: { node-version: { required: true } }\noutputs: { said: { value: "\${{ steps.s.outputs.said }}" } }\n${composite(
          '    - { id: s, shell: sh, run: "echo said=node ${{ inputs.node-version }} >> $GITHUB_OUTPUT" }\n'
        )}`,
        "nested/action.yml": composite(
          "    - uses: Actions/Upload-Artifact@v4\n    - { shell: sh, run: echo nested }\n"
        )
      }
      const actions = {
        "actions/setup-node": "./ci/node",
        "actions/*": "skip",
        "actions/setup-node@v3": "skip"
      } as const
      const ran = yield* run(text, { files, actions })
      assert.strictEqual(ran.output(), "node 22, success []\nnested\n")
      const refused = yield* Effect.flip(run(text, { files, actions: { "actions/cache": "skip" } }))
      assert.match(refused.message, /ci\.yml:10:15: error: The action actions\/setup-node@v4 cannot run here/)
      assert.include(refused.message, "--action actions/setup-node=skip")
      assert.match(refused.message, /ci\.yml:14:15: .*actions\/cache\/save@v4/)
      assert.match(refused.message, /nested\/action\.yml:5:13: .*Actions\/Upload-Artifact@v4/)
      const missing = yield* Effect.flip(run(text, { files, actions: { "actions/*": "./nowhere" } }))
      assert.match(missing.message, /There is no action\.yml or action\.yaml in nowhere/)
    })
  )
})
