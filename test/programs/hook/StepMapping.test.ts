import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as EnvVars from "../../../src/domain/EnvVars.ts"
import * as HookInput from "../../../src/programs/hook/internal/HookInput.ts"
import type { Places } from "../../../src/programs/hook/internal/Mounts.ts"
import * as StepMapping from "../../../src/programs/hook/internal/StepMapping.ts"

const work = "/home/runner/_work"
const places: Places = {
  paths: { work, temp: `${work}/_temp`, workspace: `${work}/repo/repo` },
  root: work,
  externals: `${work}/externals`
}

const scriptStep = Effect.fnUntraced(function* (args: object) {
  const input = yield* HookInput.parse(JSON.stringify({ command: "run_script_step", args }))
  return input.command === "run_script_step" ? yield* StepMapping.toScriptStep(input.args) : assert.fail(input.command)
})
const containerStep = Effect.fnUntraced(function* (args: object) {
  const input = yield* HookInput.parse(JSON.stringify({ command: "run_container_step", args }))
  if (input.command !== "run_container_step") return assert.fail(input.command)
  return yield* StepMapping.toContainerStep(input.args, places)
})

describe("a script step", () => {
  it.effect("is a line that sh reads, in one stream", () =>
    Effect.gen(function* () {
      const step = yield* scriptStep({
        entryPoint: "bash",
        entryPointArgs: ["-c", '"echo', "", "$HOME;", "exec", '/__w/_temp/x.sh"'],
        environmentVariables: { A: "1", EMPTY: "", NONE: null },
        prependPath: ["/b", "/a"],
        workingDirectory: "/__w/repo/my dir"
      })
      assert.strictEqual(step.script, "")
      assert.strictEqual(step.shell, 'bash -c "echo  $HOME; exec /__w/_temp/x.sh"')
      assert.deepStrictEqual(EnvVars.reveal(step.env), { A: "1", EMPTY: "", NONE: "" })
      assert.deepStrictEqual(step.prependPath, ["/b", "/a"])
      assert.strictEqual(step.workingDirectory, "/__w/repo/my dir")
      assert.strictEqual(step.stderr, "with-stdout")
    })
  )

  it.effect("without anything but an entry point", () =>
    Effect.gen(function* () {
      const step = yield* scriptStep({ entryPoint: "/__e/node24/bin/node", workingDirectory: "" })
      assert.strictEqual(step.shell, "/__e/node24/bin/node")
      assert.isUndefined(step.workingDirectory)
    })
  )

  it.effect("whose words look like a placeholder for a script", () =>
    Effect.gen(function* () {
      const step = yield* scriptStep({ entryPoint: "printf", entryPointArgs: ["'{0}'"] })
      assert.strictEqual(step.script, "exec printf '{0}'\n")
    })
  )

  it.effect("with a variable that is too large is refused", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        scriptStep({ entryPoint: "sh", environmentVariables: { BIG: "x".repeat(200_000) } })
      )
      assert.match(error.message, /args\.environmentVariables\.BIG is not valid: it has 196 KiB/)
    })
  )
})

describe("a container step", () => {
  /** As the runner makes it of `args: ["hello   world", 'say "hi"', "$(touch /tmp/pwned)", "`id`"]`. */
  const action = {
    image: "docker://ghcr.io/acme/tool:1",
    entryPoint: "/tool",
    entryPointArgs: ['"hello', 'world"', '"say', '\\"hi\\""', '"$(touch', '/tmp/pwned)"', '"`id`"', '"two\nlines"'],
    workingDirectory: "/github/workspace",
    environmentVariables: { HOME: "/github/home", INPUT_X: "" },
    registry: { username: "me", password: "p", serverUrl: "ghcr.io" },
    systemMountVolumes: [
      { sourceVolumePath: "/var/run/docker.sock", targetVolumePath: "/var/run/docker.sock" },
      { sourceVolumePath: `${work}/_temp`, targetVolumePath: "/github/runner_temp" },
      { sourceVolumePath: `${work}/_temp/_github_home`, targetVolumePath: "/github/home" },
      { sourceVolumePath: `${work}/repo/repo`, targetVolumePath: "/github/workspace" }
    ]
  }

  it.effect("has words for arguments, which no shell looks at", () =>
    Effect.gen(function* () {
      const step = yield* containerStep(action)
      assert.strictEqual(step.image, "ghcr.io/acme/tool:1")
      assert.deepStrictEqual(step.entryPoint, ["/tool"])
      assert.deepStrictEqual(step.args, ["hello world", 'say "hi"', "$(touch /tmp/pwned)", "`id`", "two\nlines"])
      assert.deepStrictEqual(EnvVars.reveal(step.env), {
        CI: "true",
        GITHUB_ACTIONS: "true",
        HOME: "/github/home",
        INPUT_X: ""
      })
      assert.strictEqual(step.workingDirectory, "/github/workspace")
      assert.strictEqual(step.credentials?.server, "ghcr.io")
      assert.deepStrictEqual(
        step.mounts.map(({ target }) => target),
        ["/github/runner_temp", "/github/home", "/github/workspace"]
      )
    })
  )

  it.effect("may leave the entry point to its image", () =>
    Effect.gen(function* () {
      const step = yield* containerStep({ image: "alpine", entryPoint: null })
      assert.isUndefined(step.entryPoint)
      assert.deepStrictEqual(
        step.mounts.map(({ target }) => target),
        ["/github/runner_temp", "/github/home", "/github/workflow", "/github/file_commands", "/github/workspace"]
      )
    })
  )

  it.effect("may be a Dockerfile, which an image goes before", () =>
    Effect.gen(function* () {
      const dockerfile = `${work}/_actions/a/b/v1/Dockerfile`
      const step = yield* containerStep({ ...action, image: null, dockerfile })
      assert.deepStrictEqual([step.image, step.dockerfile], ["", dockerfile])
      assert.deepStrictEqual(step.entryPoint, ["/tool"])
      assert.strictEqual((yield* containerStep({ image: "alpine", dockerfile })).dockerfile, undefined)
      assert.strictEqual((yield* Effect.flip(containerStep({ image: "" }))).reason._tag, "InvalidInput")
    })
  )
})
