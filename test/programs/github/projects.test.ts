/** Workflow files as public projects have them, written anew, run on this machine. */
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as LocalBackend from "../../../src/backends/local/LocalBackend.ts"
import type * as RunOptions from "../../../src/programs/github/RunOptions.ts"
import * as WorkflowFile from "../../../src/programs/github/WorkflowFile.ts"
import { directoryWith, noPython, onDisk, runFile } from "./support.ts"

const project = join(import.meta.dirname, "fixtures/project")

interface Case {
  readonly options?: RunOptions.Options
  readonly jobs: Readonly<Record<string, string>>
  readonly conclusion?: string
  readonly says: ReadonlyArray<string | RegExp>
  readonly never?: ReadonlyArray<string>
  readonly summaries?: ReadonlyArray<string>
  readonly python?: true
}

const github = { ref: "refs/heads/main", sha: "0123456789".repeat(4), repository: "Owner/Project" }

const cases: Readonly<Record<string, Case>> = {
  "library-ci": {
    jobs: {
      lint: "success",
      "Test (ubuntu-22.04, 20)": "success",
      "Test (ubuntu-24.04, 20)": "success",
      "Test (ubuntu-24.04, 22)": "success",
      "Test (ubuntu-24.04, nightly)": "failure",
      "all-green": "success"
    },
    says: ["test unit on ubuntu-24.04/22", "##[warning title=Nightly]failed on nightly", "green: success,success"]
  },
  monorepo: {
    jobs: {
      discover: "success",
      "build (core, packages/core/deps.lock)": "success",
      "build (web, packages/web/deps.lock)": "success",
      docs: "success"
    },
    says: ["build core with key found\nlock 1", "build web with key found\nlock 2", "docs index.md"]
  },
  changes: {
    python: true,
    options: {
      event: { name: "pull_request", payload: { files: ["src/a.c"], pull_request: { base: { ref: "3.13" } } } }
    },
    jobs: {
      "check-changes": "success",
      "build-docs": "skipped",
      "build-ubuntu (false)": "success",
      "build-ubuntu (true)": "success",
      "all-required-green": "success"
    },
    says: [
      "against 3.13",
      "configured --disable-gil --slow-ci",
      /required: \['build-docs', 'build-ubuntu', 'check-changes'\] bad: \[\]/
    ]
  },
  release: {
    options: {
      event: { name: "push", payload: {} },
      github: { ...github, ref: "refs/tags/v1.4.2" },
      secrets: { REGISTRY_TOKEN: Redacted.make("npm_secret_token") }
    },
    jobs: {
      version: "success",
      "build (x86_64-unknown-linux-gnu)": "success",
      "build (aarch64-unknown-linux-musl, true)": "success",
      publish: "success"
    },
    says: [
      "native build of 1.4.2 for x86_64",
      "cross build of 1.4.2 for aarch64",
      "publishing with ***, dry run: false",
      "tool 3: publish"
    ],
    never: ["npm_secret_token"],
    summaries: ["## Released 1.4.2 to stable\n"]
  },
  composite: {
    jobs: { build: "success" },
    says: [
      "##[group]Timer build",
      "tool 2: --version",
      "tool 2: build tool false",
      "again true []",
      "build took some time"
    ]
  },
  linters: {
    jobs: { lint: "success" },
    says: [
      "##[notice file=docs/index.md;line=1]no typo",
      "plain sh: none",
      "perl 2",
      "| spelling | failure |",
      "| pipes | failure |"
    ],
    never: ["never"],
    summaries: ["| check | result |\n| --- | --- |\n| spelling | failure |\n| pipes | failure |\n"]
  },
  nightly: {
    options: {
      event: { name: "workflow_dispatch", payload: {} },
      secrets: { WEBHOOK: Redacted.make("https://hooks.example/T123") }
    },
    jobs: { flaky: "success", long: "failure", notify: "success", quiet: "skipped" },
    conclusion: "failure",
    says: ["attempt 1 failed", "POST ***", "Nightly failed: long is failure after 2 attempts {not a value}"],
    never: ["hooks.example", "all is well"]
  },
  deploy: {
    options: { secrets: { KUBECONFIG: Redacted.make("apiVersion: v1\nkind: Config\ntoken: abcdef0123") } },
    jobs: { build: "success", "Deploy to staging": "success", "Deploy to production": "success" },
    says: [
      "deploy registry.example/owner/project:0123456 to staging (0)\ntag main\ntag sha-0123456\n",
      "smoke Linux",
      "deploy registry.example/owner/project:0123456 to production (1)",
      "production without skipped smoke"
    ],
    never: [
      "abcdef0123",
      Buffer.from("apiVersion: v1\nkind: Config\ntoken: abcdef0123\n").toString("base64").slice(0, 40)
    ]
  },
  "python-tests": {
    python: true,
    jobs: { sqlite: "success", memory: "success" },
    says: ["tests on sqlite sqlite venv", "tests on memory memory venv"],
    never: ["debugging"]
  },
  reproducible: {
    jobs: { "build (first)": "success", "build (second)": "success", compare: "success" },
    says: ["reproducible yes"]
  }
}

describe("a workflow of a public project", () => {
  for (const [
    name,
    { conclusion = "success", jobs, never = [], options, python, says, summaries = [] }
  ] of Object.entries(cases)) {
    it.live.skipIf(python === true && noPython)(name, () =>
      onDisk(
        Effect.gen(function* () {
          const state = yield* directoryWith({})
          const file = yield* WorkflowFile.read(join(project, `.github/workflows/${name}.yml`))
          assert.strictEqual(file.workspace, project)
          const ran = yield* runFile(file, { github, ...options }).pipe(
            Effect.provide(LocalBackend.layer({ stateDirectory: state }), { local: true })
          )
          assert.deepStrictEqual(ran.jobs, jobs, ran.output())
          assert.strictEqual(ran.result.conclusion, conclusion)
          for (const words of says) {
            if (typeof words === "string") assert.include(ran.output(), words)
            else assert.match(ran.output(), words)
          }
          for (const words of never) assert.notInclude(ran.output(), words)
          const all = JSON.stringify([ran.events, ran.result, ran.summaries]) + ran.output()
          for (const secret of Object.values(options?.secrets ?? {})) {
            for (const line of Redacted.value(secret).split("\n")) assert.notInclude(all, line)
          }
          assert.deepStrictEqual(
            ran.summaries.map(({ markdown }) => markdown),
            summaries
          )
        })
      )
    )
  }
})
