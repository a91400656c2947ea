/**
 * `prepare_job`: the pod of a job, ready for steps, handed over to the hook calls that come after.
 */
import * as Fs from "node:fs"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as BackendErrors from "../../../backends/kubernetes/BackendErrors.ts"
import { KubeClient } from "../../../backends/kubernetes/KubeClient.ts"
import * as KubeResource from "../../../backends/kubernetes/KubeResource.ts"
import { Port } from "../../../domain/Container.ts"
import type { JobSpec } from "../../../domain/Job.ts"
import type { JobBackend } from "../../../domain/JobBackend.ts"
import { BackendError, fail, StorageFailed, TimedOut } from "../../../domain/JobError.ts"
import { JobEvents } from "../../../domain/JobEvent.ts"
import * as Externals from "./Externals.ts"
import * as Forwarder from "./Forwarder.ts"
import * as HookBackend from "./HookBackend.ts"
import type { HookConfig } from "./HookConfig.ts"
import type { HookInput } from "./HookInput.ts"
import type { HookProcess } from "./HookMain.ts"
import * as HookNames from "./HookNames.ts"
import * as HookResponse from "./HookResponse.ts"
import * as HookState from "./HookState.ts"
import * as JobMapping from "./JobMapping.ts"
import type { Places } from "./Mounts.ts"
import * as PodSettings from "./PodSettings.ts"
import { isWithin, type Looked } from "./RunnerPod.ts"

type PrepareJob = Extract<HookInput, { readonly command: "prepare_job" }>

/** The machine that the hook runs on. */
export interface Host {
  readonly arch: string
  /** The hook's own file. */
  readonly program: string
}

/** Writes the response last: without it the runner fails the job. */
export const prepareJob = Effect.fnUntraced(function* (
  input: PrepareJob,
  config: HookConfig,
  looked: Looked,
  host: Host,
  hook: HookProcess
): Effect.fn.Return<void, BackendError, KubeClient | Scope.Scope> {
  const { facts: runner } = looked
  for (const warning of looked.warnings) yield* hook.say("warn", warning)
  const own = PodSettings.externalsOf(config, input.args.container?.systemMountVolumes)
  const externals = PodSettings.externalsIn(config, runner, own)
  const places: Places = { paths: config.paths, root: runner.claim?.root, externals }
  const mapped = yield* JobMapping.toSpec(input.args, config, places)
  for (const warning of mapped.warnings) yield* hook.say("warn", warning)
  const settings = yield* PodSettings.make(config, runner, host.arch, own)
  yield* makeSources(mapped.spec, config)

  const bring = (kind: Externals.Kind) =>
    runner.claim === undefined || externals === own || !Fs.existsSync(own)
      ? Effect.void
      : Effect.asVoid(Externals.copy(own, externals, kind, PodSettings.stateDirectoryOf(config)))
  const musl = host.arch === "arm64" && config.muslNodeImage !== undefined
  // What an init container works on must be there before it starts.
  if (musl) yield* bring("glibc")
  const backend = yield* HookBackend.make(config, runner, settings.options)
  const { facts, handle } = yield* Effect.scoped(
    Effect.gen(function* () {
      const [environment] = yield* Effect.all([provision(backend, mapped.spec), musl ? Effect.void : bring("glibc")], {
        concurrency: 2
      })
      if (environment.facts.libc === "musl" && !musl) yield* bring("musl")
      return { facts: environment.facts, handle: yield* environment.handOver }
    })
  )
  for (const warning of settings.warnings) yield* hook.say("warn", warning)
  const { container, services } = input.args
  const published =
    container === undefined ? yield* publish(config, mapped.servicePorts, host, hook) : { ports: mapped.servicePorts }
  const { listener } = published
  const reached = config.strict?.includes("host-ports") ? "ofNode" : "inPod"
  yield* HookResponse.write(
    input.responseFile,
    HookResponse.forJob({
      state: HookState.encode({ handle, runner, ...(listener === undefined ? {} : { listener }) }),
      hasContainer: container !== undefined,
      image: mapped.spec.container?.image ?? "",
      ports: HookResponse.portsOf(mapped.spec.container?.ports ?? [], reached),
      services: services.map(({ image }, index) => ({
        image: image ?? "",
        ports: HookResponse.portsOf(published.ports[index] ?? [], container === undefined ? "onRunner" : reached)
      })),
      isAlpine: HookResponse.isAlpine(facts, host.arch, musl)
    })
  ).pipe(Effect.onError(() => (listener === undefined ? Effect.void : Forwarder.stop(listener))))
})

/** Services of a job without a container: the ports at which they are on the runner, and who listens there. */
const publish = Effect.fnUntraced(function* (
  config: HookConfig,
  servicePorts: ReadonlyArray<ReadonlyArray<Port>>,
  host: Host,
  hook: HookProcess
): Effect.fn.Return<
  { readonly ports: ReadonlyArray<ReadonlyArray<Port>>; readonly listener?: typeof Forwarder.Listener.Type },
  BackendError,
  KubeClient
> {
  const wanted = servicePorts.flat().filter(({ protocol }) => protocol === "tcp")
  if (wanted.length < servicePorts.flat().length) {
    yield* hook.say("warn", "UDP ports of services are not known on the runner: give the job a container to use them.")
  }
  if (wanted.length === 0) return { ports: servicePorts.map(() => []) }
  const kube = yield* KubeClient
  const pod = yield* Effect.mapError(
    kube.request({ verb: "get", resource: KubeResource.pods, name: HookNames.jobPod(config.podName) }),
    BackendErrors.fromKubeError
  )
  const forwarded = wanted.map(({ container, host = 0 }) => ({ container, host }))
  const { listener, ports } = yield* Forwarder.start(
    host.program,
    PodSettings.stateDirectoryOf(config),
    pod.status?.podIP ?? "",
    forwarded
  )
  const published = wanted.map(({ container }, index) => new Port({ container, host: ports[index] ?? 0 }))
  return {
    listener,
    ports: servicePorts.map((own) =>
      own.flatMap((port) => {
        const index = wanted.indexOf(port)
        return published[index] ?? []
      })
    )
  }
})

/** Directories that kubelet would make for itself, and the runner could not write to. */
const makeSources = ({ container }: JobSpec, { paths }: HookConfig) =>
  Effect.try({
    try: () => {
      for (const { source } of container?.mounts ?? []) {
        if (isWithin(source, paths.work)) Fs.mkdirSync(source, { recursive: true })
      }
    },
    catch: (cause) => {
      const detail = cause instanceof Error ? cause.message : String(cause)
      return new BackendError({
        reason: new StorageFailed({ operation: "making the directories of the job", detail, transient: false })
      })
    }
  })

/** Within the time that it has; what a runner's pod of the same name has left goes first. */
const provision = Effect.fnUntraced(function* (backend: JobBackend["Service"], spec: JobSpec) {
  const outer = yield* JobEvents
  let waitingFor = "the Kubernetes API"
  const once = Effect.catchReason(backend.provision(spec), "BackendError", "Conflict", () =>
    Effect.andThen(backend.release({ owner: spec.owner }), backend.provision(spec))
  )
  return yield* Effect.retry(once, {
    schedule: Schedule.jittered(Schedule.exponential(spec.retry.delay)),
    times: spec.retry.attempts - 1,
    // An image has had its time already.
    while: (error) => error.retryable && error.reason._tag !== "ImagePullFailed"
  }).pipe(
    Effect.provideService(JobEvents, {
      emit: (event) => {
        if (event._tag === "Waiting") waitingFor = event.reason
        return outer.emit(event)
      }
    }),
    Effect.timeoutOrElse({
      duration: spec.timeouts.provision,
      orElse: () =>
        Effect.suspend(() => fail(new TimedOut({ phase: "provision", after: spec.timeouts.provision, waitingFor })))
    })
  )
})
