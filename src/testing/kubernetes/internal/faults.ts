/** Decides which requests a fault hits, and breaks connections. */
import type { Socket } from "node:net"
import type { Fault, Match } from "../FakeFault.ts"

interface Armed {
  readonly fault: Fault
  seen: number
  hit: number
}

/** The faults of one server; `random` gives numbers from 0 to 1. */
export const makeFaults = (random: () => number) => {
  let armed: Array<Armed> = []
  return {
    inject: (fault: Fault): void => {
      armed.push({ fault, seen: 0, hit: 0 })
    },
    clear: (): void => {
      armed = []
    },
    /** The first fault that hits a request; only it counts that as a hit. */
    next: (request: RequestFacts): Fault | undefined => {
      for (const one of armed) {
        const { match, probability = 1, skip = 0, times = Number.POSITIVE_INFINITY } = one.fault
        if (!fits(match, request) || one.hit >= times) continue
        if (one.seen++ < skip || (probability < 1 && random() >= probability)) continue
        one.hit++
        return one.fault
      }
      return undefined
    }
  }
}

export interface RequestFacts {
  readonly verb: string
  readonly resource: string
  readonly name: string | undefined
  readonly user: string
}

const fits = (match: Match = {}, { name, resource, user, verb }: RequestFacts): boolean =>
  (match.verb === undefined || match.verb === verb) &&
  (match.resource === undefined || match.resource === resource) &&
  (match.user === undefined || match.user === user) &&
  (match.name === undefined ||
    (typeof match.name === "string" ? match.name === name : name !== undefined && match.name.test(name)))

/** Breaks a connection at once. From a silent one nothing comes any more, and nobody is told. */
export const breakSocket = (socket: Socket, how: "reset" | "close" | "silent"): void => {
  if (how === "reset") socket.resetAndDestroy()
  else if (how === "close") socket.destroy()
  else {
    Object.assign(socket, { write: swallow, end: () => socket })
    socket.pause()
  }
}

/** Lets so many more bytes go out, then breaks the connection. */
export const limitSocket = (socket: Socket, bytes: number, how: "reset" | "close" | "silent"): void => {
  const write: Socket["write"] = socket.write.bind(socket)
  let left = bytes
  const limited = (data: string | Uint8Array, ...rest: ReadonlyArray<unknown>): boolean => {
    const encoding = typeof rest[0] === "string" ? (rest[0] as BufferEncoding) : "utf8"
    const whole = typeof data === "string" ? Buffer.from(data, encoding) : data
    const done = rest.find((one) => typeof one === "function") as (() => void) | undefined
    const part = whole.subarray(0, left)
    left -= part.length
    if (part.length === whole.length) return write(part, done)
    const accepted = part.length === 0 ? true : write(part, () => breakSocket(socket, how))
    if (part.length === 0) breakSocket(socket, how)
    done?.()
    return accepted
  }
  Object.assign(socket, { write: limited })
}

const swallow = (_: unknown, ...rest: ReadonlyArray<unknown>): boolean => {
  const done = rest.find((one) => typeof one === "function") as (() => void) | undefined
  done?.()
  return true
}
