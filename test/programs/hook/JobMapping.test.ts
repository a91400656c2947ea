import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as EnvVars from "../../../src/domain/EnvVars.ts"
import type { JobSpec } from "../../../src/domain/Job.ts"
import * as HookConfig from "../../../src/programs/hook/internal/HookConfig.ts"
import * as HookInput from "../../../src/programs/hook/internal/HookInput.ts"
import * as JobMapping from "../../../src/programs/hook/internal/JobMapping.ts"
import type { Places } from "../../../src/programs/hook/internal/Mounts.ts"

const work = "/home/runner/_work"
const runner = {
  ACTIONS_RUNNER_POD_NAME: "runner-abc",
  RUNNER_WORKSPACE: `${work}/repo`,
  GITHUB_WORKSPACE: `${work}/repo/repo`,
  RUNNER_TEMP: `${work}/_temp`
}

/** What the runner writes for every job container. */
const systemMountVolumes = [
  ["/var/run/docker.sock", "/var/run/docker.sock"],
  [work, "/__w"],
  ["/home/runner/externals", "/__e", true],
  [`${work}/_temp`, "/__w/_temp"],
  [`${work}/_actions`, "/__w/_actions"],
  [`${work}/_tool`, "/__w/_tool"],
  [`${work}/_temp/_github_home`, "/github/home"],
  [`${work}/_temp/_github_workflow`, "/github/workflow"]
].map(([sourceVolumePath, targetVolumePath, readOnly]) => ({
  sourceVolumePath,
  targetVolumePath,
  readOnly: readOnly ?? false
}))

const container = {
  image: "node:22",
  workingDirectory: "/__w/repo/repo",
  environmentVariables: { HOME: "/github/home", A: "1", EMPTY: "" },
  systemMountVolumes
}

const mapped = Effect.fnUntraced(function* (args: unknown, env: Record<string, string> = {}, root?: string) {
  const read = HookConfig.read({ ...runner, ...env })
  const { config } = Result.isSuccess(read) ? read.success : assert.fail(read.failure)
  const places: Places = {
    paths: config.paths,
    root,
    externals: root === undefined ? "externals" : `${work}/externals`
  }
  const input = yield* HookInput.parse(JSON.stringify({ command: "prepare_job", args }))
  if (input.command !== "prepare_job") return assert.fail(input.command)
  return yield* JobMapping.toSpec(input.args, config, places)
})
const specOf = (args: unknown, env?: Record<string, string>, root?: string) =>
  Effect.map(mapped(args, env, root), ({ spec }) => spec)
const refusal = (args: unknown, env?: Record<string, string>, root?: string) =>
  Effect.map(Effect.flip(mapped(args, env, root)), ({ message }) => message)

const mountsOf = (mounts: JobSpec["services"][number]["mounts"] | undefined) =>
  mounts?.map(({ readOnly, source, target }) => `${source} -> ${target}${readOnly ? " (ro)" : ""}`)

describe("the job", () => {
  it.effect("is the runner's pod's, with its times", () =>
    Effect.gen(function* () {
      const spec = yield* specOf(
        { container },
        { ACTIONS_RUNNER_PREPARE_JOB_TIMEOUT_SECONDS: "30", JOBSCOPE_JOB_DEADLINE: "2h" }
      )
      assert.strictEqual(spec.owner, "runner-abc")
      assert.strictEqual(spec.workingDirectory, "/__w/repo/repo")
      assert.strictEqual(Duration.toSeconds(spec.timeouts.provision), 30)
      assert.strictEqual(Duration.toHours(spec.timeouts.total), 2)
      // INT, TERM and KILL within the 10 s that the runner waits.
      assert.isAtMost(Duration.toSeconds(spec.timeouts.stopGrace), 3)
    })
  )

  it.effect("has variables with empty values too, CI and GITHUB_ACTIONS, and not the runner's HOME", () =>
    Effect.gen(function* () {
      const expected = { CI: "true", GITHUB_ACTIONS: "true", A: "1", EMPTY: "" }
      assert.deepStrictEqual(EnvVars.reveal((yield* specOf({ container })).env), expected)
      const own = { ...container, environmentVariables: { HOME: "/root", CI: "no" } }
      assert.deepStrictEqual(EnvVars.reveal((yield* specOf({ container: own })).env), {
        CI: "no",
        GITHUB_ACTIONS: "true",
        HOME: "/root"
      })
      const strict = yield* specOf({ container: own }, { JOBSCOPE_STRICT: "home" })
      assert.isUndefined(strict.env.HOME)
    })
  )

  it.effect("sees the runner's directories where the runner says", () =>
    Effect.gen(function* () {
      const shared = yield* specOf({ container }, {}, work)
      assert.deepStrictEqual(mountsOf(shared.container?.mounts), [
        `${work} -> /__w`,
        `${work}/externals -> /__e (ro)`,
        `${work}/_temp -> /__w/_temp`,
        `${work}/_actions -> /__w/_actions`,
        `${work}/_tool -> /__w/_tool`,
        `${work}/_temp/_github_home -> /github/home`,
        `${work}/_temp/_github_workflow -> /github/workflow`
      ])
      const copied = yield* specOf({ container })
      assert.include(mountsOf(copied.container?.mounts) ?? [], "externals -> /__e (ro)")
      const handMade = yield* specOf({ container: { image: "x" } }, {}, work)
      assert.deepStrictEqual(mountsOf(handMade.container?.mounts)?.length, 4)
    })
  )

  it.effect("a tool cache outside of the work directory is an empty one", () =>
    Effect.gen(function* () {
      const mounts = [{ sourceVolumePath: "/opt/hostedtoolcache", targetVolumePath: "/__t" }]
      const spec = yield* specOf({ container: { ...container, systemMountVolumes: mounts } })
      assert.deepStrictEqual(mountsOf(spec.container?.mounts), ["tools -> /__t"])
      assert.deepStrictEqual(
        spec.volumes.map(({ name }) => name),
        ["tools"]
      )
    })
  )

  it.effect.each([
    ["nothing", {}, undefined, []],
    ["what runners write for Docker", { entryPoint: "tail", entryPointArgs: ["-f", "/dev/null"] }, undefined, []],
    ["the workflow's own", { entryPoint: "/init", entryPointArgs: ["--say", '"a', 'b"'] }, ["/init"], ["--say", "a b"]]
  ] as ReadonlyArray<[string, object, ReadonlyArray<string> | undefined, ReadonlyArray<string>]>)(
    "is kept alive by %s",
    ([, extra, entryPoint, args]) =>
      Effect.gen(function* () {
        const spec = yield* specOf({ container: { ...container, ...extra } })
        assert.deepStrictEqual(spec.container?.entryPoint, entryPoint)
        assert.deepStrictEqual(spec.container?.args, args)
      })
  )

  it.effect("create options reach the domain", () =>
    Effect.gen(function* () {
      const createOptions = "--cpus 2 --user root --hostname h --gpus all -e A=2 -e B=3"
      const { spec, warnings } = yield* mapped({ container: { ...container, createOptions } })
      assert.deepStrictEqual(spec.container?.resources?.limits, { cpu: "2" })
      assert.strictEqual(spec.container?.user, "0")
      assert.strictEqual(spec.container?.settings?.hostname, "h")
      // As with docker create: what `env:` says comes last.
      assert.include(EnvVars.reveal(spec.env), { A: "1", B: "3" })
      assert.lengthOf(warnings, 1)
      assert.match(warnings[0]!, /`options:` of job \(node:22\): --gpus: .* It is ignored\./)
      const message = yield* refusal(
        { container: { ...container, createOptions } },
        { JOBSCOPE_UNKNOWN_OPTIONS: "error" }
      )
      assert.match(message, /container\.options is not valid: --gpus/)
    })
  )

  it.effect("credentials are for each image", () =>
    Effect.gen(function* () {
      const registry = (username: string | null, serverUrl = "") => ({ username, password: "s3cret", serverUrl })
      const spec = yield* specOf({
        container: { ...container, registry: registry("me", "ghcr.io") },
        services: [
          { image: "a", registry: registry("you") },
          { image: "b", registry: registry(null) }
        ]
      })
      assert.strictEqual(spec.container?.credentials?.server, "ghcr.io")
      assert.strictEqual(Redacted.value(spec.services[0]!.credentials!.password), "s3cret")
      assert.strictEqual(spec.services[0]?.credentials?.server, "")
      assert.isUndefined(spec.services[1]?.credentials)
      assert.notInclude(JSON.stringify(spec), "s3cret")
    })
  )
})

describe("volumes of a workflow", () => {
  type Asked = [source: string | null, target: string, readOnly?: boolean]
  const userMountVolumes = (...volumes: ReadonlyArray<Asked>) =>
    volumes.map(([sourceVolumePath, targetVolumePath, readOnly]) => ({ sourceVolumePath, targetVolumePath, readOnly }))

  it.effect("are directories of the work directory, named and nameless volumes", () =>
    Effect.gen(function* () {
      const volumes = userMountVolumes(
        [`${work}/repo/repo/conf`, "/conf", true],
        ["My_Cache", "/cache"],
        [null, "/data"]
      )
      const spec = yield* specOf(
        {
          container: { ...container, systemMountVolumes: systemMountVolumes.slice(1, 2), userMountVolumes: volumes },
          services: [{ image: "redis", userMountVolumes: userMountVolumes(["My_Cache", "/c"], [null, "/d"]) }]
        },
        {},
        work
      )
      assert.deepStrictEqual(mountsOf(spec.container?.mounts)?.slice(1), [
        `${work}/repo/repo/conf -> /conf (ro)`,
        "user-my-cache -> /cache",
        "job-volume-2 -> /data"
      ])
      assert.deepStrictEqual(mountsOf(spec.services[0]?.mounts), ["user-my-cache -> /c", "redis-volume-1 -> /d"])
      assert.deepStrictEqual(
        spec.volumes.map(({ name }) => name),
        ["user-my-cache", "job-volume-2", "redis-volume-1"]
      )
    })
  )

  it.effect("what no pod can have is refused", () =>
    Effect.gen(function* () {
      const asking = (...volumes: ReadonlyArray<Asked>) => ({
        container: { ...container, userMountVolumes: userMountVolumes(...volumes) }
      })
      assert.match(
        yield* refusal(asking(["/etc", "/e"]), {}, work),
        /container\.volumes .*\/e: .*below \/home\/runner\/_work/
      )
      assert.match(yield* refusal(asking(["/var/run/docker.sock", "/var/run/docker.sock"])), /no Docker/)
      // Copied, it can be.
      const spec = yield* specOf(asking(["/etc", "/e"]))
      assert.include(mountsOf(spec.container?.mounts) ?? [], "/etc -> /e")
    })
  )
})

describe("services", () => {
  it.effect("have valid names that differ, ports without a host's, and no directories of the runner", () =>
    Effect.gen(function* () {
      const { servicePorts, spec } = yield* mapped({
        container,
        services: [
          { image: "redis:7", portMappings: ["6379", "127.0.0.1:53:53/udp", "9000-9001"], systemMountVolumes },
          { image: "acme/Redis@sha256:aa", portMappings: ["8080:80"], environmentVariables: { HOME: "/github/home" } }
        ]
      })
      assert.deepStrictEqual(
        spec.services.map(({ name }) => name),
        ["redis-0", "redis-1"]
      )
      assert.deepStrictEqual(
        spec.services.map(({ ports }) => ports.map(({ container, host, protocol }) => [container, protocol, host])),
        [
          [
            [6379, "tcp", undefined],
            [53, "udp", undefined],
            [9000, "tcp", undefined],
            [9001, "tcp", undefined]
          ],
          [[80, "tcp", undefined]]
        ]
      )
      assert.deepStrictEqual(spec.services[0]?.mounts, [])
      assert.deepStrictEqual(
        servicePorts[1]?.map(({ host }) => host),
        [8080]
      )
      assert.strictEqual(EnvVars.reveal(spec.services[1]!.env).HOME, "/github/home")
      const strict = yield* specOf(
        { container, services: [{ image: "a", portMappings: ["8080:80"] }] },
        { JOBSCOPE_STRICT: "host-ports" }
      )
      assert.strictEqual(strict.services[0]?.ports[0]?.host, 8080)
    })
  )

  it.effect("have the options of docker create", () =>
    Effect.gen(function* () {
      const spec = yield* specOf({
        container,
        services: [
          {
            image: "redis",
            entryPointArgs: ["redis-server", "--save", "''"],
            createOptions: `--health-cmd "redis-cli ping" --health-interval 10s --entrypoint /e -w /w --memory 1g --user 999`
          },
          { image: "b", entryPoint: "/own", workingDirectory: "/v", createOptions: "--entrypoint /e -w /w" }
        ]
      })
      const [redis, other] = spec.services
      assert.strictEqual(redis?.healthCheck?.command, "redis-cli ping")
      assert.deepStrictEqual(redis?.entryPoint, ["/e"])
      assert.deepStrictEqual(redis?.command, ["redis-server", "--save", ""])
      assert.strictEqual(redis?.workingDirectory, "/w")
      assert.strictEqual(redis?.user, "999")
      assert.deepStrictEqual(redis?.resources?.limits, { memory: "1Gi" })
      assert.deepStrictEqual(other?.entryPoint, ["/own"])
      assert.strictEqual(other?.workingDirectory, "/v")
    })
  )

  it.effect("may be alone", () =>
    Effect.gen(function* () {
      const spec = yield* specOf({ services: [{ image: "redis" }] })
      assert.isUndefined(spec.container)
      assert.lengthOf(spec.services, 1)
    })
  )
})

describe("what cannot be", () => {
  it.effect.each([
    [{ container: { ...container, image: "" } }, /^args\.container\.image is not valid: it is empty/],
    [{ container, services: [{ image: "a" }, {}] }, /^args\.services\[1\]\.image/],
    [{ container: { ...container, portMappings: ["a:b"] } }, /^container\.ports is not valid: "a:b"/]
  ] as ReadonlyArray<[unknown, RegExp]>)("%j", ([args, expected]) =>
    Effect.gen(function* () {
      assert.match(yield* refusal(args), expected)
    })
  )

  it.effect("a variable that Linux cannot pass is named, to the byte", () =>
    Effect.gen(function* () {
      const sized = (length: number) => ({
        container: { ...container, environmentVariables: { BIG: "x".repeat(length) } }
      })
      assert.match(
        yield* refusal(sized(128 * 1024)),
        /environmentVariables\.BIG is not valid: it has 129 KiB, .*128 KiB/
      )
      assert.match(yield* refusal(sized(128 * 1024 - 4)), /BIG/)
      yield* specOf(sized(128 * 1024 - 5))
    })
  )
})
