/**
 * A command in a container, over one WebSocket.
 *
 * **Details**
 *
 * - Only the status frame of the server is an end: a connection that closes without it is `ConnectionLost`, never an exit code.
 * - A ping every 15 s without output keeps proxies from closing the connection, and an answer that stays away is `ConnectionLost`.
 * - Back-pressure both ways: output that nobody reads stops the sender, input waits until the network has taken what went before.
 *
 * **Gotchas**
 *
 * The status comes after the output, on the same connection: `exitCode` waits until `output` is read (or its reader gave up).
 * Closing the scope ends the connection; most container runtimes do not end the command then.
 */
import { WebSocket } from "@effect/platform-node/NodeWS"
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"
import type { Headers } from "./ClusterAccess.ts"
import { closeStdin, decode, encodeStdin, type Protocol, protocols, verdictOf } from "./internal/execFrames.ts"
import { type Transport, textOf } from "./internal/transport.ts"
import {
  ConnectionLost,
  ExecFailed,
  fromAnswer,
  fromStatus,
  HalfCloseUnsupported,
  KubeError,
  type Status,
  type Target,
  TimedOut,
  Unavailable,
  Unexpected
} from "./KubeError.ts"

/** @category options */
export interface ExecOptions {
  readonly namespace?: string | undefined
  readonly pod: string
  /** Default: the only one, or the one that the pod names as its default. */
  readonly container?: string | undefined
  readonly command: ReadonlyArray<string>
  /** Default false: the command's stdin is empty. */
  readonly stdin?: boolean | undefined
  /** Default false. With a terminal, stderr comes as stdout. */
  readonly tty?: boolean | undefined
  /** From the start of the connection until it stands. Default 15 seconds. */
  readonly handshakeTimeout?: Duration.Input | undefined
  /** Default 15 seconds; also how long an answer may take. */
  readonly pingInterval?: Duration.Input | undefined
}

/** @category models */
export interface ExecChunk {
  readonly stream: "stdout" | "stderr"
  readonly bytes: Uint8Array
}

/**
 * A command that runs.
 *
 * @category models
 */
export interface ExecProcess {
  readonly protocol: Protocol
  /** Both streams as they come; to be run once. Fails if the connection ends before the command does. */
  readonly output: Stream.Stream<ExecChunk, KubeError>
  /** 0 to 255, as soon as the server has told it. */
  readonly exitCode: Effect.Effect<number, KubeError>
  /**
   * What the command reads; the end of the stream is the end of its stdin. What comes after the command's own end is dropped.
   * With v4.channel.k8s.io the end fails with `HalfCloseUnsupported`: use `write`, and a command that knows how much it reads.
   */
  readonly stdin: Sink.Sink<void, Uint8Array, never, KubeError>
  /**
   * Sends some of stdin, once there is room: bytes, or several parts, one after another. They may be changed when it is done. False: the
   * command has ended.
   */
  readonly write: (bytes: Uint8Array | ReadonlyArray<Uint8Array>) => Effect.Effect<boolean, KubeError>
  /** Ends stdin. */
  readonly end: Effect.Effect<void, KubeError>
}

/** Beyond this much unread output the socket is not read. */
const unreadLimit = 64 * 1024

/** Beyond this much input on its way, writers wait until half of it is gone. */
const unsentLimit = 512 * 1024

/**
 * Pings queue behind input, and a server whose command does not read answers none of them. How long such a silence is believed.
 */
const stalledInputIntervals = 20

/** @internal */
export const connect = Effect.fnUntraced(function* (
  transport: Transport,
  url: string,
  headers: Headers,
  target: Target,
  options: ExecOptions
): Effect.fn.Return<ExecProcess, KubeError, Scope.Scope> {
  const { endpoint } = transport
  const lost = (detail: string) => new KubeError({ reason: new ConnectionLost({ target, endpoint, detail }) })
  const exit = Deferred.makeUnsafe<number, KubeError>()
  const state: State = { chunks: [], unread: 0, abandoned: false, told: false, end: undefined }
  const reader = makeSignal()
  const writer = makeSignal()
  let heard = true
  let flowing = false
  let inputUnanswered = false

  const socket = yield* Effect.acquireRelease(transport.webSocket(url, protocols, headers), (socket) => hangUp(socket))

  const finish = (verdict: Effect.Effect<number, KubeError>, end: KubeError | "Ended") => {
    Deferred.doneUnsafe(exit, verdict)
    state.end ??= end
    reader.notify()
    writer.notify()
  }
  const fail = (error: KubeError) => {
    // After the command's status, how the connection ends does not matter.
    if (state.told) return finish(Effect.fail(error), "Ended")
    finish(Effect.fail(error), error)
    socket.terminate()
  }

  socket.on("message", (data: Buffer) => {
    heard = true
    flowing = true
    transport.passed(data.length)
    const frame = decode(data)
    switch (frame._tag) {
      case "Output": {
        if (state.abandoned) return
        state.chunks.push(frame)
        state.unread += frame.bytes.length
        if (state.unread > unreadLimit) socket.pause()
        return reader.notify()
      }
      case "Status": {
        const verdict = verdictOf(frame.text)
        if (verdict._tag === "Exited") {
          state.told = true
          // The server closes at once; output that is still on its way comes before that.
          Deferred.doneUnsafe(exit, Effect.succeed(verdict.code))
          writer.notify()
          return socket.close()
        }
        return fail(
          verdict._tag === "Failed"
            ? refusal(verdict.status, target, endpoint)
            : new KubeError({
                reason: new Unexpected({ target, detail: `the status "${verdict.text.slice(0, 300)}"` })
              })
        )
      }
    }
  })
  socket.on("pong", () => {
    heard = true
    inputUnanswered = false
  })
  socket.on("ping", () => {
    heard = true
  })

  yield* Effect.callback<void, KubeError>((resume) => {
    socket.once("open", () => resume(Effect.void))
    socket.once("error", (cause) =>
      resume(
        Effect.fail(
          /^(Server sent|Invalid|Unexpected)/.test(cause.message)
            ? new KubeError({ reason: new Unexpected({ target, detail: cause.message }) })
            : transport.failure(cause, target)
        )
      )
    )
    socket.once("unexpected-response", (_, response) => {
      resume(
        Effect.flatMap(
          textOf(response, (cause) => transport.failure(cause, target), 64 * 1024),
          (body) =>
            Effect.fail(
              fromAnswer({
                target,
                endpoint,
                status: response.statusCode ?? 0,
                body,
                retryAfter: response.headers["retry-after"]
              })
            )
        )
      )
    })
  }).pipe(
    Effect.timeoutOrElse({
      duration: options.handshakeTimeout ?? "15 seconds",
      orElse: () =>
        Effect.fail(
          new KubeError({ reason: new TimedOut({ target, endpoint, detail: "the handshake took too long" }) })
        )
    }),
    // At once: the caller's scope may stay open long, and hold another try.
    Effect.onError(() => hangUp(socket))
  )
  socket.on("error", (cause) => fail(lost(cause.message)))
  socket.on("close", (code, reason) => {
    const why = reason.length === 0 ? "" : `: ${reason.toString("utf8")}`
    fail(lost(`it was closed (${code}${why}) before the command's exit code came`))
  })
  const protocol = protocols.find((protocol) => protocol === socket.protocol) ?? protocols[1]

  const beat = Effect.fnUntraced(function* () {
    const interval = options.pingInterval ?? "15 seconds"
    let asked = false
    for (let silent = 0; ; silent++) {
      yield* Effect.sleep(interval)
      // An unread socket hears nothing, answers included.
      // Only who was asked can fail to answer.
      if (heard || !asked || socket.isPaused) silent = 0
      else if (silent >= (inputUnanswered ? stalledInputIntervals : 1)) break
      heard = false
      // Where there is still output to be read, the server may have said everything and gone: a ping would be answered by a reset, which
      // takes with it what the kernel has not delivered yet.
      asked = !flowing && !socket.isPaused && socket.readyState === WebSocket.OPEN
      if (asked) socket.ping()
      flowing = false
    }
    return fail(lost("a ping was not answered"))
  })
  yield* Effect.forkScoped(beat())

  const pull: Effect.Effect<NonEmptyReadonlyArray<ExecChunk>, KubeError | Cause.Done> = Effect.suspend(() => {
    const [first, ...rest] = state.chunks
    if (first !== undefined) {
      state.chunks = []
      state.unread = 0
      heard = true
      socket.resume()
      return Effect.succeed([first, ...rest] as const)
    }
    if (state.end === undefined) return Effect.flatMap(reader.wait, () => pull)
    return state.end === "Ended" ? Cause.done() : Effect.fail(state.end)
  })
  /** Whoever stops reading must still learn the exit code. */
  const abandon = Effect.sync(() => {
    state.abandoned = true
    state.chunks = []
    heard = true
    socket.resume()
  })

  const write = Effect.fnUntraced(function* (bytes: Uint8Array | ReadonlyArray<Uint8Array>) {
    for (const frame of encodeStdin(bytes instanceof Uint8Array ? [bytes] : bytes)) {
      while (socket.bufferedAmount > unsentLimit && state.end === undefined && !state.told) yield* writer.wait
      if (state.told || state.end === "Ended") return false
      if (state.end !== undefined) return yield* state.end
      inputUnanswered = true
      transport.passed(frame.length)
      socket.send(frame, () => {
        if (socket.bufferedAmount <= unsentLimit / 2) writer.notify()
      })
    }
    return true
  })
  const end = Effect.suspend(() => {
    if (state.told || state.end === "Ended") return Effect.void
    if (state.end !== undefined) return Effect.fail(state.end)
    if (protocol === "v4.channel.k8s.io") {
      const detail = `the server chose ${protocol}`
      return Effect.fail(new KubeError({ reason: new HalfCloseUnsupported({ target, detail }) }))
    }
    return Effect.sync(() => socket.send(closeStdin))
  })

  return {
    protocol,
    output: Stream.ensuring(Stream.fromPull(Effect.succeed(pull)), abandon),
    exitCode: Deferred.await(exit),
    stdin: Sink.forEachWhile(write).pipe(
      Sink.mapEffect(() => end),
      Sink.ignoreLeftover
    ),
    write,
    end
  }
})

interface State {
  chunks: Array<ExecChunk>
  unread: number
  /** The reader of the output has gone. */
  abandoned: boolean
  /** The exit code has come. */
  told: boolean
  end: KubeError | "Ended" | undefined
}

/** The query of an exec. */
export const queryOf = (options: ExecOptions): URLSearchParams => {
  const query = new URLSearchParams(options.command.map((argument): [string, string] => ["command", argument]))
  if (options.container !== undefined) query.set("container", options.container)
  if (options.stdin === true) query.set("stdin", "true")
  query.set("stdout", "true")
  if (options.tty === true) query.set("tty", "true")
  else query.set("stderr", "true")
  return query
}

/** Why the server could not run the command, by what it says after the connection stood. */
const refusal = (status: Status, target: Target, endpoint: string): KubeError => {
  const detail = status.message ?? status.reason ?? "no reason was given"
  const code = status.code ?? 500
  if (code < 500) return fromStatus({ target, endpoint, code, status })
  // The API server tells so that it could not reach the node, or lost it.
  if (/error dialing backend|connection refused|no route to host/i.test(detail)) {
    return new KubeError({ reason: new Unavailable({ target, endpoint, detail, status: code }) })
  }
  return new KubeError({
    reason: /\bEOF\b|connection reset|broken pipe|i\/o timeout|use of closed|lost connection/i.test(detail)
      ? new ConnectionLost({ target, endpoint, detail })
      : new ExecFailed({ target, detail })
  })
}

const hangUp = (socket: WebSocket) =>
  Effect.sync(() => {
    // Ending a handshake is told as an error, too.
    socket.on("error", () => {})
    socket.terminate()
  })

/** Something that callbacks notify and one fiber at a time waits for. */
const makeSignal = () => {
  const waiting = new Set<() => void>()
  return {
    notify: () => {
      // Who is woken may wait again at once, which is for the next time.
      const woken = [...waiting]
      waiting.clear()
      for (const wake of woken) wake()
    },
    wait: Effect.callback<void>((resume) => {
      const wake = () => resume(Effect.void)
      waiting.add(wake)
      return Effect.sync(() => {
        waiting.delete(wake)
      })
    })
  }
}
