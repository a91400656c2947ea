/**
 * What a resource that KRO made for an instance tells about the work in it: whether it waits (and for what), runs, has ended, or is lost.
 */
import type { Completion } from "../../domain/JobEnvironment.ts"
import type { Reason } from "../../domain/JobError.ts"

/**
 * As the API gives it. What is beyond `metadata` depends on the kind.
 *
 * @category models
 */
export interface Child {
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly uid: string
    readonly creationTimestamp?: string
    readonly deletionTimestamp?: string
    readonly deletionGracePeriodSeconds?: number
    readonly finalizers?: ReadonlyArray<string>
    readonly labels?: Readonly<Record<string, string>>
  }
  readonly spec?: unknown
  readonly status?: unknown
}

/** @category models */
export type ChildView =
  | {
      readonly _tag: "Waiting"
      readonly for: string
      /** It hardly goes on by itself: what it is, should it last. */
      readonly stuck?: { readonly reason: Reason; readonly hopeless: boolean }
    }
  | { readonly _tag: "Running" }
  | { readonly _tag: "Ended"; readonly completion: Completion; readonly detail: string }
  | { readonly _tag: "Lost"; readonly reason: Reason }
