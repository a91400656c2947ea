/**
 * The output of a container from its beginning to its end, over as many connections as it takes.
 *
 * **Details**
 *
 * Lines are asked for with their times, which are taken off again: after a break the log is asked for from a second or two before, and what
 * was seen is dropped. Which lines were, their times tell, not their order: the runtime takes the times of stdout and of stderr
 * before it writes, so neighbours may be the other way round; and what was rotated away does not come again. A line that a container
 * writes in parts has one time, so nothing of it is lost.
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

/** Lines of one second, by their times: how many began with each. */
interface Second {
  readonly name: string
  /** A time of it, to ask with. */
  readonly since: string
  readonly counts: Map<string, number>
}

/** How many seconds that had lines are remembered: what comes out of order does so by far less. */
const remembered = 2

/** Takes times off the lines, and drops lines that were seen over an earlier connection. */
export const makeLogReader = () => {
  const seconds: Array<Second> = []
  /** The line that began last: its time, and how many had the same one before. */
  let last = ""
  let before = 0
  /** Bytes of it that were given: a line that a break has cut is given from there on. */
  let given = 0
  /** What this connection repeats: times with how often they are still to come, and the second before which all was seen. */
  let repeats = new Map<string, number>()
  let seenUntil = ""
  /** The start of a line whose time has not come as a whole. */
  let pending: Buffer = Buffer.alloc(0)
  let inLine = false
  let dropping = false
  let dropBytes = 0

  /** A new connection begins. */
  const reconnect = () => {
    repeats = new Map(seconds.flatMap(({ counts }) => [...counts]))
    seenUntil = seconds[0]?.name ?? ""
    pending = Buffer.alloc(0)
    inLine = false
    dropping = false
    dropBytes = 0
  }

  const countOf = (time: string) => seconds.find(({ name }) => name === secondOf(time))?.counts.get(time) ?? 0

  const remember = (time: string) => {
    const name = secondOf(time)
    let second = seconds.find((one) => one.name === name)
    if (second === undefined) {
      const later = seconds.findIndex((one) => one.name > name)
      // So late that the log is not asked for from there: it counts as seen.
      if (later === 0 && seconds.length === remembered) return
      second = { name, since: time, counts: new Map() }
      seconds.splice(later < 0 ? seconds.length : later, 0, second)
      if (seconds.length > remembered) seconds.shift()
    }
    second.counts.set(time, (second.counts.get(time) ?? 0) + 1)
  }

  const beginLine = (time: string) => {
    const left = repeats.get(time) ?? 0
    const repeated = left > 0 || secondOf(time) < seenUntil
    if (repeated) {
      const isLast = time === last && left > 0 && countOf(time) - left === before
      if (left > 1) repeats.set(time, left - 1)
      else repeats.delete(time)
      dropping = !isLast
      dropBytes = isLast ? given : 0
      return
    }
    dropping = false
    dropBytes = 0
    last = time
    before = countOf(time)
    given = 0
    remember(time)
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
    /** What came last is no whole line. */
    get inLine(): boolean {
      return inLine || pending.length > 0
    },
    /** From when on to ask after a break. */
    get since(): string | undefined {
      return seconds[0]?.since
    }
  }
}

/** `2026-01-01T00:00:00` */
const secondOf = (time: string) => time.slice(0, 19)

const empty = new Uint8Array(0)

/**
 * All of a container's output. `ended` tells whether the container has, asked when its log ends: one that ends before it is asked for again.
 *
 * Kubelet tells that a container has ended before the runtime has written all of its log (seen on containerd 2: the end of a last line of
 * 100 KB was missing, cut in the middle). So the end counts only when a look some time later finds nothing more, and several looks where the
 * last line has no end: most likely it was cut, though a container may leave it so.
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
  /** Asks after each pause, until it has. */
  const endedWithin = Effect.fnUntraced(function* (pauses: ReadonlyArray<number>) {
    for (const pause of pauses) {
      yield* Effect.sleep(pause)
      if (yield* ended) return true
    }
    return false
  })
  /** `failures`: connections in a row that gave nothing; `looks`: how many in a row since the container ended, none while it may run. */
  const from = (failures: number, looks: number): Stream.Stream<Uint8Array, BackendError> =>
    Stream.suspend(() => {
      let broken: KubeError | undefined
      let some = false
      const noticed = Effect.sync(() => {
        some = true
      })
      const rest = Stream.suspend(() => {
        if (looks >= (reader.inLine ? looksInLine : 1) && !some && broken === undefined) return Stream.empty
        const next = some || broken === undefined ? 0 : failures + 1
        if (next > patience && broken !== undefined) return Stream.fail(fromKubeError(broken))
        const settled = Effect.as(Effect.sleep(settling), from(next, some ? 1 : looks + 1))
        if (looks > 0) return Stream.unwrap(settled)
        const pauses = broken === undefined ? lag : [Math.min(2000, 100 * 2 ** Math.min(next, 6))]
        return Stream.unwrap(
          Effect.flatMap(endedWithin(pauses), (yes) => (yes ? settled : Effect.succeed(from(next, 0))))
        )
      })
      return connection(looks === 0).pipe(
        Stream.tap(() => noticed),
        Stream.catch((error) => {
          if (!mayHeal(error)) return Stream.fail(fromKubeError(error))
          broken = error
          return Stream.empty
        }),
        Stream.concat(rest)
      )
    })
  return from(0, 0)
}

/** How long the runtime may still write, in milliseconds. */
const settling = 200

/** After a line without an end. Seen on a busy machine: the rest of one came more than one look later. */
const looksInLine = 5

/**
 * A log that ends is mostly the container's end, which its status tells up to 1.2 s later: when to look, before the log is asked for again, in
 * milliseconds.
 */
const lag = [200, 300, 400, 400]

/** Connections that give nothing, in a row. */
const patience = 60

const mayHeal = ({ reason }: KubeError): boolean =>
  reason._tag === "ConnectionLost" ||
  reason._tag === "Unavailable" ||
  reason._tag === "TooManyRequests" ||
  reason._tag === "TimedOut" ||
  // The container has just been created.
  (reason._tag === "Invalid" && /waiting to start|ContainerCreating/.test(reason.detail))
