import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import { FakeKubernetes } from "jobscope/testing"

const { pods } = KubeResource

describe.skipIf(FakeKubernetes.unsupported() !== undefined)("smoke", () => {
  it.live("a pod", () =>
    Effect.gen(function* () {
      const kubernetes = yield* FakeKubernetes.FakeKubernetes
      const kube = yield* KubeClient.KubeClient
      const spec = {
        restartPolicy: "Never",
        terminationGracePeriodSeconds: 1,
        volumes: [{ name: "w", emptyDir: {} }],
        containers: [
          {
            name: "main",
            image: "alpine",
            command: [
              "sh",
              "-c",
              "cat /etc/os-release; pwd; echo $(X) $Y; ls / /__w; trap 'echo term; exit 3' TERM; while :; do sleep 0.1; done"
            ],
            workingDir: "/__w/deep",
            env: [
              { name: "X", value: "x" },
              { name: "Y", value: "y$(X)" }
            ],
            volumeMounts: [{ name: "w", mountPath: "/__w" }]
          }
        ]
      }
      yield* kube.request({ verb: "create", resource: pods, body: { metadata: { name: "p" }, spec } })
      yield* kubernetes.phase("p", "Running")
      const process = yield* kube.exec({
        pod: "p",
        command: ["sh", "-c", "echo hi; cat; id; ps -ax -o pid,sid,pgid,args; exit 4"],
        stdin: true
      })
      yield* process.write(Buffer.from("in\n"))
      yield* process.end
      console.log(yield* Stream.mkString(Stream.decodeText(Stream.map(process.output, ({ bytes }) => bytes))))
      console.log(yield* process.exitCode)
      const miss = yield* kube.exec({ pod: "p", command: ["nosuch"] })
      console.log((yield* Effect.flip(miss.exitCode)).message)
      yield* kube.request({ verb: "delete", resource: pods, name: "p" })
      console.log(yield* Stream.mkString(Stream.decodeText(kube.logs({ pod: "p", follow: true, timestamps: true }))))
      yield* kubernetes.gone("p")
      console.log(yield* kubernetes.left, kubernetes.requests)
      assert.isTrue(true)
    }).pipe(Effect.scoped, Effect.provide(FakeKubernetes.layer()))
  )
})
