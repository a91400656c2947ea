/** How the KRO backend is set up. */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type { JobSpec } from "../../domain/Job.ts"
import type { BackendError } from "../../domain/JobError.ts"
import type { OwnerReference } from "./KroInstance.ts"
import type { RunState } from "./KroRun.ts"
import type { ResourceGraphDefinition } from "./ResourceGraphDefinition.ts"

/**
 * Which RGD: by its name, or the only one with these labels.
 *
 * @category models
 */
export type RgdSelector = { readonly name: string } | { readonly labels: Readonly<Record<string, string>> }

/**
 * Fields of an instance's spec that are filled only where the RGD declares them.
 *
 * @category models
 */
export interface Offer {
  readonly offered: Readonly<Record<string, unknown>>
  /** For declared fields that have neither a value nor a default. */
  readonly otherwise?: Readonly<Record<string, unknown>>
}

/** @category options */
export interface Options {
  readonly rgd: RgdSelector
  /** Default: the client's. */
  readonly namespace?: string | undefined
  /** Fields of the instance's spec. The RGD has to declare them. */
  readonly values?: Readonly<Record<string, unknown>> | undefined
  /** Beside `runnerName`, `namespace`, `image` and `labels` of the job. Asked once the RGD is known, and before anything is made. */
  readonly offer?: ((rgd: ResourceGraphDefinition) => Effect.Effect<Offer, BackendError>) | undefined
  /** On every instance, beside the labels of the job. */
  readonly labels?: Readonly<Record<string, string>> | undefined
  readonly annotations?: Readonly<Record<string, string>> | undefined
  /** Who takes every instance along when it is deleted. Not for cluster-wide kinds, which nothing in a namespace can own. */
  readonly ownerReferences?: ReadonlyArray<OwnerReference> | undefined
  /** The environment's name, which is the instance's. Default: a random one. */
  readonly nameOf?: ((spec: JobSpec) => string) | undefined
  /** A fingerprint of what an instance uses up: a leftover of the same name with the same one is followed, not made again. */
  readonly once?: string | undefined
  /** Refuse RGDs that tell only by readiness that the work ended. Default false. */
  readonly strict?: boolean | undefined
  /** How long the work may stand before something that hardly heals, such as a wrong image. Default 1 minute. */
  readonly stuckAfter?: Duration.Input | undefined
  /** Is told every change of every instance. */
  readonly onChange?: ((environment: string, state: RunState) => Effect.Effect<void>) | undefined
}
