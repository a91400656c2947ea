import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Job, JobSpec, JobStep } from "jobscope/domain/Job"
import { JobBackend } from "jobscope/domain/JobBackend"
import { JobEvents } from "jobscope/domain/JobEvent"
import * as JobLifecycle from "jobscope/domain/JobLifecycle"
import { ScriptStep } from "jobscope/domain/Step"
import * as PlainRenderer from "jobscope/programs/console/PlainRenderer"
import * as FakeBackend from "./fixtures/fakeBackend.ts"

/** As a program shows its jobs that has its own main: with public modules alone. */
const shown = Effect.fnUntraced(function* <A, E>(program: Effect.Effect<A, E, JobBackend>) {
  const renderer = PlainRenderer.make({ color: false, ansi: false, timestamps: "none" })
  let text = ""
  yield* program.pipe(
    Effect.provideService(JobEvents, {
      emit: (event) =>
        Effect.sync(() => {
          text += renderer.event(event)
        })
    }),
    Effect.provideService(JobBackend, FakeBackend.make())
  )
  return (text + renderer.end()).replace(/\d+ms/g, "1ms").trimEnd().split("\n")
})

describe("Renderer", () => {
  it.live("shows jobs of one name that run at the same time", () =>
    Effect.gen(function* () {
      const steps = [new JobStep({ id: "hi", name: "Greet", run: new ScriptStep({ script: "print:hello sleep:20" }) })]
      const job = new Job({ name: "job", steps })
      const lines = yield* shown(Effect.forEach([job, job], (each) => JobLifecycle.run(each), { concurrency: 2 }))
      const each = [
        "job | ▸ 1 step on fake",
        "job | hi | ▸ Greet",
        "job | hi | $ print:hello sleep:20",
        "job | hi | hello",
        "job | hi | ✓ 1ms",
        "job | ✓ success after 1ms"
      ]
      const expected = [
        ...each,
        ...each,
        ...["job-1", "job-2"].flatMap((name) => [
          `job | environment ${name} is ready`,
          `job | environment ${name} is released`
        ])
      ]
      assert.deepStrictEqual(lines.toSorted(), expected.toSorted())
    })
  )

  it.live("shows environments without a job", () =>
    Effect.gen(function* () {
      const open = (name: string) => JobLifecycle.withEnvironment(new JobSpec({ name }))(() => Effect.sleep(20))
      const lines = yield* shown(Effect.all([open("one"), open("two")], { concurrency: 2 }))
      const expected = ["one", "two"].flatMap((name, index) => [
        `${name} | ▸ environment`,
        `${name} | environment ${name}-${index + 1} is ready`,
        `${name} | environment ${name}-${index + 1} is released`
      ])
      assert.deepStrictEqual(lines.toSorted(), expected.toSorted())
    })
  )
})
