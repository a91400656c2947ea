/**
 * The same question to several backends.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import type { JobBackend } from "../../../domain/JobBackend.ts"
import { type BackendError, fail, InvalidInput } from "../../../domain/JobError.ts"
import * as Backends from "../Backends.ts"

/**
 * Asks the backends that are named; if none is, all, and those that cannot be reached only get a line on stderr.
 *
 * @category running
 */
export const eachBackend = Effect.fnUntraced(function* <A>(
  named: ReadonlyArray<string>,
  values: Backends.Values,
  ask: Effect.Effect<ReadonlyArray<A>, BackendError, JobBackend>
): Effect.fn.Return<ReadonlyArray<A>, BackendError> {
  const unknown = named.find((name) => !Backends.isName(name))
  if (unknown !== undefined) {
    const detail = `expected ${Backends.names.map((name) => `"${name}"`).join(", ")}, not "${unknown}"`
    return yield* fail(new InvalidInput({ input: "--backend", detail }))
  }
  const names = named.length === 0 ? Backends.reachable(values) : named.filter(Backends.isName)
  const found = yield* Effect.forEach(names, (name) => {
    const asked = Effect.provide(ask, Backends.layer(name, values))
    if (named.length > 0) return asked
    return Effect.catch(asked, (error) => Effect.as(Console.error(`not looked at: ${name}: ${error.message}`), []))
  })
  return found.flat()
})
