/** A command in a container, over one WebSocket: `v5.channel.k8s.io` and `v4.channel.k8s.io`. */
import type { ChildProcess } from "node:child_process"
import type { WebSocket } from "@effect/platform-node/NodeWS"
import * as Effect from "effect/Effect"
import { type ApiCall, isTrue } from "./apiCall.ts"
import { type ContainerProcess, endOf, startErrorIn, startErrorPrefix } from "./namespaces.ts"
import type { ContainerRecord } from "./podStatus.ts"
import { failure, internalError, type Status } from "./Status.ts"

const channels = { stdin: 0, stdout: 1, stderr: 2, status: 3, close: 255 } as const

/** Beyond this much on its way, the command's output is not read. */
const limit = 1024 * 1024

/**
 * Until the command has ended, or the connection has: as with containerd, the command then goes on, with its stdin ended, and waits when
 * its output fills the pipe that nobody reads any more.
 */
export const serveExec = (
  socket: WebSocket,
  container: ContainerRecord,
  process: ContainerProcess,
  call: ApiCall
): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const done = () => resume(Effect.void)
    const send = (channel: number, bytes: Uint8Array, sent?: () => void) =>
      socket.send(Buffer.concat([Buffer.of(channel), bytes]), () => sent?.())
    for (const channel of [channels.stdin, channels.stdout, channels.stderr, channels.status]) send(channel, empty)
    const close = (status: object) => {
      send(channels.status, Buffer.from(JSON.stringify(status)))
      socket.close(1000)
    }
    const command = call.query.getAll("command")
    const stdin = isTrue(call.query.get("stdin"))
    const child = process.exec({ ...container, command, stdin })
    pipeInput(socket, child)
    let errors = ""
    let connected = true
    for (const [name, wanted] of [
      ["stdout", isTrue(call.query.get("stdout"))],
      ["stderr", isTrue(call.query.get("stderr"))]
    ] as const) {
      const stream = child[name]
      stream?.on("data", (bytes: Buffer) => {
        if (name === "stderr" && errors.length < 2000) errors += bytes.toString()
        if (!wanted || !connected || errors.startsWith(startErrorPrefix) || endedBefore.test(errors)) return
        send(channels[name], bytes, () => {
          if (socket.bufferedAmount < limit / 2) stream.resume()
        })
        if (socket.bufferedAmount > limit) stream.pause()
      })
    }
    socket.on("close", () => {
      connected = false
      child.stdin?.end()
      child.stdout?.pause()
      child.stderr?.pause()
      done()
    })
    child.once("exit", () => {
      if (connected) return
      child.stdout?.destroy()
      child.stderr?.destroy()
    })
    child.once("error", (cause) => close(internalError(cause.message)))
    child.once("close", (code, signal) => {
      if (!connected) return
      const end = endOf(code, signal)
      const refused = end.code === 126 || end.code === 127 ? startErrorIn(errors, command[0] ?? "") : undefined
      if (endedBefore.test(errors)) close(execFailed("cannot exec in a stopped state"))
      else close(refused === undefined ? statusOf(end.code) : execFailed(refused))
    })
  })

const empty = new Uint8Array(0)

/** The container was gone before the command could enter it. */
const endedBefore = /^(?:nsenter|setsid): (?:cannot open|failed to execute|reassociate)[^\n]*\/proc\/\d+\//

const statusOf = (code: number): object =>
  code === 0
    ? { metadata: {}, status: "Success" }
    : {
        metadata: {},
        status: "Failure",
        message: `command terminated with non-zero exit code: command terminated with exit code ${code}`,
        reason: "NonZeroExitCode",
        details: { causes: [{ reason: "ExitCode", message: String(code) }] }
      }

const execFailed = (why: string): Status =>
  failure(
    500,
    "InternalError",
    `Internal error occurred: error executing command in container: failed to exec in container: failed to start exec: OCI runtime exec failed: exec failed: unable to start container process: ${why}: unknown`
  )

/** No faster than the command reads. */
const pipeInput = (socket: WebSocket, { stdin }: ChildProcess): void => {
  if (stdin === null) return
  const go = () => socket.resume()
  // The command may end, or close it, whenever it likes.
  stdin.on("error", go).on("drain", go).on("close", go)
  socket.on("message", (frame: Buffer) => {
    const bytes = frame.subarray(1)
    if (frame[0] === channels.close && bytes[0] === channels.stdin) stdin.end()
    if (frame[0] !== channels.stdin || bytes.length === 0 || !stdin.writable) return
    if (!stdin.write(bytes)) socket.pause()
  })
}
