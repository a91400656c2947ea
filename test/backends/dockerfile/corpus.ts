/**
 * Dockerfiles shaped like those of real actions, written for these tests, with what is to come of them. Each is a directory of `corpus`;
 * a step is run with `INPUT_NAME=Mona` and the arguments, in `/github/workspace`.
 */
import { join } from "node:path"

export const corpus = join(import.meta.dirname, "corpus")

export interface Taken {
  readonly name: string
  /** Of action.yml. */
  readonly entryPoint?: ReadonlyArray<string>
  readonly args?: ReadonlyArray<string>
  /** What the inline builder makes of it. */
  readonly plan: {
    readonly image: string
    /** What is said of the command that the step becomes. */
    readonly enters: string
    /** Images of the containers beside it. */
    readonly beside?: ReadonlyArray<string>
    readonly tools?: true
    readonly root?: true
    /** Base images whose configuration it does not go without. */
    readonly asks?: ReadonlyArray<string>
  }
  /** What the action itself writes. */
  readonly writes: ReadonlyArray<string>
  readonly exitCode?: number
}

export interface Refused {
  readonly name: string
  readonly refusal: string
  readonly who: "author" | "administrator"
}

const report = (args: ReadonlyArray<string>, id = "0:0") => [
  `args:${args.length}:${args.join(" ")}`,
  "in:Mona",
  "at:/github/workspace",
  `id:${id}`
]

export const taken: ReadonlyArray<Taken> = [
  {
    name: "01-entrypoint-script",
    args: ["one", "two words"],
    plan: { image: "alpine:latest", enters: "/entrypoint.sh one 'two words'" },
    writes: report(["one", "two words"])
  },
  { name: "02-run-chmod", plan: { image: "alpine:latest", enters: "/entrypoint.sh" }, writes: report([]) },
  {
    name: "03-debian-tools",
    plan: { image: "ubuntu:latest", enters: "bash /entrypoint.sh" },
    writes: ["1.2.3", ...report([])]
  },
  {
    name: "04-workdir-env",
    plan: { image: "alpine:latest", enters: "entrypoint.sh" },
    writes: ["very quiet /opt/app", "path", ...report([])]
  },
  {
    name: "05-copy-all",
    plan: { image: "alpine:latest", enters: "sh -c 'cat /listing'" },
    writes: [
      ".",
      "./.dockerignore",
      "./Dockerfile",
      "./KEEP.md",
      "./lib",
      "./lib/a.txt",
      "./lib/deep",
      "./lib/deep/b.txt",
      "./main"
    ]
  },
  {
    name: "06-wildcards",
    plan: { image: "alpine:latest", enters: "sh -c 'ls /usr/local/bin /tools'" },
    writes: ["/tools:", "c.txt", "d.md", "y", "", "/usr/local/bin:", "a.sh", "b.sh", "c.txt"]
  },
  {
    name: "07-user-name",
    plan: { image: "ubuntu:latest", enters: "become runner env", root: true },
    writes: [
      "built by runner in /home/runner, home /home/runner",
      "1500:1500 755",
      "1500:1500 644",
      ...report([], "1500:1500")
    ],
    entryPoint: ["/home/runner/entrypoint.sh"]
  },
  {
    name: "08-user-number",
    plan: { image: "alpine:latest", enters: "become 1234:4321 env", root: true },
    writes: report([], "1234:4321")
  },
  {
    name: "09-cmd-and-entrypoint",
    plan: { image: "alpine:latest", enters: "/entrypoint.sh --default 'two words'" },
    writes: report(["--default", "two words"])
  },
  {
    name: "10-shell-entrypoint",
    plan: { image: "alpine:latest", enters: `/bin/sh -c 'echo "hello $WHO $INPUT_NAME"'` },
    writes: ["hello world Mona"]
  },
  {
    name: "11-shell-instruction",
    plan: { image: "ubuntu:latest", enters: "/bin/bash -o pipefail -c" },
    writes: ["strict", "bash"]
  },
  {
    name: "12-multi-stage",
    plan: { image: "alpine:latest", enters: "hello", beside: ["ubuntu:latest"] },
    writes: ["v1", ".version", "greet", "hello", ...report([])]
  },
  {
    name: "13-stage-continued",
    plan: { image: "alpine:latest", enters: "sh -c", beside: ["alpine:latest"] },
    writes: ["base", "base", "final", "base", "tools"]
  },
  {
    name: "14-copy-from-image",
    plan: { image: "ubuntu:latest", enters: "busybox echo", beside: ["busybox:latest"], tools: true },
    writes: ["from busybox"]
  },
  { name: "15-unused-stage", plan: { image: "alpine:latest", enters: "echo fine" }, writes: ["fine"] },
  {
    name: "16-args",
    plan: { image: "alpine:latest", enters: "sh -c" },
    writes: ["1.0 plain 1.0-plain", "1.0-plain none set []"]
  },
  {
    name: "17-run-heredoc",
    plan: { image: "ubuntu:latest", enters: "cat /data/lines /data/both" },
    writes: ["line 1", "line 2", "line 3", "two"]
  },
  {
    name: "18-copy-heredoc",
    plan: { image: "alpine:latest", enters: "/entrypoint.sh" },
    writes: ["hello jobscope", "jobscope Mona"]
  },
  { name: "19-escape-directive", plan: { image: "alpine:latest", enters: "cat /x" }, writes: ["a\\b", "c"] },
  { name: "20-continuations", plan: { image: "alpine:latest", enters: "echo lower" }, writes: ["lower"] },
  {
    name: "21-add-archive",
    plan: { image: "ubuntu:latest", enters: "sh -c" },
    writes: ["/opt/files/a", "/opt/plain.gz", "inside"]
  },
  { name: "22-exec-run", plan: { image: "alpine:latest", enters: "ls -A '/a b'" }, writes: ["c"] },
  { name: "23-volume-expose", plan: { image: "alpine:latest", enters: "sh -c" }, writes: ["/cache", "/data"] },
  { name: "24-cache-mount", plan: { image: "alpine:latest", enters: "cat /ok" }, writes: ["ok"] },
  {
    name: "25-cmd-only",
    plan: { image: "ubuntu:latest", enters: "/entrypoint.sh from-cmd", asks: ["ubuntu:latest"] },
    writes: report(["from-cmd"])
  },
  {
    name: "26-inherited",
    args: ["redis-server", "--version"],
    plan: { image: "redis:latest", enters: "redis-server --version", asks: ["redis:latest"] },
    writes: []
  },
  {
    name: "27-node-action",
    args: ["x"],
    plan: { image: "node:22", enters: "node /usr/src/app/src/index x" },
    writes: ['args:["x"] in:Mona']
  },
  { name: "28-failing-run", plan: { image: "alpine:latest", enters: "echo never" }, writes: [], exitCode: 42 },
  {
    name: "29-failing-entrypoint",
    plan: { image: "alpine:latest", enters: "sh -c" },
    writes: ["out"],
    exitCode: 9
  },
  {
    name: "30-scratch",
    plan: {
      image: "docker.io/library/busybox:musl",
      enters: "/busybox echo static",
      beside: ["busybox:latest"],
      tools: true
    },
    writes: ["static"]
  },
  { name: "31-background", plan: { image: "alpine:latest", enters: "sh -c" }, writes: ["gone"] },
  {
    name: "32-nonroot-base",
    plan: { image: "ghcr.io/actions/actions-runner:latest", enters: "sh -c" },
    writes: ["1001", "1001", "1001"]
  },
  {
    name: "33-odd-names",
    plan: { image: "ubuntu:latest", enters: "sh -c" },
    writes: ["here=h", "name=n", "user=u", "spaced", "UID=77", "here=h", "name=n", "user=u"]
  },
  {
    name: "34-exclude-chmod",
    plan: { image: "ubuntu:latest", enters: "sh -c" },
    writes: [". 755", "./a 755", "./sub 755", "./sub/c 644"]
  },
  { name: "35-background-dash", plan: { image: "ubuntu:latest", enters: "sh -c" }, writes: ["gone"] }
]

export const refused: ReadonlyArray<Refused> = [
  {
    name: "r1-bind-mount",
    refusal:
      "Dockerfile line 2: 'RUN --mount=type=bind,source=a,target=/a cat /a' needs an image builder for --mount=type=bind; this runner only has the built-in one",
    who: "administrator"
  },
  {
    name: "r2-add-url",
    refusal:
      "Dockerfile line 2: 'ADD https://example.com/tool /tool' needs an image builder for a URL; this runner only has the built-in one",
    who: "administrator"
  },
  {
    name: "r3-network",
    refusal:
      "Dockerfile line 2: 'RUN --network=none true' needs an image builder for --network; this runner only has the built-in one",
    who: "administrator"
  },
  {
    name: "r4-missing-file",
    refusal:
      "Dockerfile line 2: 'COPY dist/index.js /index.js' names 'dist/index.js', which is not in the action's directory",
    who: "author"
  },
  {
    name: "r5-no-entrypoint",
    refusal: "Neither the Dockerfile nor its base image has an ENTRYPOINT or a CMD, and action.yml names no entrypoint",
    who: "author"
  },
  {
    name: "r6-later-stage",
    refusal: "Dockerfile line 2: 'COPY --from=later /x /x' is not valid: stage later must be defined before this one",
    who: "author"
  },
  {
    name: "r7-platform",
    refusal:
      "Dockerfile line 1: 'FROM --platform=linux/s390x alpine:latest' asks for linux/s390x, and this node has linux/amd64: it needs an image builder; this runner only has the built-in one",
    who: "administrator"
  },
  {
    name: "r8-whole-stage",
    refusal:
      "Dockerfile line 3: 'COPY --from=a / /' needs an image builder to copy all of another stage; this runner only has the built-in one",
    who: "administrator"
  }
]
