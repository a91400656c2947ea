/** Many jobs in one process, and processes that are killed. */
import { spawn } from "node:child_process"
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import * as PodBackend from "jobscope/backends/pod/PodBackend"
import type { Options } from "jobscope/backends/pod/PodOptions"
import { JobContainer, JobSpec } from "jobscope/domain/Job"
import { JobBackend } from "jobscope/domain/JobBackend"
import { ScriptStep } from "jobscope/domain/Step"
import { nodeIsHere, sharedDirectory } from "../support/sharedDirectory.ts"
import { kube, suiteNamespace } from "../support/suiteNamespace.ts"
import { podsIn, run } from "./support.ts"

const namespace = suiteNamespace()
const shared = nodeIsHere ? sharedDirectory(namespace, "work") : undefined

const spec = (owner: string) =>
  new JobSpec({ name: "many", owner, container: new JobContainer({ image: "busybox:latest" }) })

/** The client, and what is asked through it. */
const counting = Effect.gen(function* () {
  const client = yield* KubeClient.KubeClient
  const calls = new Map<string, number>()
  const noted = (call: string) =>
    Effect.sync(() => {
      calls.set(call, (calls.get(call) ?? 0) + 1)
    })
  const counted: KubeClient.KubeClient["Service"] = {
    ...client,
    request: (call) => Effect.andThen(noted(`${call.verb} ${call.resource.plural}`), client.request(call)),
    list: (call) => Effect.andThen(noted(`list ${call.resource.plural}`), client.list(call)),
    watch: (options) => Stream.unwrap(Effect.as(noted(`watch ${options.resource.plural}`), client.watch(options))),
    logs: (options) => Stream.unwrap(Effect.as(noted("logs"), client.logs(options))),
    exec: (options) => Effect.andThen(noted("exec"), client.exec(options))
  }
  return { counted, calls }
})

describe("many jobs in one process", () => {
  it.live("thirty at once, seen through one watch", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { calls, counted } = yield* counting
        const backend = yield* Effect.provideService(PodBackend.make({ namespace }), KubeClient.KubeClient, counted)
        // One that is there all the time keeps the watch.
        yield* backend.provision(spec("keeper"))
        const job = (index: number) =>
          Effect.scoped(
            Effect.gen(function* () {
              const environment = yield* backend.provision(spec("many"))
              const result = yield* run(environment, new ScriptStep({ script: `echo ${index}; exit ${index}` }))
              assert.deepStrictEqual([result.stdout, result.exitCode], [`${index}\n`, index])
            })
          )
        const count = 30
        yield* Effect.forEach(
          Array.from({ length: count }, (_, index) => index),
          job,
          { concurrency: "unbounded", discard: true }
        )
        assert.strictEqual(calls.get("watch pods"), 1)
        assert.strictEqual(calls.get("create pods"), count + 1)
        // Facts of the container and the step.
        assert.strictEqual(calls.get("exec"), 2 * count + 1)
        assert.isAtMost(calls.get("get pods") ?? 0, 2 * (count + 1))
        const left = yield* Stream.runCollect(backend.list({ owner: "many" }))
        assert.lengthOf(left, 0)
      })
    ).pipe(Effect.provide(kube))
  )
})

describe("a process that is killed", () => {
  const points = 8
  const modes: ReadonlyArray<readonly [string, ReadonlyArray<string>, Options]> = [
    ["copied files, exec", [], {}],
    ...(shared === undefined
      ? []
      : [["claim, volume", [shared], { sharing: { _tag: "Claim", claim: "work", root: shared } }] as const])
  ]
  for (const [mode, more, options] of modes) {
    it.live(`nothing is left after a release by its owner: ${mode}`, () =>
      Effect.gen(function* () {
        const client = yield* KubeClient.KubeClient
        for (let point = 0; point < points; point++) {
          const owner = `killed-${point}`
          yield* killed([namespace, owner, ...more], (point * 7919) % 4500)
          yield* JobBackend.use(({ release }) => release({ owner }))
          const pods = (yield* podsIn(namespace)).filter(({ metadata }) => metadata?.deletionTimestamp === undefined)
          const { items: secrets } = yield* client.list({ resource: KubeResource.secrets, namespace })
          assert.deepStrictEqual(
            [...pods, ...secrets].map(({ metadata }) => metadata?.name),
            [],
            `point ${point}`
          )
          const [root] = more
          if (root !== undefined) assert.deepStrictEqual(directoriesOf(root), [], `point ${point}`)
        }
      }).pipe(Effect.provide(PodBackend.layer({ namespace, ...options }).pipe(Layer.provideMerge(kube))))
    )
  }
})

const directoriesOf = (root: string): ReadonlyArray<string> => {
  try {
    return readdirSync(join(root, ".jobscope"))
  } catch {
    return []
  }
}

/** Runs the worker, and kills it so long after it has begun. */
const killed = (argv: ReadonlyArray<string>, milliseconds: number) =>
  Effect.callback<void>((resume) => {
    const worker = fileURLToPath(new URL("fixtures/worker.ts", import.meta.url))
    const child = spawn(process.execPath, ["--conditions=@jobscope/source", worker, ...argv], {
      stdio: ["ignore", "pipe", "inherit"]
    })
    child.stdout.once("data", () => setTimeout(() => child.kill("SIGKILL"), milliseconds))
    child.once("close", () => resume(Effect.void))
    return Effect.sync(() => child.kill("SIGKILL"))
  })
