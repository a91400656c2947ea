/**
 * Runs jobs as the main program of a process: shows what happens, cancels in order when asked to, and exits with a code that says what
 * came of it (`ExitCode`).
 *
 * **Example**
 *
 * ```ts
 * JobMain.runMain(JobLifecycle.run(job).pipe(Effect.provide(LocalBackend.layer())))
 * ```
 */
import { writeSync } from "node:fs"
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { type JobEvent, JobEvents } from "../../domain/JobEvent.ts"
import type { JobResult } from "../../domain/JobResult.ts"
import * as ExitCode from "./ExitCode.ts"
import * as Display from "./internal/Display.ts"
import * as HeldEnvironments from "./internal/HeldEnvironments.ts"
import * as Masking from "./internal/Masking.ts"
import * as Outlet from "./internal/Outlet.ts"
import * as OutputSettings from "./internal/OutputSettings.ts"
import * as StopSignals from "./internal/StopSignals.ts"
import * as TerminalText from "./internal/TerminalText.ts"
import * as LiveRenderer from "./LiveRenderer.ts"
import * as PlainRenderer from "./PlainRenderer.ts"
import * as Renderer from "./Renderer.ts"
import * as Summary from "./Summary.ts"

/** @category options */
export interface Options {
  /** Default `auto`: `live` on a terminal that somebody watches, else `plain`. Or one of your own, or of `programs/report`. */
  readonly renderer?: "auto" | "live" | "plain" | "silent" | Renderer.Renderer | undefined
  /** Default `elapsed` on a terminal, else `none`: the logs of a CI service have times of their own. */
  readonly timestamps?: Renderer.Timestamps | undefined
  /** Show at the end what came of each job. Default: yes, unless the renderer is `silent`, or your own. */
  readonly summary?: boolean | undefined
  /**
   * What is done to every text of an event, a result or an error before it is shown, `Masker.mask` for one. Not to output, which is bytes:
   * whoever starts the steps masks that, as a stream. Default: nothing.
   */
  readonly mask?: ((text: string) => string) | undefined
  /** Default `ExitCode.ofExit`. After a signal the code is the signal's. */
  readonly exitCode?: ((exit: Exit.Exit<ExitCode.Results, unknown>) => number) | undefined
}

/**
 * Runs a program to its end, and ends the process.
 *
 * **Details**
 *
 * - The events of its jobs are shown on stdout, live on a terminal, as plain lines elsewhere; then a summary. A slow reader slows the jobs
 *   down, and costs no memory.
 * - The first SIGINT, SIGTERM or SIGHUP interrupts the program, which cancels its jobs: steps are stopped, environments released. A second
 *   one stops waiting, and prints the commands that remove what may be left. Either way the exit code is 130, 143 or 129.
 * - A stdout that nobody reads any more cancels too, with 141.
 * - The process ends when the program does, whatever timers and connections are still open, and after everything is written.
 * - A program that waits when nothing is left that could wake it up is interrupted, and exits with 1.
 *
 * **Gotchas**
 *
 * What writes to the terminal itself, such as a plain `console.log`, gets into the live lines. `Effect.log` and `Console.log` do not.
 *
 * @category running
 */
export const runMain = <E>(program: Effect.Effect<ExitCode.Results, E>, options: Options = {}): void => {
  const settings = Effect.runSync(readSettings(options))
  const own = typeof options.renderer === "object" ? options.renderer : undefined
  const renderer = own ?? makeRenderer(settings)
  const live = own === undefined && settings.renderer === "live"
  const masking = Masking.make(options.mask)
  /** By run, in the order in which they began. */
  const results = new Map<string, JobResult | undefined>()
  let held = HeldEnvironments.none
  let heard: StopSignals.Heard | undefined
  /** What decides the exit code, unless the program does. */
  let forced: number | undefined
  /** The program has ended, and only its last words are on their way. */
  let ended = false
  /** The program has not ended, and is not waited for. */
  let abandoned = false
  let fiber: Fiber.Fiber<ExitCode.Results, E> | undefined

  const stdout = Outlet.make(process.stdout, () => {
    if (ended) return
    if (forced === undefined) {
      forced = ExitCode.outputClosed
      display.tell(StopSignals.outputClosed(held))
    }
    fiber?.interruptUnsafe(fiber.id)
  })
  const stderr = Outlet.make(process.stderr)
  const display = Display.make({ renderer, live, color: settings.color, stdout, stderr })

  const emit = (emitted: JobEvent): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (abandoned) return Effect.void
      const event = masking.event(emitted)
      held = HeldEnvironments.update(held, event)
      if (event._tag === "JobStarted") results.set(event.run, undefined)
      if (event._tag === "JobFinished") results.set(event.run, event.result)
      return display.show(event)
    })

  // ---- it is asked to stop

  const onSignal = (signal: ExitCode.StopSignal) => {
    const next = { signal, at: now() }
    const meaning = StopSignals.meaning(heard, next)
    if (meaning === "echo") return
    heard = next
    if (meaning === "abandon" || ended) {
      abandon(`${signal}: not waiting any more`, ExitCode.ofSignal(signal))
      return
    }
    forced = ExitCode.ofSignal(signal)
    display.tell(StopSignals.cancelling(signal, held))
    display.hurry()
    fiber?.interruptUnsafe(fiber.id)
  }

  const abandon = (why: string, code: number) => {
    if (abandoned) process.exit(code)
    abandoned = true
    display.end()
    stderr.write(StopSignals.abandoning(why, held))
    held = HeldEnvironments.none
    const flushed = Effect.all([stdout.flushed, stderr.flushed], { concurrency: 2 })
    Effect.runFork(
      Effect.ensuring(
        Effect.timeoutOption(flushed, "1 second"),
        Effect.sync(() => process.exit(code))
      )
    )
  }

  // ---- it ends

  const finish = (exit: Exit.Exit<ExitCode.Results, E>) => {
    if (abandoned) return
    ended = true
    const code = forced ?? (options.exitCode ?? ExitCode.ofExit)(exit)
    const told = [...results.values()].filter((result) => result !== undefined)
    const shown = allResults(told, exit, masking)
    const problems = Exit.isSuccess(exit) ? [] : Summary.ofCause(exit.cause, shown, settings).map(masking.text)
    display.end({ exitCode: code, results: shown, problems: problems.map(TerminalText.strip) })
    if (options.summary ?? (own === undefined && settings.renderer !== "silent")) {
      const lines = Summary.lines(shown, settings)
      if (lines.length > 0) stdout.write(`\n${lines.join("\n")}\n`)
    }
    Effect.runFork(
      stdout.flushed.pipe(
        Effect.andThen(Effect.sync(() => stderr.write(problems.map((line) => `${line}\n`).join("")))),
        Effect.andThen(stderr.flushed),
        Effect.andThen(Effect.sync(() => process.exit(code)))
      )
    )
  }

  /**
   * Nothing is left that could wake the program up. `Runtime.makeRunMain` keeps a timer against this, so that a program which waits for
   * nothing hangs for ever; without it Node would exit with 0, as if all was well. Hence neither.
   */
  const onDrained = () => {
    if (ended || fiber === undefined) return
    if (forced === undefined) {
      forced = ExitCode.failure
      display.tell("The program waits for something that cannot happen any more: it is interrupted\n")
      fiber.interruptUnsafe(fiber.id)
    } else {
      abandon("The program does not end", forced)
    }
  }

  /** The last chance of all: a crash outside of Effect, a `process.exit` of somebody else's, our own. */
  const onExit = () => {
    lastWords(1, renderer.pause())
    if (!ended && HeldEnvironments.removals(held).length > 0) {
      lastWords(2, StopSignals.abandoning("The process ends before the program", held))
    }
  }

  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, onSignal)
  if (live) {
    // Ctrl-Z: the shell gets a terminal with a cursor; after `fg` the next tick draws again.
    process.on("SIGTSTP", () => {
      display.pause()
      process.kill(process.pid, "SIGSTOP")
    })
  }
  process.on("beforeExit", onDrained)
  process.on("exit", onExit)

  const main = Effect.provideService(program, JobEvents, { emit })
  fiber = Effect.runFork(live ? Effect.provideService(main, Console.Console, display.console) : main)
  fiber.addObserver(finish)
}

const readSettings = (wanted: Options) =>
  Effect.map(OutputSettings.variables, (variables) =>
    OutputSettings.decide(
      { terminal: process.stdout.isTTY === true, variables },
      { timestamps: wanted.timestamps, renderer: typeof wanted.renderer === "object" ? "silent" : wanted.renderer }
    )
  )

const makeRenderer = (settings: OutputSettings.OutputSettings): Renderer.Renderer => {
  switch (settings.renderer) {
    case "silent":
      return Renderer.silent
    case "plain":
      return PlainRenderer.make(settings)
    case "live":
      return LiveRenderer.make({
        ...settings,
        size: () => ({ columns: process.stdout.columns || 80, rows: process.stdout.rows || 24 })
      })
  }
}

/** Those that the events told, which a cancelled program has too, and those that the program gave without events. */
const allResults = (
  told: ReadonlyArray<JobResult>,
  exit: Exit.Exit<ExitCode.Results, unknown>,
  masking: Masking.Masking
): ReadonlyArray<JobResult> => {
  const key = ({ job, startedAt }: JobResult) => `${startedAt} ${job}`
  const known = new Set(told.map(key))
  return Exit.isSuccess(exit)
    ? [
        ...told,
        ...ExitCode.resultsOf(exit.value)
          .map(masking.result)
          .filter((result) => !known.has(key(result)))
      ]
    : told
}

const now = () => Effect.runSync(Clock.currentTimeMillis)

/** Where nobody is left to read it, there is nobody to tell that either. */
const lastWords = (descriptor: number, text: string) => {
  if (text !== "") Effect.runSyncExit(Effect.sync(() => writeSync(descriptor, text)))
}
