/**
 * Faults of a fake API server: which requests they hit, and what becomes of those.
 *
 * @example
 *
 * ```ts
 * // The second exec is cut after 10,000 bytes.
 * yield* kubernetes.inject({
 *   match: { resource: "pods/exec" },
 *   skip: 1,
 *   times: 1,
 *   action: FakeFault.cut({ afterBytes: 10_000 })
 * })
 * ```
 */
import type * as Duration from "effect/Duration"

/** @category models */
export interface Fault {
  /** Default: every request. */
  readonly match?: Match | undefined
  /** How many that match are let pass before. Default 0. */
  readonly skip?: number | undefined
  /** How many are hit. Default: all. */
  readonly times?: number | undefined
  /** How likely each of those is hit, by the seed of the fake. Default 1. */
  readonly probability?: number | undefined
  readonly action: Action
}

/**
 * What a request must be. A part left out fits all.
 *
 * @category models
 */
export interface Match {
  readonly verb?: string | undefined
  /** With the subresource: `pods/exec`. */
  readonly resource?: string | undefined
  readonly name?: string | RegExp | undefined
  readonly user?: string | undefined
}

/** @category models */
export type Action =
  /** Instead of acting: an error of the server, or of something before it. */
  | {
      readonly _tag: "Answer"
      readonly status: number
      readonly retryAfter?: number | undefined
      readonly message?: string | undefined
    }
  /** Acts, later. */
  | { readonly _tag: "Delay"; readonly duration: Duration.Input }
  /** Acts, and breaks the connection on which it answers. */
  | {
      readonly _tag: "Cut"
      readonly afterBytes?: number | undefined
      readonly after?: Duration.Input | undefined
      readonly how: "reset" | "close" | "silent"
    }
  /** Of a watch: what it tells, and how it ends. */
  | {
      readonly _tag: "Watch"
      readonly endAfter?: number | undefined
      readonly how: "close" | "expired"
      readonly repeats?: number | undefined
      readonly delay?: Duration.Input | undefined
    }
  /** Reads the request, and does nothing for ever. */
  | { readonly _tag: "Silence" }
  /** Ends the connection without an answer; nothing is done. */
  | { readonly _tag: "HangUp" }

/**
 * An answer such as 429 or 500, perhaps with Retry-After in seconds.
 *
 * @category constructors
 */
export const answer = (
  status: number,
  options: { readonly retryAfter?: number; readonly message?: string } = {}
): Action => ({
  _tag: "Answer",
  status,
  ...options
})

/** @category constructors */
export const delay = (duration: Duration.Input): Action => ({ _tag: "Delay", duration })

/**
 * After so many bytes of the answer, or so long after the request: reset, closed in order, or silent, as if the network had vanished.
 *
 * @category constructors
 */
export const cut = (options: {
  readonly afterBytes?: number
  readonly after?: Duration.Input
  readonly how?: "reset" | "close" | "silent"
}): Action => ({ _tag: "Cut", how: "reset", ...options })

/**
 * A watch that ends after so many events, in order or because its version has expired; that tells each so often; or each so much later, and
 * one after the other.
 *
 * @category constructors
 */
export const watch = (options: {
  readonly endAfter?: number
  readonly how?: "close" | "expired"
  readonly repeats?: number
  readonly delay?: Duration.Input
}): Action => ({ _tag: "Watch", how: "close", ...options })

/** @category constructors */
export const silence: Action = { _tag: "Silence" }

/** @category constructors */
export const hangUp: Action = { _tag: "HangUp" }
