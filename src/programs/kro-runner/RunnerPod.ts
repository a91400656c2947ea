/** The pod that the runner program itself runs in, as ARC made it. */
import * as Effect from "effect/Effect"
import * as KroCalls from "../../backends/kro/KroCalls.ts"
import type { OwnerReference } from "../../backends/kro/KroInstance.ts"
import type { KubeClient } from "../../backends/kubernetes/KubeClient.ts"
import * as KubeResource from "../../backends/kubernetes/KubeResource.ts"
import * as JobError from "../../domain/JobError.ts"

/** @category models */
export interface RunnerPod {
  readonly name: string
  readonly namespace: string
  readonly uid: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  /** In seconds: how long it lives on after it was told to stop. */
  readonly gracePeriod: number
  /** The EphemeralRunner that ARC made it for. */
  readonly ephemeralRunner?: OwnerReference
}

/**
 * Looks it up by the runner's name, which is the pod's.
 *
 * @category constructors
 */
export const read = Effect.fnUntraced(function* (
  kube: KubeClient["Service"],
  namespace: string,
  name: string
): Effect.fn.Return<RunnerPod, JobError.BackendError> {
  const pod = yield* kube.request({ verb: "get", resource: KubeResource.pods, namespace, name }).pipe(
    Effect.catchReason("KubeError", "NotFound", () =>
      JobError.fail(
        new JobError.ConfigurationInvalid({
          source: "RUNNER_NAME",
          detail: `there is no pod ${name} in the namespace ${namespace}`,
          hint: "Set RUNNER_NAME to the runner pod's own name, by a fieldRef to metadata.name."
        })
      )
    ),
    Effect.catchTag("KubeError", (error) => Effect.fail(KroCalls.explain(error)))
  )
  const owner = pod.metadata?.ownerReferences?.find(({ kind }) => kind === "EphemeralRunner")
  return {
    name,
    namespace,
    uid: pod.metadata?.uid ?? "",
    labels: pod.metadata?.labels ?? {},
    annotations: pod.metadata?.annotations ?? {},
    gracePeriod: pod.spec?.terminationGracePeriodSeconds ?? 30,
    ...(owner === undefined ? {} : { ephemeralRunner: referenceTo(owner) })
  }
})

/**
 * As an owner that takes its instance along, and nothing more.
 *
 * @category getters
 */
export const asOwner = ({ name, uid }: RunnerPod): OwnerReference =>
  referenceTo({ apiVersion: "v1", kind: "Pod", name, uid })

const referenceTo = ({ apiVersion, kind, name, uid }: Omit<OwnerReference, "controller">): OwnerReference => ({
  apiVersion,
  kind,
  name,
  uid,
  controller: false
})

/** What of an EphemeralRunner is looked at. */
export interface EphemeralRunner {
  readonly metadata: { readonly uid: string; readonly deletionTimestamp?: string }
  readonly status?: { readonly jobId?: string; readonly jobDisplayName?: string }
}

/** @category kinds */
export const ephemeralRunners: KubeResource.KubeResource<EphemeralRunner> = KubeResource.make({
  group: "actions.github.com",
  version: "v1alpha1",
  plural: "ephemeralrunners"
})

/**
 * The EphemeralRunner as it is now; nothing if there is none, or it may not be looked at.
 *
 * @category getters
 */
export const lookAtEphemeralRunner = (
  kube: KubeClient["Service"],
  { ephemeralRunner, namespace }: RunnerPod
): Effect.Effect<EphemeralRunner | undefined> =>
  ephemeralRunner === undefined
    ? Effect.undefined
    : kube.request({ verb: "get", resource: ephemeralRunners, namespace, name: ephemeralRunner.name }).pipe(
        Effect.timeout("2 seconds"),
        Effect.catch((error) =>
          Effect.as(Effect.logDebug(`The EphemeralRunner cannot be seen: ${error.message}`), undefined)
        )
      )

/**
 * What an RGD may be told about the runner, from the pod.
 *
 * @category getters
 */
export const fieldsOf = ({ annotations, labels }: RunnerPod): Readonly<Record<string, string>> => {
  const label = (name: string) => labels[`actions.github.com/${name}`]
  const fields = {
    scaleSetNamespace: label("scale-set-namespace"),
    organization: label("organization"),
    repository: label("repository"),
    enterprise: label("enterprise"),
    runnerScaleSetName: annotations["actions.github.com/runner-scale-set-name"],
    runnerGroup: annotations["actions.github.com/runner-group-name"]
  }
  return Object.fromEntries(
    Object.entries(fields).flatMap(([name, value]) => (value === undefined || value === "" ? [] : [[name, value]]))
  )
}

/**
 * Labels for what is made for this runner: ARC removes by `runner-pod` what runner pods leave.
 *
 * @category getters
 */
export const labelsFor = ({ labels, name }: RunnerPod): Readonly<Record<string, string>> => ({
  "runner-pod": name,
  ...Object.fromEntries(
    ["scale-set-name", "scale-set-namespace", "organization", "repository", "enterprise"].flatMap((short) => {
      const value = labels[`actions.github.com/${short}`]
      return value === undefined ? [] : [[`actions.github.com/${short}`, value]]
    })
  )
})
