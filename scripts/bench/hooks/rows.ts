/**
 * The hook on a real cluster, beside a bare exec and a bare pod in the same run; beside GitHub's own hooks, where their bundles are named by
 * JOBSCOPE_BENCH_OFFICIAL_CLAIM and JOBSCOPE_BENCH_OFFICIAL_NOVOLUME.
 */
import { spawnSync } from "node:child_process"
import { join } from "node:path"
import type { Row } from "../row.ts"

/** What the driver measures: medians in ms, memory in MB. */
interface Measured {
  readonly empty: number
  readonly start: number
  readonly podStart: number
  readonly prepare: number
  readonly bareExec: number
  readonly script: number
  readonly container: number
  readonly cleanup: number
  readonly peak: number
  readonly gigabyte?: { readonly ms: number; readonly bytes: number; readonly peak: number }
}

type Times = Pick<Measured, "prepare" | "script" | "container" | "cleanup">

const root = join(import.meta.dirname, "../../..")

const measured = (options: object): string => {
  const { status, stderr, stdout } = spawnSync(
    process.execPath,
    ["--conditions=@jobscope/source", join(import.meta.dirname, "run.ts"), JSON.stringify(options)],
    { cwd: root, encoding: "utf8" }
  )
  if (status !== 0) throw new Error(`the hook's measurement failed:\n${stderr}`)
  return stdout
}

const measure = (options: object): Measured => JSON.parse(measured(options))

/** Two hooks in turn. */
const beside = (options: object): { readonly ours: Times; readonly theirs: Times } => JSON.parse(measured(options))

const ms = (value: number) => `${value.toFixed(0)} ms`

export const hookRows = (): ReadonlyArray<Row> => {
  const hook = join(root, "dist/hook/index.js")
  const claim = measure({ hook, mode: "claim", gigabyte: true })
  const exec = measure({ hook, mode: "claim-exec" })
  const copy = measure({ hook, mode: "copy" })
  const many = measure({ hook, mode: "copy", files: 10_000 })
  const all = ({ cleanup, container, prepare, script }: Times) =>
    `prepare ${ms(prepare)}, script ${ms(script)}, container ${ms(container)}, cleanup ${ms(cleanup)}`
  const official = (mode: "claim" | "copy", other: string, budget: number): Row => {
    const { ours, theirs } = beside({ hook, other, mode })
    return {
      what: `hook, ${mode}: script step, over that of GitHub's hook`,
      figures: `ours ${all(ours)}; theirs ${all(theirs)}`,
      measured: ours.script / theirs.script,
      unit: "×",
      budget
    }
  }
  const officialMany = (other: string): Row => {
    const { ours, theirs } = beside({ hook, other, mode: "copy", files: 10_000, only: "prepare" })
    return {
      what: "hook, copy: prepare with 10,000 files, over that of GitHub's hook",
      figures: `ours ${ms(ours.prepare)}; theirs ${ms(theirs.prepare)}`,
      measured: ours.prepare / theirs.prepare,
      unit: "×",
      budget: 0.1
    }
  }
  const { JOBSCOPE_BENCH_OFFICIAL_CLAIM: theirClaim, JOBSCOPE_BENCH_OFFICIAL_NOVOLUME: theirNovolume } = process.env
  const peak = Math.max(claim.peak, exec.peak, copy.peak)
  return [
    {
      what: "hook: start on the runner's Node 20, over an empty program",
      figures: `${ms(claim.start)}, empty ${ms(claim.empty)}`,
      measured: claim.start - claim.empty,
      unit: "ms",
      budget: 45
    },
    {
      what: "hook, claim: script step through the volume, over its start",
      figures: all(claim),
      measured: claim.script - claim.start,
      unit: "ms",
      budget: 25
    },
    {
      what: "hook, claim: script step over exec, over a process with one bare exec",
      figures: `${all(exec)}; bare exec ${ms(exec.bareExec)}`,
      measured: exec.script / exec.bareExec,
      unit: "×",
      budget: 1.4
    },
    {
      what: "hook, copy: prepare with 10,000 files, over 20",
      figures: `20: ${all(copy)}; 10,000: ${all(many)}; a bare pod ${ms(copy.podStart)}`,
      measured: many.prepare - copy.prepare,
      unit: "ms",
      budget: 1500
    },
    {
      what: "hook: resident memory of a call",
      figures: `10,000 files ${many.peak.toFixed(0)} MB`,
      measured: peak,
      unit: "MB",
      budget: 60
    },
    {
      what: "hook: resident memory while a step writes 1 GB",
      figures: `${ms(claim.gigabyte?.ms ?? Number.NaN)}`,
      measured: claim.gigabyte?.peak ?? Number.NaN,
      unit: "MB",
      budget: 60
    },
    ...(theirClaim === undefined ? [] : [official("claim", theirClaim, 0.25)]),
    ...(theirNovolume === undefined ? [] : [official("copy", theirNovolume, 0.2), officialMany(theirNovolume)])
  ]
}
