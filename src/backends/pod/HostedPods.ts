/**
 * Environments in pods that somebody else makes and removes: steps run in them exactly as in the pods of the pod backend, over exec; container
 * steps are pods of our own beside them.
 *
 * **When to use**
 *
 * For a backend that gets its pods from elsewhere, as the KRO backend does. It needs an image with a shell, and a container that goes on
 * running: whatever its main process is.
 */
import * as Path from "node:path"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schedule from "effect/Schedule"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { DriverEnvironment } from "../../domain/BackendDriver.ts"
import type { Capabilities } from "../../domain/Capabilities.ts"
import { Mount } from "../../domain/Container.ts"
import type { JobSpec } from "../../domain/Job.ts"
import { BackendError, fail, InvalidInput, ProvisionFailed, Unsupported } from "../../domain/JobError.ts"
import type { OwnedResource, Selector } from "../../domain/OwnedResource.ts"
import { fromKubeError } from "../kubernetes/BackendErrors.ts"
import { KubeClient } from "../kubernetes/KubeClient.ts"
import { readFacts } from "./internal/containerFacts.ts"
import { makeCopying } from "./internal/copying.ts"
import * as hostedScript from "./internal/hostedScript.ts"
import { type Common, lossNow, startIn } from "./internal/opened.ts"
import * as podData from "./internal/podData.ts"
import { type Place, runScript } from "./internal/podExec.ts"
import { makePodWatch } from "./internal/podWatch.ts"
import * as releasing from "./internal/releasing.ts"
import { jobVariables } from "./internal/stepProgram.ts"
import { unguessable } from "./internal/unguessable.ts"
import { environmentLabel } from "./PodNames.ts"
import type { Options, PodManifest } from "./PodOptions.ts"

/**
 * A pod whose container runs.
 *
 * @category models
 */
export interface HostedPod {
  readonly pod: PodManifest
  /** The container that script steps run in. */
  readonly container: string
  /** Where steps work, if the job does not say; made if it is missing. */
  readonly workspace: string
}

/**
 * An environment in such a pod: the driver's part of it, but for how its loss is noticed while nobody asks.
 *
 * @category models
 */
export interface HostedEnvironment extends Pick<DriverEnvironment, "facts" | "start"> {
  /** For `attach`. No secrets. */
  readonly data: Schema.Json
  /** Why it is lost, by one look; nothing as long as it is not. */
  readonly lost: Effect.Effect<BackendError | undefined, BackendError>
}

/** @category models */
export interface HostedPods {
  readonly capabilities: Capabilities
  /** Makes a pod ready for a job: its directories, variables and files. May be told again after a failure. */
  readonly open: (
    spec: JobSpec,
    environment: string,
    hosted: HostedPod,
    told: (what: string) => Effect.Effect<void>
  ) => Effect.Effect<HostedEnvironment, BackendError>
  /** The environment that another process has opened. */
  readonly attach: (about: {
    readonly environment: string
    readonly owner: string
    readonly data: Schema.Json
  }) => Effect.Effect<HostedEnvironment, BackendError>
  /** Removes what container steps have left beside the pods. */
  readonly destroy: (selector: Selector) => Effect.Effect<void, BackendError>
  readonly list: (selector?: Selector) => Stream.Stream<OwnedResource, BackendError>
}

/**
 * What of a job a pod that somebody else makes cannot be given any more; nothing, if there is no such thing.
 *
 * @category validation
 */
export const refusalOf = (backend: string, { container, volumes }: JobSpec): Unsupported | undefined => {
  const { credentials, entryPoint, settings, user } = container ?? {}
  const asked = [
    ...(credentials === undefined ? [] : ["credentials for its image"]),
    ...(entryPoint === undefined ? [] : ["an entry point"]),
    ...(user === undefined ? [] : [`the user ${user}`]),
    ...Object.entries(settings ?? {}).flatMap(([name, value]) => (isAsked(value) ? [`the setting ${name}`] : []))
  ]
  const [first] = asked
  if (first !== undefined) {
    return new Unsupported({
      backend,
      feature: `${first} for the job's container, whose pod is made by a template`,
      hint: "Leave it out of the job, and say it in the template."
    })
  }
  const special = volumes.find(({ medium, sizeLimit }) => medium === "memory" || sizeLimit !== undefined)
  return special === undefined
    ? undefined
    : new Unsupported({
        backend,
        feature: `the medium or the size of the volume ${special.name} in a pod that is made by a template`,
        hint: "Let the template mount such a volume where the job expects it."
      })
}

const about = ({ container, pod }: Place) => `the container ${container} of the pod ${pod} cannot be used for steps`

/** A shell that cannot be started is no step that cannot. */
const unusable = (place: Place, error: BackendError): BackendError => {
  const { reason } = error
  if (reason._tag !== "StepStartFailed") return error
  const missing = /exec: "sh"|executable file not found/.test(reason.detail)
  const detail = `${about(place)}: ${reason.detail}${missing ? "; script steps need a shell (`sh`) in the image" : ""}`
  return new BackendError({ reason: new ProvisionFailed({ detail, transient: !missing }) })
}

const isAsked = (value: unknown) =>
  Predicate.isObject(value) || Array.isArray(value) ? Object.keys(value).length > 0 : Boolean(value)

/** @category constructors */
export const make = Effect.fnUntraced(function* (
  backend: string,
  options: Options
): Effect.fn.Return<HostedPods, never, KubeClient | Scope.Scope> {
  const kube = yield* KubeClient
  const namespace = options.namespace ?? kube.namespace
  const sharing = options.sharing ?? { _tag: "Copy" }
  // Of the pods of container steps.
  const watch = yield* makePodWatch(kube, namespace, options.vigilance === "on-demand" ? undefined : environmentLabel)
  const copying = yield* makeCopying(options)
  const common: Common = { kube, namespace, watch, options, sharing, copying }
  const where = { kube, namespace, options, sharing }

  const environmentOf = (
    environment: string,
    owner: string,
    data: podData.PodData,
    job: string
  ): HostedEnvironment => ({
    facts: data.facts,
    data: podData.encode(data),
    start: startIn(common, { environment, owner, data, job }),
    lost: lossNow(kube, data)
  })

  const open: HostedPods["open"] = Effect.fnUntraced(function* (
    spec,
    environment,
    { container, pod, workspace },
    told
  ) {
    const refused = refusalOf(backend, spec)
    if (refused !== undefined) return yield* fail(refused)
    const mounts = [
      ...(spec.container?.mounts ?? []),
      ...(spec.workspace?.mode === "in-place"
        ? [new Mount({ source: Path.resolve(spec.workspace.path), target: workspace })]
        : [])
    ]
    const elsewhere = spec.workspace === undefined && spec.workingDirectory?.startsWith("/") === true
    const plan = hostedScript.plan({
      mounts,
      volumes: spec.volumes,
      sharing,
      pod,
      container,
      workspace: elsewhere ? undefined : workspace,
      fallback: `/tmp/jobscope-${yield* unguessable}`,
      variables: yield* jobVariables(spec.env)
    })
    if (plan instanceof InvalidInput) return yield* fail(plan)
    const place = { namespace: pod.metadata?.namespace ?? namespace, pod: pod.metadata?.name ?? "", container }
    const said = yield* runScript(kube, place, plan.script).pipe(
      Effect.retry({ while: (error) => error.retryable, schedule: Schedule.exponential("200 millis"), times: 4 }),
      Effect.mapError((error) => unusable(place, fromKubeError(error)))
    )
    if (said.exitCode !== 0) {
      const why = said.stderr.trim() || `a shell in it ended with ${said.exitCode}`
      const transient = said.exitCode !== hostedScript.inTheWay
      return yield* fail(new ProvisionFailed({ detail: `${about(place)}: ${why}`, transient }))
    }
    const { given, state } = hostedScript.read(said.stdout)
    const copies = [
      ...plan.copied.filter(({ target }) => !given.has(target)),
      ...(spec.workspace?.mode === "copy" ? [{ source: Path.resolve(spec.workspace.path), target: workspace }] : [])
    ]
    yield* copying.fill(place, environment, copies, told)
    const { containers = [], hostAliases = [], restartPolicy } = pod.spec ?? {}
    const status = pod.status?.containerStatuses?.find(({ name }) => name === container)
    const data = new podData.PodData({
      version: 1,
      ...place,
      uid: pod.metadata?.uid ?? "",
      ...(status?.containerID === undefined || restartPolicy === "Never" ? {} : { containerId: status.containerID }),
      stateDirectory: state,
      variables: `${state}/variables`,
      image: containers.find(({ name }) => name === container)?.image ?? status?.image ?? "",
      ...(pod.status?.podIP === undefined ? {} : { address: pod.status.podIP }),
      facts: {
        ...readFacts(said.stdout),
        workspace: elsewhere ? (spec.workingDirectory ?? workspace) : workspace,
        // What there is beside the pod, and where, only its template knows.
        services: []
      },
      ...(spec.workingDirectory === undefined ? {} : { workingDirectory: spec.workingDirectory }),
      mounts,
      volumes: spec.volumes,
      hostAliases: hostAliases.flatMap(({ hostnames = [], ip }) => (ip === undefined ? [] : [{ ip, hostnames }])),
      ownWorkspace: !elsewhere && spec.workspace?.mode !== "in-place",
      stopGrace: Duration.toMillis(spec.timeouts.stopGrace),
      deadline: Duration.toSeconds(spec.timeouts.total)
    })
    return environmentOf(environment, spec.owner, data, spec.name)
  })

  return {
    capabilities: {
      hostJobs: true,
      hostScripts: true,
      containerJobs: true,
      containerSteps: true,
      dockerfileSteps: true,
      serviceImages: false,
      serviceCommands: false,
      workspaces: sharing._tag === "Claim" ? ["in-place", "copy"] : ["copy"],
      volumes: true,
      handOver: true,
      runToCompletion: false
    },
    open,
    attach: ({ data, environment, owner }) =>
      Effect.map(podData.decode(data), (decoded) => environmentOf(environment, owner, decoded, "")),
    destroy: (selector) => releasing.destroy(where, selector),
    list: (selector) => releasing.list(where, selector)
  }
})
