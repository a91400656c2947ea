/** Workflow files by the command line as it is published, in pods of a real cluster: what they give, what they exit with, what they leave. */
import { cpSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import { folder, run, start, useJobscope, type Where } from "../../programs/cli/process.ts"
import { kube, suiteNamespace } from "../support/suiteNamespace.ts"

const namespace = suiteNamespace()
useJobscope()

const root = join(import.meta.dirname, "../../..")
const inPods = ["--backend", "pod", "--namespace", namespace]
/** Where the cluster is: nothing else of this machine counts. */
const env = Object.fromEntries(
  ["KUBECONFIG", "HOME"].flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : []))
)
const at = (cwd: string): Where => ({ cwd, env: env as Record<string, string> })

/** What the namespace has of any job: names of pods and Secrets. */
const left = (): Promise<ReadonlyArray<string>> =>
  Effect.gen(function* () {
    const client = yield* KubeClient.KubeClient
    const pods = yield* client.list({ resource: KubeResource.pods, namespace })
    const secrets = yield* client.list({ resource: KubeResource.secrets, namespace })
    return [...pods.items, ...secrets.items].map(({ metadata }) => metadata?.name ?? "")
  }).pipe(Effect.provide(kube), Effect.runPromise)

/** A project with actions of its own, and this workflow. */
const project = (workflow: string, more: Readonly<Record<string, string>> = {}): string => {
  const cwd = folder({ "ci.yml": workflow, ...more })
  cpSync(join(root, "test/programs/github/fixtures/project"), cwd, { recursive: true })
  return cwd
}

const count = `name: Count
inputs:
  file: { required: true }
outputs:
  lines: { description: How many }
runs:
  using: docker
  image: docker://docker.io/library/alpine:latest
  entrypoint: sh
  args:
    - -ec
    - |
      echo "in \${PWD} of $GITHUB_WORKSPACE: $(cat made)"
      echo "redis says $(printf 'PING\\r\\nQUIT\\r\\n' | nc -w 5 redis 6379 | head -1 | tr -d '\\r')"
      echo "lines=$(wc -l < "\${{ inputs.file }}" | tr -d ' ')" >> "$GITHUB_OUTPUT"
      echo "COUNTED=yes" >> "$GITHUB_ENV"
      echo "from the action" > left-by-action
      rm made
`

const larger = `name: Larger
on: push
env: { TOOL_VERSION: "2" }
jobs:
  build:
    runs-on: ubuntu-latest
    container: docker.io/library/node:22
    services:
      redis:
        image: docker.io/library/redis:latest
        options: --health-cmd "redis-cli ping" --health-interval 1s --health-retries 60
    outputs:
      lines: \${{ steps.count.outputs.lines }}
      tool: \${{ steps.setup.outputs.tool-path }}
    steps:
      - uses: actions/checkout@v4
      - uses: ./.github/actions/timer
        with: { label: build }
      - id: setup
        uses: ./.github/actions/setup
        with: { version: "\${{ env.TOOL_VERSION }}" }
      - run: |
          tool build
          echo "made by a script" > made
      - id: count
        uses: ./.github/actions/count
        with: { file: src/words.txt }
      - run: |
          echo "after: $(cat left-by-action) $COUNTED \${{ steps.count.outputs.lines }}"
          test ! -e made
      - uses: docker://docker.io/library/busybox:latest
        with:
          entrypoint: /bin/cat
          args: VERSION left-by-action
  check:
    needs: build
    runs-on: ubuntu-latest
    container: docker.io/library/busybox:latest
    strategy: { matrix: { n: [1, 2] } }
    steps:
      - run: |
          echo "\${{ matrix.n }}: \${{ needs.build.outputs.lines }} lines, $(basename "\${{ needs.build.outputs.tool }}")"
          echo "- check \${{ matrix.n }}" >> "$GITHUB_STEP_SUMMARY"
  broken:
    needs: check
    runs-on: ubuntu-latest
    container: docker.io/library/busybox:latest
    steps:
      - run: echo "to fail"; exit 7
      - run: echo never
`

describe("jobscope run --backend pod", () => {
  it("examples/workflows/services.yml", async () => {
    const cwd = folder({ "services.yml": readFileSync(join(root, "examples/workflows/services.yml")) })
    const { code, stderr, stdout } = await run(["run", "services.yml", ...inPods], at(cwd))
    assert.deepStrictEqual([code, stderr], [0, ""], stdout)
    assert.include(stdout, "| redis on port 6379 says +PONG\n")
    assert.match(stdout, /✓ success +\S+ {2}cache\n$/)
    assert.deepStrictEqual(await left(), [])
  })

  it("runs jobs without a container in the images that the configuration names", async () => {
    const cwd = folder({
      ".jobscope.yml": `backend: pod\nnamespace: ${namespace}\nimage:\n  ubuntu-*: docker.io/library/ubuntu:latest\n  "*": docker.io/library/busybox:latest\n`,
      "ci.yml":
        "on: push\njobs:\n" +
        "  a: { runs-on: ubuntu-24.04, steps: [{ run: 'echo with $(command -v apt-get)' }] }\n" +
        "  b: { runs-on: [self-hosted, tiny], needs: a, steps: [{ run: 'busybox | head -n 1' }] }\n"
    })
    const { code, stdout } = await run(["run", "ci.yml"], at(cwd))
    assert.strictEqual(code, 0, stdout)
    assert.include(stdout, "| with /usr/bin/apt-get\n")
    assert.match(stdout, /\| BusyBox v/)
    assert.deepStrictEqual(await left(), [])
  })

  it("runs workflow files of public projects as they are", async () => {
    const cwd = folder()
    cpSync(join(root, "test/programs/github/fixtures/project"), cwd, { recursive: true })
    const more = ["--image", "ubuntu-*=docker.io/library/node:22", ...inPods]
    const [library, monorepo] = await Promise.all([
      run(["run", "library-ci.yml", ...more], at(cwd)),
      run(["run", "monorepo.yml", ...more], at(cwd))
    ])
    assert.strictEqual(library.code, 0, library.stdout)
    assert.include(library.stdout, "| test unit on ubuntu-24.04/22\n")
    assert.include(library.stdout, "6 jobs: 5 success, 1 failure\n")
    assert.strictEqual(monorepo.code, 0, monorepo.stdout)
    for (const line of ["build core with key found", "build web with key found", "docs index.md"]) {
      assert.include(monorepo.stdout, `| ${line}\n`)
    }
    assert.deepStrictEqual(await left(), [])
  })

  it("composite, JavaScript and Docker actions beside a service, in one workspace", async () => {
    const cwd = project(larger, { ".github/actions/count/action.yml": count })
    const args = ["run", "ci.yml", "--passthrough", "--summary-file", "summary.md", ...inPods]
    const { code, stderr, stdout } = await run(args, at(cwd))
    assert.deepStrictEqual([code, stderr], [7, ""], stdout)
    for (const line of [
      "tool 2: --version",
      "tool 2: build",
      "in /workspace of /workspace: made by a script",
      "redis says +PONG",
      "after: from the action yes 3",
      "from the action",
      "build took some time",
      "1: 3 lines, tool",
      "2: 3 lines, tool",
      "to fail"
    ]) {
      assert.include(stdout, `| ${line}\n`)
    }
    assert.notInclude(stdout, "| never\n")
    assert.include(stdout, "4 jobs: 3 success, 1 failure\n")
    assert.sameMembers(readFileSync(join(cwd, "summary.md"), "utf8").trimEnd().split("\n"), ["- check 1", "- check 2"])
    assert.deepStrictEqual(await left(), [])
  })

  it("says in one line what it releases on Ctrl-C, and leaves nothing of eight jobs", async () => {
    const numbers = [1, 2, 3, 4, 5, 6, 7, 8]
    const cwd = folder({
      "file.txt": "here\n",
      "ci.yml": `on: push
jobs:
  work:
    runs-on: x
    container: docker.io/library/busybox:latest
    strategy: { matrix: { n: [${numbers}] } }
    steps:
      - uses: actions/checkout@v4
      - run: echo "\${{ matrix.n }} is $(cat file.txt)"; sleep 600 & sleep 600
      - if: cancelled()
        run: echo "cleaning \${{ matrix.n }}"
`
    })
    const running = start(["run", "ci.yml", "--parallel", "8", ...inPods], at(cwd))
    for (const n of numbers) await running.says(`| ${n} is here\n`)
    assert.isAtLeast((await left()).length, 8)
    running.kill("SIGINT")
    const { code, stderr, stdout } = await running.ended
    assert.strictEqual(code, 130, stdout)
    assert.strictEqual(stderr, "SIGINT: cancelling, releasing 8 environments; again to stop waiting\n")
    for (const n of numbers) assert.include(stdout, `| cleaning ${n}\n`)
    assert.include(stdout, "8 jobs: 8 cancelled\n")
    assert.deepStrictEqual(await left(), [])
    const listed = await run(["ps", "--output", "json", ...inPods], at(cwd))
    assert.deepStrictEqual(JSON.parse(listed.stdout).resources, [])
  })
})
