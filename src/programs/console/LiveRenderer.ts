/**
 * For a terminal that somebody watches: finished lines scroll away above, and below them stands one line for each running job.
 *
 * ```
 * 00:03.4 build | deps | ✓ 3.4s
 * ⠹ build  ▸ npm test  1.2s  PASS src/index.test.ts
 * ```
 *
 * Each redraw is one text: taking the old lines back, what scrolls, the new lines. It is put between the marks for a synchronised
 * update, so that terminals that know them never show half of it.
 */
import { identity } from "effect/Function"
import type { JobEvent } from "../../domain/JobEvent.ts"
import * as JobLines from "./internal/JobLines.ts"
import * as LineFormat from "./internal/LineFormat.ts"
import * as Style from "./internal/Style.ts"
import * as TerminalText from "./internal/TerminalText.ts"
import * as Times from "./internal/Times.ts"
import type { Renderer, Timestamps } from "./Renderer.ts"

/** @category models */
export interface Size {
  readonly columns: number
  readonly rows: number
}

/** @category options */
export interface Options {
  /** Colour our own text. */
  readonly color: boolean
  readonly timestamps: Timestamps
  /** Asked at each redraw: people resize their terminals. */
  readonly size: () => Size
  /** Jobs that are shown at most; the others are counted. */
  readonly maxJobs?: number | undefined
}

/** @category constructors */
export const make = ({ color, maxJobs = 8, size, timestamps }: Options): Renderer => {
  const style = Style.make(color)
  const lines = JobLines.make()
  const format = LineFormat.make({
    style,
    timestamps,
    output: (line) => TerminalText.closed(TerminalText.still(line)),
    columns: () => size().columns
  })
  const jobs = new Map<string, Running>()
  let area: Area = noArea
  /** The area stands on the screen. */
  let drawn = false
  let hidden = false
  let frame = 0

  const erase = (columns: number): string => {
    if (!drawn || area.widths.length === 0) return ""
    // A terminal that became narrower has broken the lines since.
    const rows = area.widths.reduce((total, width) => total + Math.max(1, Math.ceil(width / columns)), 0)
    return `\r${rows > 1 ? `\u001b[${rows - 1}A` : ""}\u001b[J`
  }

  /** Output in many small pieces would otherwise cost a new area each; it changes at the next tick. */
  const isCurrent = (columns: number): boolean => columns === area.columns && jobs.size > 0

  const redraw = (above: string, now: number, keep: boolean): string => {
    const screen = size()
    const erased = erase(screen.columns)
    if (!keep || !isCurrent(screen.columns)) {
      area = areaOf([...jobs.values()], { ...screen, maxJobs, now, frame, style })
    }
    const shows = area.text !== ""
    const text = erased + above + area.text
    const before = shows && !hidden ? hideCursor : ""
    const after = !shows && hidden ? showCursor : ""
    hidden = shows
    drawn = true
    return text + before + after === "" ? "" : `${beginUpdate}${before}${text}${after}${endUpdate}`
  }

  const takeBack = (): string => {
    const text = erase(size().columns) + (hidden ? showCursor : "")
    drawn = false
    hidden = false
    return text
  }

  return {
    event: (event) => {
      const before = jobs.size
      const found = lines.push(event)
      follow(jobs, event, found)
      const keep = event._tag === "StepOutput"
      return found.length === 0 && jobs.size === before ? "" : redraw(format(found), event.at, keep)
    },
    above: (text, now) => redraw(text.endsWith("\n") ? text : `${text}\n`, now, true),
    moving: () => jobs.size > 0,
    tick: (now) => {
      frame++
      return jobs.size === 0 ? "" : redraw("", now, false)
    },
    pause: takeBack,
    end: () => {
      jobs.clear()
      return takeBack() + format(lines.flush())
    }
  }
}

/** A running job, as far as its line shows it. */
interface Running {
  readonly job: string
  /** Not an environment alone. */
  readonly ofJob: boolean
  doing: string
  since: number
  last: string
}

/** Brings the running jobs up to date. */
const follow = (jobs: Map<string, Running>, event: JobEvent, lines: ReadonlyArray<JobLines.JobLine>): void => {
  const { at, job } = event
  const run = JobLines.runOf(event)
  const running = jobs.get(run)
  if (running === undefined) {
    if (event._tag === "JobStarted") jobs.set(run, { job, ofJob: true, doing: "starting", since: at, last: "" })
    // Without a job of ours around it, this is where an environment begins.
    if (event._tag === "EnvironmentRequested")
      jobs.set(run, { job, ofJob: false, doing: "provisioning", since: at, last: "" })
    return
  }
  switch (event._tag) {
    case "PhaseStarted":
      Object.assign(running, { doing: phases[event.phase], since: at, last: "" })
      return
    case "Waiting":
      running.last = event.reason
      return
    case "StepStarted":
      Object.assign(running, { doing: `▸ ${event.name}`, since: at, last: "" })
      return
    case "StepOutput":
      running.last = lines.at(-1)?.text ?? running.last
      return
    case "Stopping":
      running.last = "stopping"
      return
    case "EnvironmentReleased":
    case "EnvironmentHandedOver":
    case "Leaked":
      if (!running.ofJob) jobs.delete(run)
      return
    case "JobFinished":
      jobs.delete(run)
      return
    default:
      return
  }
}

const phases = { provision: "provisioning", steps: "starting", release: "releasing" } as const

/** The lines below, and how wide they are. */
interface Area {
  readonly text: string
  readonly widths: ReadonlyArray<number>
  /** Of the terminal that it was made for. */
  readonly columns: number
}

const noArea: Area = { text: "", widths: [], columns: 0 }

interface Look extends Size {
  readonly maxJobs: number
  readonly now: number
  readonly frame: number
  readonly style: Style.Style
}

const areaOf = (jobs: ReadonlyArray<Running>, look: Look): Area => {
  if (jobs.length === 0) return noArea
  const shown = jobs.slice(0, Math.max(1, Math.min(look.maxJobs, look.rows - 3)))
  const names = Math.min(maxName, Math.max(...shown.map(({ job }) => TerminalText.width(job))))
  const lines = shown.map((running) => lineOf(partsOf(running, names, look), look.columns))
  const more = jobs.length - shown.length
  if (more > 0) lines.push(lineOf([[`… and ${more} more`, look.style.dim]], look.columns))
  return {
    text: lines.map(({ text }) => text).join("\n"),
    widths: lines.map(({ width }) => width),
    columns: look.columns
  }
}

type Part = readonly [text: string, look: (text: string) => string]

const partsOf = (
  { doing, job, last, since }: Running,
  names: number,
  { frame, now, style }: Look
): ReadonlyArray<Part> => {
  const preview = TerminalText.flat(last)
  return [
    [`${spinner[frame % spinner.length]} `, style.yellow],
    [TerminalText.pad(TerminalText.cut(job, names), names), style.bold],
    [`  ${TerminalText.cut(TerminalText.flat(doing), maxDoing)}`, identity],
    [`  ${Times.running(now - since)}`, style.dim],
    ...(preview === "" ? [] : [[`  ${preview}`, style.dim] as const])
  ]
}

/** A line never wider than the terminal: the last column stays free, else some terminals begin a new line. */
const lineOf = (parts: ReadonlyArray<Part>, columns: number): { readonly text: string; readonly width: number } => {
  let left = columns - 1
  let text = ""
  for (const [plain, look] of parts) {
    const part = TerminalText.cut(plain, left)
    left -= TerminalText.width(part)
    text += look(part)
  }
  return { text, width: columns - 1 - left }
}

const spinner = [..."⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"]
const maxName = 24
const maxDoing = 40
const hideCursor = "\u001b[?25l"
const showCursor = "\u001b[?25h"
const beginUpdate = "\u001b[?2026h"
const endUpdate = "\u001b[?2026l"
