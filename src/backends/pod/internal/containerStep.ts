/**
 * A container step: a pod of its own with the job's files.
 *
 * **Details**
 *
 * The image runs as it is, without anything of ours in it, so that it needs neither a shell nor a user: its output is the container's log, its
 * exit code the container's. Where files have to travel, a container of the job's image beside it receives them before and hands
 * out changes after.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import { within } from "../../../domain/internal/within.ts"
import type { OutputChunk, RunningStep } from "../../../domain/JobEnvironment.ts"
import { BackendError, EnvironmentLost, fail, InvalidInput, StepStartFailed } from "../../../domain/JobError.ts"
import { emit } from "../../../domain/JobEvent.ts"
import type { ContainerStep } from "../../../domain/Step.ts"
import { fromKubeError } from "../../kubernetes/BackendErrors.ts"
import * as KubeResource from "../../kubernetes/KubeResource.ts"
import { stepManifests } from "../PodManifest.ts"
import { jobContainer } from "../PodNames.ts"
import type { PodManifest } from "../PodOptions.ts"
import { lossOf } from "../PodStatus.ts"
import type { BuiltStep } from "./builtStep.ts"
import { claimedStepFiles } from "./claimedStepFiles.ts"
import { containerLog } from "./containerLog.ts"
import { createNamed } from "./creating.ts"
import { placeStep, prepareStep } from "./dockerfileStep.ts"
import { planMounts } from "./mountPlan.ts"
import { awaitPod } from "./readiness.ts"
import type { Setting } from "./stepFiles.ts"
import { hasOwnWorkspace, withWorkspace } from "./stepWorkspace.ts"
import { travellingStepFiles } from "./travellingStepFiles.ts"
import { unguessable } from "./unguessable.ts"

/** Starts it; the scope is the step's. */
export const startContainerStep = Effect.fnUntraced(function* (given: Setting, asked: ContainerStep) {
  const { data, step } = withWorkspace(given.data, asked)
  const setting: Setting = { ...given, data }
  const { identity, job, kube, namespace, options, sharing, watch } = setting
  const id = (yield* unguessable).slice(0, 8)
  const name =
    options.childName?.(identity.environment, "step", id) ?? `${identity.environment.slice(0, 235)}-step-${id}`
  const own = new Set(data.volumes.map((volume) => volume.name))
  const foreign = step.mounts.find(({ source }) => own.has(source))
  if (foreign !== undefined) {
    return yield* fail(
      new InvalidInput({
        input: `the mount ${foreign.source} of the step's container`,
        detail: "a volume of the job is in the job's pod only; use a directory of the workspace"
      })
    )
  }
  const made =
    step.dockerfile === undefined
      ? undefined
      : yield* prepareStep(step, step.dockerfile, {
          options,
          arch: data.facts.arch,
          pullSecrets: pullSecretsOf(setting)
        })
  if (made !== undefined && !("prepared" in made)) return endedBuild(made.exitCode, made.log)
  const plan = planMounts({ mounts: data.mounts, volumes: [], podVolumes: options.volumes ?? [], sharing })
  const files =
    sharing._tag === "Claim" && !hasOwnWorkspace(data)
      ? yield* claimedStepFiles({ ...setting, plan }, sharing, step)
      : yield* travellingStepFiles({ ...setting, name, plan }, step)
  const built = made === undefined ? undefined : yield* placeStep(made.prepared, step, files)
  const address = data.facts.services.length === 0 ? data.address : (data.address ?? (yield* addressOf(setting)))
  const manifests = stepManifests(step, identity, plan, {
    name,
    secretIds: [id, `${id}0`.slice(1), `${id}1`.slice(1)],
    hosts: data.facts.services.map((service) => service.name),
    address,
    hostAliases: data.hostAliases,
    deadline: Duration.seconds(data.deadline),
    files,
    before: files.before,
    beside: files.beside,
    volumes: files.volumes,
    built
  })
  if ("_tag" in manifests) return yield* fail(manifests)

  const exit = Deferred.makeUnsafe<number, BackendError>()
  let over = false
  const remove = Effect.fnUntraced(function* (graceful: boolean) {
    const gracePeriodSeconds = graceful ? Math.max(1, Math.ceil(data.stopGrace / 1000)) : 1
    const removals = [
      kube.request({ verb: "delete", resource: KubeResource.pods, namespace, name, query: { gracePeriodSeconds } }),
      ...manifests.secrets.map((secret) =>
        kube.request({ verb: "delete", resource: KubeResource.secrets, namespace, name: secret.metadata?.name ?? "" })
      )
    ]
    yield* Effect.forEach(removals, (removal) => Effect.exit(removal), { concurrency: "unbounded" })
    if (!graceful) return
    // A step that is stopped must be gone when its scope is.
    yield* Effect.repeat(
      Effect.delay(
        Effect.exit(kube.request({ verb: "get", resource: KubeResource.pods, namespace, name })),
        "250 millis"
      ),
      { until: Exit.isFailure }
    )
  })
  yield* Effect.addFinalizer(() =>
    within(
      Effect.suspend(() => remove(!over)),
      Duration.sum(Duration.millis(data.stopGrace), Duration.seconds(20)),
      undefined
    )
  )

  const pod = yield* Effect.gen(function* () {
    yield* Effect.forEach(manifests.secrets, (body) => createNamed(kube, KubeResource.secrets, namespace, body), {
      concurrency: "unbounded"
    })
    return yield* createNamed(kube, KubeResource.pods, namespace, manifests.pod)
  }).pipe(Effect.mapError(fromKubeError))
  const waiting = {
    kube,
    watch,
    namespace,
    roles: manifests.roles,
    grace: options,
    told: (reason: string) => emit({ _tag: "Waiting", job, phase: "steps", reason })
  }
  yield* files.bring(pod, waiting)
  const started = yield* awaitPod({ ...waiting, pod, enough: (now) => hasStarted(now, built) })

  const terminated = endOf(started, built)
  if (terminated !== undefined && neverRan(terminated.reason)) {
    over = true
    return yield* fail(new StepStartFailed({ detail: terminated.message ?? terminated.reason ?? "", transient: false }))
  }

  const look = kube.request({ verb: "get", resource: KubeResource.pods, namespace, name }).pipe(
    Effect.catchReason("KubeError", "NotFound", () => Effect.fail(gone(name))),
    Effect.mapError((error) => (error instanceof BackendError ? error : fromKubeError(error)))
  )
  let ending: PodManifest | undefined = terminated === undefined ? undefined : started
  /** Whether the container has ended; what cannot be asked now may be later. */
  const hasEnded = Effect.suspend(() =>
    ending !== undefined
      ? Effect.succeed(true)
      : Effect.flatMap(look, (now) => {
          if (endOf(now, built) === undefined) {
            const reason = lossOf(now, undefined)
            return reason === undefined ? Effect.succeed(false) : fail(reason)
          }
          ending = now
          return Effect.succeed(true)
        })
  )
  const stageLogs = (built?.beside ?? []).map(({ name: container }) =>
    containerLog(
      kube,
      { namespace, pod: name, container },
      Effect.map(look, (now) => stateOf(now, container)?.terminated !== undefined)
    )
  )
  const ownLog = containerLog(kube, { namespace, pod: name, container: jobContainer }, hasEnded)
  const log = [...stageLogs, ownLog].reduce<Stream.Stream<Uint8Array, BackendError>>(
    (before, after) => Stream.concat(before, after),
    textOf(made?.log ?? [])
  )

  const settle = Effect.gen(function* () {
    yield* Effect.repeat(
      Effect.tap(hasEnded, (yes) => (yes ? Effect.void : Effect.sleep("250 millis"))),
      { until: (yes) => yes }
    )
    const { exitCode = 0, reason } = endOf(ending, built) ?? {}
    const lost = ending === undefined ? undefined : lossOf(ending, undefined)
    if (lost !== undefined && (lost.cause !== "Unknown" || reason === "OOMKilled")) return yield* fail(lost)
    yield* files.fetch
    return exitCode
  })
  const finish = (result: Exit.Exit<number, BackendError>) =>
    Effect.sync(() => {
      over = Exit.isSuccess(result) || !Cause.hasInterruptsOnly(result.cause)
      Deferred.doneUnsafe(exit, result)
    })
  yield* Effect.forkScoped(
    Effect.catch(files.handOver, (error) =>
      // It would wait for ever.
      Effect.andThen(finish(Exit.fail(error)), remove(false))
    )
  )
  // The end of the log is the quickest sign of the container's end.
  const drained = yield* Deferred.make<void>()
  yield* Effect.forkScoped(Effect.onExit(Effect.andThen(Deferred.await(drained), settle), finish), {
    startImmediately: true
  })

  const running: RunningStep = {
    output: Stream.map(log, (bytes): OutputChunk => ({ stream: "stdout", bytes })).pipe(
      Stream.ensuring(Deferred.succeed(drained, undefined))
    ),
    // Whoever does not read the output must learn it, too.
    exitCode: Deferred.await(exit).pipe(
      Effect.timeoutOrElse({
        duration: "1 second",
        orElse: () =>
          Effect.andThen(
            untilEnded(hasEnded),
            Effect.andThen(Deferred.succeed(drained, undefined), Deferred.await(exit))
          )
      })
    ),
    signal: (signal) =>
      Effect.suspend(() =>
        Deferred.isDoneUnsafe(exit)
          ? Effect.void
          : Effect.scoped(
              Effect.flatMap(
                kube.exec({
                  namespace,
                  pod: name,
                  container: jobContainer,
                  command: ["kill", "-s", signal.slice(3), "1"]
                }),
                (process) => Effect.andThen(Stream.runDrain(process.output), process.exitCode)
              )
            ).pipe(Effect.asVoid, Effect.ignore)
      ),
    files: files.collected
  }
  return running
})

const untilEnded = (hasEnded: Effect.Effect<boolean, BackendError>): Effect.Effect<void> =>
  Effect.asVoid(
    Effect.repeat(
      Effect.tap(
        Effect.orElseSucceed(hasEnded, () => true),
        (yes) => (yes ? Effect.void : Effect.sleep("1 second"))
      ),
      { until: (yes) => yes }
    )
  )

const stateOf = (pod: PodManifest | undefined, container: string = jobContainer) =>
  pod?.status?.containerStatuses?.find(({ name }) => name === container)?.state

/** How the step has ended: as its container, or as the first of a build beside it that has failed. */
const endOf = (pod: PodManifest | undefined, built: BuiltStep | undefined) =>
  stateOf(pod)?.terminated ??
  (built?.beside ?? [])
    .map(({ name }) => stateOf(pod, name)?.terminated)
    .find((terminated) => terminated !== undefined && terminated.exitCode !== 0)

const hasStarted = (pod: PodManifest, built: BuiltStep | undefined): boolean =>
  endOf(pod, built) !== undefined ||
  [jobContainer, ...(built?.beside ?? []).map(({ name }) => name)].every((name) => {
    const state = stateOf(pod, name)
    return state?.running !== undefined || state?.terminated !== undefined
  })

/** What a builder has written before there was a pod. */
const textOf = (lines: ReadonlyArray<string>): Stream.Stream<Uint8Array> =>
  lines.length === 0 ? Stream.empty : Stream.succeed(Buffer.from(`${lines.join("\n")}\n`))

/** A step whose build has failed: there was no pod. */
const endedBuild = (exitCode: number, log: ReadonlyArray<string>): RunningStep => ({
  output: Stream.map(textOf(log), (bytes): OutputChunk => ({ stream: "stdout", bytes })),
  exitCode: Effect.succeed(exitCode),
  signal: () => Effect.void,
  files: Effect.succeed(new Map())
})

/** Reasons of a container that ended without having run. */
const neverRan = (reason: string | undefined) => reason === "StartError" || reason === "ContainerCannotRun"

const gone = (name: string) =>
  new BackendError({
    reason: new EnvironmentLost({ cause: "Deleted", detail: `the pod ${name} of the step was deleted` })
  })

/**
 * What is in the pull secrets of the job's pod: the job's, those of an administrator's template, those of its service account. Without the
 * right to read secrets there are none.
 */
const pullSecretsOf = ({ data, kube, namespace }: Setting): Effect.Effect<ReadonlyArray<string>> =>
  kube.request({ verb: "get", resource: KubeResource.pods, namespace, name: data.pod }).pipe(
    Effect.flatMap((pod) =>
      Effect.forEach(
        pod.spec?.imagePullSecrets ?? [],
        ({ name = "" }) => kube.request({ verb: "get", resource: KubeResource.secrets, namespace, name }),
        { concurrency: "unbounded" }
      )
    ),
    Effect.map((secrets) =>
      secrets.flatMap(({ data: content }) => {
        const config = content?.[".dockerconfigjson"]
        return config === undefined ? [] : [Buffer.from(config, "base64").toString("utf8")]
      })
    ),
    Effect.orElseSucceed(() => [])
  )

const addressOf = ({ data, kube, namespace }: Setting) =>
  kube.request({ verb: "get", resource: KubeResource.pods, namespace, name: data.pod }).pipe(
    Effect.map((pod) => pod.status?.podIP),
    Effect.mapError(fromKubeError)
  )
