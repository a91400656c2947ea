import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Buildah from "../../../src/backends/dockerfile/Buildah.ts"
import * as BuildContext from "../../../src/backends/dockerfile/BuildContext.ts"
import { githubLog } from "../../../src/backends/dockerfile/LogStyle.ts"
import * as StepPlan from "../../../src/backends/dockerfile/StepPlan.ts"
import { directoryOf } from "./support/files.ts"

const planned = Effect.fnUntraced(function* (options: Partial<Buildah.Options> = {}) {
  const directory = yield* directoryOf({ Dockerfile: "FROM a", "src/x": "", "no.md": "", ".dockerignore": "*.md" })
  const context = yield* BuildContext.open(directory)
  const plan = yield* Buildah.plan(context, { image: "builder", ...options })
  const files = join(yield* directoryOf(), "files")
  const entering = {
    env: { A: "it's", "odd.name": "1" },
    workingDirectory: "/w",
    mounts: ["/github/workspace", "/github/home"]
  }
  yield* StepPlan.write([...plan.files, ...plan.enter(entering)], files, context)
  return { plan, files, read: (name: string) => readFileSync(join(files, name), "utf8") }
})

describe("a step that buildah builds and runs", () => {
  it.effect("has three capabilities, and nothing else that a pod is not born with", () =>
    Effect.gen(function* () {
      const { plan } = yield* planned()
      assert.deepStrictEqual(plan.security, {
        runAsUser: 0,
        runAsNonRoot: false,
        allowPrivilegeEscalation: false,
        capabilities: { drop: ["ALL"], add: ["SETUID", "SETGID", "SETFCAP"] }
      })
      assert.deepStrictEqual(plan.env, { BUILDAH_ISOLATION: "chroot", STORAGE_DRIVER: "overlay" })
      assert.deepStrictEqual(
        plan.volumes.map(({ from, path }) => [path, from._tag]),
        [
          ["/__jobscope/build", "Files"],
          ["/var/lib/containers", "Empty"]
        ]
      )
      assert.strictEqual(plan.image, "builder")
    })
  )

  it.effect("has what the administrator sets up", () =>
    Effect.gen(function* () {
      const { plan } = yield* planned({ cacheClaim: "layers", authSecret: "pull", seccomp: "localhost/builder.json" })
      assert.deepStrictEqual(plan.security.seccompProfile, { type: "Localhost", localhostProfile: "builder.json" })
      assert.deepInclude(plan.volumes[1]?.from, { _tag: "Claim", claim: "layers" })
      assert.deepInclude(plan.volumes[2]?.from, { _tag: "Secret", secret: "pull" })
      assert.strictEqual(plan.env.REGISTRY_AUTH_FILE, "/__jobscope/auth/.dockerconfigjson")
      assert.deepStrictEqual((yield* planned({ seccomp: "unconfined" })).plan.security.seccompProfile, {
        type: "Unconfined"
      })
    })
  )

  it.effect("gets the context without what is ignored, and scripts that a shell reads", () =>
    Effect.gen(function* () {
      const { files, read } = yield* planned({ entryPoint: ["/e"], args: ["a b"], log: githubLog("t") })
      const all = execFileSync("find", [".", "-type", "f"], { cwd: files }).toString().trim().split("\n").sort()
      assert.deepStrictEqual(all, [
        "./Dockerfile",
        "./config",
        "./context/.dockerignore",
        "./context/Dockerfile",
        "./context/src/x",
        "./enter",
        "./main",
        "./mounts"
      ])
      for (const script of ["main", "enter", "config"]) execFileSync("sh", ["-n", join(files, script)])
      assert.strictEqual(read("mounts"), "/github/workspace\n/github/home\n")
      assert.include(read("main"), `set -- "$@" /e 'a b'`)
      assert.notInclude(read("main"), "it's")
    })
  )

  it.effect("hands over its variables, odd ones too", () =>
    Effect.gen(function* () {
      const { files } = yield* planned()
      const script = readFileSync(join(files, "enter"), "utf8")
        .replace(/^exec >.*$/m, "")
        .replace("cd /w", "cd /")
      const out = execFileSync("sh", ["-c", script, "sh", "env"], { env: { PATH: process.env.PATH } })
        .toString()
        .split("\n")
      assert.includeMembers(out, ["A=it's", "odd.name=1"])
    })
  )
})
