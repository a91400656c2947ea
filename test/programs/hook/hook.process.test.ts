/**
 * The bundled hook as the runner calls it, against a fake cluster whose pods run for real, with and without a claim.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { connect } from "node:net"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as KubeClient from "../../../src/backends/kubernetes/KubeClient.ts"
import * as KubeResource from "../../../src/backends/kubernetes/KubeResource.ts"
import * as FakeImage from "../../../src/testing/kubernetes/FakeImage.ts"
import * as FakeKubernetes from "../../../src/testing/kubernetes/FakeKubernetes.ts"
import { FakeRunner, layer, podName, type Response } from "./support/FakeRunner.ts"

const unsupported = FakeKubernetes.unsupported()

describe.skipIf(unsupported !== undefined).each(["claim", "copy"] as const)("%s", (mode) => {
  it.live("a job: prepare, steps, cleanup", () =>
    Effect.gen(function* () {
      const runner = yield* FakeRunner
      const kubernetes = yield* FakeKubernetes.FakeKubernetes
      writeFileSync(join(runner.workspace, "README"), "hello")
      const { response, state } = yield* runner.prepare({ environmentVariables: { HOME: "/github/home", JOB: "j b" } })
      assert.isFalse(response.isAlpine)
      const first = yield* runner.script(
        state,
        `echo "$JOB $STEP"; cat README; cat /github/workflow/event.json; /__e/node20/bin/node x; echo "$PATH"; pwd
echo out=1 >> $GITHUB_OUTPUT; echo sum >> $GITHUB_STEP_SUMMARY; echo made > made.txt; echo err >&2`,
        { args: { environmentVariables: { STEP: "s 'q'" }, prependPath: ["/new bin", "/old"] } }
      )
      assert.strictEqual(first.code, 0, first.stdout)
      assert.match(
        first.stdout,
        /^j b s 'q'\nhello\{"action":"opened"\}node20 x\n\/new bin:\/old:\/.*\n\/__w\/repo\/repo\nerr\n$/
      )
      assert.strictEqual(first.stderr, "")
      assert.deepStrictEqual([first.outputs, first.summary], ["out=1\n", "sum\n"])
      const second = yield* runner.script(state, "cat made.txt; exit 42")
      assert.deepStrictEqual([second.code, second.stdout], [42, "made\n"])
      const cleaned = yield* runner.call("cleanup_job", {}, { state })
      assert.strictEqual(cleaned.code, 0, cleaned.stdout)
      assert.isFalse(existsSync(join(runner.work, ".jobscope")))
      assert.deepStrictEqual(notOfTheRunner(yield* kubernetes.left), [])
    }).pipe(Effect.provide(layer(mode)))
  )

  it.live("asks the API for little", () =>
    Effect.gen(function* () {
      const runner = yield* FakeRunner
      const kubernetes = yield* FakeKubernetes.FakeKubernetes
      const short = (requests: ReadonlyArray<FakeKubernetes.SeenRequest>) =>
        requests.map(({ resource, verb }) => `${verb} ${resource}`).sort()
      const [{ state }, prepare] = yield* kubernetes.counted(runner.prepare())
      // The runner's pod, the job's, and looks at it after a watch was refused. With a claim the pod itself says when it is there.
      assert.includeMembers(short(prepare), ["create pods", "get pods"])
      assert.isAtMost(prepare.length, mode === "claim" ? 5 : 8, short(prepare).join())
      const [, script] = yield* kubernetes.counted(runner.script(state, "true"))
      assert.deepStrictEqual(short(script), mode === "claim" ? [] : ["get pods/exec"])
      const [, cleanup] = yield* kubernetes.counted(runner.call("cleanup_job", {}, { state }))
      assert.includeMembers(short(cleanup), ["delete pods", "list pods", "list secrets"])
      for (const { resource } of [...prepare, ...script, ...cleanup]) assert.notMatch(resource, /review/)
    }).pipe(Effect.provide(layer(mode)))
  )

  it.live("an action that arrives after prepare, and a file command of the runner, are there for the next step", () =>
    Effect.gen(function* () {
      const runner = yield* FakeRunner
      const { state } = yield* runner.prepare()
      yield* runner.script(state, "true")
      mkdirSync(join(runner.work, "_actions/acme/late/v1"), { recursive: true })
      writeFileSync(join(runner.work, "_actions/acme/late/v1/index.js"), "late")
      const { stdout } = yield* runner.script(state, "cat /__w/_actions/acme/late/v1/index.js")
      assert.strictEqual(stdout, "late")
    }).pipe(Effect.provide(layer(mode)))
  )

  it.live("what the runner reads of the workspace is on its disk after the step that wrote it", () =>
    Effect.gen(function* () {
      const runner = yield* FakeRunner
      const { state } = yield* runner.prepare()
      yield* runner.script(
        state,
        "mkdir -p .github/actions/a; echo lock > package-lock.json; echo name > .github/actions/a/action.yml; exit 3"
      )
      assert.strictEqual(readFileSync(join(runner.workspace, "package-lock.json"), "utf8"), "lock\n")
      assert.strictEqual(readFileSync(join(runner.workspace, ".github/actions/a/action.yml"), "utf8"), "name\n")
    }).pipe(Effect.provide(layer(mode)))
  )

  it.live("two steps at the same time do not know of each other", () =>
    Effect.gen(function* () {
      const runner = yield* FakeRunner
      const { state } = yield* runner.prepare()
      const both = yield* Effect.forEach(
        [1, 2],
        (id) => runner.script(state, `for i in 1 2 3 4 5; do echo ${id}; sleep 0.1; done; exit ${id}`),
        { concurrency: 2 }
      )
      assert.deepStrictEqual(
        both.map(({ code, stdout }) => [code, stdout]),
        [
          [1, "1\n".repeat(5)],
          [2, "2\n".repeat(5)]
        ]
      )
    }).pipe(Effect.provide(layer(mode)))
  )

  it.live("steps that begin together each keep their outputs and their script, whatever the others bring along", () =>
    Effect.gen(function* () {
      const runner = yield* FakeRunner
      const { state } = yield* runner.prepare()
      const ids = [1, 2, 3, 4, 5, 6]
      const all = yield* Effect.forEach(
        ids,
        (id) =>
          runner.script(
            state,
            `echo "own=${id}" >> $GITHUB_OUTPUT; sleep 0.${id}; echo "later=${id}" >> $GITHUB_OUTPUT; echo ${id} >> $GITHUB_STEP_SUMMARY; exit ${id}`
          ),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(
        all.map(({ code, outputs, stdout, summary }) => [code, stdout, outputs, summary]),
        ids.map((id) => [id, "", `own=${id}\nlater=${id}\n`, `${id}\n`])
      )
    }).pipe(Effect.provide(layer(mode)))
  )

  it.live("an image that cannot be pulled fails at once, says why, answers nothing and leaves nothing", () =>
    Effect.gen(function* () {
      const runner = yield* FakeRunner
      const kubernetes = yield* FakeKubernetes.FakeKubernetes
      const { code, response, stdout } = yield* runner.call("prepare_job", {
        container: { image: "nowhere/none:1" },
        services: []
      })
      assert.strictEqual(code, 1)
      assert.isUndefined(response)
      assert.match(stdout, /^::error title=Image pull failed::The image .*nowhere\/none:1 could not be pulled.*$/m)
      assert.deepStrictEqual(notOfTheRunner(yield* kubernetes.left), [])
    }).pipe(Effect.provide(layer(mode)))
  )

  it.live("a job whose prepare was killed is cleaned up, twice, without state", () =>
    Effect.gen(function* () {
      const runner = yield* FakeRunner
      const kubernetes = yield* FakeKubernetes.FakeKubernetes
      const preparing = yield* runner.start("prepare_job", { container: { image: "slow" }, services: [] })
      yield* preparing.says("Waiting for")
      preparing.process.kill("SIGKILL")
      yield* preparing.ended
      assert.include((yield* kubernetes.left).join(), "-workflow")
      for (const _ of [1, 2]) {
        const { code, stdout } = yield* runner.call("cleanup_job", {}, { state: null })
        assert.strictEqual(code, 0, stdout)
      }
      assert.deepStrictEqual(notOfTheRunner(yield* kubernetes.left), [])
    }).pipe(Effect.provide(layer(mode, { images: { slow: { ...FakeImage.machine, pull: "1 hour" } } })))
  )

  it.live("a job that was cancelled while it was prepared is gone, and was no success", () =>
    Effect.gen(function* () {
      const runner = yield* FakeRunner
      const kubernetes = yield* FakeKubernetes.FakeKubernetes
      const preparing = yield* runner.start("prepare_job", { container: { image: "slow" }, services: [] })
      yield* preparing.says("Waiting for")
      preparing.process.kill("SIGINT")
      const { code, response } = yield* preparing.ended
      assert.strictEqual(code, 130)
      assert.isUndefined(response)
      assert.deepStrictEqual(notOfTheRunner(yield* kubernetes.left), [])
    }).pipe(Effect.provide(layer(mode, { images: { slow: { ...FakeImage.machine, pull: "1 hour" } } })))
  )

  it.live("a pod of the same name, of a runner's pod that was made anew, is replaced", () =>
    Effect.gen(function* () {
      const runner = yield* FakeRunner
      const first = yield* runner.prepare()
      const { state } = yield* runner.prepare()
      assert.notDeepEqual(state, first.state)
      assert.strictEqual((yield* runner.script(state, "exit 4")).code, 4)
    }).pipe(Effect.provide(layer(mode)))
  )

  it.live("what another hook has prepared is refused clearly, and cleaned up", () =>
    Effect.gen(function* () {
      const runner = yield* FakeRunner
      const kubernetes = yield* FakeKubernetes.FakeKubernetes
      const kube = yield* KubeClient.KubeClient
      yield* kube.request({
        verb: "create",
        resource: KubeResource.pods,
        body: {
          metadata: { name: `${podName}-workflow`, labels: { "runner-pod": podName } },
          spec: { containers: [{ name: "job", image: "ubuntu", command: ["tail", "-f", "/dev/null"] }] }
        }
      })
      const state = { jobPod: `${podName}-workflow` }
      const { code, stdout } = yield* runner.call("run_script_step", runner.scriptArgs("true"), { state })
      assert.strictEqual(code, 1)
      assert.match(stdout, /^::error title=Handle rejected::.*another container hook has prepared this job/)
      assert.strictEqual((yield* runner.call("cleanup_job", {}, { state })).code, 0)
      assert.deepStrictEqual(notOfTheRunner(yield* kubernetes.left), [])
    }).pipe(Effect.provide(layer(mode)))
  )

  it.live("services alone are at localhost on the runner, until the job is cleaned up", () =>
    Effect.gen(function* () {
      const runner = yield* FakeRunner
      const called = yield* runner.call("prepare_job", {
        container: null,
        services: [{ image: "redis", portMappings: [`${servedPort(mode)}`] }]
      })
      assert.strictEqual(called.code, 0, called.stdout)
      const { context, state } = called.response as Response
      assert.isFalse("container" in context)
      const port = Number(Object.values(context.services[0]?.ports ?? {})[0])
      assert.isAbove(port, 0)
      const ask = Effect.callback<string>((resume) => {
        const socket = connect({ host: "localhost", port })
        socket.on("data", (chunk) => resume(Effect.succeed(String(chunk))))
        socket.on("error", (error) => resume(Effect.succeed(error.message)))
      })
      assert.strictEqual(yield* ask, "served")
      assert.strictEqual((yield* runner.call("cleanup_job", {}, { state })).code, 0)
      assert.match(yield* ask, /ECONNREFUSED/)
    }).pipe(Effect.provide(layer(mode, { images: { redis: server(servedPort(mode)) } })))
  )

  it.live("a missing right is named, with what it is needed for", () =>
    Effect.gen(function* () {
      const runner = yield* FakeRunner
      const kubernetes = yield* FakeKubernetes.FakeKubernetes
      yield* kubernetes.deny({ group: "", resource: "pods", verbs: ["create"] })
      const { code, stdout } = yield* runner.call("prepare_job", { container: { image: "ubuntu" }, services: [] })
      assert.strictEqual(code, 1)
      assert.match(stdout, /^::error title=Forbidden::Not allowed to create pods in the namespace default/m)
    }).pipe(Effect.provide(layer(mode)))
  )

  it.live.each([
    ["", /stdin is not valid: nothing is there/],
    ["{", /stdin is not valid: it is not JSON/],
    ['{"command":"dance"}', /command is not valid: "dance"/]
  ] as ReadonlyArray<[string, RegExp]>)("input %j is refused", ([stdin, expected]) =>
    Effect.gen(function* () {
      const runner = yield* FakeRunner
      const { code, stdout } = yield* runner.raw(stdin)
      assert.strictEqual(code, 1)
      assert.match(stdout, expected)
    }).pipe(Effect.provide(layer(mode)))
  )
})

/** All pods of the fake share this machine's ports; these are none that the kernel gives to connections. */
const servedPort = (mode: "claim" | "copy") => (mode === "claim" ? 27123 : 27124)

/** Says one word to everybody. */
const server = (port: number) =>
  FakeImage.distroless(
    process.execPath,
    "-e",
    `require("net").createServer((socket) => socket.on("error", () => {}).end("served")).listen(${port})`
  )

/** All but the runner's own pod and claim. */
const notOfTheRunner = (left: ReadonlyArray<string>) =>
  left.filter((name) => !name.endsWith(`/${podName}`) && !name.endsWith(`/${podName}-work`))
