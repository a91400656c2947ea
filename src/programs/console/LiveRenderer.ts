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
import * as JobLines from "./JobLines.ts"
import type { Renderer } from "./Renderer.ts"
import type { Style } from "./Style.ts"
import * as TerminalText from "./TerminalText.ts"
import * as Timestamps from "./Timestamps.ts"

/** @category models */
export interface Size {
  readonly columns: number
  readonly rows: number
}

/** @category options */
export interface Options {
  readonly style: Style
  readonly timestamps: Timestamps.Timestamps
  /** Asked at each redraw: people resize their terminals. */
  readonly size: () => Size
  /** Jobs that are shown at most; the others are counted. */
  readonly maxJobs?: number | undefined
}

/** @category constructors */
export const make = ({ maxJobs = 8, size, style, timestamps }: Options): Renderer => {
  const lines = JobLines.make()
  const format = JobLines.format({ style, timestamps, output: (line) => TerminalText.closed(TerminalText.still(line)) })
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

  const formatted = (found: ReadonlyArray<JobLines.JobLine>): string => {
    let text = ""
    for (const line of found) text += `${format(line)}\n`
    return text
  }

  return {
    event: (event) => {
      const before = jobs.size
      const found = lines.push(event)
      follow(jobs, event, found)
      const keep = event._tag === "StepOutput"
      return found.length === 0 && jobs.size === before ? "" : redraw(formatted(found), event.at, keep)
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
      return takeBack() + formatted(lines.flush())
    }
  }
}

/** A running job, as far as its line shows it. */
interface Running {
  readonly job: string
  /** Names need not be unique: how many jobs of this one run. */
  count: number
  doing: string
  since: number
  last: string
}

/** Brings the running jobs up to date. */
const follow = (jobs: Map<string, Running>, event: JobEvent, lines: ReadonlyArray<JobLines.JobLine>): void => {
  const { at, job } = event
  const running = jobs.get(job)
  const doing = (what: string) => {
    if (running === undefined) jobs.set(job, { job, count: 0, doing: what, since: at, last: "" })
    else Object.assign(running, { doing: what, since: at, last: "" })
  }
  switch (event._tag) {
    case "JobStarted":
      doing("starting")
      jobs.get(job)!.count++
      return
    case "PhaseStarted":
      doing({ provision: "provisioning", steps: "starting", release: "releasing" }[event.phase])
      return
    case "Waiting":
      if (running !== undefined) running.last = event.reason
      return
    case "StepStarted":
      doing(`▸ ${event.name}`)
      return
    case "StepOutput": {
      const last = lines.at(-1)
      if (running !== undefined && last !== undefined) running.last = last.text
      return
    }
    case "Stopping":
      if (running !== undefined) running.last = "stopping"
      return
    case "EnvironmentReleased":
    case "EnvironmentHandedOver":
    case "Leaked":
      // Without a job of ours around it, an environment ends here.
      if (running?.count === 0) jobs.delete(job)
      return
    case "JobFinished":
      if (running !== undefined && --running.count <= 0) jobs.delete(job)
      return
    default:
      return
  }
}

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
  readonly style: Style
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
    [`  ${Timestamps.running(now - since)}`, style.dim],
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
