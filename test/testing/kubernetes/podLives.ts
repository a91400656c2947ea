/** How pods come, end and go, on any cluster. */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import type { Register } from "./behaviour.ts"
import {
  createPod,
  eventually,
  getPod,
  gone,
  logs,
  type Pod,
  phase,
  remove,
  run,
  shell,
  stateOf,
  until
} from "./support.ts"

const { pods } = KubeResource

const conditionOf = (pod: Pod, type: string) => pod.status?.conditions?.find((one) => one.type === type)

const waitingFor = (name: string, reason: string, container?: string) =>
  until(name, (pod) => stateOf(pod, container)?.waiting?.reason === reason)

export const podLives = (it: Register): void => {
  for (const [code, expected, reason] of [
    [0, "Succeeded", "Completed"],
    [3, "Failed", "Error"],
    [137, "Failed", "Error"]
  ] as const) {
    it(`a container that exits with ${code} makes the pod ${expected}`, () =>
      Effect.gen(function* () {
        const name = `exits-${code}`
        yield* createPod(name, { containers: [shell(`exit ${code}`)] })
        const ended = yield* until(name, (pod) => stateOf(pod)?.terminated !== undefined)
        assert.strictEqual(stateOf(ended)?.terminated?.exitCode, code)
        assert.strictEqual(stateOf(ended)?.terminated?.reason, reason)
        const last = yield* phase(name, "Succeeded", "Failed")
        assert.strictEqual(last.status?.phase, expected)
        assert.strictEqual(conditionOf(last, "Ready")?.status, "False")
        assert.strictEqual(conditionOf(last, "PodScheduled")?.status, "True")
        yield* remove(name)
        yield* gone(pods, name)
      }))
  }

  it("runs with all conditions, an address and a node", () =>
    Effect.gen(function* () {
      yield* createPod("runs", { containers: [shell("sleep 100")] })
      const { spec, status } = yield* until("runs", (pod) => conditionOf(pod, "Ready")?.status === "True")
      assert.strictEqual(status?.phase, "Running")
      for (const type of ["PodScheduled", "Initialized", "ContainersReady", "Ready"]) {
        assert.strictEqual(status?.conditions?.find((one) => one.type === type)?.status, "True", type)
      }
      assert.match(status?.podIP ?? "", /^[\d.]+$/)
      assert.isString(spec?.nodeName)
      const [container] = status?.containerStatuses ?? []
      assert.deepStrictEqual([container?.ready, container?.started, container?.restartCount], [true, true, 0])
    }))

  it("init containers run one after the other, before the others", () =>
    Effect.gen(function* () {
      const volumeMounts = [{ name: "shared", mountPath: "/shared" }]
      const init = (name: string, script: string) => shell(script, { name, volumeMounts })
      yield* createPod("in-order", {
        volumes: [{ name: "shared", emptyDir: {} }],
        initContainers: [init("one", "sleep 0.3; echo one >> /shared/f"), init("two", "echo two >> /shared/f")],
        containers: [shell("cat /shared/f", { volumeMounts })]
      })
      yield* phase("in-order", "Succeeded")
      assert.strictEqual(yield* logs("in-order"), "one\ntwo\n")
    }))

  it("an init container that fails fails the pod, and the others never run", () =>
    Effect.gen(function* () {
      yield* createPod("bad-init", {
        initContainers: [shell("exit 5", { name: "init" })],
        containers: [shell("true")]
      })
      const failed = yield* phase("bad-init", "Failed")
      assert.strictEqual(stateOf(failed, "init")?.terminated?.exitCode, 5)
      assert.strictEqual(stateOf(failed)?.waiting?.reason, "PodInitializing")
      assert.strictEqual(conditionOf(failed, "Initialized")?.status, "False")
    }))

  it("a sidecar runs beside the others, and ends after them", () =>
    Effect.gen(function* () {
      const volumeMounts = [{ name: "shared", mountPath: "/shared" }]
      yield* createPod("beside", {
        volumes: [{ name: "shared", emptyDir: {} }],
        initContainers: [
          shell("echo up > /shared/up; trap 'echo told; exit 0' TERM; while :; do sleep 0.1; done", {
            name: "sidecar",
            restartPolicy: "Always",
            volumeMounts
          })
        ],
        containers: [shell("while ! cat /shared/up; do sleep 0.1; done", { volumeMounts })]
      })
      const done = yield* phase("beside", "Succeeded")
      assert.strictEqual(stateOf(done, "sidecar")?.terminated?.exitCode, 0)
      assert.strictEqual(yield* logs("beside", { container: "sidecar" }), "told\n")
    }))

  it("an image that does not exist is told: ErrImagePull, then ImagePullBackOff", () =>
    Effect.gen(function* () {
      const image = "nosuch.invalid/team/missing:1"
      yield* createPod("no-image", { containers: [shell("true", { image })] })
      const first = yield* waitingFor("no-image", "ErrImagePull")
      assert.include(stateOf(first)?.waiting?.message, `failed to pull and unpack image "${image}"`)
      assert.strictEqual(first.status?.phase, "Pending")
      const later = yield* waitingFor("no-image", "ImagePullBackOff")
      assert.include(stateOf(later)?.waiting?.message, `Back-off pulling image "${image}"`)
      yield* remove("no-image", 0)
    }))

  it("an image name that cannot be one is told as InvalidImageName", () =>
    Effect.gen(function* () {
      yield* createPod("bad-name", { containers: [shell("true", { image: "Upper/Case" })] })
      const told = yield* waitingFor("bad-name", "InvalidImageName")
      assert.include(stateOf(told)?.waiting?.message, 'couldn\'t parse image name "Upper/Case"')
      yield* remove("bad-name", 0)
    }))

  it("a program that does not exist is told as StartError", () =>
    Effect.gen(function* () {
      yield* createPod("no-program", { containers: [shell("", { command: ["no-such-program"] })] })
      const failed = yield* phase("no-program", "Failed")
      const terminated = stateOf(failed)?.terminated
      assert.deepStrictEqual([terminated?.exitCode, terminated?.reason], [128, "StartError"])
      assert.include(terminated?.message, 'exec: "no-such-program": executable file not found in $PATH')
    }))

  it("a secret that is missing is told as CreateContainerConfigError, and found when it comes", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      yield* createPod("waits", {
        containers: [shell("echo $TOKEN", { envFrom: [{ secretRef: { name: "comes-later" } }] })]
      })
      const told = yield* waitingFor("waits", "CreateContainerConfigError")
      assert.strictEqual(stateOf(told)?.waiting?.message, 'secret "comes-later" not found')
      const secret = { apiVersion: "v1", kind: "Secret", metadata: { name: "comes-later" }, stringData: { TOKEN: "t" } }
      yield* kube.request({ verb: "create", resource: KubeResource.secrets, body: secret })
      yield* phase("waits", "Succeeded")
      assert.strictEqual(yield* logs("waits"), "t\n")
    }))

  it("no node that fits is told by the scheduler", () =>
    Effect.gen(function* () {
      yield* createPod("nowhere", { nodeSelector: { "jobscope-test": "nosuch" }, containers: [shell("true")] })
      const pod = yield* until("nowhere", (one) => conditionOf(one, "PodScheduled")?.status === "False")
      const condition = conditionOf(pod, "PodScheduled")
      assert.strictEqual(condition?.reason, "Unschedulable")
      assert.match(condition?.message ?? "", /0\/\d+ nodes are available: .*didn't match Pod's node affinity\/selector/)
      yield* remove("nowhere")
      yield* gone(pods, "nowhere")
    }))

  it("a deadline ends a pod, with the reason", () =>
    Effect.gen(function* () {
      yield* createPod("overdue", { activeDeadlineSeconds: 1, containers: [shell("sleep 100")] })
      const failed = yield* phase("overdue", "Failed")
      assert.strictEqual(failed.status?.reason, "DeadlineExceeded")
      assert.strictEqual(failed.status?.message, "Pod was active on the node longer than the specified deadline")
    }))

  it("is ready when its probe says so, not before", () =>
    Effect.gen(function* () {
      const readinessProbe = { exec: { command: ["cat", "/tmp/ready"] }, periodSeconds: 1 }
      yield* createPod("probed", { containers: [shell("sleep 100", { readinessProbe })] })
      const running = yield* phase("probed", "Running")
      assert.strictEqual(running.status?.containerStatuses?.[0]?.ready, false)
      assert.strictEqual(conditionOf(running, "Ready")?.message, "containers with unready status: [main]")
      yield* run("probed", "touch /tmp/ready")
      yield* until("probed", (pod) => pod.status?.containerStatuses?.[0]?.ready === true)
    }))

  it("is restarted after a failure if it shall be, and keeps the log of before", () =>
    Effect.gen(function* () {
      const script = "echo run; test -e /shared/again && exec sleep 100; touch /shared/again; exit 1"
      yield* createPod("again", {
        restartPolicy: "OnFailure",
        volumes: [{ name: "shared", emptyDir: {} }],
        containers: [shell(script, { volumeMounts: [{ name: "shared", mountPath: "/shared" }] })]
      })
      const again = yield* until(
        "again",
        (pod) => stateOf(pod)?.running !== undefined && pod.status?.containerStatuses?.[0]?.restartCount === 1
      )
      const [status] = again.status?.containerStatuses ?? []
      assert.strictEqual(status?.lastState?.terminated?.exitCode, 1)
      assert.strictEqual(yield* logs("again", { previous: true }), "run\n")
    }))

  it("is asked to end, and gone when it has", () =>
    Effect.gen(function* () {
      yield* createPod("asked", {
        terminationGracePeriodSeconds: 20,
        containers: [shell("trap 'echo told; sleep 0.5; exit 0' TERM; echo up; while :; do sleep 0.1; done")]
      })
      yield* phase("asked", "Running")
      yield* eventually("up")(Effect.map(logs("asked"), (text) => text === "up\n"))
      const answered = yield* remove("asked")
      assert.strictEqual(answered.metadata?.deletionGracePeriodSeconds, 20)
      assert.isString((yield* getPod("asked")).metadata?.deletionTimestamp)
      yield* gone(pods, "asked")
    }))

  it("that does not end is killed after its grace", () =>
    Effect.gen(function* () {
      yield* createPod("stubborn", { containers: [shell("trap '' TERM; while :; do sleep 0.1; done")] })
      yield* phase("stubborn", "Running")
      yield* remove("stubborn", 1)
      yield* gone(pods, "stubborn")
    }))

  it("is gone at once without a grace", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      yield* createPod("at-once", { containers: [shell("trap '' TERM; while :; do sleep 0.1; done")] })
      yield* phase("at-once", "Running")
      yield* remove("at-once", 0)
      const got = yield* Effect.flip(kube.request({ verb: "get", resource: pods, name: "at-once" }))
      assert.strictEqual(got.reason._tag, "NotFound")
    }))

  it("that still ends keeps its name", () =>
    Effect.gen(function* () {
      yield* createPod("ending", {
        terminationGracePeriodSeconds: 30,
        containers: [shell("trap '' TERM; while :; do sleep 0.1; done")]
      })
      yield* phase("ending", "Running")
      yield* remove("ending")
      const again = yield* Effect.flip(createPod("ending", { containers: [shell("true")] }))
      assert.strictEqual(again.reason._tag, "AlreadyExists")
      assert.include(again.message, 'object is being deleted: pods "ending" already exists')
      yield* remove("ending", 0)
      yield* gone(pods, "ending")
    }))
}
