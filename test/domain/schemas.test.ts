/** What is written as JSON by one process, or one version, is read by another: jobs, handles, events, results, errors. */
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Duration from "effect/Duration"
import * as Equal from "effect/Equal"
import * as Formatter from "effect/Formatter"
import * as Schema from "effect/Schema"
import { EnvironmentHandle } from "../../src/domain/EnvironmentHandle.ts"
import * as EnvVars from "../../src/domain/EnvVars.ts"
import { Job, JobSpec } from "../../src/domain/Job.ts"
import { BackendError, JobCancelled, Reason, StepFailed, TimedOut } from "../../src/domain/JobError.ts"
import { JobEvent } from "../../src/domain/JobEvent.ts"
import { JobResult } from "../../src/domain/JobResult.ts"
import { OwnedResource } from "../../src/domain/OwnedResource.ts"
import { Step } from "../../src/domain/Step.ts"

const schemas = {
  Step,
  JobSpec,
  Job,
  EnvironmentHandle,
  OwnedResource,
  Reason,
  BackendError,
  StepFailed,
  JobCancelled,
  JobResult,
  JobEvent
} satisfies Record<string, Schema.Codec<unknown, unknown>>

const isJson = Schema.is(Schema.Json)

describe.each(Object.entries(schemas))("%s", (_, schema) => {
  const codec: Schema.Codec<unknown, unknown> = schema

  // Not by way of JSON.parse: V8 of Node 24 reads the key "\n" as "\\" once it has seen an object with that key in its place.
  it.prop(
    "is a JSON value, and is read back from it",
    [Arbitrary.schema(codec)],
    ([value]) => {
      const encoded = Schema.encodeSync(codec)(value)
      assert.isTrue(isJson(encoded), Formatter.format(encoded))
      const read = Schema.decodeUnknownSync(codec)(encoded)
      assert.isTrue(Equal.equals(read, value), Formatter.format({ value, read }))
      assert.deepStrictEqual(Schema.encodeSync(codec)(read), encoded)
    },
    { arbitrary: { runs: 200, size: 8 } }
  )
})

describe("errors from JSON", () => {
  it("are errors with all that they tell", () => {
    const error = new BackendError({
      reason: new TimedOut({ phase: "provision", after: Duration.seconds(90), waitingFor: "a node" })
    })
    const read = Schema.decodeUnknownSync(BackendError)(
      JSON.parse(JSON.stringify(Schema.encodeSync(BackendError)(error)))
    )
    assert.instanceOf(read, BackendError)
    assert.instanceOf(read.reason, TimedOut)
    assert.deepStrictEqual(
      [read.message, read.advice, read.retryable, read.anchor],
      [error.message, error.advice, error.retryable, error.anchor]
    )
  })
})

describe("a job", () => {
  it("is plain JSON: variables as they are, durations as words", () => {
    const job = new Job({ name: "a", env: EnvVars.fromRecord({ A: "1" }), steps: [] })
    const encoded = Schema.encodeSync(Job)(job)
    assert.deepStrictEqual({ ...encoded.env }, { A: "1" })
    assert.strictEqual(encoded.timeouts?.stopGrace, "5000 millis")
  })
})
