/**
 * Hands an archive on to a pod as it comes: checked, without what must not arrive there, with a last entry of ours that proves its end.
 */
import { Buffer } from "node:buffer"
import * as Effect from "effect/Effect"
import { BackendError, StorageFailed } from "../../../../domain/JobError.ts"
import { safePath } from "./safePath.ts"
import type { TarEvent } from "./TarReader.ts"
import { encodeHeader, endOfArchive, paddingOf, type TarHeader, withMode } from "./tarFormat.ts"

/**
 * `kept`: as in the archive. `shared`: every user of the pod may read and write, and run what its owner may run.
 */
export type Modes = "kept" | "shared"

export interface Relay {
  /** What of these events is to be sent, one part after another; valid as long as the events are. */
  readonly take: (events: ReadonlyArray<TarEvent>) => Effect.Effect<ReadonlyArray<Uint8Array>, BackendError>
  /** What is to be sent last. Fails if the archive has no end. */
  readonly end: Effect.Effect<ReadonlyArray<Uint8Array>, BackendError>
  readonly counts: () => { readonly entries: number; readonly bytes: number }
}

/** `mark`: path of the last entry; none for an archive that is read here. */
export const makeRelay = (modes: Modes, mark: string | undefined, operation: string): Relay => {
  let entries = 0
  let bytes = 0
  /** Directories that their owner may not write into, with what makes them so again. */
  const closed: Array<Buffer> = []
  let dropped = false
  let padding = 0
  let ended = false
  const refuse = (detail: string) =>
    new BackendError({ reason: new StorageFailed({ operation, detail, transient: false }) })

  const take = (events: ReadonlyArray<TarEvent>) =>
    Effect.suspend(() => {
      const parts: Array<Buffer> = []
      for (const event of events) {
        switch (event._tag) {
          case "Entry": {
            const path = safePath(event.header.path)
            if (path === undefined) {
              return Effect.fail(refuse(`the path ${JSON.stringify(event.header.path)} leads out of the directory`))
            }
            // The directory itself is there, and may belong to another user; what is neither file nor link was not asked for.
            dropped = path === "" || event.header.type === "Other"
            if (dropped) break
            entries++
            padding = paddingOf(event.header.size)
            const mode = modes === "kept" ? event.header.mode : sharedMode(event.header)
            const blocks = mode === event.header.mode ? event.blocks : withMode(event.blocks, mode)
            // Not every tar waits with a mode until the directory is filled.
            const open = event.header.type === "Directory" ? mode | 0o700 : mode
            if (open !== mode) closed.push(Buffer.from(blocks))
            parts.push(open === mode ? blocks : withMode(blocks, open))
            break
          }
          case "Body":
            if (!dropped) parts.push(event.bytes)
            break
          case "EntryEnd":
            if (!dropped && padding > 0) parts.push(zeros.subarray(0, padding))
            break
          case "End":
            ended = true
            break
          case "Invalid":
            return Effect.fail(refuse(`the archive cannot be read: ${event.detail}`))
        }
      }
      bytes += lengthOf(parts)
      return Effect.succeed(parts)
    })

  const end = Effect.suspend(() => {
    if (!ended) return Effect.fail(refuse("the archive ends too soon"))
    if (mark === undefined) return Effect.succeed([endOfArchive])
    const header = encodeHeader({ path: mark, type: "File", size: 0, mode: 0o600, mtime: 0, target: "" })
    return Effect.succeed([...closed.reverse(), header, endOfArchive])
  })

  return { take, end, counts: () => ({ entries, bytes }) }
}

/** Of all parts together. */
export const lengthOf = (parts: ReadonlyArray<Uint8Array>): number => parts.reduce((sum, part) => sum + part.length, 0)

const zeros = Buffer.alloc(512)

const sharedMode = ({ mode, type }: TarHeader): number => {
  if (type === "Directory") return mode | 0o777
  return type === "File" ? mode | 0o666 | (mode & 0o100 ? 0o111 : 0) : mode
}
