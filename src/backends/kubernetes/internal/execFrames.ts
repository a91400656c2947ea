/**
 * The frames of an exec: a byte that names the channel, then the bytes. `v5.channel.k8s.io` adds a frame that closes a channel.
 */
import { parseStatus, type Status } from "../KubeError.ts"

export const protocols = ["v5.channel.k8s.io", "v4.channel.k8s.io"] as const

export type Protocol = (typeof protocols)[number]

const channels = { stdin: 0, stdout: 1, stderr: 2, status: 3, close: 255 } as const

export type Frame =
  | { readonly _tag: "Output"; readonly stream: "stdout" | "stderr"; readonly bytes: Uint8Array }
  | { readonly _tag: "Status"; readonly text: string }
  /** Nothing to act on: an empty frame, or a channel that closes. */
  | { readonly _tag: "Ignored" }

const ignored: Frame = { _tag: "Ignored" }

export const decode = (frame: Buffer): Frame => {
  const bytes = frame.subarray(1)
  if (bytes.length === 0) return ignored
  switch (frame[0]) {
    case channels.stdout:
      return { _tag: "Output", stream: "stdout", bytes }
    case channels.stderr:
      return { _tag: "Output", stream: "stderr", bytes }
    case channels.status:
      return { _tag: "Status", text: bytes.toString("utf8") }
    default:
      return ignored
  }
}

/** Small enough for every server's limit, large enough that the byte in front does not matter. */
const largest = 128 * 1024

/** The frames that carry bytes to stdin, one part after another. Each is made when it is asked for. */
export const encodeStdin = function* (parts: ReadonlyArray<Uint8Array>): Generator<Buffer, void> {
  let left = parts.reduce((sum, part) => sum + part.length, 0)
  let frame: Buffer | undefined
  let used = 0
  for (const part of parts) {
    for (let start = 0; start < part.length; ) {
      if (frame === undefined) {
        frame = Buffer.allocUnsafe(1 + Math.min(largest, left))
        frame[0] = channels.stdin
        used = 1
      }
      const piece = part.subarray(start, start + frame.length - used)
      frame.set(piece, used)
      start += piece.length
      used += piece.length
      left -= piece.length
      if (used < frame.length) continue
      yield frame
      frame = undefined
    }
  }
}

export const closeStdin = Buffer.from([channels.close, channels.stdin])

/** How the command ended, or why that is not known. */
export type Verdict =
  | { readonly _tag: "Exited"; readonly code: number }
  | { readonly _tag: "Failed"; readonly status: Status }
  | { readonly _tag: "Unreadable"; readonly text: string }

export const verdictOf = (text: string): Verdict => {
  const status = parseStatus(text)
  if (status?.status === "Success") return { _tag: "Exited", code: 0 }
  if (status?.status !== "Failure") return { _tag: "Unreadable", text }
  if (status.reason === "NonZeroExitCode") {
    const code = status.details?.causes?.find(({ reason }) => reason === "ExitCode")?.message ?? ""
    // A missing code must not become 0, which `Number("")` would be.
    return /^\d+$/.test(code) ? { _tag: "Exited", code: Number(code) } : { _tag: "Unreadable", text }
  }
  return { _tag: "Failed", status }
}
