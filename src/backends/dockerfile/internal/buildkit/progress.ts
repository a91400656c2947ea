/** What BuildKit tells of a build, as lines of a log: one instruction after the other, however many run at once. */
import { Buffer } from "node:buffer"
import * as LineSplitter from "../../../../domain/LineSplitter.ts"
import type { LogStyle } from "../../LogStyle.ts"
import { decode, type Message } from "./protobuf.ts"

export interface Progress {
  /** The lines that a `StatusResponse` adds to the log. */
  readonly push: (status: Buffer) => ReadonlyArray<string>
  /** What is left when no more comes. */
  readonly end: () => ReadonlyArray<string>
}

interface Vertex {
  readonly name: string
  readonly splitter: LineSplitter.LineSplitter
  held: Array<string>
  opened: boolean
  ended: boolean
  cached: boolean
  error: string
}

export const makeProgress = (log: LogStyle): Progress => {
  const vertexes = new Map<string, Vertex>()
  /** Whose output is shown as it comes; that of others is held. */
  let current: Vertex | undefined

  const vertexOf = (digest: string, name = ""): Vertex => {
    const known = vertexes.get(digest)
    if (known !== undefined) return known
    const made: Vertex = {
      name,
      splitter: LineSplitter.make(),
      held: [],
      opened: false,
      ended: false,
      cached: false,
      error: ""
    }
    vertexes.set(digest, made)
    return made
  }

  /** Shows what may be shown now. */
  const show = (lines: Array<string>): void => {
    for (;;) {
      if (current === undefined) {
        const next = [...vertexes.values()].find((vertex) => !vertex.opened && (vertex.held.length > 0 || vertex.ended))
        if (next === undefined) return
        next.opened = true
        if (next.ended && next.held.length === 0) {
          if (!next.name.startsWith("[internal]") && !next.name.startsWith("[auth]")) {
            lines.push(...log.line(`${next.cached ? "CACHED " : ""}${next.name}`))
          }
          continue
        }
        current = next
        lines.push(...log.open(next.name))
      }
      lines.push(...current.held)
      current.held = []
      if (!current.ended) return
      lines.push(...log.close)
      current = undefined
    }
  }

  const end = (vertex: Vertex): void => {
    if (vertex.ended) return
    vertex.held.push(...vertex.splitter.flush())
    if (vertex.error !== "") vertex.held.push(`ERROR: ${vertex.error}`)
    vertex.ended = true
  }

  return {
    push: (status) => {
      const message = decode(status)
      const lines: Array<string> = []
      for (const each of messages(message, 1)) {
        const vertex = vertexOf(each.text(1), each.text(3))
        vertex.cached ||= each.number(4) !== 0
        vertex.error = each.text(7)
      }
      for (const each of messages(message, 3)) {
        const vertex = vertexOf(each.text(1))
        vertex.held.push(...vertex.splitter.push(Buffer.concat(each.bytes(4))))
      }
      for (const each of messages(message, 1)) if (each.has(6)) end(vertexOf(each.text(1)))
      show(lines)
      return lines
    },
    end: () => {
      const lines: Array<string> = []
      for (const vertex of vertexes.values()) if (vertex.opened || vertex.held.length > 0) end(vertex)
      show(lines)
      return lines
    }
  }
}

const messages = (message: Message | undefined, field: number): ReadonlyArray<Message> =>
  (message?.bytes(field) ?? []).flatMap((each) => decode(each) ?? [])
