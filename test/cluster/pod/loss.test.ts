/** A pod that is lost in the middle of a step: the step fails within seconds, and says why. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer } from "effect"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import * as PodBackend from "jobscope/backends/pod/PodBackend"
import type { Options } from "jobscope/backends/pod/PodOptions"
import { Resources } from "jobscope/domain/Container"
import { JobContainer, JobSpec } from "jobscope/domain/Job"
import { JobBackend } from "jobscope/domain/JobBackend"
import type { EnvironmentLost } from "jobscope/domain/JobError"
import { type JobEvent, JobEvents } from "jobscope/domain/JobEvent"
import { ContainerStep, ScriptStep } from "jobscope/domain/Step"
import { nodeIsHere, sharedDirectory } from "../support/sharedDirectory.ts"
import { kube, suiteNamespace } from "../support/suiteNamespace.ts"
import { failureAfter, listen, podsIn } from "./support.ts"

const namespace = suiteNamespace()
const shared = nodeIsHere ? sharedDirectory(namespace, "work") : undefined

const modes: ReadonlyArray<readonly [string, Options]> = [
  ["exec", {}],
  ["exec, on demand", { vigilance: "on-demand" }],
  ...(shared === undefined
    ? []
    : ([
        ["volume", { sharing: { _tag: "Claim", claim: "work", root: shared }, transport: "volume" }],
        [
          "volume, on demand",
          { sharing: { _tag: "Claim", claim: "work", root: shared }, transport: "volume", vigilance: "on-demand" }
        ]
      ] as const))
]

const evictions = KubeResource.make<unknown>({ plural: "pods", subresource: "eviction" })

const deletePod = (name: string, query = {}) =>
  Effect.flatMap(KubeClient.KubeClient, (client) =>
    client.request({ verb: "delete", resource: KubeResource.pods, namespace, name, query })
  )

const evict = (name: string) =>
  Effect.flatMap(KubeClient.KubeClient, (client) =>
    client.request({
      verb: "create",
      resource: evictions,
      namespace,
      name,
      body: { apiVersion: "policy/v1", kind: "Eviction", metadata: { name, namespace } }
    })
  )

/** What is done to a pod, and what the step says of it. */
const losses = [
  ["deleted", (name: string) => deletePod(name), "Deleted"],
  ["deleted by force", (name: string) => deletePod(name, { gracePeriodSeconds: 0 }), "Deleted"],
  ["evicted through the API", evict, "Evicted"]
] as const

const warnings: Array<string> = []
const recorder = {
  emit: (event: JobEvent) => Effect.sync(() => void (event._tag === "Warning" && warnings.push(event.message)))
}

/** A step that says that it runs, and then does so for ever. */
const script = new ScriptStep({ script: "echo on; while :; do sleep 0.2; done" })
const container = (more: Partial<ConstructorParameters<typeof ContainerStep>[0]> = {}) =>
  new ContainerStep({
    image: "alpine:latest",
    entryPoint: ["sh", "-c", "trap 'exit 0' TERM; echo on; while :; do sleep 0.2; done"],
    ...more
  })

for (const [mode, options] of modes) {
  describe(mode, () => {
    const layer = PodBackend.layer({ namespace, ...options }).pipe(Layer.provideMerge(kube))
    const spec = (more: Partial<ConstructorParameters<typeof JobContainer>[0]> = {}) =>
      new JobSpec({
        name: "loss",
        container: new JobContainer({
          image: "busybox:latest",
          ...more
        })
      })

    for (const [what, act, cause] of losses) {
      it.live(`the job's pod is ${what} in the middle of a script`, () =>
        Effect.scoped(
          Effect.gen(function* () {
            const environment = yield* (yield* JobBackend).provision(spec())
            const running = yield* environment.start(script)
            const heard = yield* listen(running)
            yield* heard.until("on")
            const { error, milliseconds } = yield* failureAfter(running, act(environment.name))
            assert.strictEqual(error.reason._tag, "EnvironmentLost", error.message)
            assert.strictEqual((error.reason as EnvironmentLost).cause, cause, error.message)
            assert.isBelow(milliseconds, 5000)
          })
        ).pipe(Effect.provide(layer))
      )

      if (!mode.includes("demand")) {
        it.live(`a container step's pod is ${what}`, () =>
          Effect.scoped(
            Effect.gen(function* () {
              const environment = yield* (yield* JobBackend).provision(spec())
              const running = yield* environment.start(container())
              const heard = yield* listen(running)
              yield* heard.until("on")
              const step = (yield* podsIn(namespace)).find(({ metadata }) =>
                metadata?.name?.startsWith(`${environment.name}-step-`)
              )
              const { error, milliseconds } = yield* failureAfter(running, act(step?.metadata?.name ?? ""))
              assert.strictEqual(error.reason._tag, "EnvironmentLost", error.message)
              assert.strictEqual((error.reason as EnvironmentLost).cause, cause, error.message)
              assert.isBelow(milliseconds, 5000)
            })
          ).pipe(Effect.provide(layer))
        )
      }
    }

    it.live("the job's container uses more memory than it may", () =>
      Effect.scoped(
        Effect.gen(function* () {
          warnings.length = 0
          const limits = { memory: "48Mi" }
          const environment = yield* (yield* JobBackend).provision(
            spec({ resources: new Resources({ limits, requests: {} }) })
          )
          const running = yield* environment.start(
            new ScriptStep({ script: "echo on; tail /dev/zero; echo survived $?" })
          )
          const heard = yield* listen(running)
          yield* heard.until("on")
          const exit = yield* Effect.exit(running.exitCode)
          if (Exit.isSuccess(exit)) {
            // The kernel of this node ends the process alone: the script has an end of its own, and the cause is told beside it.
            assert.strictEqual(exit.value, 137)
            assert.include(warnings.join(), "OOMKilled")
            return
          }
          const error = yield* Effect.flip(exit)
          assert.strictEqual(error.reason._tag, "EnvironmentLost", error.message)
          assert.strictEqual((error.reason as EnvironmentLost).cause, "OOMKilled", error.message)
          assert.include(error.message, "memory")
        })
      ).pipe(Effect.provide(layer), Effect.provideService(JobEvents, recorder))
    )
  })
}
