/**
 * The Actions runner's part, for tests of the bundled hook as a process: its directories, its environment, its way of calling, and a fake
 * cluster with its pod in it.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { assert } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as KubeClient from "../../../../src/backends/kubernetes/KubeClient.ts"
import * as KubeResource from "../../../../src/backends/kubernetes/KubeResource.ts"
import * as FakeImage from "../../../../src/testing/kubernetes/FakeImage.ts"
import * as FakeKubernetes from "../../../../src/testing/kubernetes/FakeKubernetes.ts"
import * as FakeRights from "../../../../src/testing/kubernetes/FakeRights.ts"
import { bundled } from "../../../support/bundled.ts"

/** The runner's own Node, where this machine has one of its kind. */
const node = spawnSync("/usr/bin/node", ["--version"], { encoding: "utf8" }).stdout?.startsWith("v20.")
  ? "/usr/bin/node"
  : process.execPath

/** What came of one call. */
export interface Called {
  readonly code: number | null
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
  /** The response file's content, if there is one. */
  readonly response: unknown
}

/** A call that runs. */
export interface Calling {
  readonly process: ChildProcess
  readonly ended: Effect.Effect<Called>
  /** Waits until stdout has a text. */
  readonly says: (text: string) => Effect.Effect<void>
}

export class FakeRunner extends Context.Service<
  FakeRunner,
  {
    readonly work: string
    readonly temp: string
    readonly workspace: string
    /** Starts the hook, as the runner does. */
    readonly start: (
      command: string,
      args: object,
      options?: { readonly state?: unknown; readonly env?: Readonly<Record<string, string>> }
    ) => Effect.Effect<Calling>
    readonly call: (
      command: string,
      args: object,
      options?: { readonly state?: unknown; readonly env?: Readonly<Record<string, string>> }
    ) => Effect.Effect<Called>
    /** A call with any text on stdin. */
    readonly raw: (stdin: string) => Effect.Effect<Called>
    readonly prepareArgs: (container?: object, services?: ReadonlyArray<object>) => object
    /** `prepare_job` of a job with a container; gives the state. */
    readonly prepare: (
      container?: object,
      options?: { readonly services?: ReadonlyArray<object>; readonly env?: Readonly<Record<string, string>> }
    ) => Effect.Effect<{ readonly state: unknown; readonly response: Response }>
    /** `run_script_step` of a text, with fresh file commands. */
    readonly script: (
      state: unknown,
      text: string,
      options?: { readonly args?: object; readonly env?: Readonly<Record<string, string>> }
    ) => Effect.Effect<Called & { readonly outputs: string; readonly summary: string }>
    readonly scriptArgs: (text: string, more?: object) => object
    /** What the runner mounts into the container of an action. */
    readonly stepMounts: ReadonlyArray<object>
  }
>()("jobscope/test/FakeRunner") {}

/** What the runner reads of the answer to `prepare_job`. */
export interface Response {
  readonly state: unknown
  readonly isAlpine: boolean
  readonly context: {
    readonly container?: object
    readonly services: ReadonlyArray<{ readonly ports: Readonly<Record<string, string>> }>
  }
}

/** The runner's pod is called so. */
export const podName = "runner-abc"

/** A runner whose work directory is on a claim, or not, in a cluster that gives it the rights that Actions Runner Controller does. */
export const layer = (
  mode: "claim" | "copy",
  options: FakeKubernetes.Options = {}
): Layer.Layer<FakeRunner | FakeKubernetes.FakeKubernetes | KubeClient.KubeClient> =>
  Layer.unwrap(
    Effect.gen(function* () {
      const home = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "jobscope-runner-"))),
        (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true, maxRetries: 3 }))
      )
      const work = join(home, "_work")
      const externals = join(home, "externals")
      for (const name of ["node20", "node24"]) {
        mkdirSync(join(externals, name, "bin"), { recursive: true })
        writeFileSync(join(externals, name, "bin/node"), `#!/bin/sh\necho ${name} "$@"\n`, { mode: 0o755 })
      }
      const cluster = FakeKubernetes.layer({
        ...options,
        claims: { [`${podName}-work`]: work },
        images: {
          redis: FakeImage.machine,
          "ghcr.io/actions/actions-runner": {
            ...FakeImage.defaults["ghcr.io/actions/actions-runner"],
            files: { [externals]: { source: externals } }
          },
          ...options.images
        }
      })
      return Layer.provideMerge(Layer.effect(FakeRunner, make(mode, home)), cluster)
    })
  )

const make = Effect.fnUntraced(function* (mode: "claim" | "copy", home: string) {
  const kubernetes = yield* FakeKubernetes.FakeKubernetes
  const kube = yield* KubeClient.KubeClient
  const work = join(home, "_work")
  const temp = join(work, "_temp")
  const workspace = join(work, "repo/repo")
  const commands = join(temp, "_runner_file_commands")
  const responses = join(temp, "_runner_hook_responses")
  for (const path of [workspace, commands, responses, join(work, "_actions"), join(work, "_tool")]) {
    mkdirSync(path, { recursive: true })
  }
  for (const name of ["_github_home", "_github_workflow"]) mkdirSync(join(temp, name))
  writeFileSync(join(temp, "_github_workflow/event.json"), '{"action":"opened"}')

  yield* Effect.orDie(
    kube.request({
      verb: "create",
      resource: KubeResource.pods,
      body: {
        metadata: { name: podName },
        spec: {
          containers: [
            {
              name: "runner",
              image: "ghcr.io/actions/actions-runner",
              command: ["sleep", "1000000"],
              ...(mode === "claim" ? { volumeMounts: [{ name: "work", mountPath: work }] } : {})
            }
          ],
          ...(mode === "claim"
            ? { volumes: [{ name: "work", ephemeral: { volumeClaimTemplate: { spec: claimSpec } } }] }
            : {})
        }
      }
    })
  )
  yield* kubernetes.phase(podName, "Running")
  const kubeconfig = join(home, "kubeconfig")
  const access = kubernetes.accessAs({ user: "runner", rules: FakeRights.actionsRunnerController })
  writeFileSync(kubeconfig, yield* kubernetes.kubeconfig(access))
  const env = {
    PATH: process.env.PATH ?? "",
    KUBECONFIG: kubeconfig,
    ACTIONS_RUNNER_POD_NAME: podName,
    ACTIONS_RUNNER_IMAGE: "ghcr.io/actions/actions-runner:latest",
    RUNNER_WORKSPACE: dirname(workspace),
    GITHUB_WORKSPACE: workspace,
    RUNNER_TEMP: temp,
    JOBSCOPE_IMAGE_PULL_GRACE: "0s"
  }
  const systemMountVolumes = [
    ["/var/run/docker.sock", "/var/run/docker.sock"],
    [work, "/__w"],
    [join(home, "externals"), "/__e", true],
    [temp, "/__w/_temp"],
    [join(work, "_actions"), "/__w/_actions"],
    [join(work, "_tool"), "/__w/_tool"],
    [join(temp, "_github_home"), "/github/home"],
    [join(temp, "_github_workflow"), "/github/workflow"]
  ].map(([sourceVolumePath, targetVolumePath, readOnly = false]) => ({ sourceVolumePath, targetVolumePath, readOnly }))
  const stepMounts = [
    [temp, "/github/runner_temp"],
    [join(temp, "_github_home"), "/github/home"],
    [join(temp, "_github_workflow"), "/github/workflow"],
    [commands, "/github/file_commands"],
    [workspace, "/github/workspace"]
  ].map(([sourceVolumePath, targetVolumePath]) => ({ sourceVolumePath, targetVolumePath, readOnly: false }))

  let calls = 0
  const start: FakeRunner["Service"]["start"] = (command, args, options = {}) =>
    Effect.suspend(() => {
      const responseFile = join(responses, `${calls++}.json`)
      writeFileSync(responseFile, "")
      const stdin = `${JSON.stringify({ command, args, responseFile, state: options.state ?? null })}\n`
      return launch(stdin, responseFile, options.env)
    })

  const launch = (stdin: string, responseFile: string, more: Readonly<Record<string, string>> = {}) =>
    Effect.sync((): Calling => {
      const child = spawn(node, [join(bundled("hook"), "index.js")], { cwd: workspace, env: { ...env, ...more } })
      let stdout = ""
      let stderr = ""
      const listeners = new Set<() => void>()
      child.stdout.on("data", (chunk) => {
        stdout += chunk
        for (const listener of [...listeners]) listener()
      })
      child.stderr.on("data", (chunk) => {
        stderr += chunk
      })
      child.stdin.on("error", () => {})
      child.stdin.end(stdin)
      const closed = new Promise<Called>((resolve) => {
        child.on("close", (code, signal) => {
          const text = existsSync(responseFile) ? readFileSync(responseFile, "utf8") : ""
          resolve({ code, signal, stdout, stderr, response: text === "" ? undefined : JSON.parse(text) })
        })
      })
      return {
        process: child,
        ended: Effect.promise(() => closed),
        says: (text) =>
          Effect.callback<void>((resume) => {
            const look = () => {
              if (!stdout.includes(text)) return
              listeners.delete(look)
              resume(Effect.void)
            }
            listeners.add(look)
            look()
          })
      }
    })
  const call: FakeRunner["Service"]["call"] = (command, args, options) =>
    Effect.flatMap(start(command, args, options), ({ ended }) => ended)

  const scriptArgs: FakeRunner["Service"]["scriptArgs"] = (text, more = {}) => {
    const name = `script-${calls}.sh`
    writeFileSync(join(temp, name), text)
    return {
      entryPoint: "sh",
      entryPointArgs: ["-e", `/__w/_temp/${name}`],
      environmentVariables: {},
      prependPath: [],
      workingDirectory: "/__w/repo/repo",
      ...more
    }
  }

  const prepareArgs: FakeRunner["Service"]["prepareArgs"] = (container, services = []) => ({
    container: {
      image: "ubuntu",
      workingDirectory: "/__w/repo/repo",
      environmentVariables: { HOME: "/github/home" },
      systemMountVolumes,
      ...container
    },
    services
  })

  return FakeRunner.of({
    work,
    temp,
    workspace,
    start,
    call,
    raw: (stdin) => Effect.flatMap(launch(stdin, join(responses, "none.json")), ({ ended }) => ended),
    scriptArgs,
    stepMounts,
    prepareArgs,
    prepare: Effect.fnUntraced(function* (container = {}, { env, services = [] } = {}) {
      const called = yield* call("prepare_job", prepareArgs(container, services), env === undefined ? {} : { env })
      assert.strictEqual(called.code, 0, `${called.stdout}${called.stderr}`)
      const response = called.response as Response
      return { state: response.state, response }
    }),
    script: Effect.fnUntraced(function* (state, text, { args = {}, env } = {}) {
      const id = calls
      const file = (name: string) => `${name}_${id}`
      for (const name of ["set_output", "step_summary"]) writeFileSync(join(commands, file(name)), "")
      const { environmentVariables = {}, ...more } = args as { readonly environmentVariables?: object }
      const called = yield* call(
        "run_script_step",
        scriptArgs(text, {
          environmentVariables: {
            GITHUB_OUTPUT: `/__w/_temp/_runner_file_commands/${file("set_output")}`,
            GITHUB_STEP_SUMMARY: `/__w/_temp/_runner_file_commands/${file("step_summary")}`,
            ...environmentVariables
          },
          ...more
        }),
        { state, ...(env === undefined ? {} : { env }) }
      )
      const read = (name: string) => readFileSync(join(commands, file(name)), "utf8")
      return { ...called, outputs: read("set_output"), summary: read("step_summary") }
    })
  })
})

/** What Actions Runner Controller's `kubernetesModeWorkVolumeClaim` is by default. */
const claimSpec = { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } }
