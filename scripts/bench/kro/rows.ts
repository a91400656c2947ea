/** kro-runner's rows of the bench: its program as it is shipped, beside plain calls to the same KRO in the same run. */
import { spawnSync } from "node:child_process"
import { join } from "node:path"
import type { Row } from "../row.ts"

/** What run.ts measures: ms, MiB, calls. */
interface Measured {
  /** Over the empty program. */
  readonly start: number
  readonly empty: number
  readonly requests: number
  readonly watches: number
  readonly peak: number
  readonly idle: number
  readonly after: number
  readonly release: number
  readonly twenty: number
  readonly twentyBare: number
  readonly twentyExisting?: number
}

const root = join(import.meta.dirname, "../../..")

const measure = (): Measured | null => {
  const existing = process.env.JOBSCOPE_BENCH_KAR
  const { status, stderr, stdout } = spawnSync(
    process.execPath,
    [
      "--conditions=@jobscope/source",
      join(import.meta.dirname, "run.ts"),
      join(root, "dist/kro-runner/index.js"),
      ...(existing === undefined ? [] : [existing])
    ],
    { cwd: root, encoding: "utf8" }
  )
  if (status !== 0) throw new Error(`the KRO runner's measurement failed:\n${stderr}`)
  return JSON.parse(stdout)
}

const ms = (value: number) => `${value.toFixed(0)} ms`
const seconds = (value: number) => `${(value / 1000).toFixed(1)} s`

/** Beside the existing runner, too, where JOBSCOPE_BENCH_KAR names its program. */
export const kroRows = (): ReadonlyArray<Row> => {
  const found = measure()
  if (found === null) return []
  const { after, empty, idle, peak, release, requests, start, twenty, twentyBare, twentyExisting, watches } = found
  const what = "kro-runner"
  return [
    {
      what: `${what}: start to its first request, over an empty program`,
      figures: `empty ${ms(empty)}`,
      measured: start,
      unit: "ms",
      budget: 50
    },
    {
      what: `${what}: resident memory of a run`,
      figures: `Node alone ${idle.toFixed(1)} MiB`,
      measured: peak,
      unit: "MiB",
      budget: 60
    },
    { what: `${what}: requests of a run`, figures: `and ${watches} watches`, measured: requests, unit: "", budget: 8 },
    { what: `${what}: watches of a run`, figures: `and ${requests} requests`, measured: watches, unit: "", budget: 2 },
    {
      what: `${what}: from the container's end to its own, over KRO's release`,
      figures: `${ms(after)}, a plain delete until all is gone ${ms(release)}`,
      measured: after - release,
      unit: "ms",
      budget: 300
    },
    {
      what: `${what}: twenty at once, over twenty instances made and deleted by one plain client`,
      figures: `a job of 3 s: ${seconds(twenty)}, plain ${seconds(twentyBare)}`,
      measured: twenty / twentyBare,
      unit: "×",
      budget: 1.3
    },
    ...(twentyExisting === undefined
      ? []
      : [
          {
            what: `${what}: twenty at once, over twenty of kro-actions-runner`,
            figures: `${seconds(twenty)}, theirs ${seconds(twentyExisting)}`,
            measured: twenty / twentyExisting,
            unit: "×",
            budget: 1
          }
        ])
  ]
}
