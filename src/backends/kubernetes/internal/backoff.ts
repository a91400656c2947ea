/** How long to wait before something is tried again. */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type { KubeError } from "../KubeError.ts"

/**
 * After the `failures`-th failure in a row: 100 ms doubled up to `limit`, half of it random, so that many clients do not come back
 * together; longer if the server asks for it.
 */
export const backoff = Effect.fnUntraced(function* (failures: number, limit: number, error?: KubeError) {
  const full = Math.min(limit, 100 * 2 ** Math.min(failures, 20))
  const jittered = full * (0.5 + 0.5 * (yield* Random.next))
  // A server that asks for hours is not waited for silently.
  yield* Effect.sleep(Math.max(jittered, Math.min(error?.retryAfter ?? 0, 60_000)))
})
