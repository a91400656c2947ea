import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import * as JobError from "../../src/domain/JobError.ts"
import { OwnedResource } from "../../src/domain/OwnedResource.ts"

const resource = new OwnedResource({
  backend: "pod",
  kind: "Pod",
  name: "build-1",
  environment: "build-1",
  owner: "me",
  custody: "unknown",
  createdAt: 0
})

/** At least one of each, and each with all that it has to say. */
const table: ReadonlyArray<{
  readonly reason: JobError.Reason
  readonly says: ReadonlyArray<string>
  readonly advises: string
  readonly retryable: boolean
  readonly exitCode: number
  readonly anchor: string
}> = [
  {
    reason: new JobError.ImagePullFailed({ image: "app:1", detail: "not found" }),
    says: ["app:1", "not found"],
    advises: "name and tag",
    retryable: true,
    exitCode: 3,
    anchor: "image-pull-failed"
  },
  {
    reason: new JobError.Unschedulable({ detail: "0/3 nodes" }),
    says: ["0/3 nodes"],
    advises: "nodes",
    retryable: false,
    exitCode: 3,
    anchor: "unschedulable"
  },
  {
    reason: new JobError.QuotaExceeded({ detail: "pods 10/10" }),
    says: ["pods 10/10"],
    advises: "raise the quota",
    retryable: true,
    exitCode: 3,
    anchor: "quota-exceeded"
  },
  {
    reason: new JobError.Forbidden({ verb: "create", resource: "pods", detail: "no role" }),
    says: ["create pods: no role"],
    advises: "create pods",
    retryable: false,
    exitCode: 3,
    anchor: "forbidden"
  },
  {
    reason: new JobError.Forbidden({ verb: "create", resource: "pods", place: "namespace ci", detail: "no role" }),
    says: ["create pods in namespace ci: no role"],
    advises: "create pods",
    retryable: false,
    exitCode: 3,
    anchor: "forbidden"
  },
  {
    reason: new JobError.Unauthorized({ endpoint: "The API", detail: "the token has expired" }),
    says: ["The API does not accept the credentials", "the token has expired"],
    advises: "Renew",
    retryable: false,
    exitCode: 3,
    anchor: "unauthorized"
  },
  {
    reason: new JobError.ConfigurationInvalid({
      source: "~/.kube/config",
      detail: "no context",
      hint: "Name a context."
    }),
    says: ["~/.kube/config: no context"],
    advises: "Name a context.",
    retryable: false,
    exitCode: 2,
    anchor: "configuration-invalid"
  },
  {
    reason: new JobError.Conflict({ resource: "Pod build-1", detail: "it exists" }),
    says: ["Pod build-1", "it exists"],
    advises: "Release",
    retryable: true,
    exitCode: 3,
    anchor: "conflict"
  },
  {
    reason: new JobError.ConnectionLost({ endpoint: "https://api", detail: "reset" }),
    says: ["https://api", "reset"],
    advises: "network",
    retryable: true,
    exitCode: 3,
    anchor: "connection-lost"
  },
  {
    reason: new JobError.Unavailable({ service: "the API server", detail: "503" }),
    says: ["the API server", "503"],
    advises: "Try again later",
    retryable: true,
    exitCode: 3,
    anchor: "unavailable"
  },
  {
    reason: new JobError.EnvironmentLost({ cause: "Evicted", detail: "disk pressure" }),
    says: ["Evicted", "disk pressure"],
    advises: "retry.rerun",
    retryable: true,
    exitCode: 3,
    anchor: "environment-lost"
  },
  {
    reason: new JobError.EnvironmentLost({ cause: "OOMKilled", detail: "limit 1Gi" }),
    says: ["OOMKilled", "limit 1Gi"],
    advises: "memory limit",
    retryable: true,
    exitCode: 3,
    anchor: "environment-lost"
  },
  {
    reason: new JobError.ServiceUnhealthy({ service: "db", detail: "30 checks failed", log: [] }),
    says: ["db", "30 checks failed"],
    advises: "health check",
    retryable: false,
    exitCode: 3,
    anchor: "service-unhealthy"
  },
  {
    reason: new JobError.ServiceUnhealthy({ service: "db", detail: "it ended", log: ["no password", "bye"] }),
    says: ["it ended", "\n  db | no password\n  db | bye"],
    advises: "health check",
    retryable: false,
    exitCode: 3,
    anchor: "service-unhealthy"
  },
  ...[true, false].flatMap((transient) => [
    {
      reason: new JobError.ProvisionFailed({ detail: "no state directory", transient }),
      says: ["no state directory"],
      advises: "Mend",
      retryable: transient,
      exitCode: 3,
      anchor: "provision-failed"
    },
    {
      reason: new JobError.StorageFailed({ operation: "copying /src", detail: "ENOSPC", transient }),
      says: ["copying /src", "ENOSPC"],
      advises: "free space",
      retryable: transient,
      exitCode: 3,
      anchor: "storage-failed"
    },
    {
      reason: new JobError.StepStartFailed({ detail: "no sh", transient }),
      says: ["no sh"],
      advises: "shell",
      retryable: transient,
      exitCode: 3,
      anchor: "step-start-failed"
    }
  ]),
  {
    reason: new JobError.ReleaseFailed({ environment: "build-1", left: [], detail: "503", removal: "rm build-1" }),
    says: ["build-1 could not be released: 503"],
    advises: "rm build-1",
    retryable: true,
    exitCode: 3,
    anchor: "release-failed"
  },
  {
    reason: new JobError.ReleaseFailed({
      environment: "build-1",
      left: [resource],
      detail: "503",
      removal: "rm build-1"
    }),
    says: ["503; left: Pod build-1"],
    advises: "rm build-1",
    retryable: true,
    exitCode: 3,
    anchor: "release-failed"
  },
  ...(["provision", "step", "total", "release"] as const).map((phase) => ({
    reason: new JobError.TimedOut({ phase, after: Duration.seconds(90), waitingFor: "a node" }),
    says: [`${phase}, after 1m 30s`, "a node"],
    advises: `timeouts.${phase}`,
    retryable: false,
    exitCode: 4,
    anchor: "timed-out"
  })),
  {
    reason: new JobError.Unsupported({ backend: "local", feature: "volumes", hint: "Leave them out." }),
    says: ["The local backend has no volumes"],
    advises: "Leave them out.",
    retryable: false,
    exitCode: 2,
    anchor: "unsupported"
  },
  {
    reason: new JobError.InvalidInput({ input: "steps[1].id", detail: "twice" }),
    says: ["steps[1].id", "twice"],
    advises: "Change steps[1].id",
    retryable: false,
    exitCode: 2,
    anchor: "invalid-input"
  },
  {
    reason: new JobError.DockerfileRefused({
      detail: "Dockerfile line 2: 'X'",
      hint: "Author of the action: mend it."
    }),
    says: ["Dockerfile line 2: 'X'"],
    advises: "Author of the action: mend it.",
    retryable: false,
    exitCode: 2,
    anchor: "dockerfile-refused"
  },
  {
    reason: new JobError.HandleRejected({ detail: "version 2" }),
    says: ["version 2"],
    advises: "version of jobscope",
    retryable: false,
    exitCode: 2,
    anchor: "handle-rejected"
  },
  {
    reason: new JobError.BackendDefect({ detail: "a bug" }),
    says: ["a bug"],
    advises: "Report it",
    retryable: false,
    exitCode: 3,
    anchor: "backend-defect"
  }
]

describe("reasons", () => {
  it("are all in the table", () => {
    const tags = JobError.Reason.members.map(({ identifier }) => identifier)
    assert.sameMembers([...new Set(table.map(({ reason }) => reason._tag as string))], tags)
  })

  it.each(table)("$reason._tag: $says", ({ advises, anchor, exitCode, reason, retryable, says }) => {
    const error = new JobError.BackendError({ reason })
    for (const words of says) assert.include(error.message, words)
    assert.include(error.advice, advises)
    for (const text of [error.message, error.advice]) {
      assert.notMatch(text, /undefined|\[object|^\s|\s$/)
    }
    assert.deepStrictEqual(
      [error.message, error.advice, error.retryable],
      [reason.message, reason.advice, reason.retryable]
    )
    assert.strictEqual(error.retryable, retryable)
    assert.strictEqual(error.anchor, `docs/errors.md#${anchor}`)
    assert.strictEqual(error[Runtime.errorExitCode], exitCode)
    assert.strictEqual(Runtime.getErrorExitCode(error), exitCode)
  })

  it("look like errors", () => {
    const error = new JobError.BackendError({ reason: new JobError.Unschedulable({ detail: "0/3 nodes" }) })
    assert.instanceOf(error, Error)
    assert.include(String(error), "0/3 nodes")
    assert.include(Cause.pretty(Cause.fail(error)), "0/3 nodes")
    assert.include(error.stack, "JobError.test.ts")
  })

  it.effect("are caught by what they are", () =>
    Effect.gen(function* () {
      const failing = JobError.fail(new JobError.Conflict({ resource: "Pod a", detail: "it exists" }))
      assert.strictEqual(
        yield* Effect.catchReason(failing, "BackendError", "Conflict", ({ resource }) => Effect.succeed(resource)),
        "Pod a"
      )
      const other = yield* Effect.flip(
        Effect.catchReason(failing, "BackendError", "Forbidden", () => Effect.succeed("no"))
      )
      assert.strictEqual(other.reason._tag, "Conflict")
    })
  )
})

describe("the user's errors", () => {
  it("StepFailed", () => {
    const error = new JobError.StepFailed({ job: "build", step: "make all", exitCode: 7, tail: ["boom"] })
    assert.strictEqual(error.message, 'The step "make all" of the job "build" failed with exit code 7')
    assert.deepStrictEqual(
      [error.anchor, error[Runtime.errorExitCode], error.advice],
      ["docs/errors.md#step-failed", 1, "Look at the step's output."]
    )
  })

  it("JobCancelled", () => {
    const error = new JobError.JobCancelled({ job: "build" })
    assert.strictEqual(error.message, 'The job "build" was cancelled')
    assert.deepStrictEqual([error.anchor, error[Runtime.errorExitCode]], ["docs/errors.md#job-cancelled", 130])
    assert.include(error.advice, "start it again")
  })
})

describe("anchorOf", () => {
  it.each([
    ["ImagePullFailed", "image-pull-failed"],
    ["Conflict", "conflict"],
    ["OOMKilled", "oom-killed"],
    ["APIServerGone", "api-server-gone"]
  ])("%s is #%s", (tag, anchor) => {
    assert.strictEqual(JobError.anchorOf(tag), `docs/errors.md#${anchor}`)
  })
})
