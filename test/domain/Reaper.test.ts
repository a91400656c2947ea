import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as MemoryBackend from "../../src/backends/memory/MemoryBackend.ts"
import { MemoryWorld } from "../../src/backends/memory/MemoryWorld.ts"
import { fromDriver, JobBackend } from "../../src/domain/JobBackend.ts"
import { BackendError, fail, Unavailable } from "../../src/domain/JobError.ts"
import { type Custody, OwnedResource } from "../../src/domain/OwnedResource.ts"
import * as Reaper from "../../src/domain/Reaper.ts"
import { existing, makeDriver, reasonOfTag, spec } from "./support.ts"

const onMemory = Effect.provide(MemoryBackend.layerTest(), { local: true })
const unavailable = new Unavailable({ service: "the API", detail: "503" })

const resource = (custody: Custody, createdAt = 0, environment = "env-1") =>
  new OwnedResource({ backend: "fake", kind: "Pod", name: "pod", environment, owner: "me", custody, createdAt })

describe("isAbandoned", () => {
  const hour = Duration.hours(1)
  const now = Duration.toMillis(Duration.hours(10))
  const ago = (minutes: number) => now - minutes * 60_000
  const table: ReadonlyArray<{
    readonly title: string
    readonly resources: ReadonlyArray<OwnedResource>
    readonly handedOverFor?: Duration.Duration
    readonly abandoned: boolean
  }> = [
    { title: "held", resources: [resource("held")], abandoned: false },
    { title: "held, however long", resources: [resource("held")], handedOverFor: hour, abandoned: false },
    { title: "unknown", resources: [resource("unknown")], abandoned: false },
    { title: "unknown, however long", resources: [resource("unknown")], handedOverFor: hour, abandoned: false },
    { title: "orphaned", resources: [resource("orphaned", now)], abandoned: true },
    { title: "orphaned in part", resources: [resource("orphaned"), resource("held")], abandoned: false },
    { title: "orphaned and unknown", resources: [resource("orphaned"), resource("unknown")], abandoned: false },
    { title: "orphaned as a whole", resources: [resource("orphaned"), resource("orphaned", now)], abandoned: true },
    { title: "handed over, with no limit", resources: [resource("handed-over")], abandoned: false },
    { title: "handed over just now", resources: [resource("handed-over", now)], handedOverFor: hour, abandoned: false },
    {
      title: "handed over at the limit",
      resources: [resource("handed-over", ago(60))],
      handedOverFor: hour,
      abandoned: false
    },
    {
      title: "handed over for too long",
      resources: [resource("handed-over", ago(61))],
      handedOverFor: hour,
      abandoned: true
    },
    {
      title: "handed over, and one of it is young",
      resources: [resource("handed-over", ago(61)), resource("handed-over", ago(59))],
      handedOverFor: hour,
      abandoned: false
    },
    {
      title: "handed over for too long, and orphaned",
      resources: [resource("handed-over", ago(61)), resource("orphaned", ago(1))],
      handedOverFor: hour,
      abandoned: true
    },
    {
      title: "handed over with a limit of nothing",
      resources: [resource("handed-over", now - 1)],
      handedOverFor: Duration.zero,
      abandoned: true
    }
  ]

  it.each(table)("$title: $abandoned", ({ abandoned, handedOverFor, resources }) => {
    assert.strictEqual(Reaper.isAbandoned(resources, now, handedOverFor), abandoned)
  })
})

describe("reap", () => {
  /** An environment in each custody. */
  const prepare = Effect.gen(function* () {
    const backend = yield* JobBackend
    const world = yield* MemoryWorld
    const scope = yield* Scope.make()
    const provision = (fields: Parameters<typeof spec>[0] = {}, program: Parameters<typeof spec>[1] = {}) =>
      Scope.provide(backend.provision(spec(fields, program)), scope)
    const orphaned = yield* provision({ owner: "team-a" })
    yield* world.crash
    const held = yield* provision({ owner: "team-b" })
    const handedOver = yield* provision({ owner: "team-c" })
    yield* handedOver.handOver
    const unknown = yield* provision({ owner: "team-d" })
    world.environments.get(unknown.name)!.custody = "unknown"
    return {
      backend,
      held: held.name,
      handedOver: handedOver.name,
      orphaned: orphaned.name,
      unknown: unknown.name,
      world
    }
  })

  const outcomesOf = (reaped: ReadonlyArray<Reaper.Reaped>): Record<string, string> =>
    Object.fromEntries(reaped.map(({ environment, outcome }) => [environment, outcome]))

  /** What is held by the test's own process has to go before the memory backend looks. */
  const tidy = Effect.fnUntraced(function* () {
    const backend = yield* JobBackend
    for (const name of yield* existing) yield* backend.release({ environment: name })
  })

  it.effect("removes what is orphaned, and nothing else", () =>
    Effect.gen(function* () {
      const { handedOver, held, orphaned, unknown } = yield* prepare
      yield* TestClock.adjust("30 days")
      const reaped = yield* Reaper.reap()
      assert.deepStrictEqual(outcomesOf(reaped), {
        [orphaned]: "removed",
        [held]: "kept",
        [handedOver]: "kept",
        [unknown]: "kept"
      })
      assert.sameMembers(yield* existing, [held, handedOver, unknown])
      const removed = reaped.find(({ environment }) => environment === orphaned)!
      assert.deepStrictEqual(
        [removed.owner, removed.resources.map(({ custody, kind }) => `${kind} ${custody}`)],
        ["team-a", ["Environment orphaned", "Workspace orphaned"]]
      )
      assert.deepStrictEqual(
        (yield* Reaper.reap()).map(({ outcome }) => outcome),
        ["kept", "kept", "kept"],
        "a second time finds nothing to do"
      )
      yield* tidy()
    }).pipe(onMemory)
  )

  it.effect("removes what was handed over for longer than handedOverFor", () =>
    Effect.gen(function* () {
      const { handedOver, held, orphaned, unknown } = yield* prepare
      yield* TestClock.adjust("59 minutes")
      assert.strictEqual(outcomesOf(yield* Reaper.reap({ handedOverFor: "1 hour", dryRun: true }))[handedOver], "kept")
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(outcomesOf(yield* Reaper.reap({ handedOverFor: "1 hour" })), {
        [orphaned]: "removed",
        [held]: "kept",
        [handedOver]: "removed",
        [unknown]: "kept"
      })
      yield* tidy()
    }).pipe(onMemory)
  )

  it.effect("removes nothing in a dry run, and says what it would", () =>
    Effect.gen(function* () {
      const { handedOver, held, orphaned, unknown } = yield* prepare
      assert.deepStrictEqual(outcomesOf(yield* Reaper.reap({ dryRun: true })), {
        [orphaned]: "would-remove",
        [held]: "kept",
        [handedOver]: "kept",
        [unknown]: "kept"
      })
      assert.strictEqual((yield* existing).length, 4)
      yield* tidy()
    }).pipe(onMemory)
  )

  it.effect("removes what is selected whoever holds it, if asked to", () =>
    Effect.gen(function* () {
      const { handedOver, held, unknown } = yield* prepare
      const options = { selector: { environment: held }, evenHeld: true }
      assert.deepStrictEqual(outcomesOf(yield* Reaper.reap({ ...options, dryRun: true })), { [held]: "would-remove" })
      assert.include(yield* existing, held)
      assert.deepStrictEqual(outcomesOf(yield* Reaper.reap(options)), { [held]: "removed" })
      assert.notInclude(yield* existing, held)
      assert.include(yield* existing, handedOver)
      assert.include(yield* existing, unknown)
      yield* tidy()
    }).pipe(onMemory)
  )

  it.effect("only looks at what is selected", () =>
    Effect.gen(function* () {
      const { held, orphaned } = yield* prepare
      assert.deepStrictEqual(outcomesOf(yield* Reaper.reap({ selector: { owner: "team-b" } })), { [held]: "kept" })
      assert.deepStrictEqual(outcomesOf(yield* Reaper.reap({ selector: { environment: orphaned } })), {
        [orphaned]: "removed"
      })
      assert.deepStrictEqual(yield* Reaper.reap({ selector: { owner: "nobody" } }), [])
      yield* tidy()
    }).pipe(onMemory)
  )

  it.effect("goes on when one cannot be removed", () =>
    Effect.gen(function* () {
      const backend = yield* JobBackend
      const world = yield* MemoryWorld
      const scope = yield* Scope.make()
      const names: Array<string> = []
      for (const releaseFailure of [undefined, unavailable, undefined]) {
        const job = spec({}, releaseFailure === undefined ? {} : { releaseFailure })
        names.push((yield* Scope.provide(backend.provision(job), scope)).name)
      }
      yield* world.crash
      const reaped = yield* Reaper.reap()
      assert.deepStrictEqual(outcomesOf(reaped), {
        [names[0]!]: "removed",
        [names[1]!]: "failed",
        [names[2]!]: "removed"
      })
      const failed = reaped.find(({ outcome }) => outcome === "failed")
      assert.strictEqual(reasonOfTag(failed?.error, "ReleaseFailed").environment, names[1])
      assert.deepStrictEqual(yield* existing, [names[1]])
    }).pipe(onMemory)
  )

  it.effect("fails when nothing can be listed", () =>
    Effect.gen(function* () {
      const { driver } = makeDriver({ list: () => Stream.fail(new BackendError({ reason: unavailable })) })
      const error = yield* Effect.flip(Effect.provideService(Reaper.reap(), JobBackend, fromDriver(driver)))
      reasonOfTag(error, "Unavailable")
    })
  )

  it.effect("keeps resources of one environment together, in whatever order they come", () =>
    Effect.gen(function* () {
      const { calls, driver } = makeDriver({
        list: () =>
          Stream.make(
            resource("orphaned", 0, "a"),
            resource("orphaned", 0, "b"),
            resource("held", 0, "a"),
            resource("orphaned", 0, "constructor")
          ),
        destroy: (selector) =>
          "environment" in selector && selector.environment === "b" ? fail(unavailable) : Effect.void
      })
      const reaped = yield* Effect.provideService(Reaper.reap(), JobBackend, fromDriver(driver))
      assert.deepStrictEqual(outcomesOf(reaped), { a: "kept", b: "failed", constructor: "removed" })
      assert.deepStrictEqual(calls, ["destroy environment b", "destroy environment constructor"])
    })
  )
})
