import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import * as HookConfig from "../../../src/programs/hook/internal/HookConfig.ts"

const runner = {
  ACTIONS_RUNNER_POD_NAME: "runner-abc",
  RUNNER_WORKSPACE: "/home/runner/_work/repo",
  GITHUB_WORKSPACE: "/home/runner/_work/repo/repo",
  RUNNER_TEMP: "/home/runner/_work/_temp"
}
const read = (env: Record<string, string | undefined>) => {
  const result = HookConfig.read({ ...runner, ...env })
  return Result.isSuccess(result) ? result.success : assert.fail(result.failure)
}
const one = (key: keyof HookConfig.HookConfig, env: Record<string, string>) => {
  const { config, warnings } = read(env)
  assert.deepStrictEqual(warnings, [])
  return config[key]
}

describe("HookConfig", () => {
  it("nothing set, nothing said", () => {
    const { config, warnings } = read({})
    assert.deepStrictEqual(warnings, [])
    const { debug, paths, podName, ...rest } = config
    assert.strictEqual(podName, "runner-abc")
    assert.isFalse(debug)
    assert.deepStrictEqual(paths, {
      work: "/home/runner/_work",
      temp: "/home/runner/_work/_temp",
      workspace: "/home/runner/_work/repo/repo"
    })
    assert.deepStrictEqual(
      Object.values(rest).filter((value) => value !== undefined),
      []
    )
  })

  it.each([
    [{ RUNNER_WORKSPACE: "/w/_work/r/" }, "/w/_work"],
    [{ RUNNER_WORKSPACE: undefined }, "/home/runner/_work"],
    [{ RUNNER_WORKSPACE: undefined, RUNNER_TEMP: "" }, "/home/runner/_work"],
    [{ RUNNER_WORKSPACE: undefined, RUNNER_TEMP: "/x/_temp" }, "/x"]
  ])("finds the work directory: %j", (env, work) => {
    assert.strictEqual(read(env).config.paths.work, work)
  })

  it("says which variable is missing", () => {
    assert.deepStrictEqual(
      HookConfig.read({ ...runner, ACTIONS_RUNNER_POD_NAME: " " }),
      Result.fail("ACTIONS_RUNNER_POD_NAME")
    )
    assert.deepStrictEqual(HookConfig.read({ ACTIONS_RUNNER_POD_NAME: "a" }), Result.fail("RUNNER_WORKSPACE"))
  })

  it.each([
    ["namespace", "ACTIONS_RUNNER_KUBERNETES_NAMESPACE", "ci", "ci"],
    ["claimName", "ACTIONS_RUNNER_CLAIM_NAME", "work", "work"],
    ["backend", "JOBSCOPE_BACKEND", "kro", "kro"],
    ["rgd", "JOBSCOPE_RGD", "job-environment", "job-environment"],
    ["rgdLabels", "JOBSCOPE_RGD_LABEL", "team=a, tier=x=y", { team: "a", tier: "x=y" }],
    ["rgdValues", "JOBSCOPE_RGD_VALUE", "size= a, b\ncommand=x=y", { size: " a, b", command: "x=y" }],
    ["hookTemplate", "ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE", "/t.yaml", "/t.yaml"],
    ["image", "ACTIONS_RUNNER_IMAGE", "runner:1", "runner:1"],
    ["prepareTimeout", "ACTIONS_RUNNER_PREPARE_JOB_TIMEOUT_SECONDS", "90", Duration.seconds(90)],
    ["rwo", "ACTIONS_RUNNER_HOOK_RWO", "true", true],
    ["rwo", "HOOK_RWO", "False", false],
    ["useScheduler", "ACTIONS_RUNNER_USE_KUBE_SCHEDULER", "true", true],
    ["useScheduler", "USE_KUBE_SCHEDULER", "0", false],
    ["disableScheduler", "DISABLE_KUBE_SCHEDULER", "yes", true],
    ["disableScheduler", "ACTIONS_RUNNER_DISABLE_KUBE_SCHEDULER", "1", true],
    ["sharing", "JOBSCOPE_SHARING", "copy", "copy"],
    ["transport", "JOBSCOPE_TRANSPORT", "exec", "exec"],
    ["returned", "JOBSCOPE_RETURNED_FILES", "+, **/a.txt\n*.b,", ["+", "**/a.txt", "*.b"]],
    ["imagePullGrace", "JOBSCOPE_IMAGE_PULL_GRACE", "2m", Duration.minutes(2)],
    ["scheduleGrace", "JOBSCOPE_SCHEDULE_GRACE", "45", Duration.seconds(45)],
    ["deadline", "JOBSCOPE_JOB_DEADLINE", "1h30m", Duration.minutes(90)],
    ["allowPrivileged", "JOBSCOPE_ALLOW_PRIVILEGED", "true", true],
    ["unknownOptions", "JOBSCOPE_UNKNOWN_OPTIONS", "error", "error"],
    ["strict", "JOBSCOPE_STRICT", "template, home", ["template", "home"]],
    ["muslNodeImage", "JOBSCOPE_MUSL_NODE_IMAGE", "node:{version}-alpine", "node:{version}-alpine"],
    ["dockerfile", "ACTIONS_RUNNER_HOOK_DOCKERFILE", "off", "off"],
    ["toolsImage", "ACTIONS_RUNNER_HOOK_TOOLS_IMAGE", "busybox:musl", "busybox:musl"],
    ["imageConfig", "ACTIONS_RUNNER_HOOK_IMAGE_CONFIG", "always", "always"],
    ["buildahImage", "ACTIONS_RUNNER_HOOK_BUILDAH_IMAGE", "buildah:1", "buildah:1"],
    ["buildCacheClaim", "ACTIONS_RUNNER_HOOK_BUILD_CACHE_CLAIM", "layers", "layers"],
    ["buildAuthSecret", "ACTIONS_RUNNER_HOOK_BUILD_AUTH_SECRET", "pull", "pull"],
    ["buildSeccomp", "ACTIONS_RUNNER_HOOK_BUILD_SECCOMP", "localhost/unshare.json", "localhost/unshare.json"],
    ["buildSeccomp", "ACTIONS_RUNNER_HOOK_BUILD_SECCOMP", "unconfined", "unconfined"],
    ["buildkitAddress", "ACTIONS_RUNNER_HOOK_BUILDKIT_ADDR", "tcp://b:1234", "tcp://b:1234"],
    ["buildkitTls", "ACTIONS_RUNNER_HOOK_BUILDKIT_TLS_DIR", "/certs", "/certs"],
    ["buildkitRepository", "ACTIONS_RUNNER_HOOK_BUILDKIT_REPOSITORY", "r.ci:5000/a", "r.ci:5000/a"],
    ["buildkitPullRepository", "ACTIONS_RUNNER_HOOK_BUILDKIT_PULL_REPOSITORY", "r:5000/a", "r:5000/a"],
    ["logLevel", "JOBSCOPE_LOG_LEVEL", "warn", "warn"],
    ["debug", "RUNNER_DEBUG", "1", true]
  ] as ReadonlyArray<[keyof HookConfig.HookConfig, string, string, unknown]>)(
    "%s from %s=%s",
    (key, name, value, expected) => {
      assert.deepStrictEqual(one(key, { [name]: value }), expected)
    }
  )

  it("every variable of the table is held above, in one of its spellings at least", () => {
    for (const key of Object.keys(HookConfig.variables)) assert.isTrue(key in read({}).config, key)
  })

  it.each([
    ["ACTIONS_RUNNER_HOOK_DOCKERFILE", "docker"],
    ["ACTIONS_RUNNER_HOOK_BUILD_SECCOMP", "localhost/"],
    ["ACTIONS_RUNNER_PREPARE_JOB_TIMEOUT_SECONDS", "0"],
    ["ACTIONS_RUNNER_PREPARE_JOB_TIMEOUT_SECONDS", "-5"],
    ["ACTIONS_RUNNER_PREPARE_JOB_TIMEOUT_SECONDS", "ten"],
    ["USE_KUBE_SCHEDULER", "perhaps"],
    ["JOBSCOPE_SHARING", "nfs"],
    ["JOBSCOPE_STRICT", "template, everything"],
    ["JOBSCOPE_LOG_LEVEL", "loud"],
    ["JOBSCOPE_JOB_DEADLINE", "soon"]
  ])("%s=%s is warned about, and counts as not set", (name, value) => {
    const { config, warnings } = read({ [name]: value })
    assert.lengthOf(warnings, 1)
    assert.match(warnings[0]!, new RegExp(`^${name} is neither .* nor|^${name} is neither`))
    const { debug, paths, podName, ...rest } = config
    assert.deepStrictEqual(
      Object.values(rest).filter((value) => value !== undefined),
      []
    )
  })

  it("a variable has one meaning, whatever it is called", () => {
    const names = [...Object.values(HookConfig.variables), ...HookConfig.withoutEffect].flatMap(({ names }) => names)
    assert.strictEqual(new Set(names).size, names.length)
  })
})
