import type { Readable } from "node:stream"
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { OutputChunk } from "../../../domain/JobEnvironment.ts"

/**
 * How long output is waited for after the step itself has ended, while something of it still holds the pipe: at most 5 s, like GitHub's
 * runner (actions/runner, ProcessInvoker), but only as long as there is a byte every 250 ms. `exec > >(tee log)` needs it; a server
 * in the background, which holds the pipe for ever, must not cost every step 5 s.
 */
const quiet = 250
const patience = 5000

type Waiting = "Ready" | "Quiet"

/**
 * Both output pipes of a child as one stream: read only when pulled, so that a slow reader fills the pipes and stops the child, and
 * nothing else.
 */
export const makePipeReader = (sources: { readonly stdout: Readable; readonly stderr: Readable }) => {
  let wake: ((ready: Effect.Effect<Waiting>) => void) | undefined
  const open = new Set<Readable>([sources.stdout, sources.stderr])
  let exited = false
  let deadline = Number.POSITIVE_INFINITY
  let discarding = false

  const notify = () => {
    const waiting = wake
    wake = undefined
    waiting?.(Effect.succeed("Ready"))
  }
  for (const source of [sources.stdout, sources.stderr]) {
    const close = () => {
      open.delete(source)
      notify()
    }
    source.on("readable", notify).on("end", close).on("close", close).on("error", close)
  }

  const available = (): Array<OutputChunk> => {
    const chunks: Array<OutputChunk> = []
    for (const stream of ["stdout", "stderr"] as const) {
      const bytes: Uint8Array | null = sources[stream].read()
      if (bytes !== null) chunks.push({ stream, bytes })
    }
    return chunks
  }

  const nextEvent: Effect.Effect<Waiting> = Effect.callback((resume) => {
    wake = resume
    return Effect.sync(() => {
      wake = undefined
    })
  })

  const pull: Effect.Effect<NonEmptyReadonlyArray<OutputChunk>, Cause.Done> = Effect.suspend(() => {
    const chunks = available()
    if (chunks.length > 0) return Effect.succeed(chunks as unknown as NonEmptyReadonlyArray<OutputChunk>)
    if (open.size === 0 || discarding || performance.now() > deadline) return done
    // Whoever still holds the pipe is not the step: it is waited for only while it goes on writing.
    const waiting = exited
      ? Effect.timeoutOrElse(nextEvent, { duration: quiet, orElse: () => Effect.succeed<Waiting>("Quiet") })
      : nextEvent
    return Effect.flatMap(waiting, (event) => (event === "Ready" ? pull : Effect.andThen(discardLater, done)))
  })

  /** Whatever writes to the pipes from now on must neither block nor die of it, nor keep this program alive. */
  const discard = () => {
    discarding = true
    for (const source of open) {
      source.removeAllListeners("readable")
      source.resume()
      if ("unref" in source && typeof source.unref === "function") source.unref()
    }
    notify()
  }
  const discardLater = Effect.sync(discard)

  return {
    output: Stream.fromPull(Effect.succeed(pull)),
    discard,
    /** The step itself has ended. */
    exited: () => {
      exited = true
      deadline = performance.now() + patience
      notify()
    }
  }
}

const done = Cause.done()
