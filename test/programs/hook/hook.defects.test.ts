/**
 * What GitHub's own hooks get wrong, a test for each defect that was reproduced with them, named by its number in the project's notes: the bundled hook as
 * the runner calls it, against a fake cluster whose pods run for real.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as KubeClient from "../../../src/backends/kubernetes/KubeClient.ts"
import * as KubeResource from "../../../src/backends/kubernetes/KubeResource.ts"
import * as FakeFault from "../../../src/testing/kubernetes/FakeFault.ts"
import * as FakeImage from "../../../src/testing/kubernetes/FakeImage.ts"
import * as FakeKubernetes from "../../../src/testing/kubernetes/FakeKubernetes.ts"
import { FakeRunner, layer, podName } from "./support/FakeRunner.ts"

const jobPod = `${podName}-workflow`

const podNamed = (name: string) =>
  KubeClient.KubeClient.use((kube) => kube.request({ verb: "get", resource: KubeResource.pods, name }))

const podNames = KubeClient.KubeClient.use((kube) =>
  Effect.map(kube.list({ resource: KubeResource.pods }), ({ items }) =>
    items.map(({ metadata }) => metadata?.name ?? "")
  )
)

/** As an administrator mounts it. */
const template = Effect.fnUntraced(function* (yaml: string) {
  const { temp } = yield* FakeRunner
  const file = join(temp, "hook-template.yaml")
  writeFileSync(file, yaml)
  return { env: { ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE: file } }
})

/** What a pod waits for is said if that lasts, as it may on a busy machine. */
const quiet = { JOBSCOPE_LOG_LEVEL: "warn" }

const lines = Array.from({ length: 15 }, (_, index) => `line ${index}\n`).join("")
const slowly = "for i in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14; do echo line $i; sleep 0.1; done; exit 7"

describe.skipIf(FakeKubernetes.unsupported() !== undefined).each(["claim", "copy"] as const)("%s", (mode) => {
  const container = (more: object) =>
    Effect.map(FakeRunner, ({ stepMounts }) => ({
      image: "busybox",
      entryPoint: "sh",
      entryPointArgs: [],
      environmentVariables: {},
      workingDirectory: "/github/workspace",
      systemMountVolumes: stepMounts,
      ...more
    }))

  it.live.each(["reset", "close", "silent"] as const)(
    "1: a connection that ends without a status (%s) is no success, and costs no line",
    (how) =>
      Effect.gen(function* () {
        const runner = yield* FakeRunner
        const kubernetes = yield* FakeKubernetes.FakeKubernetes
        const { state } = yield* runner.prepare({}, { env: { JOBSCOPE_TRANSPORT: "exec" } })
        yield* kubernetes.inject({
          match: { resource: "pods/exec" },
          times: 1,
          action: FakeFault.cut({ after: "400 millis", how })
        })
        const { code, stdout } = yield* runner.script(state, slowly)
        assert.strictEqual(stdout, lines)
        assert.strictEqual(code, 7)
      }).pipe(Effect.provide(layer(mode))),
    { timeout: 120_000, concurrent: true }
  )

  it.live("28: no port of the node is taken, unless the administrator wants what GitHub's hooks do", () =>
    Effect.gen(function* () {
      const runner = yield* FakeRunner
      // UDP, which nobody waits for: all pods of the fake share this machine's ports.
      const service = { image: "redis", entryPoint: "sleep", entryPointArgs: ["1000000"] }
      const services = [{ ...service, portMappings: ["8080:80/udp", "9000/udp"] }]
      const portsOf = (name: string) =>
        Effect.map(podNamed(jobPod), ({ spec }) => spec?.containers.find((one) => one.name === name)?.ports)
      const { response } = yield* runner.prepare({ portMappings: ["7070:70"] }, { services })
      assert.deepStrictEqual(response.context.services[0]?.ports, { "80/udp": "80", "9000/udp": "9000" })
      assert.deepStrictEqual(yield* portsOf("job"), [{ containerPort: 70, protocol: "TCP" }])
      const strict = yield* runner.prepare(
        { portMappings: ["7070:70"] },
        { services, env: { JOBSCOPE_STRICT: "host-ports" } }
      )
      assert.deepEqual<object>(strict.response.context, {
        container: { image: "ubuntu", ports: { "70": "7070" } },
        services: [{ image: "redis", ports: { "80": "8080" } }]
      })
      assert.deepStrictEqual(yield* portsOf("job"), [{ containerPort: 70, hostPort: 7070, protocol: "TCP" }])
      assert.deepStrictEqual(yield* portsOf("redis"), [
        { containerPort: 80, hostPort: 8080, protocol: "UDP" },
        { containerPort: 9000, protocol: "UDP" }
      ])
    }).pipe(Effect.provide(layer(mode)))
  )

  it.live("2, 4: a container step that ends at once has its own exit code", () =>
    Effect.gen(function* () {
      const runner = yield* FakeRunner
      const { state } = yield* runner.prepare()
      const args = yield* container({ entryPointArgs: ["-c", '"echo', "said;", "exit", '3"'] })
      const { code, stdout } = yield* runner.call("run_container_step", args, { state, env: quiet })
      assert.strictEqual(stdout, "said\n")
      assert.strictEqual(code, 3)
    }).pipe(Effect.provide(layer(mode)))
  )

  it.live("3, 5: a failing script has its own exit code, and its outputs, path, state and summary come back", () =>
    Effect.gen(function* () {
      const runner = yield* FakeRunner
      const { state } = yield* runner.prepare()
      const failed = yield* runner.script(
        state,
        "echo a=b >> $GITHUB_OUTPUT; echo '# sum' >> $GITHUB_STEP_SUMMARY; exit 42"
      )
      assert.strictEqual(failed.code, 42)
      assert.deepStrictEqual([failed.outputs, failed.summary], ["a=b\n", "# sum\n"])
      const killed = yield* runner.script(state, "kill -9 $$")
      assert.strictEqual(killed.code, 137)
    }).pipe(Effect.provide(layer(mode)))
  )

  it.live("6, 7: what a container step writes is there afterwards, and what it needs before", () =>
    Effect.gen(function* () {
      const runner = yield* FakeRunner
      const { state } = yield* runner.prepare()
      yield* runner.script(state, "echo from the job > shared.txt")
      writeFileSync(join(runner.temp, "_runner_file_commands/set_output_c"), "")
      const script =
        "cat shared.txt $GITHUB_EVENT_PATH; echo; ls -d $HOME $RUNNER_TEMP; echo c=1 >> $GITHUB_OUTPUT; echo from the step > action.yml"
      const args = yield* container({
        entryPointArgs: ["-ec", `"${script}"`],
        environmentVariables: {
          HOME: "/github/home",
          RUNNER_TEMP: "/github/runner_temp",
          GITHUB_EVENT_PATH: "/github/workflow/event.json",
          GITHUB_OUTPUT: "/github/file_commands/set_output_c"
        }
      })
      const step = yield* runner.call("run_container_step", args, { state, env: quiet })
      assert.strictEqual(
        step.stdout,
        'from the job\n{"action":"opened"}\n/github/home\n/github/runner_temp\n',
        `${step.code} ${step.stderr}`
      )
      assert.strictEqual(step.code, 0)
      assert.strictEqual(readFileSync(join(runner.temp, "_runner_file_commands/set_output_c"), "utf8"), "c=1\n")
      assert.strictEqual(readFileSync(join(runner.workspace, "action.yml"), "utf8"), "from the step\n")
      const { stdout } = yield* runner.script(state, "cat action.yml")
      assert.strictEqual(stdout, "from the step\n")
    }).pipe(Effect.provide(layer(mode)))
  )

  it.live("8, 9, 10: a template changes the job's container only, and never what pods are found by or need", () =>
    Effect.gen(function* () {
      const runner = yield* FakeRunner
      const kubernetes = yield* FakeKubernetes.FakeKubernetes
      const { env } = yield* template(`
metadata:
  labels: { runner-pod: mine, team: build }
spec:
  securityContext: { runAsNonRoot: false }
  imagePullSecrets: [{ name: mine }]
  initContainers: [{ name: warm, image: busybox, command: ["true"] }]
  volumes: [{ name: cache, emptyDir: {} }]
  containers:
    - name: $job
      volumeMounts: [{ name: cache, mountPath: /cache }]
`)
      const service = { image: "redis", entryPoint: "sleep", entryPointArgs: ["1000"] }
      const registry = { username: "me", password: "p", serverUrl: "" }
      const { state } = yield* runner.prepare({ registry }, { env, services: [service] })
      const pod = yield* podNamed(jobPod)
      assert.include(pod.metadata?.labels, { "runner-pod": podName, team: "build" })
      const mounts = (name: string) =>
        pod.spec?.containers.find((each) => each.name === name)?.volumeMounts?.map(({ mountPath }) => mountPath) ?? []
      assert.include(mounts("job"), "/cache")
      assert.notInclude(mounts("redis"), "/cache")
      assert.deepStrictEqual(pod.spec?.imagePullSecrets?.length, 2)
      const init = pod.spec?.initContainers?.map(({ name }) => name) ?? []
      assert.deepStrictEqual(init, mode === "copy" ? ["fs-init", "warm"] : ["warm"])
      const { code } = yield* runner.script(state, "ls /cache /__e/node24/bin/node", { env })
      assert.strictEqual(code, 0)
      yield* runner.call("cleanup_job", {}, { state, env })
      assert.notInclude((yield* kubernetes.left).join(), jobPod)
    }).pipe(Effect.provide(layer(mode)))
  )

  it.live(
    "11: a cancelled script is told, ended with all its children, and is no success",
    () =>
      Effect.gen(function* () {
        const runner = yield* FakeRunner
        const { state } = yield* runner.prepare()
        const polite = yield* runner.start(
          "run_script_step",
          runner.scriptArgs("trap 'echo told; exit 0' INT; echo started; while :; do sleep 0.1; done"),
          { state }
        )
        yield* polite.says("started")
        polite.process.kill("SIGINT")
        const told = yield* polite.ended
        assert.strictEqual(told.stdout, "started\ntold\n")
        assert.strictEqual(told.code, 130)
        const stubborn = yield* runner.start(
          "run_script_step",
          runner.scriptArgs("trap '' INT TERM; (trap '' INT TERM; exec sleep 4242) & echo started; wait; sleep 4242"),
          { state }
        )
        yield* stubborn.says("started")
        const [took] = yield* Effect.timed(
          Effect.suspend(() => {
            stubborn.process.kill("SIGINT")
            return stubborn.ended
          })
        )
        assert.isBelow(Duration.toMillis(took), 10_000)
        const { stdout } = yield* runner.script(state, "ps -eo args | grep -c '[s]leep 4242' || true")
        assert.strictEqual(stdout, "0\n")
      }).pipe(Effect.provide(layer(mode))),
    60_000
  )

  it.live(
    "12: a container step whose hook was killed is found and ended by cleanup_job, with and without state",
    () =>
      Effect.gen(function* () {
        const runner = yield* FakeRunner
        const { state } = yield* runner.prepare()
        const args = yield* container({ entryPointArgs: ["-c", '"echo', "started;", "sleep", '1000"'] })
        for (const known of [state, null]) {
          const step = yield* runner.start("run_container_step", args, { state })
          yield* step.says("started")
          step.process.kill("SIGKILL")
          yield* step.ended
          const left = yield* podNames
          const stepPod = left.find((name) => name.startsWith(`${podName}-step-`)) ?? assert.fail(left.join())
          assert.strictEqual((yield* podNamed(stepPod)).metadata?.labels?.["runner-pod"], podName)
          const { code, stdout } = yield* runner.call("cleanup_job", {}, { state: known })
          assert.strictEqual(code, 0, stdout)
          assert.deepStrictEqual(yield* podNames, [podName])
          if (known !== null) yield* runner.prepare()
        }
      }).pipe(Effect.provide(layer(mode))),
    60_000
  )

  it.live("13: services of any image have names that Kubernetes takes", () =>
    Effect.gen(function* () {
      const runner = yield* FakeRunner
      const sleeping = (image: string) => ({ image, entryPoint: "sleep", entryPointArgs: ["1000"] })
      const digest = `@sha256:${"a".repeat(64)}`
      const images = ["redis", `redis${digest}`, "localhost:5000/my_image:v1.2", "job"]
      const { response } = yield* runner.prepare({}, { services: images.map(sleeping) })
      assert.lengthOf(response.context.services, 4)
      const pod = yield* podNamed(jobPod)
      assert.deepStrictEqual(
        pod.spec?.containers.map(({ name }) => name),
        ["job", "redis-0", "redis-1", "my-image", "job-0"]
      )
    }).pipe(
      Effect.provide(
        layer(mode, {
          images: {
            [`redis@sha256:${"a".repeat(64)}`]: FakeImage.machine,
            "localhost:5000/my_image": FakeImage.machine,
            job: FakeImage.machine
          }
        })
      )
    )
  )

  it.live("14: variables that are null or empty are passed, one that is too large is named", () =>
    Effect.gen(function* () {
      const runner = yield* FakeRunner
      const { state } = yield* runner.prepare()
      const passed = yield* runner.script(state, 'echo "[$A][$B]"; env | grep -c "^[AB]="', {
        args: { environmentVariables: { A: null, B: "", LARGE: "x".repeat(127 * 1024) } }
      })
      assert.deepStrictEqual([passed.code, passed.stdout], [0, "[][]\n2\n"])
      const refused = yield* runner.script(state, "echo ran", {
        args: { environmentVariables: { LARGE: "x".repeat(128 * 1024) } }
      })
      assert.strictEqual(refused.code, 1)
      assert.match(refused.stdout, /^::error title=Invalid input::args\.environmentVariables\.LARGE .*128 KiB.*\n$/)
      // Linux has a limit for all of them together, too.
      const many = Object.fromEntries(Array.from({ length: 30 }, (_, at) => [`V${at}`, "x".repeat(100 * 1024)]))
      const tooMany = yield* runner.script(state, "echo ran", { args: { environmentVariables: many } })
      assert.strictEqual(tooMany.code, 126)
      assert.match(tooMany.stdout, /argument list too long/i)
    }).pipe(Effect.provide(layer(mode)))
  )

  it.live("15: a working directory and a path with spaces, quotes and dollars", () =>
    Effect.gen(function* () {
      const runner = yield* FakeRunner
      const { state } = yield* runner.prepare()
      const name = `a b $HOME "c" 'd'`
      yield* runner.script(
        state,
        `mkdir -p "$DIR/bin"; printf '#!/bin/sh\\necho tool\\n' > "$DIR/bin/tool"; chmod +x "$DIR/bin/tool"`,
        {
          args: { environmentVariables: { DIR: name } }
        }
      )
      const { stdout } = yield* runner.script(state, "pwd; tool", {
        args: { workingDirectory: `/__w/repo/repo/${name}`, prependPath: [`/__w/repo/repo/${name}/bin`] }
      })
      assert.strictEqual(stdout, `/__w/repo/repo/${name}\ntool\n`)
    }).pipe(Effect.provide(layer(mode)))
  )

  it.live("16: arguments of a container step are evaluated by nobody", () =>
    Effect.gen(function* () {
      const runner = yield* FakeRunner
      const { state } = yield* runner.prepare()
      const args = yield* container({
        entryPoint: "printf",
        entryPointArgs: ['"[%s]"', '"$(echo', 'pwned)"', '"`id`"', '"$HOME"', '"a;', '\\"b\\""', '"$(HOME)"', "*"],
        environmentVariables: { HOME: "/github/home" }
      })
      const { stdout } = yield* runner.call("run_container_step", args, { state, env: quiet })
      assert.strictEqual(stdout, '[$(echo pwned)][`id`][$HOME][a; "b"][$(HOME)][*]')
    }).pipe(Effect.provide(layer(mode)))
  )

  it.live(
    "17: a reader that is slow slows the step down, and costs no memory",
    () =>
      Effect.gen(function* () {
        const runner = yield* FakeRunner
        const { state } = yield* runner.prepare()
        const size = 100 * 1024 * 1024
        const step = yield* runner.start(
          "run_script_step",
          runner.scriptArgs(`head -c ${size} /dev/zero | tr '\\0' x; echo; exit 9`),
          { state }
        )
        let received = 0
        let paused = false
        step.process.stdout?.removeAllListeners("data")
        step.process.stdout?.on("data", (chunk: Buffer) => {
          received += chunk.length
          if (!paused && received > 1024 * 1024) {
            paused = true
            step.process.stdout?.pause()
            setTimeout(() => step.process.stdout?.resume(), 1500)
          }
        })
        let largest = 0
        const watching = setInterval(() => {
          const status = existsSync(`/proc/${step.process.pid}/status`)
            ? readFileSync(`/proc/${step.process.pid}/status`, "utf8")
            : ""
          largest = Math.max(largest, Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0))
        }, 50)
        const { code } = yield* step.ended
        clearInterval(watching)
        assert.strictEqual(received, size + 1)
        assert.strictEqual(code, 9)
        assert.isBelow(largest / 1024, 130, "MiB at most, however much is written")
      }).pipe(Effect.provide(layer(mode))),
    60_000
  )

  it.live("18: an API server that speaks v4 only", () =>
    Effect.gen(function* () {
      const runner = yield* FakeRunner
      const { state } = yield* runner.prepare({}, { env: { JOBSCOPE_TRANSPORT: "exec" } })
      const { code, stdout } = yield* runner.script(state, "echo over v4; exit 5")
      assert.deepStrictEqual([code, stdout], [5, "over v4\n"])
      const args = yield* container({ entryPointArgs: ["-c", '"exit', '6"'] })
      assert.strictEqual((yield* runner.call("run_container_step", args, { state, env: quiet })).code, 6)
    }).pipe(Effect.provide(layer(mode, { protocols: ["v4.channel.k8s.io"] })))
  )

  it.live(
    "21: many files are no processes",
    () =>
      Effect.gen(function* () {
        const runner = yield* FakeRunner
        const many = 3000
        mkdirSync(join(runner.workspace, "many"))
        for (let file = 0; file < many; file++) writeFileSync(join(runner.workspace, `many/${file}`), "x")
        const { state } = yield* runner.prepare()
        // Within a pod, processes are numbered as they start.
        const look = Effect.map(runner.script(state, "ls many | wc -l; echo $$"), ({ stdout }) =>
          stdout.trim().split("\n").map(Number)
        )
        const [filesBefore, startedBefore = many] = yield* look
        assert.strictEqual(filesBefore, many)
        assert.isBelow(startedBefore, 200)
        const args = yield* container({
          entryPointArgs: ["-c", '"ls', "many", "|", "wc", "-l;", "echo", ">", 'many/more"']
        })
        assert.strictEqual(
          (yield* runner.call("run_container_step", args, { state, env: quiet })).stdout.trim(),
          `${many}`
        )
        const [filesAfter, startedAfter = many] = yield* look
        assert.strictEqual(filesAfter, many + 1)
        assert.isBelow(startedAfter - startedBefore, 200)
      }).pipe(Effect.provide(layer(mode))),
    180_000
  )
})

it("every defect that was reproduced has a test", () => {
  const titles = readFileSync(import.meta.filename, "utf8").matchAll(
    /^ +"(\d+(?:, \d+)*): |it\.live\("(\d+(?:, \d+)*): /gm
  )
  const named = new Set([...titles].flatMap(([, broken, line]) => (broken ?? line ?? "").split(", ").map(Number)))
  const reproduced = [...Array.from({ length: 18 }, (_, index) => index + 1), 21]
  assert.includeMembers([...named], reproduced)
})
