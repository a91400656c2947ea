/** An environment over a pod that is there and ready, whoever has made it: its steps, and how its loss is noticed. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { DriverEnvironment } from "../../../domain/BackendDriver.ts"
import type { Completion } from "../../../domain/JobEnvironment.ts"
import { BackendError, EnvironmentLost, fail, Unsupported } from "../../../domain/JobError.ts"
import { emit } from "../../../domain/JobEvent.ts"
import * as StepCommand from "../../../domain/StepCommand.ts"
import { fromKubeError } from "../../kubernetes/BackendErrors.ts"
import type { KubeClient } from "../../kubernetes/KubeClient.ts"
import * as KubeResource from "../../kubernetes/KubeResource.ts"
import type { Identity } from "../PodManifest.ts"
import type { Options, PodManifest, Sharing } from "../PodOptions.ts"
import { howItEnded, lossOf } from "../PodStatus.ts"
import { startContainerStep } from "./containerStep.ts"
import type { Copying } from "./copying.ts"
import { makeExecTransport } from "./execTransport.ts"
import type { PodData } from "./podData.ts"
import type { PodWatch } from "./podWatch.ts"
import { logTail } from "./readiness.ts"
import type { JobPod } from "./StepTransport.ts"
import { scriptName, stepProgram } from "./stepProgram.ts"
import { unguessable } from "./unguessable.ts"
import { makeVolumeTransport } from "./volumeTransport.ts"

/** What the environments of a backend have in common. */
export interface Common {
  readonly kube: KubeClient["Service"]
  /** Where pods of our own are made. */
  readonly namespace: string
  readonly watch: PodWatch
  readonly options: Options
  readonly sharing: Sharing
  readonly copying: Copying
}

/** How long the pod's status may lag behind the end of its container (1.2 s were seen). */
export const statusLag = Duration.seconds(4)

/** For another process: names of secrets are made by the options. */
export const identityOf = (options: Options, environment: string, owner: string): Identity => ({
  environment,
  owner,
  options,
  secretName: (id) => options.childName?.(environment, "secret", id) ?? `${environment.slice(0, 230)}-secret-${id}`
})

/** Starts steps in the job's pod, and container steps beside it. */
export const startIn = (
  common: Common,
  about: { readonly environment: string; readonly owner: string; readonly data: PodData; readonly job: string }
): DriverEnvironment["start"] => {
  const { copying, kube, options } = common
  const { data, environment, job, owner } = about
  const jobPod: JobPod = {
    namespace: data.namespace,
    pod: data.pod,
    container: data.container,
    stateDirectory: data.stateDirectory,
    whyLost: whyLost(kube, data),
    nowLost: lossNow(kube, data)
  }
  const transport =
    data.channel === undefined
      ? makeExecTransport(kube, jobPod)
      : makeVolumeTransport(data.channel, jobPod, options.outputMemory === "reused")
  const setting = data.workingDirectory === undefined ? {} : { workingDirectory: data.workingDirectory }

  return Effect.fnUntraced(function* (step) {
    if (step._tag === "ContainerStep") {
      if (data.watching === false) common.watch.onlyPoll()
      const identity = identityOf(options, environment, owner)
      return yield* startContainerStep({ ...common, identity, data, job }, step)
    }
    if (data.image === "") {
      return yield* fail(
        new Unsupported({
          backend: "pod",
          feature: "script steps in a job that has only services",
          hint: "Give the job a container with an image."
        })
      )
    }
    const id = yield* unguessable
    const main = yield* stepProgram(step, {
      id,
      workingDirectory: StepCommand.workingDirectory(setting, step, data.facts.workspace),
      filePath: (name) => transport.pathOf(id, name),
      ...(data.variables === undefined ? {} : { variables: data.variables })
    })
    const travelling = yield* copying.forStep(environment, data, step)
    const running = yield* transport.start({
      id,
      main,
      files: [{ name: scriptName, content: step.script }, ...step.files],
      collect: step.files.filter(({ collect }) => collect).map(({ name }) => name),
      merged: step.stderr === "with-stdout",
      stopGrace: Duration.millis(data.stopGrace),
      uploads: travelling.uploads,
      returning: travelling.returning
    })
    yield* travelling.arrived
    const warning = Effect.flatMap(
      Effect.orElseSucceed(running.outOfMemory, () => false),
      (killed) => (killed ? emit({ _tag: "Warning", job, message: outOfMemory }) : Effect.void)
    )
    // Whoever has not seen the step's end need not know what came with it.
    const exitCode = yield* Effect.cached(
      Effect.tap(yield* travelling.thenReturn(running), (code) => (code === 0 ? Effect.void : warning))
    )
    return { ...running, exitCode }
  })
}

/** Why the environment is lost, by one look; nothing as long as it is not. */
export const lossNow = (
  kube: KubeClient["Service"],
  data: PodData
): Effect.Effect<BackendError | undefined, BackendError> =>
  kube.request({ verb: "get", resource: KubeResource.pods, namespace: data.namespace, name: data.pod }).pipe(
    Effect.map((pod) => {
      const reason = lossFor(pod, data)
      return reason === undefined ? undefined : new BackendError({ reason })
    }),
    Effect.catchReason("KubeError", "NotFound", () => Effect.succeed(new BackendError({ reason: deleted(data.pod) }))),
    Effect.mapError((error) => (error instanceof BackendError ? error : fromKubeError(error)))
  )

/** The pod of that name may be another one by now, and what is in it another container. */
const lossFor = (pod: PodManifest, data: PodData): EnvironmentLost | undefined => {
  if (data.uid !== "" && pod.metadata?.uid !== data.uid) {
    const detail = `the pod ${data.pod} was deleted, and another one has its name`
    return new EnvironmentLost({ cause: "Deleted", detail })
  }
  const lost = lossOf(pod, watchedIn(data))
  if (lost !== undefined || data.containerId === undefined) return lost
  const now = pod.status?.containerStatuses?.find(({ name }) => name === data.container)?.containerID
  if (now === undefined || now === data.containerId) return undefined
  const detail = `the container ${data.container} of the pod ${data.pod} was started again: what was in it is gone`
  return new EnvironmentLost({ cause: "Unknown", detail })
}

const watchedIn = ({ container, image }: PodData) => (image === "" ? undefined : container)

/** Asked after something has ended, of which the status may not know yet. */
const whyLost = (kube: KubeClient["Service"], data: PodData): Effect.Effect<BackendError | undefined, BackendError> =>
  Effect.repeat(
    lossNow(kube, data).pipe(Effect.tap((lost) => (lost === undefined ? Effect.sleep("250 millis") : Effect.void))),
    { until: (lost) => lost !== undefined }
  ).pipe(Effect.timeoutOrElse({ duration: statusLag, orElse: () => nothing }))

/** Waits for the loss of the pod; the end of a service is told meanwhile. */
export const awaitLoss = (
  { kube, watch }: Common,
  data: PodData,
  job: string
): Effect.Effect<Completion, BackendError> => {
  const ended = new Set<string>()
  const watched = watchedIn(data)
  // What cannot be seen is not lost: steps tell for themselves whether they can go on.
  const seen: ReturnType<typeof watch.follow> = Stream.catch(watch.follow(data.pod), (error) =>
    error.retryable ? Stream.unwrap(Effect.as(Effect.sleep("15 seconds"), seen)) : Stream.fail(error)
  )
  return seen.pipe(
    Stream.mapError(fromKubeError),
    Stream.mapEffect(
      Effect.fnUntraced(function* (sight) {
        if (sight === "Gone") return yield* fail(deleted(data.pod))
        const reason = lossFor(sight, data)
        if (reason !== undefined) return yield* fail(reason)
        for (const { name, state } of sight.status?.containerStatuses ?? []) {
          if (state?.terminated === undefined || name === watched || ended.has(name)) continue
          ended.add(name)
          const log = yield* logTail(kube, data.namespace, data.pod, name)
          const message = `The service ${name} ${howItEnded(state.terminated)}${log.map((line) => `\n  ${name} | ${line}`).join("")}`
          yield* emit({ _tag: "Warning", job, message })
        }
      })
    ),
    Stream.runDrain,
    Effect.andThen(Effect.never)
  )
}

const nothing: Effect.Effect<undefined> = Effect.as(Effect.void, undefined)

const deleted = (pod: string) => new EnvironmentLost({ cause: "Deleted", detail: `the pod ${pod} was deleted` })

const outOfMemory =
  "A process of the step was killed (OOMKilled): the job's container used more memory than its limit allows. Raise the job's memory limit."
