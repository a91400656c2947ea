/** What `find` and `stat` of a pod tell of a directory. */
import { Buffer } from "node:buffer"
import * as Effect from "effect/Effect"
import type { BackendError } from "../../../../domain/JobError.ts"
import type { EntryType, Manifest, TreeEntry } from "./LocalTree.ts"
import type { Session } from "./podSession.ts"

/**
 * Reads records up to the line that ends them: nonce, mode in hex, size, seconds of the last modification, and the time of the last change in
 * whatever form, then `|` and the path. The nonce tells a record from a line of a path.
 */
export const readManifest = Effect.fnUntraced(function* (
  session: Session,
  nonce: string
): Effect.fn.Return<Manifest, BackendError> {
  const manifest = new Map<string, TreeEntry>()
  const last = Buffer.from(`\n${nonce}.\n`)
  // As if a line had ended before the first.
  let pending: Buffer = Buffer.from("\n")
  for (;;) {
    const part = yield* session.bytes
    if (part === undefined) return yield* session.failure(yield* session.exitCode)
    pending = Buffer.concat([pending, part])
    const end = pending.indexOf(last)
    // All records but the last, which may go on.
    const cut = end >= 0 ? end : pending.lastIndexOf(`\n${nonce} `)
    if (cut > 0) {
      for (const record of pending.toString("utf8", 0, cut).split(`\n${nonce} `)) add(manifest, record)
      pending = pending.subarray(cut)
    }
    if (end >= 0) return manifest
  }
})

const add = (manifest: Map<string, TreeEntry>, record: string) => {
  const found = /^([0-9a-f]+) (\d+) (-?\d+) ([^|]*)\|(?:\.\/)?(.*)$/s.exec(record)
  if (found === null) return
  const [, raw = "", size = "", mtime = "", stamp = "", path = ""] = found
  const mode = Number.parseInt(raw, 16)
  const type = types.get(mode & 0o170000)
  // What has other bytes than UTF-8 in its name cannot be asked for.
  if (type === undefined || path === "" || path === "." || path.includes("\uFFFD") || ours.test(path)) return
  manifest.set(path, {
    type,
    mode: mode & 0o7777,
    size: type === "File" ? Number(size) : 0,
    mtime: Number(mtime) * 1000,
    stamp
  })
}

const types = new Map<number, EntryType>([
  [0o100000, "File"],
  [0o040000, "Directory"],
  [0o120000, "Link"]
])

/** The mark of another transfer. */
const ours = /(^|\/)\.jobscope-[0-9a-f]{16}$/
