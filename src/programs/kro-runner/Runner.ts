/**
 * One runner: an instance of its scale set's RGD is made, followed to its end, and released.
 */
import { createHash } from "node:crypto"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as KroBackend from "../../backends/kro/KroBackend.ts"
import * as KroNames from "../../backends/kro/KroNames.ts"
import type { Offer, RgdSelector } from "../../backends/kro/KroOptions.ts"
import type { RunState } from "../../backends/kro/KroRun.ts"
import * as Rgd from "../../backends/kro/ResourceGraphDefinition.ts"
import { KubeClient } from "../../backends/kubernetes/KubeClient.ts"
import { JobSpec, Timeouts } from "../../domain/Job.ts"
import type { Completion, JobEnvironment } from "../../domain/JobEnvironment.ts"
import * as JobError from "../../domain/JobError.ts"
import { JobEvents } from "../../domain/JobEvent.ts"
import * as JitSecret from "./JitSecret.ts"
import * as Progress from "./Progress.ts"
import * as Report from "./Report.ts"
import * as RunnerPod from "./RunnerPod.ts"
import type { Settings } from "./Settings.ts"

/**
 * The RGD that the settings name, or the runner pod's label.
 *
 * @category getters
 */
export const selectorOf = (settings: Settings, pod: RunnerPod.RunnerPod | undefined): RgdSelector | undefined => {
  if (settings.rgd !== undefined) return { name: settings.rgd }
  const scaleSet = scaleSetOf(settings, pod)
  return scaleSet === undefined ? undefined : { labels: { [KroNames.scaleSetLabel]: scaleSet } }
}

const scaleSetOf = (settings: Settings, pod: RunnerPod.RunnerPod | undefined): string | undefined =>
  settings.scaleSetName ?? pod?.labels[KroNames.scaleSetLabel]

/**
 * Fields for the instance's spec.
 *
 * @category getters
 */
export const offerOf = (settings: Settings, pod: RunnerPod.RunnerPod, secretName: string): Offer => {
  const scaleSet = scaleSetOf(settings, pod)
  return {
    offered: {
      ...RunnerPod.fieldsOf(pod),
      ...(scaleSet === undefined ? {} : { scaleSetName: scaleSet }),
      jitConfigSecretName: secretName,
      jitConfigSecretKey: "jitToken",
      labels: RunnerPod.labelsFor(pod),
      returnVersionDeprecatedExitCode: settings.returnVersionDeprecated,
      ...(settings.image === undefined ? {} : { image: settings.image }),
      ...(settings.proxies.http === "" ? {} : { httpProxy: settings.proxies.http }),
      ...(settings.proxies.https === "" ? {} : { httpsProxy: settings.proxies.https }),
      ...(settings.proxies.no === "" ? {} : { noProxy: settings.proxies.no }),
      ...(settings.extraUserAgent === "" ? {} : { extraUserAgent: settings.extraUserAgent })
    },
    // No proxy is a value, too: a template that passes it on would wait for it for ever.
    otherwise: { httpProxy: "", httpsProxy: "", noProxy: "", extraUserAgent: "" }
  }
}

/**
 * Who wants to know before the end.
 *
 * @category models
 */
export interface Observer {
  readonly found: (pod: RunnerPod.RunnerPod) => void
  /** The runner has ended; what it had is still there. */
  readonly completed: (completion: Completion) => void
}

/**
 * Runs the runner to its end.
 *
 * @category running
 */
export const run = Effect.fnUntraced(function* (
  settings: Settings,
  { completed, found }: Observer
): Effect.fn.Return<Completion, JobError.BackendError, KubeClient | Scope.Scope> {
  const kube = yield* KubeClient
  const { jitConfig, runnerName } = settings
  if (jitConfig === undefined) {
    return yield* missing(
      "ACTIONS_RUNNER_INPUT_JITCONFIG",
      "ARC sets it in a container with the name runner; give the container that name."
    )
  }
  const pod = yield* patiently(settings, RunnerPod.read(kube, settings.namespace ?? kube.namespace, runnerName))
  found(pod)
  const selector = selectorOf(settings, pod)
  if (selector === undefined) {
    return yield* missing(
      "ACTIONS_RUNNER_SCALE_SET_NAME",
      "Name the scale set, or the ResourceGraphDefinition by KAR_RGD."
    )
  }
  yield* refuseUsed(kube, pod)

  const once = createHash("sha256").update(Redacted.value(jitConfig)).digest("hex").slice(0, 16)
  const scaleSet = scaleSetOf(settings, pod) ?? ""
  const owner = settings.owner === "pod" ? RunnerPod.asOwner(pod) : pod.ephemeralRunner
  if (owner === undefined) {
    return yield* missing(
      "KAR_OWNER",
      "The runner pod belongs to no EphemeralRunner. Leave it out, and the pod is the owner."
    )
  }
  const createdTimestamp = DateTime.formatIso(DateTime.makeUnsafe(yield* Clock.currentTimeMillis)).replace(
    /\.\d+Z$/,
    "Z"
  )
  const progress = Progress.make(runnerName)
  const secret: JitSecret.Options = { kube, pod, jitConfig, once }
  let secretName = runnerName
  let tail: { readonly container: string | undefined } | undefined

  const backend = yield* KroBackend.make({
    rgd: selector,
    namespace: pod.namespace,
    nameOf: () => runnerName,
    values: settings.values,
    offer: Effect.fnUntraced(function* (rgd) {
      tail = tailOf(rgd)
      if (JitSecret.kindFor(rgd, settings.jitSecret) === "own") secretName = yield* JitSecret.make(secret)
      return offerOf(settings, pod, secretName)
    }),
    labels: {
      ...(scaleSet === "" ? {} : { [KroNames.scaleSetLabel]: scaleSet }),
      [KroNames.runnerNameLabel]: runnerName
    },
    annotations: {
      [KroNames.runnerMetadataAnnotation]: JSON.stringify({
        runnerName,
        scaleSetName: scaleSet,
        jitConfigSecret: runnerName,
        createdTimestamp
      })
    },
    ownerReferences: [owner],
    once,
    strict: settings.strict,
    stuckAfter: settings.stuckTimeout,
    onChange: (_, state) => progress.changed(state)
  })
  const spec = new JobSpec({
    name: runnerName,
    owner: pod.ephemeralRunner?.name ?? runnerName,
    timeouts: new Timeouts({
      provision: settings.provisionTimeout,
      total: settings.totalTimeout,
      release: settings.cleanupTimeout
    })
  })

  const showTail = (state: RunState | undefined) =>
    tail === undefined || state?.child === undefined
      ? Effect.void
      : Report.logTail(kube, { namespace: pod.namespace, pod: state.child.name, container: tail.container })

  // After the instance: KRO may need the Secret to remove it.
  yield* Effect.addFinalizer(() => (secretName === runnerName ? Effect.void : inTime(JitSecret.release(secret))))
  return yield* Effect.gen(function* () {
    const environment = yield* backend.provision(spec)
    return yield* Effect.onInterrupt(environment.completion, () => keepIfDrained(kube, settings, pod, environment))
  }).pipe(
    Effect.tap((completion) => Effect.sync(() => completed(completion))),
    Effect.tap(({ exitCode }) => (exitCode === 0 ? Effect.void : showTail(progress.state()))),
    Effect.tapError(() => showTail(progress.state())),
    Effect.scoped,
    Effect.provideService(JobEvents, { emit: progress.told })
  )
}, Effect.scoped)

/** A JIT configuration with a job is used up: a second runner with it would look healthy, and do nothing. */
const refuseUsed = Effect.fnUntraced(function* (kube: KubeClient["Service"], pod: RunnerPod.RunnerPod) {
  const jobId = (yield* RunnerPod.lookAtEphemeralRunner(kube, pod))?.status?.jobId
  if (jobId === undefined || jobId === "" || jobId === "0") return
  return yield* JobError.fail(
    new JobError.EnvironmentLost({
      cause: "Deleted",
      detail: `the job ${jobId} was assigned to this runner already, and an earlier runner pod was lost with it`
    })
  )
})

/** An EphemeralRunner that is not deleted asks for another pod: its instance goes on until that one is there. */
const keepIfDrained = Effect.fnUntraced(function* (
  kube: KubeClient["Service"],
  settings: Settings,
  pod: RunnerPod.RunnerPod,
  environment: JobEnvironment
) {
  if (settings.owner !== "ephemeralrunner") return
  const runner = yield* inTime(RunnerPod.lookAtEphemeralRunner(kube, pod))
  if (runner === undefined || runner.metadata.deletionTimestamp !== undefined) return
  yield* Effect.logInfo("The EphemeralRunner lives on: so does the instance, for the next runner pod")
  yield* Effect.ignore(environment.handOver)
})

/** Only of pods that are not started again: looking at a log must not give a second run its time. */
const tailOf = (rgd: Rgd.ResourceGraphDefinition): { readonly container: string | undefined } | undefined => {
  const work = Rgd.workOf(rgd)
  if (work === undefined || Predicate.isString(work) || work.kind.kind !== "Pod") return undefined
  const spec = rgd.spec.resources?.find(({ id }) => id === work.node)?.template?.spec
  if (!Predicate.isObject(spec) || spec.restartPolicy !== "Never") return undefined
  const containers: ReadonlyArray<unknown> = Array.isArray(spec.containers) ? spec.containers : []
  const names = containers.flatMap((container) =>
    Predicate.hasProperty(container, "name") && Predicate.isString(container.name) ? [container.name] : []
  )
  return { container: work.container ?? names.find((name) => name === "runner") ?? names[0] }
}

/** An API server that is away when a runner starts comes back; one that is not there never does. */
const patiently = <A>(
  { provisionTimeout }: Settings,
  effect: Effect.Effect<A, JobError.BackendError>
): Effect.Effect<A, JobError.BackendError> =>
  Effect.retry(
    Effect.tapError(effect, (error) => (error.reason.retryable ? Effect.logWarning(error.message) : Effect.void)),
    {
      while: (error) => error.reason.retryable,
      schedule: Schedule.spaced("1 second").pipe(
        Schedule.while(({ elapsed }) => elapsed < Math.min(60_000, Duration.toMillis(provisionTimeout)))
      )
    }
  )

/** Where interruption is off, time-outs are, too: hence a fiber of its own. */
const inTime = <A>(effect: Effect.Effect<A>): Effect.Effect<A | undefined> =>
  Effect.flatMap(Effect.forkDetach(Effect.timeoutOption(effect, "5 seconds")), (fiber) =>
    Effect.map(Fiber.join(fiber), Option.getOrUndefined)
  )

const missing = (source: string, hint: string) =>
  JobError.fail(new JobError.ConfigurationInvalid({ source, detail: "it is not set", hint }))
