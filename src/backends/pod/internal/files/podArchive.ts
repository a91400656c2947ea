/** The archive that the sender in a pod writes, up to what it says of it. */
import { Buffer } from "node:buffer"
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { BackendError } from "../../../../domain/JobError.ts"
import type { Session } from "./podSession.ts"
import { makeRelay } from "./relay.ts"
import { makeTarReader } from "./TarReader.ts"

/**
 * Ends only when the sender has said that it has sent everything, and fails if tar has failed. `picked`: how many entries were asked for,
 * if several archives may come, of which this makes one.
 */
export const archiveOf = (
  session: Session,
  nonce: string,
  picked?: { readonly entries: number; readonly operation: string }
): Stream.Stream<Uint8Array, BackendError> =>
  Stream.fromPull(
    Effect.sync(() => {
      const next = untilVerdict(session, nonce)
      const whole = Effect.flatMap(next, (bytes) =>
        bytes === undefined ? Cause.done() : Effect.succeed(Arr.of<Uint8Array>(bytes))
      )
      return picked === undefined ? whole : joined(session, next, picked.entries, picked.operation)
    })
  )

/** What comes before the verdict; undefined after it. */
const untilVerdict = (session: Session, nonce: string): Effect.Effect<Buffer | undefined, BackendError> => {
  const verdict = new RegExp(`\\n${nonce} (\\d+)\\n$`)
  let held: Buffer = Buffer.alloc(0)
  let ended = false
  return Effect.gen(function* () {
    while (!ended) {
      const part = yield* session.bytes
      // With exit code 0, even: see the sender.
      if (part === undefined) return yield* session.failure(yield* session.exitCode, true)
      const all = Buffer.concat([held, part])
      const found = verdict.exec(all.toString("latin1", Math.max(0, all.length - longestVerdict)))
      if (found === null) {
        const sure = Math.max(0, all.length - longestVerdict)
        held = all.subarray(sure)
        if (sure > 0) return all.subarray(0, sure)
        continue
      }
      ended = true
      yield* session.write("\n")
      const code = Number(found[1])
      if (code !== 0) yield* judge(session, code)
      const last = all.subarray(0, all.length - found[0].length)
      if (last.length > 0) return last
    }
    return undefined
  })
}

const longestVerdict = 40

/** Fails unless all that is wrong is that others work on the files. */
const judge = Effect.fnUntraced(function* (session: Session, code: number) {
  // What was complained of may come after the verdict.
  while ((yield* session.bytes) !== undefined);
  const { minor, serious } = session.complaints()
  if (serious.length > 0 || minor.length === 0) return yield* session.failure(code)
})

const joined = (
  session: Session,
  next: Effect.Effect<Buffer | undefined, BackendError>,
  entries: number,
  operation: string
) => {
  const reader = makeTarReader({ several: true })
  const relay = makeRelay("kept", undefined, operation)
  let ended = false
  return Effect.gen(function* () {
    if (ended) return yield* Cause.done()
    for (let bytes = yield* next; bytes !== undefined; bytes = yield* next) {
      const parts = yield* relay.take(reader.push(bytes))
      if (Arr.isReadonlyArrayNonEmpty(parts)) return parts
    }
    ended = true
    if (!reader.atBoundary() || relay.counts().entries + session.complaints().minor.length < entries) {
      return yield* session.failure(0, true)
    }
    yield* relay.take([{ _tag: "End" }])
    return Arr.of<Uint8Array>(Buffer.concat(yield* relay.end))
  })
}
