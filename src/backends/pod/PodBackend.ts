/**
 * Jobs in Kubernetes: one pod for each, with the job's container and its services; container steps in pods of their own.
 *
 * **Details**
 *
 * - Files reach the pods through a claim that this machine shares with them, or travel over exec (`Options.sharing`).
 * - A step is detached from whoever follows it, so that a lost connection is no lost step (`Options.transport`).
 * - Everything carries the environment's and the owner's label; what nobody releases ends by its deadline, and goes with its owner
 *   reference.
 *
 * @example
 *
 * ```ts
 * const backend = PodBackend.layer({ namespace: "ci" }).pipe(Layer.provide(KubeClient.layer()))
 * ```
 */
import * as Path from "node:path"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { BackendDriver, DriverEnvironment } from "../../domain/BackendDriver.ts"
import type { Capabilities } from "../../domain/Capabilities.ts"
import { Mount } from "../../domain/Container.ts"
import type { EnvironmentHandle } from "../../domain/EnvironmentHandle.ts"
import type { JobSpec } from "../../domain/Job.ts"
import { fromDriver, JobBackend } from "../../domain/JobBackend.ts"
import type { ServiceFacts } from "../../domain/JobEnvironment.ts"
import { type BackendError, fail, Unsupported } from "../../domain/JobError.ts"
import { emit } from "../../domain/JobEvent.ts"
import { fromKubeError } from "../kubernetes/BackendErrors.ts"
import { KubeClient } from "../kubernetes/KubeClient.ts"
import * as KubeResource from "../kubernetes/KubeResource.ts"
import * as channels from "./internal/channels.ts"
import { readFacts } from "./internal/containerFacts.ts"
import { makeCopying } from "./internal/copying.ts"
import { planMounts } from "./internal/mountPlan.ts"
import { awaitLoss, type Common, identityOf, lossNow, startIn, statusLag } from "./internal/opened.ts"
import * as podData from "./internal/podData.ts"
import { runScript } from "./internal/podExec.ts"
import * as podScripts from "./internal/podScripts.ts"
import { makePodWatch } from "./internal/podWatch.ts"
import { awaitPod } from "./internal/readiness.ts"
import * as releasing from "./internal/releasing.ts"
import { unguessable } from "./internal/unguessable.ts"
import { greeting } from "./internal/volumeTransport.ts"
import { jobManifests } from "./PodManifest.ts"
import { custodyAnnotation, environmentLabel, jobContainer } from "./PodNames.ts"
import type { Options, PodManifest } from "./PodOptions.ts"

/** Where steps work, if the job does not say. */
const workspacePath = "/workspace"

/** How long a container that runs may take to answer through the volume, before it counts as out of its reach. */
const greetingTime = Duration.seconds(2)

const capabilitiesOf = (options: Options): Capabilities => ({
  // Services alone, and container steps beside them.
  hostJobs: true,
  hostScripts: false,
  containerJobs: true,
  containerSteps: true,
  dockerfileSteps: true,
  serviceImages: true,
  serviceCommands: false,
  workspaces: options.sharing?._tag === "Claim" ? ["in-place", "copy"] : ["copy"],
  volumes: true,
  handOver: true,
  runToCompletion: false
})

/** @category constructors */
export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<JobBackend["Service"], never, KubeClient | Scope.Scope> {
  const kube = yield* KubeClient
  const namespace = options.namespace ?? kube.namespace
  const sharing = options.sharing ?? { _tag: "Copy" }
  const watch = yield* makePodWatch(kube, namespace, options.vigilance === "on-demand" ? undefined : environmentLabel)
  const copying = yield* makeCopying(options)

  const common: Common = { kube, namespace, watch, options, sharing, copying }

  const createPod = Effect.fnUntraced(function* (
    manifests: Exclude<ReturnType<typeof jobManifests>, { readonly _tag: string }>
  ) {
    yield* Effect.forEach(
      manifests.secrets,
      (body) => kube.request({ verb: "create", resource: KubeResource.secrets, namespace, body }),
      { concurrency: "unbounded" }
    )
    return yield* kube.request({ verb: "create", resource: KubeResource.pods, namespace, body: manifests.pod })
  }, Effect.mapError(fromKubeError))

  const create = Effect.fnUntraced(function* (spec: JobSpec, environment: string) {
    const { container, workspace } = spec
    const mounts = [
      ...(container?.mounts ?? []),
      ...(workspace?.mode === "in-place"
        ? [new Mount({ source: Path.resolve(workspace.path), target: workspacePath })]
        : [])
    ]
    const ownWorkspace =
      workspace?.mode === "copy" || (workspace === undefined && spec.workingDirectory?.startsWith("/") !== true)
    const plan = planMounts({ mounts, volumes: spec.volumes, podVolumes: options.volumes ?? [], sharing })
    const channel = yield* channels.open({
      options,
      sharing,
      environment,
      owner: spec.owner,
      usable: container !== undefined && container.entryPoint === undefined
    })
    yield* channels.makeSources(plan, mounts)
    const secretIds = yield* Effect.all(Array.from({ length: 2 + spec.services.length }, () => shortId))
    const manifests = jobManifests(
      container === undefined ? spec : { ...spec, container: { ...container, mounts } },
      identityOf(options, environment, spec.owner),
      plan,
      { secretIds, workspace: workspacePath, ownWorkspace, channel: channel?.subPath }
    )
    if ("_tag" in manifests) return yield* fail(manifests)

    const told = (reason: string) => emit({ _tag: "Waiting", job: spec.name, phase: "provision", reason })
    const created = yield* createPod(manifests)
    const waiting = { kube, watch, namespace, pod: created, roles: manifests.roles, grace: options, told }
    const ready = awaitPod(waiting)
    /** A container that runs for a moment only is seen as ready: the pod's own story, which comes later, says more than a failed exec. */
    const explained = (error: BackendError) =>
      Effect.timeoutOrElse(awaitPod({ ...waiting, told: () => Effect.void, enough: () => false }), {
        duration: statusLag,
        orElse: () => Effect.fail(error)
      })
    const local = channel?.local
    const { greeted, pod } = yield* local === undefined
      ? Effect.map(ready, (pod) => ({ pod, greeted: undefined }))
      : heardOrReady(ready, local, spec.services.length > 0, created)
    if (options.transport === "volume" && greeted === undefined) return yield* fail(unheard)

    const place = { namespace, pod: environment, container: jobContainer }
    const asked = Effect.map(
      Effect.mapError(runScript(kube, place, podScripts.facts), fromKubeError),
      ({ stdout }) => stdout
    )
    const copies = [
      ...plan.copied,
      ...(workspace?.mode === "copy" ? [{ source: Path.resolve(workspace.path), target: workspacePath }] : [])
    ]
    const [facts] =
      container === undefined
        ? [""]
        : yield* Effect.all(
            [greeted === undefined ? asked : Effect.succeed(greeted), copying.fill(place, environment, copies, told)],
            { concurrency: 2 }
          ).pipe(Effect.catch((error) => Effect.andThen(explained(error), Effect.fail(error))))
    const data = new podData.PodData({
      version: 1,
      namespace,
      pod: environment,
      uid: created.metadata?.uid ?? "",
      ...(pod.status?.podIP === undefined ? {} : { address: pod.status.podIP }),
      image: container?.image ?? "",
      ...(greeted === undefined || local === undefined ? {} : { channel: local }),
      facts: {
        ...readFacts(facts),
        workspace: ownWorkspace || workspace !== undefined ? workspacePath : (spec.workingDirectory ?? workspacePath),
        services: spec.services.map(
          ({ name, ports }): ServiceFacts => ({
            name,
            // Steps share the pod's network, where the service's name is an alias of it.
            host: "localhost",
            ports: Object.fromEntries(ports.map(({ container }) => [String(container), String(container)]))
          })
        )
      },
      ...(spec.workingDirectory === undefined ? {} : { workingDirectory: spec.workingDirectory }),
      mounts,
      volumes: spec.volumes,
      ownWorkspace,
      ...(watch.mayWatch() ? {} : { watching: false }),
      stopGrace: Duration.toMillis(spec.timeouts.stopGrace),
      deadline: Duration.toSeconds(spec.timeouts.total)
    })
    return opened(environment, spec.owner, data, spec.name)
  })

  /** Volume first: a supervisor that answers runs. Only services have to be asked for, too. */
  const heardOrReady = (
    ready: Effect.Effect<PodManifest, BackendError>,
    local: string,
    services: boolean,
    created: PodManifest
  ): Effect.Effect<{ readonly greeted: string | undefined; readonly pod: PodManifest }, BackendError> =>
    Effect.scoped(
      Effect.gen(function* () {
        const hearing = yield* Effect.forkScoped(greeting(local), { startImmediately: true })
        const heard = Fiber.join(hearing)
        const both = Effect.flatMap(ready, (pod) =>
          heard.pipe(
            Effect.timeoutOrElse({ duration: greetingTime, orElse: () => nothing }),
            Effect.map((greeted) => ({ greeted, pod }))
          )
        )
        return services
          ? yield* both
          : yield* Effect.raceFirst(
              Effect.map(heard, (greeted) => ({ greeted, pod: created })),
              both
            )
      })
    )

  const opened = (environment: string, owner: string, data: podData.PodData, job: string): DriverEnvironment => ({
    facts: data.facts,
    data: podData.encode(data),
    start: startIn(common, { environment, owner, data, job }),
    completion: options.vigilance === "on-demand" ? Effect.never : awaitLoss(common, data, job),
    handOver: options.custody === "handed-over" ? Effect.void : markHandedOver(data.pod)
  })

  const markHandedOver = (pod: string) =>
    kube
      .request({
        verb: "patch",
        resource: KubeResource.pods,
        namespace,
        name: pod,
        body: { metadata: { annotations: { [custodyAnnotation]: "handed-over" } } }
      })
      .pipe(Effect.mapError(fromKubeError), Effect.asVoid)

  const attach = Effect.fnUntraced(function* (handle: EnvironmentHandle) {
    const data = yield* podData.decode(handle.data)
    if (options.vigilance !== "on-demand") {
      const lost = yield* lossNow(kube, data)
      if (lost !== undefined) return yield* lost
    }
    return opened(handle.environment, handle.owner, data, "")
  })

  const where = { kube, namespace, options, sharing }
  const driver: BackendDriver = {
    name: "pod",
    capabilities: capabilitiesOf(options),
    ...(options.nameOf === undefined ? {} : { nameOf: options.nameOf }),
    create,
    attach,
    destroy: (selector) => releasing.destroy(where, selector),
    list: (selector) => releasing.list(where, selector),
    removalCommand: (environment) => releasing.removalCommand(where, environment)
  }
  return fromDriver(driver)
})

/** @category layers */
export const layer = (options?: Options): Layer.Layer<JobBackend, never, KubeClient> =>
  Layer.effect(JobBackend, make(options))

// internal

const nothing: Effect.Effect<undefined> = Effect.as(Effect.void, undefined)

const shortId = Effect.map(unguessable, (name) => name.slice(0, 8))

const unheard = new Unsupported({
  backend: "pod",
  feature: "volume transport here: the pod runs, but is not heard through the shared volume",
  hint: "It may be on another node, or the volume on a network file system: use the transport `auto` or `exec`."
})
