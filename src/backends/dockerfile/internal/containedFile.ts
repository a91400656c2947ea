/** Opens files of a directory that others may change at any time, and is never led out of it. */
import * as Fs from "node:fs"
import * as Path from "node:path"

/**
 * Opens a file below `root` (which has no links in it) for reading. `identity`: device and inode that it must have.
 *
 * The last name is not followed if it is a link, and nothing is waited for if it is a FIFO. Where a directory above it was replaced by
 * a link in between, the path that was really opened tells.
 */
export const openContained = (root: string, path: string, identity?: string): number => {
  const expected = path === "" ? root : Path.join(root, ...path.split("/"))
  const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = Fs.constants
  const descriptor = Fs.openSync(expected, O_RDONLY | (O_NOFOLLOW ?? 0) | (O_NONBLOCK ?? 0))
  const stats = Fs.fstatSync(descriptor)
  const opened = realPathOf(descriptor, expected)
  if (stats.isFile() && opened === expected && (identity === undefined || identity === `${stats.dev}:${stats.ino}`)) {
    return descriptor
  }
  Fs.closeSync(descriptor)
  throw Object.assign(new Error("it was replaced while it was read"), { code: "it was replaced while it was read" })
}

/** Linux knows what was opened; elsewhere the name is looked up once more. */
const realPathOf = (descriptor: number, path: string): string => {
  const link = `/proc/self/fd/${descriptor}`
  return Fs.lstatSync(link, { throwIfNoEntry: false }) === undefined ? Fs.realpathSync(path) : Fs.readlinkSync(link)
}

/** Copies what is open, no more than its size was, and closes it. */
export const copyOpened = (
  descriptor: number,
  target: string,
  { mode, mtime, size }: { readonly mode: number; readonly mtime: number; readonly size: number }
): void => {
  const to = Fs.openSync(target, "wx", mode & 0o777)
  const buffer = Buffer.allocUnsafe(Math.max(1, Math.min(size, 1024 * 1024)))
  let left = size
  while (left > 0) {
    const read = Fs.readSync(descriptor, buffer, 0, Math.min(left, buffer.length), null)
    if (read === 0) break
    for (let written = 0; written < read; ) written += Fs.writeSync(to, buffer, written, read - written)
    left -= read
  }
  Fs.fchmodSync(to, mode)
  Fs.futimesSync(to, mtime / 1000, mtime / 1000)
  Fs.closeSync(to)
  Fs.closeSync(descriptor)
}

/** The content of a file below `root`, no more than its size was when it was looked at. */
export function* chunksOf(
  root: string,
  { identity, size, source }: { readonly identity: string; readonly size: number; readonly source: string }
): Generator<Uint8Array, void> {
  const descriptor = openContained(root, source, identity)
  try {
    for (let left = size; left > 0; ) {
      const buffer = Buffer.allocUnsafe(Math.min(left, 64 * 1024))
      const read = Fs.readSync(descriptor, buffer, 0, buffer.length, null)
      if (read === 0) return
      left -= read
      yield buffer.subarray(0, read)
    }
  } finally {
    Fs.closeSync(descriptor)
  }
}

export const codeOf = (cause: unknown): string | undefined =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : undefined
