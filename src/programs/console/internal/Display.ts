/**
 * What a process shows of its jobs: events as the renderer has them, with words of others between them, and no more at once than the
 * reader takes.
 */
import { Console as NodeConsole } from "node:console"
import { Writable } from "node:stream"
import * as Clock from "effect/Clock"
import type * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import type { JobEvent } from "../../../domain/JobEvent.ts"
import type { Outcome, Renderer } from "../Renderer.ts"
import type { Outlet } from "./Outlet.ts"

/** @category models */
export interface Display {
  /** Shows an event, and waits while the reader is behind. */
  readonly show: (event: JobEvent) => Effect.Effect<void>
  /** Words of our own: into the live picture, and elsewhere not into what may be data. */
  readonly tell: (text: string) => void
  /**
   * From here on output is left out while the reader is behind for too long. Whoever cancels because nothing moves any more may have
   * stopped reading too, as with a pager: then a cancel that waits for its reader never gets to the release.
   */
  readonly hurry: () => void
  /** Gives the screen back; the next event or tick takes it again. */
  readonly pause: () => void
  /** The last of it: nothing is shown after that. */
  readonly end: (outcome?: Outcome) => void
  /** For the program's own logs. */
  readonly console: Console.Console
}

/** @category options */
export interface Options {
  readonly renderer: Renderer
  /** The renderer draws on a terminal, where everything has to go through it. */
  readonly live: boolean
  readonly color: boolean
  readonly stdout: Outlet
  readonly stderr: Outlet
}

/** @category constructors */
export const make = ({ color, live, renderer, stderr, stdout }: Options): Display => {
  let cutOff = false
  let ticking = false
  let ended = false

  const above = (text: string) => stdout.write(renderer.above(text, now()))
  const tell = (text: string) => (live && !stdout.closed() ? above(text) : stderr.write(text))

  /** Only as long as something moves: a timer for nothing would hide that the program is stuck. */
  const startTicking = () => {
    if (ticking) return
    ticking = true
    const tick = Effect.sync(() => {
      if (!ended && !stdout.full()) stdout.write(renderer.tick(now()))
    })
    Effect.runFork(
      Effect.delay(tick, "100 millis").pipe(
        Effect.repeat({ while: () => renderer.moving() }),
        Effect.ensuring(
          Effect.sync(() => {
            ticking = false
          })
        )
      )
    )
  }

  const watchReader = Effect.gen(function* () {
    while (true) {
      const behind = stdout.full()
      yield* Effect.sleep("500 millis")
      if (ended) return
      if (behind && stdout.full()) {
        cutOff = true
        stdout.letGo()
      } else if (cutOff && !stdout.full()) {
        cutOff = false
        above("(output was left out here: nobody read it)\n")
      }
    }
  })

  return {
    show: (event) =>
      Effect.suspend(() => {
        if (ended || (cutOff && event._tag === "StepOutput")) return Effect.void
        stdout.write(renderer.event(event))
        if (renderer.moving()) startTicking()
        return cutOff ? Effect.void : stdout.ready
      }),
    tell,
    hurry: () => {
      Effect.runFork(watchReader)
    },
    pause: () => stdout.write(renderer.pause()),
    end: (outcome) => {
      ended = true
      stdout.write(renderer.end(outcome))
    },
    console: consoleOf(tell, color)
  }
}

const consoleOf = (write: (text: string) => void, color: boolean): Console.Console => {
  const stream = new Writable({
    decodeStrings: false,
    write: (chunk, _encoding, done) => {
      write(String(chunk))
      done()
    }
  })
  return new NodeConsole({ stdout: stream, stderr: stream, colorMode: color })
}

const now = () => Effect.runSync(Clock.currentTimeMillis)
