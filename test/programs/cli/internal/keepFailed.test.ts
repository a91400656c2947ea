import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Stream from "effect/Stream"
import * as LocalBackend from "../../../../src/backends/local/LocalBackend.ts"
import * as MemoryBackend from "../../../../src/backends/memory/MemoryBackend.ts"
import { Job, JobStep } from "../../../../src/domain/Job.ts"
import { JobBackend } from "../../../../src/domain/JobBackend.ts"
import type { BackendError } from "../../../../src/domain/JobError.ts"
import { type JobEvent, JobEvents } from "../../../../src/domain/JobEvent.ts"
import * as JobLifecycle from "../../../../src/domain/JobLifecycle.ts"
import { ScriptStep } from "../../../../src/domain/Step.ts"
import { keepFailed } from "../../../../src/programs/cli/internal/keepFailed.ts"

const stateDirectory = mkdtempSync(join(tmpdir(), "jobscope-keep-"))
afterAll(() => rmSync(stateDirectory, { recursive: true }))

const jobOf = (name: string, script: string, more: Partial<ConstructorParameters<typeof JobStep>[0]> = {}) =>
  new Job({ name, owner: name, steps: [new JobStep({ run: new ScriptStep({ script }), ...more })] })

/** What is left of a job after it, and what was told. Then it is removed. */
const left = Effect.fnUntraced(
  function* <A>(name: string, program: (told: Array<JobEvent>) => Effect.Effect<A, BackendError, JobBackend>) {
    const told: Array<JobEvent> = []
    const backend = yield* JobBackend
    yield* Effect.provideService(program(told), JobEvents, {
      emit: (event) => Effect.sync(() => void told.push(event))
    })
    const resources = yield* Stream.runCollect(backend.list({ owner: name }))
    yield* backend.release({ owner: name })
    return { told, custody: resources.find(({ kind }) => kind === "Directory")?.custody }
  },
  Effect.provide(LocalBackend.layer({ stateDirectory }))
)

describe("keepFailed", () => {
  it.live("keeps the environment of a job that failed, and says how to remove it", () =>
    Effect.gen(function* () {
      const { custody, told } = yield* left("fails", () => keepFailed(JobLifecycle.run(jobOf("fails", "exit 3"))))
      assert.strictEqual(custody, "handed-over")
      const warning = told.find((event) => event._tag === "Warning")
      const requested = told.find((event) => event._tag === "EnvironmentRequested")
      const removal = requested?._tag === "EnvironmentRequested" ? requested.removal : assert.fail()
      assert.include(
        warning?._tag === "Warning" ? warning.message : "",
        `is kept, because its job failed. Remove it with: ${removal}`
      )
      assert.strictEqual(told.at(-1)?._tag, "JobFinished")
    })
  )

  it.live("keeps nothing of a job that succeeded, also where a failure is allowed", () =>
    Effect.gen(function* () {
      for (const [name, script, more] of [
        ["succeeds", "true", {}],
        ["allowed", "exit 3", { continueOnError: true }]
      ] as const) {
        const { custody, told } = yield* left(name, () => keepFailed(JobLifecycle.run(jobOf(name, script, more))))
        assert.isUndefined(custody)
        assert.isFalse(told.some(({ _tag }) => _tag === "Warning" || _tag === "EnvironmentHandedOver"))
      }
    })
  )

  it.live("keeps nothing of a job that is cancelled", () =>
    Effect.gen(function* () {
      const { custody } = yield* left(
        "cancelled",
        Effect.fnUntraced(function* (told) {
          const runs = Latch.makeUnsafe()
          const listening = Effect.provideService(
            keepFailed(JobLifecycle.run(jobOf("cancelled", "echo on; sleep 60"))),
            JobEvents,
            {
              emit: (event) =>
                Effect.sync(() => {
                  told.push(event)
                  if (event._tag === "StepOutput") runs.openUnsafe()
                })
            }
          )
          const fiber = yield* Effect.forkChild(listening)
          yield* runs.await
          yield* Fiber.interrupt(fiber)
        })
      )
      assert.isUndefined(custody)
    })
  )

  it.effect("is refused by a backend that cannot do it", () =>
    Effect.gen(function* () {
      const backend = yield* JobBackend
      const unable = { ...backend, capabilities: { ...backend.capabilities, handOver: false } }
      const refused = keepFailed(JobLifecycle.run(jobOf("a", "true"))).pipe(Effect.provideService(JobBackend, unable))
      const error = yield* Effect.flip(refused)
      assert.strictEqual(error.reason._tag, "Unsupported")
    }).pipe(Effect.provide(MemoryBackend.layerTest()))
  )
})
