import { join } from "node:path"
import { afterEach, assert, describe, it } from "@effect/vitest"
import { killAll, start } from "../console/process.ts"

const root = join(import.meta.dirname, "../../..")
const secret = "jit-that-nobody-may-see"

/** Without any cluster: there is no kubeconfig, and this is no pod. */
const run = async (args: ReadonlyArray<string>, env: Record<string, string> = {}) => {
  const program = [
    join(root, "node_modules/.bin/node"),
    "--conditions=@jobscope/source",
    join(root, "src/programs/kro-runner/main.ts")
  ]
  const ended = await start([...program, ...args], {
    env: {
      ACTIONS_RUNNER_INPUT_JITCONFIG: secret,
      RUNNER_NAME: "r",
      KUBECONFIG: "/nowhere/kubeconfig",
      HOME: "/nowhere",
      KUBERNETES_SERVICE_HOST: "",
      ...env
    }
  }).ended
  assert.notInclude(ended.stdout + ended.stderr, secret)
  return ended
}

afterEach(killAll)

describe("kro-runner, as a process", () => {
  it.each([
    [["--help"], 0, /^Runs a GitHub Actions runner/],
    [["-h"], 0, /^Runs a GitHub Actions runner/],
    [["help"], 0, /^Runs a GitHub Actions runner/],
    [["--version"], 0, /^kro-runner \d+\.\d+\.\d+\n$/]
  ])("%j", async (args, code, text) => {
    const ended = await run(args)
    assert.strictEqual(ended.code, code)
    assert.match(ended.stdout, text)
    assert.strictEqual(ended.stderr, "")
  })

  it.each([
    [[`--nope=${secret}`], {}, 2, /^error: unknown flag --nope\n/],
    [["-c"], {}, 2, /^error: the flag --actions-runner-input-jitconfig needs a value\n/],
    [[], { KAR_SPEC: secret }, 2, /^error: KAR_SPEC is no JSON object\n/],
    [[], { KAR_OWNER: secret }, 2, /^error: KAR_OWNER is not one of pod, ephemeralrunner\n/],
    [[], {}, 1, /ERROR The configuration cannot be used: no cluster is configured/],
    [[], { KAR_EXIT_MODE: "legacy" }, 1, /no cluster is configured/],
    [[], { KAR_CLEANUP_TIMEOUT: "soon", KAR_LOG_FORMAT: "json" }, 1, /"message":"The configuration cannot be used/]
  ] as ReadonlyArray<[ReadonlyArray<string>, Record<string, string>, number, RegExp]>)(
    "%j %j",
    async (args, env, code, text) => {
      const ended = await run(args, env)
      assert.strictEqual(ended.code, code, ended.stderr)
      assert.match(ended.stderr, text)
    }
  )

  it("says what it does not understand once it can start", async () => {
    const server = "127.0.0.1:1 cannot be reached"
    const ended = await run([], {
      KAR_CLEANUP_TIMEOUT: "soon",
      KAR_PROVISION_TIMEOUT: "1ms",
      KUBECONFIG: join(import.meta.dirname, "fixtures/kubeconfig.yaml")
    })
    assert.match(ended.stderr, /WARN {2}KAR_CLEANUP_TIMEOUT is no duration .*; it is 5m0s/)
    assert.include(ended.stderr, server)
    assert.strictEqual(ended.code, 1)
  })
})
