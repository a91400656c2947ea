/** Values of variables and credentials may be secrets: nothing that is printed, logged or reported shows one. */
import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Formatter from "effect/Formatter"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as MemoryBackend from "../../src/backends/memory/MemoryBackend.ts"
import * as MemoryProgram from "../../src/backends/memory/MemoryProgram.ts"
import { RegistryCredentials } from "../../src/domain/Container.ts"
import * as EnvironmentHandle from "../../src/domain/EnvironmentHandle.ts"
import * as EnvVars from "../../src/domain/EnvVars.ts"
import { Job, JobContainer, JobStep, OutputReference, Service } from "../../src/domain/Job.ts"
import { StepStartFailed } from "../../src/domain/JobError.ts"
import { ContainerStep, ScriptStep } from "../../src/domain/Step.ts"
import { finish, records } from "./support.ts"

const secret = "hunter2-s3cret"
const env = EnvVars.fromRecord({ TOKEN: secret })
const credentials = new RegistryCredentials({ username: "me", password: Redacted.make(secret) })

const secretive = new Job({
  name: "secretive",
  env,
  container: new JobContainer({ image: "app:1", credentials }),
  services: [new Service({ name: "db", image: "db:1", env, credentials })],
  steps: [
    new JobStep({
      id: "one",
      run: new ScriptStep({
        script: "deploy",
        env: {
          ...env,
          ...MemoryProgram.forStep({ startFailure: new StepStartFailed({ detail: "no", transient: true }) })
        }
      })
    }),
    new JobStep({
      run: new ContainerStep({ image: "tool:1", env, credentials }),
      if: "always",
      envFrom: { A: new OutputReference({ step: "one", output: "a" }) }
    })
  ]
})

/** Every way in which a value becomes text by accident. */
const shown = (value: unknown): string =>
  [
    JSON.stringify(value),
    String(value),
    `${inspect(value, { depth: 100, showHidden: true, getters: true })}`,
    inspect(value, { depth: 100, customInspect: false }),
    Formatter.format(value),
    Formatter.formatJson(value)
  ].join("\n")

describe("EnvVars", () => {
  it("hide their values, and give them to who asks", () => {
    assert.notInclude(shown(env), secret)
    assert.include(shown(env), "TOKEN")
    assert.deepStrictEqual(EnvVars.reveal(env), { TOKEN: secret })
  })

  it("later layers win", () => {
    const layers = [{ A: "1", B: "1" }, { B: "2", C: "2" }, { C: "3" }].map(EnvVars.fromRecord)
    assert.deepStrictEqual(EnvVars.reveal(...layers), { A: "1", B: "2", C: "3" })
    assert.deepStrictEqual(EnvVars.reveal(), {})
  })

  it.prop(
    "are plain text on the wire, and the same after it",
    [Schema.Record(Schema.String, Schema.String)],
    ([record]) => {
      const encoded = Schema.encodeSync(EnvVars.EnvVars)(EnvVars.fromRecord(record))
      assert.deepStrictEqual(Object.entries(encoded), Object.entries(record))
      const decoded = Schema.decodeSync(EnvVars.EnvVars)(encoded)
      assert.deepStrictEqual(Object.entries(EnvVars.reveal(decoded)), Object.entries(record))
    }
  )

  it("__proto__ and constructor are names like any other", () => {
    const record = JSON.parse('{ "__proto__": "1", "constructor": "2", "A": "3" }')
    const entries = [
      ["__proto__", "1"],
      ["constructor", "2"],
      ["A", "3"]
    ]
    const made = EnvVars.fromRecord(record)
    assert.deepStrictEqual(Object.entries(EnvVars.reveal(made, {})), entries)
    const job = new Job({ name: "a", env: made, steps: [] })
    assert.deepStrictEqual(Object.entries(EnvVars.reveal(job.env)), entries)
    const json = JSON.stringify(Schema.encodeSync(Job)(job))
    const decoded = Schema.decodeUnknownSync(Job)(JSON.parse(json))
    assert.deepStrictEqual(Object.entries(EnvVars.reveal(decoded.env)), entries)
    assert.strictEqual(Object.getPrototypeOf(decoded.env), Object.prototype)
    assert.notProperty({}, "1")
  })

  it("a wrong value is refused without being shown", () => {
    for (const wrong of [[secret], { secret }, null]) {
      const exit = Schema.decodeUnknownExit(Job)({ name: "a", steps: [], env: { TOKEN: wrong, OTHER: secret } })
      assert.isTrue(Exit.isFailure(exit))
      assert.notInclude(shown(exit), secret)
      if (Exit.isFailure(exit)) {
        assert.include(Cause.pretty(exit.cause), "TOKEN")
        assert.notInclude(Cause.pretty(exit.cause), secret)
      }
    }
    const elsewhere = Schema.decodeUnknownExit(Job)({ name: 1, steps: [], env: { TOKEN: secret } })
    assert.notInclude(shown(elsewhere), secret)
    assert.throws(() => new Job({ name: "", steps: [], env }), /(?!.*hunter2)/)
  })
})

describe("secrets of a job", () => {
  it("are not shown by the job, nor by its parts", () => {
    for (const part of [
      secretive,
      secretive.env,
      secretive.container,
      secretive.services,
      secretive.steps,
      secretive.steps[1]?.run,
      credentials
    ]) {
      assert.notInclude(shown(part), secret)
    }
  })

  it.effect("are not shown by its result, its events, nor errors", () =>
    Effect.gen(function* () {
      const { events, result } = yield* finish(secretive)
      assert.strictEqual(result.conclusion, "error")
      assert.isAtLeast(events.length, 10)
      assert.notInclude(shown(events), secret)
      assert.notInclude(shown(result), secret)
      assert.notInclude(shown(result.error), secret)
      assert.notInclude(shown(Cause.fail(result.error)), secret)
      assert.notInclude(Cause.pretty(Cause.fail(result.error)), secret)
      assert.notInclude(shown(yield* records), secret)
    }).pipe(Effect.provide(MemoryBackend.layerTest(), { local: true }))
  )

  it.effect("are not part of a handle", () =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(EnvironmentHandle.decode({ version: 9, secret, data: { secret } }))
      assert.isTrue(Exit.isFailure(exit))
      assert.notInclude(shown(exit), secret)
    })
  )
})
