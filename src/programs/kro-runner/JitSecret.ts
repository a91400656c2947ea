/**
 * The Secret that hands the JIT configuration to the job pod.
 *
 * **Details**
 *
 * ARC's own has the runner's name and the key `jitToken`. Templates that were written after kro-actions-runner's documentation ask for
 * `.jitconfig`: for these, or where it is wished, the runner makes one with both keys, which also outlives ARC's (that one is gone within a second
 * of the runner's end).
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as KroCalls from "../../backends/kro/KroCalls.ts"
import * as KroNames from "../../backends/kro/KroNames.ts"
import type { ResourceGraphDefinition } from "../../backends/kro/ResourceGraphDefinition.ts"
import * as RgdLint from "../../backends/kro/RgdLint.ts"
import type { KubeClient } from "../../backends/kubernetes/KubeClient.ts"
import type { KubeError } from "../../backends/kubernetes/KubeError.ts"
import * as KubeResource from "../../backends/kubernetes/KubeResource.ts"
import * as JobError from "../../domain/JobError.ts"
import * as RunnerPod from "./RunnerPod.ts"
import type { Settings } from "./Settings.ts"

const { secrets } = KubeResource

/**
 * Which Secret an RGD needs.
 *
 * **Details**
 *
 * `own` needs an RGD that takes the Secret's name: one that builds the name from the runner's gets ARC's, whatever its keys are.
 *
 * @category getters
 */
export const kindFor = (rgd: ResourceGraphDefinition, wanted: Settings["jitSecret"]): "arc" | "own" =>
  wanted === "auto" ? (RgdLint.asksForOldKey(rgd) && RgdLint.takesSecretName(rgd) ? "own" : "arc") : wanted

/** @category options */
export interface Options {
  readonly kube: KubeClient["Service"]
  readonly pod: RunnerPod.RunnerPod
  readonly jitConfig: Redacted.Redacted
  /** Fingerprint of the JIT configuration. */
  readonly once: string
}

/**
 * Makes the runner's own Secret, in place of what an earlier pod of the same name left, and gives its name.
 *
 * @category constructors
 */
export const make = Effect.fnUntraced(function* (options: Options): Effect.fn.Return<string, JobError.BackendError> {
  const { jitConfig, kube, once, pod } = options
  const { namespace } = pod
  const name = nameFor(pod)
  const text = Redacted.value(jitConfig)
  const create = kube.request({
    verb: "create",
    resource: secrets,
    namespace,
    body: {
      apiVersion: "v1",
      kind: "Secret",
      metadata: {
        name,
        namespace,
        labels: { ...RunnerPod.labelsFor(pod), [KroNames.environmentLabel]: pod.name },
        annotations: { [KroNames.onceAnnotation]: once },
        ownerReferences: [RunnerPod.asOwner(pod)]
      },
      type: "Opaque",
      immutable: true,
      stringData: { jitToken: text, ".jitconfig": text, runnerName: pod.name }
    }
  })
  const attempt = (left: number): Effect.Effect<unknown, KubeError> =>
    Effect.catchReason(create, "KubeError", "AlreadyExists", (_, error) =>
      left === 0
        ? Effect.fail(error)
        : Effect.andThen(remove(kube, namespace, name), Effect.delay(attempt(left - 1), "200 millis"))
    )
  yield* attempt(10).pipe(
    Effect.catchReason("KubeError", "Forbidden", (_, error) =>
      JobError.fail(
        new JobError.ConfigurationInvalid({
          source: "the runner's rights",
          detail: error.message,
          hint: "Grant it (`kro-runner role` prints the Role), or change the key in the ResourceGraphDefinition from .jitconfig to jitToken, which ARC's Secret has."
        })
      )
    ),
    Effect.catchTag("KubeError", (error) => Effect.fail(KroCalls.explain(error)))
  )
  return name
})

/**
 * Removes it; nothing there is success.
 *
 * @category finalization
 */
export const release = ({ kube, pod }: Options): Effect.Effect<void> =>
  Effect.catch(remove(kube, pod.namespace, nameFor(pod)), (error) =>
    Effect.logWarning(`The Secret ${nameFor(pod)} is left, and goes with the runner pod: ${error.message}`)
  )

const nameFor = ({ name }: RunnerPod.RunnerPod) => `${name}-jit`

const remove = (kube: KubeClient["Service"], namespace: string, name: string): Effect.Effect<void, KubeError> =>
  Effect.catchReason(
    Effect.asVoid(kube.request({ verb: "delete", resource: secrets, namespace, name })),
    "KubeError",
    "NotFound",
    () => Effect.void
  )
