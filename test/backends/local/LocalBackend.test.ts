import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect, Redacted, type Scope, Stream } from "effect"
import * as LocalBackend from "jobscope/backends/local/LocalBackend"
import { HealthCheck, Port } from "jobscope/domain/Container"
import * as EnvironmentHandle from "jobscope/domain/EnvironmentHandle"
import * as EnvVars from "jobscope/domain/EnvVars"
import { JobSpec, JobStep, Retry, Service, Timeouts, Workspace } from "jobscope/domain/Job"
import { JobBackend } from "jobscope/domain/JobBackend"
import type { JobEnvironment } from "jobscope/domain/JobEnvironment"
import { JobEvents } from "jobscope/domain/JobEvent"
import * as JobLifecycle from "jobscope/domain/JobLifecycle"
import { ScriptStep } from "jobscope/domain/Step"
import * as Workflow from "jobscope/domain/Workflow"
import * as WorkflowEngine from "jobscope/domain/WorkflowEngine"
import { collected, ended, environmentsOf, eventually, processesOf, reaper, start, stateDirectory } from "./support.ts"

type Fields = Partial<ConstructorParameters<typeof JobSpec>[0]>

const spec = (fields: Fields = {}) =>
  new JobSpec({
    name: "local",
    timeouts: new Timeouts({ stopGrace: Duration.millis(300) }),
    retry: new Retry({ attempts: 1 }),
    ...fields
  })

/** An environment in a state directory of its own. */
const inEnvironment = <A, E>(
  fields: Fields,
  use: (environment: JobEnvironment, directory: string) => Effect.Effect<A, E, Scope.Scope>,
  options: Omit<LocalBackend.Options, "stateDirectory"> = {}
) =>
  Effect.gen(function* () {
    const directory = yield* stateDirectory
    return yield* JobLifecycle.withEnvironment(spec(fields))((environment) =>
      Effect.scoped(use(environment, directory))
    ).pipe(Effect.provide(LocalBackend.layer({ ...options, stateDirectory: directory })))
  }).pipe(Effect.scoped)

const sh = (environment: JobEnvironment, script: string, env: Readonly<Record<string, string>> = {}) =>
  JobLifecycle.execute(environment, new ScriptStep({ script, env: EnvVars.fromRecord(env) }))

describe("workspace", () => {
  const tree = Effect.sync(() => {
    const directory = mkdtempSync(join(tmpdir(), "jobscope-workspace-"))
    mkdirSync(join(directory, "sub"))
    writeFileSync(join(directory, "sub/run.sh"), "echo ran")
    chmodSync(join(directory, "sub/run.sh"), 0o755)
    writeFileSync(join(directory, ".hidden"), "h")
    symlinkSync("/absolute/target", join(directory, "link"))
    return directory
  })

  it.live("is empty and private by default, and gone afterwards", () =>
    Effect.gen(function* () {
      const where = yield* inEnvironment({}, (environment) =>
        Effect.gen(function* () {
          assert.strictEqual((yield* sh(environment, "ls -A")).stdout, "")
          return environment.facts.workspace
        })
      )
      assert.isFalse(existsSync(where))
    })
  )

  it.live("copied: with links, modes and hidden files; changes stay in the copy", () =>
    Effect.gen(function* () {
      const path = yield* tree
      yield* inEnvironment({ workspace: new Workspace({ path }) }, (environment) =>
        Effect.gen(function* () {
          assert.strictEqual((yield* sh(environment, "./sub/run.sh; cat .hidden; echo x > new")).stdout, "ran\nh")
          assert.strictEqual(readlinkSync(join(environment.facts.workspace, "link")), "/absolute/target")
        })
      )
      assert.isFalse(existsSync(join(path, "new")))
    })
  )

  it.live("in place: changes stay, and the directory too", () =>
    Effect.gen(function* () {
      const path = yield* tree
      yield* inEnvironment({ workspace: new Workspace({ path, mode: "in-place" }) }, (environment) =>
        sh(environment, "echo x > new; pwd -P")
      )
      assert.strictEqual(readFileSync(join(path, "new"), "utf8"), "x\n")
    })
  )

  it.live("a missing one is invalid input, and nothing is left", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const directory = yield* stateDirectory
        const workspace = new Workspace({ path: "/not/there" })
        const error = yield* JobLifecycle.withEnvironment(spec({ workspace }))(() => Effect.void).pipe(
          Effect.flip,
          Effect.provide(LocalBackend.layer({ stateDirectory: directory }))
        )
        assert.strictEqual(error.reason._tag, "InvalidInput")
        assert.include(error.message, "/not/there is not a directory on this machine")
        assert.deepStrictEqual(environmentsOf(directory), [])
      })
    )
  )
})

describe("services", () => {
  const freePort = Effect.callback<number>((resume) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address()
      const port = typeof address === "object" && address !== null ? address.port : 0
      server.close(() => resume(Effect.succeed(port)))
    })
  })
  const echo = (port: number, delay: number) => [
    process.execPath,
    "-e",
    `setTimeout(() => require("net").createServer((s) => s.on("error", () => {}).end("hello " + process.env.GREETING)).listen(${port}, "127.0.0.1"), ${delay})`
  ]

  it.live("are awaited by their ports, reachable by steps, and end with the environment", () =>
    Effect.gen(function* () {
      const port = yield* freePort
      const service = new Service({
        name: "echo",
        command: echo(port, 400),
        ports: [new Port({ container: port })],
        env: EnvVars.fromRecord({ GREETING: "you" }),
        healthCheck: new HealthCheck({
          command: `${process.execPath} -e 'require("net").connect(${port}, "127.0.0.1").on("error", () => process.exit(1)).on("connect", () => process.exit(0))'`,
          interval: Duration.millis(50)
        })
      })
      const directory = yield* inEnvironment({ services: [service] }, (environment, state) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(environment.facts.services, [
            { name: "echo", host: "127.0.0.1", ports: { [port]: `${port}` } }
          ])
          const ask = `${process.execPath} -e 'require("net").connect(${port}, "127.0.0.1").pipe(process.stdout)'`
          assert.strictEqual((yield* sh(environment, ask)).stdout, "hello you")
          return state
        })
      )
      assert.deepStrictEqual(processesOf(directory), [])
    })
  )

  it.live("one that dies later is told as a warning, with its last words", () =>
    Effect.gen(function* () {
      const warnings: Array<string> = []
      const service = new Service({ name: "frail", command: ["sh", "-c", "echo out of ink; sleep 0.2; exit 3"] })
      yield* inEnvironment({ services: [service] }, (environment) => sh(environment, "sleep 0.5")).pipe(
        Effect.provideService(JobEvents, {
          emit: (event) => Effect.sync(() => void (event._tag === "Warning" && warnings.push(event.message)))
        })
      )
      assert.deepStrictEqual(warnings, [
        "The service frail ended with exit code 3 while the job still runs\n  out of ink"
      ])
    })
  )

  it.live("one that dies tells its exit code and its last words", () =>
    Effect.gen(function* () {
      const service = new Service({
        name: "broken",
        command: ["sh", "-c", "echo cannot bind >&2; exit 7"],
        ports: [new Port({ container: 1 })]
      })
      const error = yield* Effect.flip(inEnvironment({ services: [service] }, () => Effect.void))
      assert.strictEqual(error.reason._tag, "ServiceUnhealthy")
      assert.include(error.message, "exit code 7")
      assert.include(error.message, "broken | cannot bind")
    })
  )

  it.live("one that never becomes healthy says what was asked", () =>
    Effect.gen(function* () {
      const service = new Service({
        name: "slow",
        command: ["sleep", "60"],
        healthCheck: new HealthCheck({ command: "exit 1", interval: Duration.millis(10), retries: 3 })
      })
      const error = yield* Effect.flip(inEnvironment({ services: [service] }, () => Effect.void))
      assert.include(error.message, "3 checks in a row failed, 10ms apart (exit 1)")
    })
  )

  it.live("one without a command is refused", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        inEnvironment({ services: [new Service({ name: "nothing" })] }, () => Effect.void)
      )
      assert.include(error.message, "services[0] (nothing) is not valid")
    })
  )
})

describe("variables", () => {
  const printed = "env | cut -d= -f1 | sort"

  it.live("the program's secrets do not reach jobs by accident", () =>
    Effect.gen(function* () {
      process.env.JOBSCOPE_TEST_SECRET = "s"
      const basic = yield* inEnvironment({}, (environment) => sh(environment, printed))
      assert.notInclude(basic.stdout, "JOBSCOPE_TEST_SECRET")
      assert.include(basic.stdout.split("\n"), "PATH")
      const all = yield* inEnvironment({}, (environment) => sh(environment, printed), { inheritEnv: "all" })
      assert.include(all.stdout, "JOBSCOPE_TEST_SECRET")
      const named = yield* inEnvironment({}, (environment) => sh(environment, printed), {
        inheritEnv: ["JOBSCOPE_TEST_SECRET"]
      })
      assert.include(named.stdout, "JOBSCOPE_TEST_SECRET")
    })
  )

  it.live("values and scripts are never in an argument list, and files are the user's alone", () =>
    inEnvironment({ env: EnvVars.fromRecord({ TOKEN: "hunter2" }) }, (environment, directory) =>
      Effect.gen(function* () {
        const running = yield* environment.start(
          new ScriptStep({ script: "# swordfish\necho up; sleep 5", env: { OTHER: Redacted.make("hunter3") } })
        )
        yield* Stream.runHead(running.output)
        yield* eventually("it sleeps", () => processesOf(directory).some((command) => command.includes("sleep 5")))
        assert.notMatch(processesOf(directory).join("\n"), /hunter|swordfish/)
        const [job] = environmentsOf(directory)
        assert.strictEqual(statSync(join(directory, "jobs", job ?? "")).mode & 0o077, 0)
        assert.notMatch(readFileSync(join(directory, "jobs", job ?? "", "job.json"), "utf8"), /hunter/)
      })
    )
  )

  it.live("one that is too large for the system is named, without its value", () =>
    inEnvironment({}, (environment) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(sh(environment, "true", { HUGE: "v".repeat(200_000) }))
        assert.strictEqual(error.reason._tag, "InvalidInput")
        assert.include(error.message, "the environment variable HUGE")
        assert.notInclude(error.message, "vvv")
      })
    )
  )

  it.live("temporary files go to a directory of the job", () =>
    Effect.gen(function* () {
      const { stdout } = yield* inEnvironment({}, (environment) => sh(environment, "mktemp"))
      assert.include(stdout, "/tmp/")
      assert.isFalse(existsSync(stdout.trim()))
    })
  )
})

describe("state directory", () => {
  const resolved = (env: Record<string, string>, options?: LocalBackend.Options) =>
    LocalBackend.stateDirectoryOf(options).pipe(Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(env))))

  it.effect("by option, by JOBSCOPE_STATE_DIR, by XDG_STATE_HOME, else at home", () =>
    Effect.gen(function* () {
      const both = { JOBSCOPE_STATE_DIR: "/own", XDG_STATE_HOME: "/xdg" }
      assert.strictEqual(yield* resolved(both, { stateDirectory: "/option" }), "/option")
      assert.strictEqual(yield* resolved(both), "/own")
      assert.strictEqual(yield* resolved({ XDG_STATE_HOME: "/xdg" }), "/xdg/jobscope")
      assert.match(yield* resolved({}), /\.local\/state\/jobscope$/)
    })
  )

  it.live("one that cannot be made says how to name another", () =>
    Effect.gen(function* () {
      const error = yield* JobLifecycle.withEnvironment(spec())(() => Effect.void).pipe(
        Effect.flip,
        Effect.provide(LocalBackend.layer({ stateDirectory: "/dev/null/nope" }))
      )
      assert.include(error.message, "JOBSCOPE_STATE_DIR")
    })
  )

  it.live("a half-made environment is left alone while young, and a foreign host's always", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const directory = yield* stateDirectory
        mkdirSync(join(directory, "jobs/half-made"), { recursive: true })
        assert.include(reaper("--state-dir", directory, "--all").stdout, "keeps half-made (owner unknown, unknown")
        mkdirSync(join(directory, "jobs/elsewhere"))
        const record = {
          version: 1,
          environment: "elsewhere",
          owner: "them",
          job: "theirs",
          createdAt: 1,
          handedOver: false,
          holder: { host: "another-host", pid: 1, startedAt: "1" },
          stopGrace: 100,
          workspace: "/",
          services: []
        }
        writeFileSync(join(directory, "jobs/elsewhere/job.json"), JSON.stringify(record))
        assert.include(reaper("--state-dir", directory, "--all").stdout, "keeps elsewhere (owner them, unknown")
        const named = reaper("--state-dir", directory, "--environment", "elsewhere")
        assert.include(named.stdout, "removed elsewhere")
        assert.include(reaper("--state-dir", directory, "--environment", "half-made").stdout, "removed half-made")
        assert.deepStrictEqual(environmentsOf(directory), [])
      })
    )
  )

  it.live("a handle cannot name a directory outside", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const directory = yield* stateDirectory
        mkdirSync(join(directory, "precious"))
        const backend = yield* JobBackend.pipe(
          Effect.provide(LocalBackend.layer({ stateDirectory: join(directory, "state") }))
        )
        const handle = new EnvironmentHandle.EnvironmentHandle({
          version: 1,
          backend: "local",
          environment: "../../precious",
          owner: "x",
          data: null
        })
        yield* backend.release(handle)
        assert.strictEqual((yield* Effect.flip(Effect.scoped(backend.adopt(handle)))).reason._tag, "EnvironmentLost")
        assert.isTrue(existsSync(join(directory, "precious")))
      })
    )
  )
})

describe("hand-over to another process", () => {
  it.live("workspace and background processes live on; the adopter runs steps and releases", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const directory = yield* stateDirectory
        const handle = yield* JobLifecycle.withEnvironment(spec())((environment) =>
          Effect.andThen(
            sh(environment, "printf %s kept > kept; sleep 1000 >/dev/null 2>&1 & echo $! > server.pid"),
            environment.handOver
          )
        ).pipe(Effect.provide(LocalBackend.layer({ stateDirectory: directory })))
        const json = JSON.stringify(EnvironmentHandle.encode(handle))
        assert.include(reaper("--state-dir", directory).stdout, "0 removed, 1 kept")
        for (const then of ["keep", "release"]) {
          const child = start("fixtures/adopter.ts", [directory, json, then])
          const text = collected(child)
          assert.strictEqual(yield* ended(child), 0, text.stderr)
          yield* eventually("the output is read", () => text.stdout === "kept served\n")
        }
        assert.deepStrictEqual(environmentsOf(directory), [])
        assert.deepStrictEqual(processesOf(directory), [])
      })
    )
  )

  it.live("what nobody adopted is removed by the reaper, if asked for what is old enough", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const directory = yield* stateDirectory
        yield* JobLifecycle.withEnvironment(spec())((environment) => environment.handOver).pipe(
          Effect.provide(LocalBackend.layer({ stateDirectory: directory }))
        )
        assert.include(reaper("--state-dir", directory, "--handed-over-for", "1 hour").stdout, "0 removed, 1 kept")
        yield* Effect.sleep("30 millis")
        assert.include(reaper("--state-dir", directory, "--handed-over-for", "10 millis").stdout, "1 removed, 0 kept")
      })
    )
  )
})

describe("workflows", () => {
  it.live("a cancel in the middle of eight parallel jobs leaves nothing, and says of each what came of it", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const directory = yield* stateDirectory
        const jobs = Array.from({ length: 12 }, (_, index) =>
          Workflow.job(`job-${index}`, {
            job: () => ({
              timeouts: new Timeouts({ stopGrace: Duration.millis(300) }),
              steps: [new JobStep({ run: new ScriptStep({ script: "sleep 1000 & setsid sleep 1001 & wait" }) })]
            })
          })
        )
        const result = yield* Effect.gen(function* () {
          const running = yield* WorkflowEngine.start(Workflow.make("many", jobs), { parallel: 8 })
          yield* eventually("all trees are there", () => processesOf(directory).length >= 24)
          yield* running.cancel
          return yield* running.result
        }).pipe(Effect.provide(LocalBackend.layer({ stateDirectory: directory })))
        assert.deepStrictEqual(
          result.runs.map(({ conclusion }) => conclusion),
          jobs.map(() => "cancelled")
        )
        assert.strictEqual(result.runs.filter(({ steps }) => steps.length > 0).length, 8)
        assert.deepStrictEqual(processesOf(directory), [])
        assert.deepStrictEqual(environmentsOf(directory), [])
      })
    )
  )
})
