/** Local Docker actions with a Dockerfile, by the command line as it is published, in pods of a real cluster. */
import { assert, describe, it } from "@effect/vitest"
import { folder, run, useJobscope, type Where } from "../../programs/cli/process.ts"
import { left } from "../support/leftovers.ts"
import { suiteNamespace } from "../support/suiteNamespace.ts"

const namespace = suiteNamespace()
useJobscope()

const inPods = ["--backend", "pod", "--namespace", namespace]
const at = (cwd: string): Where => ({
  cwd,
  env: Object.fromEntries(
    ["KUBECONFIG", "HOME"].flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : []))
  )
})

const greet = {
  ".github/actions/greet/action.yml": `name: Greet
inputs:
  who: { required: true }
outputs:
  said: { description: What was said }
runs:
  using: docker
  image: Dockerfile
  args: ["\${{ inputs.who }}", two words]
  env: { TONE: loud }
  post-entrypoint: /post.sh
`,
  ".github/actions/greet/Dockerfile": `FROM docker.io/library/busybox:latest AS made
RUN echo "from a stage" > /made
FROM docker.io/library/alpine:latest
ENV TONE=quiet
COPY --from=made /made /made
COPY *.sh /
RUN chmod +x /*.sh && echo "::set-output name=said::by a RUN" && env > /of-run
ENTRYPOINT ["/entrypoint.sh"]
`,
  ".github/actions/greet/entrypoint.sh": `#!/bin/sh
echo "$TONE $INPUT_WHO $1 $2 in $(pwd): $(cat /made), $(cat by-script)"
if grep -q INPUT_ /of-run; then echo "RUN saw the inputs"; fi
echo "said=hello $1" >> "$GITHUB_OUTPUT"
echo "by the action" > by-action
`,
  ".github/actions/greet/post.sh": `#!/bin/sh
echo "post: $(cat by-action)"
`
}

describe("jobscope run --backend pod", () => {
  it("an action with a Dockerfile: its stages, files, inputs, outputs and post step, in the job's workspace", async () => {
    const cwd = folder({
      ...greet,
      "ci.yml": `on: push
jobs:
  build:
    runs-on: x
    container: docker.io/library/busybox:latest
    steps:
      - uses: actions/checkout@v4
      - run: echo "by a script" > by-script
      - id: greet
        uses: ./.github/actions/greet
        with: { who: Mona }
      - run: 'echo "\${{ steps.greet.outputs.said }}, $(cat by-action)"'
`
    })
    const { code, stderr, stdout } = await run(["run", "ci.yml", ...inPods], at(cwd))
    assert.deepStrictEqual([code, stderr], [0, ""], stdout)
    assert.include(stdout, "| loud Mona Mona two words in /workspace: from a stage, by a script\n")
    assert.include(stdout, "| hello Mona, by the action\n")
    assert.include(stdout, "| post: by the action\n")
    assert.notInclude(stdout, "RUN saw the inputs")
    assert.deepStrictEqual(await left(namespace), [])
  })

  it("a RUN that fails is the step's failure, what cannot be built is an error with its line", async () => {
    const action = (dockerfile: string) => ({
      "action/action.yml": "name: A\nruns: { using: docker, image: Dockerfile }\n",
      "action/Dockerfile": dockerfile,
      "ci.yml": `on: push
jobs:
  build:
    runs-on: x
    container: docker.io/library/busybox:latest
    steps: [{ uses: actions/checkout@v4 }, { uses: ./action }, { if: failure(), run: echo afterwards }]
`
    })
    const failing = folder(
      action('FROM docker.io/library/alpine:latest\nRUN echo doing; exit 9\nENTRYPOINT ["true"]\n')
    )
    const failed = await run(["run", "ci.yml", "--passthrough", ...inPods], at(failing))
    assert.strictEqual(failed.code, 9, failed.stdout)
    assert.include(failed.stdout, "Dockerfile line 2: 'RUN echo doing; exit 9' ended with exit code 9.\n")
    assert.include(failed.stdout, "| afterwards\n")
    const set = folder({
      ...action('FROM docker.io/library/alpine:latest\nENTRYPOINT ["true"]\n'),
      ".jobscope.yml": "builder: buildah\nbuilder-option: { build-cache-claim: layers }\n"
    })
    const unset = await run(["run", "ci.yml", ...inPods], at(set))
    assert.notStrictEqual(unset.code, 0)
    assert.include(unset.stdout + unset.stderr, "The buildah builder is chosen, and not set up")
    assert.include(unset.stdout + unset.stderr, "Administrator: set --builder-option buildah-image.")
    const wrong = folder(action('FROM docker.io/library/alpine:latest\nCOPY nothing /\nENTRYPOINT ["true"]\n'))
    const refused = await run(["run", "ci.yml", ...inPods], at(wrong))
    assert.notStrictEqual(refused.code, 0)
    assert.include(
      refused.stdout + refused.stderr,
      "Dockerfile line 2: 'COPY nothing /' names 'nothing', which is not in the action's directory"
    )
    assert.deepStrictEqual(await left(namespace), [])
  })
})
