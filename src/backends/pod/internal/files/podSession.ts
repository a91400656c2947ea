/** One exec that talks: lines and bytes of its output when they are asked for, its complaints kept aside. */
import { Buffer } from "node:buffer"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { BackendError, StorageFailed, Unsupported } from "../../../../domain/JobError.ts"
import { fromKubeError } from "../../../kubernetes/BackendErrors.ts"
import type { KubeClient } from "../../../kubernetes/KubeClient.ts"
import type { KubeError } from "../../../kubernetes/KubeError.ts"
import { podAgent } from "./podAgent.ts"
import { exitCodes } from "./podScripts.ts"

/** A directory in a container. */
export interface Place {
  readonly namespace?: string | undefined
  readonly pod: string
  readonly container?: string | undefined
  /** An absolute path. */
  readonly directory: string
}

export interface SessionOptions {
  readonly script: string
  readonly nonce: string
  /** Where the externals of GitHub's runner are, if they are. */
  readonly externals: string
  /** What errors say it was for. */
  readonly operation: string
  /** Whether a line of stderr tells nothing that harms. */
  readonly isMinor: (line: string) => boolean
}

export interface Session {
  readonly halfClose: boolean
  /** What the script works with: `gnu`, `tar` or `node`. */
  readonly tool: string
  /** One line of the output, without its end. */
  readonly line: Effect.Effect<string, BackendError>
  /** The bytes of the output as they come; undefined at its end. */
  readonly bytes: Effect.Effect<Buffer | undefined, BackendError>
  /** False: nobody reads any more. */
  readonly write: (bytes: Uint8Array | ReadonlyArray<Uint8Array> | string) => Effect.Effect<boolean, BackendError>
  readonly end: Effect.Effect<void, BackendError>
  /** After the end of the output. */
  readonly exitCode: Effect.Effect<number, BackendError>
  /** Lines of stderr that came so far. */
  readonly complaints: () => Complaints
  /** The failure that an exit code of the script stands for, with what was complained of. */
  readonly failure: (code: number, transient?: boolean) => BackendError
}

/** Starts a script, and learns what it works with. */
export const open = Effect.fnUntraced(function* (
  kube: KubeClient["Service"],
  place: Place,
  { externals, isMinor, nonce, operation, script }: SessionOptions
): Effect.fn.Return<Session, BackendError, Scope.Scope> {
  const { container, directory, namespace, pod } = place
  const orBackendError = <A, R>(effect: Effect.Effect<A, KubeError, R>) => Effect.mapError(effect, fromKubeError)
  const process = yield* orBackendError(
    kube.exec({
      namespace,
      pod,
      container,
      command: ["sh", "-c", script, "sh", directory, nonce, externals],
      stdin: true
    })
  )
  const pull = yield* Stream.toPull(process.output)
  const complaints = makeComplaints(isMinor)
  const waiting: Array<Buffer> = []

  const chunks = pull.pipe(
    Pull.catchDone(() => Effect.undefined),
    Effect.mapError(fromKubeError)
  )
  const bytes: Effect.Effect<Buffer | undefined, BackendError> = Effect.gen(function* () {
    for (;;) {
      const first = waiting.shift()
      if (first !== undefined) return first
      const next = yield* chunks
      if (next === undefined) return undefined
      for (const { bytes, stream } of next) {
        const part = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
        if (stream === "stderr") complaints.push(part)
        else waiting.push(part)
      }
    }
  })
  const failure = (code: number, transient = false): BackendError => {
    const { minor, serious } = complaints.lines()
    const said = [...serious, ...minor]
    const silent = code === 0 ? "not everything has arrived" : `exit code ${code}`
    const detail = said.length === 0 ? silent : said.join("; ")
    if (code === exitCodes.noTool) {
      return new BackendError({
        reason: new Unsupported({
          backend: "pod",
          feature: `way to copy files with the image of the container ${container ?? "of the pod"} (${operation})`,
          hint: `Add tar, find and stat to the image, or mount node at ${externals}/node24/bin/node.`
        })
      })
    }
    return new BackendError({
      reason: new StorageFailed({
        operation,
        detail: code === exitCodes.noDirectory ? `${directory} cannot be entered in the pod: ${detail}` : detail,
        transient
      })
    })
  }
  const exitCode = orBackendError(process.exitCode)
  const line: Effect.Effect<string, BackendError> = Effect.gen(function* () {
    const parts: Array<Buffer> = []
    for (;;) {
      const part = yield* bytes
      if (part === undefined) return yield* failure(yield* exitCode)
      const end = part.indexOf(10)
      if (end < 0) {
        parts.push(part)
        continue
      }
      if (end + 1 < part.length) waiting.unshift(part.subarray(end + 1))
      return Buffer.concat([...parts, part.subarray(0, end)]).toString()
    }
  })
  const write: Session["write"] = (bytes) =>
    orBackendError(process.write(typeof bytes === "string" ? Buffer.from(bytes) : bytes))

  const tool = yield* line
  if (tool === "node") yield* write(`${podAgent()}\n`)
  else if (tool === "none") return yield* failure(exitCodes.noTool)
  return {
    halfClose: process.protocol !== "v4.channel.k8s.io",
    tool,
    line,
    bytes,
    write,
    end: orBackendError(process.end),
    exitCode,
    complaints: complaints.lines,
    failure
  }
})

/** Of each kind the first lines. */
interface Complaints {
  readonly minor: ReadonlyArray<string>
  readonly serious: ReadonlyArray<string>
}

const makeComplaints = (isMinor: (line: string) => boolean) => {
  const minor: Array<string> = []
  const serious: Array<string> = []
  let rest = ""
  const add = (line: string) => {
    if (line === "" || isNoise(line)) return
    const kind = isMinor(line) ? minor : serious
    if (kind.length < 20) kind.push(line)
  }
  return {
    push: (bytes: Buffer) => {
      const lines = (rest + bytes.toString()).split("\n")
      rest = (lines.pop() ?? "").slice(0, 4096)
      lines.forEach(add)
    },
    lines: (): Complaints => {
      add(rest)
      rest = ""
      return { minor, serious }
    }
  }
}

/** What tar says of clocks that differ, of sockets, and at its end. */
const isNoise = (line: string) =>
  /time stamp .* in the future|implausibly old time stamp|socket ignored|Exiting with failure|error exit delayed|Removing leading/.test(
    line
  )
