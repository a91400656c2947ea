/**
 * The output of a container from its beginning to its end, over as many connections as it takes.
 *
 * **Details**
 *
 * Lines are asked for with their times, which are taken off again: after a break the log is asked for from the last time on (the server cuts
 * it to seconds), and what was seen is dropped. A line that a container cuts into parts has one time, so nothing of it is lost.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { BackendError } from "../../../domain/JobError.ts"
import { fromKubeError } from "../../kubernetes/BackendErrors.ts"
import type { KubeClient } from "../../kubernetes/KubeClient.ts"
import type { KubeError } from "../../kubernetes/KubeError.ts"
import type { Place } from "./podExec.ts"

const newline = 10
const space = 32

/** Takes times off the lines, and drops lines that were seen over an earlier connection. */
export const makeLogReader = () => {
  /** The time of the last line that began, and how many lines began with it: what was seen. */
  let last = ""
  let count = 0
  /** The same for this connection, while it repeats what was seen. */
  let skipTo = ""
  let skip = 0
  let seenAt = ""
  let seenCount = 0
  /** The start of a line whose time has not come as a whole. */
  let pending: Buffer = Buffer.alloc(0)
  let inLine = false
  let dropping = false
  /** Bytes of the last line that were given; a line that a break has cut is given from there on. */
  let given = 0
  let dropBytes = 0

  /** A new connection begins. */
  const reconnect = () => {
    skipTo = last
    skip = count
    seenAt = ""
    seenCount = 0
    pending = Buffer.alloc(0)
    inLine = false
    dropping = false
    dropBytes = 0
  }

  const beginLine = (time: string) => {
    if (time === seenAt) seenCount++
    else {
      seenAt = time
      seenCount = 1
    }
    const repeated = skipTo !== "" && (time < skipTo || (time === skipTo && seenCount <= skip))
    dropping = repeated && !(time === skipTo && seenCount === skip)
    // The last line that was seen may have been cut by the break.
    dropBytes = repeated && !dropping ? given : 0
    if (!repeated) {
      skipTo = ""
      if (time === last) count++
      else {
        last = time
        count = 1
      }
      given = 0
    }
  }

  const push = (bytes: Uint8Array): Uint8Array => {
    let rest: Buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    if (pending.length > 0) {
      rest = Buffer.concat([pending, rest])
      pending = Buffer.alloc(0)
    }
    const out: Array<Buffer> = []
    while (rest.length > 0) {
      if (!inLine) {
        const at = rest.indexOf(space)
        if (at < 0) {
          pending = Buffer.from(rest)
          break
        }
        beginLine(rest.subarray(0, at).toString("latin1"))
        inLine = true
        rest = rest.subarray(at + 1)
        continue
      }
      const at = rest.indexOf(newline)
      const part = at < 0 ? rest : rest.subarray(0, at + 1)
      rest = rest.subarray(part.length)
      if (at >= 0) inLine = false
      if (dropping) continue
      const dropped = Math.min(dropBytes, part.length)
      dropBytes -= dropped
      given += part.length - dropped
      if (part.length > dropped) out.push(part.subarray(dropped))
    }
    return out.length === 1 ? (out[0] ?? empty) : Buffer.concat(out)
  }

  return {
    push,
    reconnect,
    /** From when on to ask after a break. */
    get since(): string | undefined {
      return last === "" ? undefined : last
    }
  }
}

const empty = new Uint8Array(0)

/**
 * All of a container's output. `ended` tells whether the container has: a log that ends before it is asked for again.
 *
 * Kubelet tells that a container has ended before the runtime has written all of its log (seen on containerd 2: the end of a last line of
 * 100 KB was missing, cut in the middle). So the end counts only when a look some time later finds nothing more.
 */
export const containerLog = (
  kube: KubeClient["Service"],
  place: Place,
  ended: Effect.Effect<boolean, BackendError>
): Stream.Stream<Uint8Array, BackendError> => {
  const reader = makeLogReader()
  const connection = (follow: boolean) =>
    Stream.suspend(() => {
      reader.reconnect()
      const sinceTime = reader.since
      return kube.logs({ ...place, follow, timestamps: true, ...(sinceTime === undefined ? {} : { sinceTime }) })
    }).pipe(
      Stream.map(reader.push),
      Stream.filter((bytes) => bytes.length > 0)
    )
  /** `failures`: connections in a row that gave nothing; `known`: that the container has ended was known before the last one. */
  const from = (failures: number, known: boolean): Stream.Stream<Uint8Array, BackendError> =>
    Stream.unwrap(
      Effect.map(ended, (final) => {
        let broken: KubeError | undefined
        let some = false
        const noticed = Effect.sync(() => {
          some = true
        })
        const rest = Stream.suspend(() => {
          if (known && final && !some && broken === undefined) return Stream.empty
          const next = some || broken === undefined ? 0 : failures + 1
          if (next > patience && broken !== undefined) return Stream.fail(fromKubeError(broken))
          const pause = final ? settling : Math.min(2000, 100 * 2 ** Math.min(next, 6))
          return Stream.unwrap(Effect.as(Effect.sleep(pause), from(next, final)))
        })
        return connection(!final).pipe(
          Stream.tap(() => noticed),
          Stream.catch((error) => {
            if (!mayHeal(error)) return Stream.fail(fromKubeError(error))
            broken = error
            return Stream.empty
          }),
          Stream.concat(rest)
        )
      })
    )
  return from(0, false)
}

/** How long the runtime may still write, in milliseconds. */
const settling = 200

/** Connections that give nothing, in a row. */
const patience = 60

const mayHeal = ({ reason }: KubeError): boolean =>
  reason._tag === "ConnectionLost" ||
  reason._tag === "Unavailable" ||
  reason._tag === "TooManyRequests" ||
  reason._tag === "TimedOut" ||
  // The container has just been created.
  (reason._tag === "Invalid" && /waiting to start|ContainerCreating/.test(reason.detail))
