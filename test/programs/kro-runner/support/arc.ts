/**
 * Actions Runner Controller, as far as it was seen to look at a runner pod (its release 0.14): it makes the pod, starts the program in it as a
 * kubelet would, and reads the exit code. Its waits are a hundred times shorter.
 *
 * | Seen | Done |
 * | --- | --- |
 * | 0 | the runner is finished, and removed |
 * | 7 | the scale set is outdated |
 * | other, no job | a failure: the pod is made again, with the same name and JIT configuration, after 5, 10, 20, 40, 80 s; the 6th ends it |
 * | other, a job | the runner is removed |
 * | the pod is gone | it is made again at once, whatever came before |
 */
import { Effect, Fiber, Ref } from "effect"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import type { FakeKubernetes } from "jobscope/testing"
import * as Program from "./program.ts"

/** For `FakeKubernetes.Options`. */
export const kind: FakeKubernetes.Kind = {
  group: "actions.github.com",
  version: "v1alpha1",
  plural: "ephemeralrunners",
  kind: "EphemeralRunner",
  namespaced: true
}
const runners = KubeResource.make<{ readonly metadata: { readonly name: string; readonly uid: string } }>(kind)

export type End = "Finished" | "Outdated" | "TooManyFailures" | "LostItsJob" | "Removed"

interface Arc {
  /** What became of the runner; its objects are gone then. */
  readonly end: Effect.Effect<End>
  /** Exit codes so far, one for each pod; nothing for a pod that vanished. */
  readonly exits: ReadonlyArray<number | undefined>
  /** The program in the newest pod, once it is started. */
  readonly program: (pod: number) => Effect.Effect<Program.Program>
  /** GitHub gives the runner a job: the listener notes it. */
  readonly assignJob: Effect.Effect<unknown>
  /** A drain: the pod is told to stop, and goes; the runner stays. */
  readonly drain: Effect.Effect<void>
  /** The node is gone, and the pod with it, at once. */
  readonly loseNode: Effect.Effect<void>
  /** Nobody needs the runner: it goes with its Secret, its pod in its own time. */
  readonly removeRunner: Effect.Effect<void>
}

const waits = [50, 100, 200, 400, 800]

/** Runs one runner of the scale set `set`, named `r`, to its end. */
export const run = Effect.fnUntraced(function* (env: Readonly<Record<string, string>> = {}) {
  const kube = yield* KubeClient.KubeClient
  const programs: Array<Program.Program> = []
  const exits: Array<number | undefined> = []
  const job = yield* Ref.make(false)
  let removed = false
  let lost = false
  const labels = { "actions.github.com/scale-set-name": "set" }
  const gone = <A>(resource: KubeResource.KubeResource<A>) =>
    Effect.ignore(kube.request({ verb: "delete", resource, name: "r", query: { gracePeriodSeconds: 0 } }))

  const { metadata } = yield* kube.request({ verb: "create", resource: runners, body: { metadata: { name: "r" } } })
  const owner = { apiVersion: "actions.github.com/v1alpha1", kind: "EphemeralRunner", name: "r", uid: metadata.uid }
  const ownerReferences = [{ ...owner, controller: true, blockOwnerDeletion: true }]
  yield* kube.request({
    verb: "create",
    resource: KubeResource.secrets,
    body: { metadata: { name: "r", ownerReferences }, stringData: { jitToken: "the-jit" } }
  })

  /** One pod, from its making to its exit code. */
  const pod = Effect.gen(function* () {
    const spec = { schedulerName: "the-test", containers: [{ name: "runner", image: "busybox" }] }
    const body = { metadata: { name: "r", labels, ownerReferences }, spec }
    yield* kube.request({ verb: "create", resource: KubeResource.pods, body })
    const program = yield* Program.start(env)
    programs.push(program)
    return yield* program.exitCode
  })

  const drive = Effect.gen(function* (): Effect.fn.Return<End, Effect.Error<typeof pod>, Effect.Services<typeof pod>> {
    let failures = 0
    while (true) {
      lost = false
      const code = yield* pod
      exits.push(lost ? undefined : code)
      yield* gone(KubeResource.pods)
      if (removed) return "Removed"
      if (lost) continue
      if (code === 0) return "Finished"
      if (code === 7) return "Outdated"
      if (yield* Ref.get(job)) return "LostItsJob"
      const wait = waits[failures++]
      if (wait === undefined) return "TooManyFailures"
      yield* Effect.sleep(wait)
    }
  })
  const driving = yield* drive.pipe(
    Effect.tap(() => Effect.andThen(gone(KubeResource.secrets), gone(runners))),
    Effect.orDie,
    Effect.forkScoped
  )

  const program = (number: number) =>
    Effect.andThen(
      Program.eventually(`pod ${number}`, () => programs.length >= number),
      Effect.suspend(() => Effect.fromNullishOr(programs[number - 1]).pipe(Effect.orDie))
    )
  const stop = (signal: "SIGTERM" | "SIGKILL") => Effect.suspend(() => programs.at(-1)?.kill(signal) ?? Effect.void)
  const arc: Arc = {
    end: Fiber.join(driving),
    exits,
    program,
    assignJob: Effect.orDie(
      Effect.andThen(
        Ref.set(job, true),
        kube.request({
          verb: "patch",
          resource: { ...runners, subresource: "status" },
          name: "r",
          body: { status: { jobId: "17" } }
        })
      )
    ),
    drain: stop("SIGTERM"),
    loseNode: Effect.suspend(() => {
      lost = true
      return stop("SIGKILL")
    }),
    removeRunner: Effect.suspend(() => {
      removed = true
      return Effect.andThen(Effect.andThen(gone(KubeResource.secrets), gone(runners)), stop("SIGTERM"))
    })
  }
  return arc
})
