/**
 * What to do about an instance that has the name already: a pod that ARC makes again has the name, and often the JIT configuration, of the one
 * before it. Pure.
 */
import type { Completion } from "../../domain/JobEnvironment.ts"
import type { ChildView } from "./ChildView.ts"
import type { KroInstance } from "./KroInstance.ts"
import * as KroNames from "./KroNames.ts"

/**
 * Who wants the name.
 *
 * @category models
 */
export interface Claimant {
  readonly environment: string
  /** Of the job. */
  readonly owner: string
  /** This very provisioning. */
  readonly provision: string
  /** A fingerprint of what must not be used twice. */
  readonly once?: string
  /** UID of the object that owns the instance. */
  readonly ownerUid?: string
}

/** @category models */
export type Decision =
  /** It is what we want: follow it. `reown`: its owner is another one, who may be gone. */
  | { readonly _tag: "Adopt"; readonly reown: boolean }
  /** Its work has ended: that is the result, and nothing is started again. */
  | { readonly _tag: "Finished"; readonly completion: Completion; readonly detail: string }
  /** Somebody deletes it: wait, then make ours. */
  | { readonly _tag: "Await" }
  /** Nobody needs it any more: delete it, then make ours. */
  | { readonly _tag: "Replace" }
  /** It belongs to somebody else. */
  | { readonly _tag: "Refuse"; readonly why: string }

/**
 * Decides about `leftover`; `work` is what its work told last, if anything.
 *
 * @category constructors
 */
export const decide = (leftover: KroInstance, claimant: Claimant, work: ChildView | undefined): Decision => {
  const { annotations = {}, deletionTimestamp, labels = {}, name, ownerReferences = [] } = leftover.metadata
  const marked = labels[KroNames.environmentLabel] ?? labels[KroNames.runnerNameLabel]
  if (marked !== claimant.environment) {
    return { _tag: "Refuse", why: `the instance ${name} is not ours: it has no label ${KroNames.environmentLabel}` }
  }
  const same = claimant.once !== undefined && annotations[KroNames.onceAnnotation] === claimant.once
  if (same && work?._tag === "Ended" && deletionTimestamp !== undefined) {
    return { _tag: "Finished", completion: work.completion, detail: work.detail }
  }
  if (deletionTimestamp !== undefined) return { _tag: "Await" }
  if (annotations[KroNames.provisionAnnotation] === claimant.provision) return { _tag: "Adopt", reown: false }
  if (same) {
    const owned = claimant.ownerUid === undefined || ownerReferences.some(({ uid }) => uid === claimant.ownerUid)
    return { _tag: "Adopt", reown: !owned }
  }
  if (claimant.once !== undefined) return { _tag: "Replace" }
  const owner = annotations[KroNames.ownerAnnotation]
  return owner === claimant.owner
    ? { _tag: "Replace" }
    : { _tag: "Refuse", why: `the instance ${name} belongs to ${owner ?? "somebody else"}` }
}
