import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as Rgd from "jobscope/backends/kro/ResourceGraphDefinition"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import { TestNamespace, layer as testNamespace } from "../support/testNamespace.ts"
import { cel, pod } from "./support/rgds.ts"
import { all, eventually, forceDelete, nothingLeft, scene, startRunner, startsOf } from "./support/runner.ts"

const eventsOf = Effect.fnUntraced(function* (name: string) {
  return (yield* all(KubeResource.events)).filter(
    ({ involvedObject, source }) => involvedObject.name === name && source?.component === "kro-runner"
  )
})

layer(testNamespace, { excludeTestServices: true, timeout: "3 minutes" })("kro-runner", (it) => {
  it.effect("runs a runner to its end: exit 0, one run, nothing left", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      const namespace = (yield* TestNamespace).name
      const { instances, kind, uid } = yield* scene("green", {
        spec: {
          runnerName: "string | required=true",
          jitConfigSecretName: "string",
          scaleSetName: "string",
          size: "string | default=small"
        },
        resources: [pod("sleep 2; exit 0")]
      })
      const starts = yield* startsOf("green")
      const runner = yield* startRunner("green")
      yield* runner.says("The runner runs")
      const instance = yield* kube.request({ verb: "get", resource: instances, namespace, name: "green" })
      const { annotations, labels, ownerReferences } = instance.metadata
      assert.deepInclude(labels, { "actions.github.com/scale-set-name": "green", "kro.run/runner-name": "green" })
      assert.deepStrictEqual(ownerReferences, [
        { apiVersion: "v1", kind: "Pod", name: "green", uid, controller: false }
      ])
      const { createdTimestamp, ...metadata } = JSON.parse(annotations?.["actions.github.com/runner-metadata"] ?? "{}")
      assert.deepStrictEqual(metadata, { runnerName: "green", scaleSetName: "green", jitConfigSecret: "green" })
      assert.match(createdTimestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
      assert.deepStrictEqual(instance.spec, {
        runnerName: "green",
        jitConfigSecretName: "green",
        scaleSetName: "green",
        size: "small"
      })
      assert.notInclude(JSON.stringify(instance), runner.jit)

      const ended = yield* runner.ended
      assert.strictEqual(ended.code, 0, ended.stderr)
      assert.strictEqual(starts.size, 1)
      assert.strictEqual(ended.termination, "RunnerFinished: The runner has finished")
      yield* nothingLeft(kind, "green")
      const [event] = yield* eventsOf("green")
      assert.deepInclude(event, { type: "Normal", reason: "RunnerFinished" })
      assert.strictEqual(event?.involvedObject.uid, uid)
      const requests = ended.stderr.split("\n").filter((line) => / DEBUG (?:GET|POST|DELETE|PATCH) /.test(line))
      const watches = requests.filter((line) => line.includes("watch=true"))
      assert.isAtMost(watches.length, 2, ended.stderr)
      assert.isAtMost(requests.length - watches.length, 8, ended.stderr)
    })
  )

  it.effect("tells a runner that failed: exit 1, with the end of its log", () =>
    Effect.gen(function* () {
      const { kind } = yield* scene("red", {
        spec: { runnerName: "string | required=true", jitConfigSecretName: "string", jitConfigSecretKey: "string" },
        resources: [
          pod("echo the JIT is $JIT; echo something broke; exit 3", {
            pod: {
              containers: [
                {
                  name: "runner",
                  image: "busybox:latest",
                  imagePullPolicy: "IfNotPresent",
                  command: ["sh", "-c", "echo the JIT is $JIT; echo something broke; exit 3"],
                  env: [{ name: "JIT", value: "jit-of-the-test" }]
                }
              ]
            }
          })
        ]
      })
      const runner = yield* startRunner("red", { jit: "jit-of-the-test", env: { KAR_LOG_FORMAT: "json" } })
      const ended = yield* runner.ended
      assert.strictEqual(ended.code, 1, ended.stderr)
      const lines = ended.stderr
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line))
      assert.include(
        lines.map(({ message }) => message),
        "| something broke"
      )
      assert.include(
        lines.map(({ message }) => message),
        "| the JIT is ***"
      )
      assert.deepInclude(
        lines.find(({ phase }) => phase === "ended"),
        { level: "info", instance: "red", child: "red-job" }
      )
      assert.match(ended.termination, /^RunnerFailed: .*exit code 3/)
      yield* nothingLeft(kind, "red")
      assert.deepInclude((yield* eventsOf("red"))[0], { type: "Warning", reason: "RunnerFailed" })
    })
  )

  it.effect("keeps kro-actions-runner's exit code where that is wished", () =>
    Effect.gen(function* () {
      yield* scene("legacy", { resources: [pod("exit 3")] })
      const runner = yield* startRunner("legacy", { env: { KAR_EXIT_MODE: "legacy" } })
      assert.strictEqual((yield* runner.ended).code, 0)
    })
  )

  it.effect("passes on that the runner is too old, where ARC asked for it", () =>
    Effect.gen(function* () {
      yield* scene("old", { resources: [pod("exit 7")] })
      const asked = { ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE: "1" }
      const first = yield* startRunner("old", { env: asked })
      assert.strictEqual((yield* first.ended).code, 7)
      const second = yield* startRunner("old")
      assert.strictEqual((yield* second.ended).code, 1)
    })
  )

  it.effect("counts an instance that somebody else deletes as a loss", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      const namespace = (yield* TestNamespace).name
      const { instances, kind } = yield* scene("stolen", { resources: [pod("sleep 600")] })
      const runner = yield* startRunner("stolen")
      yield* runner.says("The runner runs")
      yield* kube.request({ verb: "delete", resource: instances, namespace, name: "stolen" })
      const ended = yield* runner.ended
      assert.strictEqual(ended.code, 1, ended.stderr)
      assert.match(ended.termination, /^EnvironmentLost: .*the instance stolen .* by somebody else/)
      yield* nothingLeft(kind, "stolen")
    })
  )

  for (const [how, grace] of [
    ["at once", 0],
    ["in its time", 1]
  ] as const) {
    it.effect(`never lets the work run a second time when its pod is deleted ${how}`, () =>
      Effect.gen(function* () {
        const name = `twice-${grace}`
        const { kind } = yield* scene(name, { resources: [pod("trap 'exit 0' TERM; sleep 600 & wait")] })
        const starts = yield* startsOf(name)
        const runner = yield* startRunner(name)
        yield* runner.says("The runner runs")
        yield* forceDelete(`${name}-job`, grace)
        const ended = yield* runner.ended
        assert.strictEqual(ended.code, 1, ended.stderr)
        assert.match(ended.termination, /^EnvironmentLost: .*by somebody else/)
        assert.strictEqual(starts.size, 1, "the work was started again")
        yield* nothingLeft(kind, name)
      })
    )
  }

  it.effect("starts nothing again once the work has ended", () =>
    Effect.gen(function* () {
      const { kind } = yield* scene("drift", { resources: [pod("exit 0")] })
      const starts = yield* startsOf("drift")
      const runner = yield* startRunner("drift")
      yield* runner.says("ended with exit code 0")
      // Whoever collects finished pods: KRO would make it again.
      yield* Effect.ignore(forceDelete("drift-job"))
      assert.strictEqual((yield* runner.ended).code, 0)
      assert.strictEqual(starts.size, 1)
      yield* nothingLeft(kind, "drift")
    })
  )

  it.effect("gives up on an image that cannot be pulled, and says so", () =>
    Effect.gen(function* () {
      const { kind } = yield* scene("image", {
        spec: { runnerName: "string | required=true", image: "string | required=true" },
        resources: [
          pod("true", {
            pod: { containers: [{ name: "runner", image: cel("schema.spec.image"), command: ["true"] }] }
          })
        ]
      })
      const runner = yield* startRunner("image", {
        env: { KAR_RUNNER_IMAGE: "one.local/nobody/nothing:1", KAR_STUCK_TIMEOUT: "1s" }
      })
      const ended = yield* runner.ended
      assert.strictEqual(ended.code, 1, ended.stderr)
      assert.match(ended.termination, /^ImagePullFailed: .*one\.local\/nobody\/nothing:1/)
      yield* nothingLeft(kind, "image")
    })
  )

  it.effect("takes an error of KRO for no failure of the job", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      const namespace = (yield* TestNamespace).name
      const { instances, rgd } = yield* scene("edited", { resources: [pod("sleep 8; exit 0")] })
      const runner = yield* startRunner("edited")
      yield* runner.says("The runner runs")
      // A field of a pod that cannot be changed, in an RGD that applies at once.
      const body = { spec: { resources: [pod("sleep 9; exit 0")] } }
      yield* kube.request({ verb: "patch", resource: Rgd.definitions, name: rgd, body })
      yield* eventually(
        "ERROR",
        Effect.map(
          kube.request({ verb: "get", resource: instances, namespace, name: "edited" }),
          ({ status }) => status?.state === "ERROR"
        )
      )
      const ended = yield* runner.ended
      assert.strictEqual(ended.code, 0, ended.stderr)
    })
  )
})
