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
  /** Widths of the lines that stand there now. */
  let drawn: ReadonlyArray<number> = []
  let hidden = false
  let frame = 0

  const erase = (columns: number): string => {
    if (drawn.length === 0) return ""
    // A terminal that became narrower has broken the lines since.
    const rows = drawn.reduce((total, width) => total + Math.max(1, Math.ceil(width / columns)), 0)
    return `\r${rows > 1 ? `\u001b[${rows - 1}A` : ""}\u001b[J`
  }

  const redraw = (above: string, now: number): string => {
    const { columns, rows } = size()
    const area = jobs.size === 0 ? [] : areaOf([...jobs.values()], Math.min(maxJobs, Math.max(1, rows - 3)))
    const cells = area.map((row) => rowText(row, { columns, now, frame, style }))
    const cursor = cells.length > 0 === hidden ? "" : hidden ? showCursor : hideCursor
    const text = erase(columns) + above + cells.map(({ text }) => text).join("\n")
    hidden = cells.length > 0
    drawn = cells.map(({ width }) => width)
    return text === "" && cursor === ""
      ? ""
      : `${beginUpdate}${hidden ? cursor : ""}${text}${hidden ? "" : cursor}${endUpdate}`
  }

  const takeBack = (): string => {
    const text = erase(size().columns) + (hidden ? showCursor : "")
    drawn = []
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
      return found.length === 0 && jobs.size === before ? "" : redraw(formatted(found), event.at)
    },
    above: (text, now) => redraw(text.endsWith("\n") ? text : `${text}\n`, now),
    moving: () => jobs.size > 0,
    tick: (now) => {
      frame++
      return jobs.size === 0 ? "" : redraw("", now)
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

type Row = { readonly running: Running; readonly names: number } | { readonly more: number }

const areaOf = (jobs: ReadonlyArray<Running>, max: number): ReadonlyArray<Row> => {
  const shown = jobs.length <= max ? jobs : jobs.slice(0, max)
  const names = Math.min(maxName, Math.max(...shown.map(({ job }) => TerminalText.width(job))))
  const rows: Array<Row> = shown.map((running) => ({ running, names }))
  return jobs.length > shown.length ? [...rows, { more: jobs.length - shown.length }] : rows
}

interface Look {
  readonly columns: number
  readonly now: number
  readonly frame: number
  readonly style: Style
}

/** A row of the area, never wider than the terminal: the last column stays free, else some terminals begin a new line. */
const rowText = (row: Row, { columns, frame, now, style }: Look): { readonly text: string; readonly width: number } => {
  let left = columns - 1
  let text = ""
  const add = (plain: string, look: (text: string) => string) => {
    const part = TerminalText.cut(plain, left)
    left -= TerminalText.width(part)
    text += look(part)
  }
  if ("more" in row) {
    add(`… and ${row.more} more`, style.dim)
  } else {
    const { doing, job, last, since } = row.running
    add(`${spinner[frame % spinner.length]} `, style.yellow)
    add(TerminalText.pad(TerminalText.cut(job, row.names), row.names), style.bold)
    add(`  ${TerminalText.cut(TerminalText.flat(doing), maxDoing)}`, (part) => part)
    add(`  ${Timestamps.running(now - since)}`, style.dim)
    const preview = TerminalText.flat(last)
    if (preview !== "") add(`  ${preview}`, style.dim)
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
