/**
 * Measures what docs/architecture.md promises, and holds it to budgets: `npm run bench`.
 *
 * With KUBECONFIG it also measures the hook, in runner pods of that cluster, steps of a Dockerfile, and the KRO runner where
 * there is KRO.
 *
 * Machines are shared and noisy, so each figure is a median of whole processes, and what is held to a budget is a ratio of two figures of
 * the same run, or a memory size.
 */
import { execFileSync, spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { dockerfileRows } from "./bench/dockerfiles/rows.ts"
import { hookRows } from "./bench/hooks/rows.ts"
import { kroRows } from "./bench/kro/rows.ts"
import type { Row } from "./bench/row.ts"

const root = join(import.meta.dirname, "..")
const runs = 5

const median = (values: ReadonlyArray<number>) => [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN

/** Several runs of a script that prints JSON, one median for each of its figures. */
const measure = <Figure extends string>(
  script: string,
  args: ReadonlyArray<number | string>
): Record<Figure, number> => {
  const all = Array.from({ length: runs }, (): Record<string, number> => {
    const { status, stderr, stdout } = spawnSync(
      process.execPath,
      // A small young generation: else what is measured is mostly garbage that V8, on a machine with much memory, has not collected yet.
      [
        "--max-semi-space-size=4",
        "--conditions=@jobscope/source",
        join(root, "scripts/bench", script),
        ...args.map(String)
      ],
      { cwd: root, encoding: "utf8" }
    )
    if (status !== 0) throw new Error(`${script} ${args.join(" ")} failed:\n${stderr}`)
    return JSON.parse(stdout)
  })
  const names = Object.keys(all[0] ?? {})
  return Object.fromEntries(names.map((name) => [name, median(all.map((one) => one[name] ?? Number.NaN))])) as Record<
    Figure,
    number
  >
}

/** Wall time of a whole process in ms, the two in turn. */
const startTimes = (node: string, file: string, args: ReadonlyArray<string>) => {
  const folder = mkdtempSync(join(tmpdir(), "jobscope-bench-"))
  const empty = join(folder, "empty.cjs")
  writeFileSync(empty, "")
  const time = (argv: ReadonlyArray<string>) => {
    const before = performance.now()
    execFileSync(node, [...argv], { stdio: "ignore" })
    return performance.now() - before
  }
  const pairs = Array.from({ length: 15 }, () => [time([file, ...args]), time([empty])] as const)
  rmSync(folder, { recursive: true })
  return { program: median(pairs.map(([a]) => a)), empty: median(pairs.map(([, b]) => b)) }
}

const ms = (value: number) => `${value.toFixed(value < 10 ? 1 : 0)} ms`
const mib = (value: number) => `${(value / 1024 / 1024).toFixed(0)} MiB`

const trivialJobs = (atATime: number): ReadonlyArray<Row> => {
  const few = measure<"wall" | "peak">("trivialJobs.ts", [50, atATime])
  const many = measure<"wall" | "peak">("trivialJobs.ts", [500, atATime])
  const figures = `50: ${ms(few.wall)}, ${mib(few.peak)}; 500: ${ms(many.wall)}, ${mib(many.peak)}`
  const label = `trivial jobs, local, ${atATime} at a time`
  return [
    // Ten times the jobs: linear is 10; less, because the first ones warm up.
    { what: `${label}: wall, 500 over 50`, figures, measured: many.wall / few.wall, unit: "×", budget: 12 },
    {
      what: `${label}: memory a job more`,
      figures,
      measured: (many.peak - few.peak) / 450 / 1024,
      unit: "KiB",
      budget: 200
    }
  ]
}

const step = (): ReadonlyArray<Row> => {
  const { bare, step: own } = measure<"step" | "bare">("steps.ts", [100])
  const figures = `step ${ms(own)}, bare sh ${ms(bare)}`
  return [{ what: "script step, local, over a bare `sh -c true`", figures, measured: own / bare, unit: "×", budget: 3 }]
}

const output = (): ReadonlyArray<Row> => {
  const few = measure<"wall" | "peak">("output.ts", [10_000_000])
  const many = measure<"wall" | "peak">("output.ts", [40_000_000])
  const figures = `10 million lines: ${ms(few.wall)}, ${mib(few.peak)}; 40 million: ${ms(many.wall)}, ${mib(many.peak)}`
  return [
    {
      what: "output: memory that 40 million lines take more than 10 million",
      figures,
      measured: (many.peak - few.peak) / 1024 / 1024,
      unit: "MiB",
      budget: 48
    }
  ]
}

const built = (program: string): string => {
  const file = join(root, "dist", program, "index.js")
  if (!existsSync(file))
    execFileSync(process.execPath, [join(root, "scripts/build.ts")], { cwd: root, stdio: "ignore" })
  return file
}

const starts = (): ReadonlyArray<Row> =>
  [
    { program: "reaper", name: "jobscope-reaper", budget: 100 },
    { program: "cli", name: "jobscope", budget: 200 }
  ].map(({ budget, name, program }) => {
    const took = startTimes(process.execPath, built(program), ["--help"])
    return {
      what: `${name} --help, over an empty Node program`,
      figures: `${ms(took.program)}, empty ${ms(took.empty)}`,
      measured: took.program - took.empty,
      unit: "ms",
      budget
    }
  })

/** Workflow files, beside the same jobs and the same output without one: what reading, expressions, commands and masking take. */
const workflowFiles = (): ReadonlyArray<Row> => {
  const bareJobs = measure<"wall">("trivialJobs.ts", [250, 8])
  const jobs = measure<"wall" | "peak">("workflowFile.ts", ["jobs", 250, 8])
  const fewJobs = measure<"peak">("workflowFile.ts", ["jobs", 25, 8])
  const lines = measure<"wall">("workflowFile.ts", ["lines", 300_000])
  const moreLines = measure<"wall" | "peak">("workflowFile.ts", ["lines", 3_000_000])
  const manyLines = measure<"peak">("workflowFile.ts", ["lines", 10_000_000])
  const bareLines = measure<"wall">("output.ts", [3_000_000])
  const jobsSay = `250 jobs: ${ms(jobs.wall)}, ${mib(jobs.peak)}; bare ${ms(bareJobs.wall)}; 25 jobs: ${mib(fewJobs.peak)}`
  const linesSay = `300,000 lines: ${ms(lines.wall)}; 3 million: ${ms(moreLines.wall)}, ${mib(moreLines.peak)}; bare ${ms(bareLines.wall)}; 10 million: ${mib(manyLines.peak)}`
  return [
    {
      what: "workflow file, 250 trivial jobs: wall, over bare jobs",
      figures: jobsSay,
      measured: jobs.wall / bareJobs.wall,
      unit: "×",
      budget: 2
    },
    {
      what: "workflow file, trivial jobs: memory a job more",
      figures: jobsSay,
      measured: (jobs.peak - fewJobs.peak) / 225 / 1024,
      unit: "KiB",
      budget: 200
    },
    {
      what: "workflow file, 3 million lines of output: wall, over the bare step",
      figures: linesSay,
      // The bare step counts bytes; here each line is looked at for commands and secrets, and compared by the benchmark itself.
      measured: moreLines.wall / bareLines.wall,
      unit: "×",
      budget: 10
    },
    {
      what: "workflow file: memory that 10 million lines take more than 3 million",
      figures: linesSay,
      measured: (manyLines.peak - moreLines.peak) / 1024 / 1024,
      unit: "MiB",
      budget: 48
    }
  ]
}

const rows = [
  trivialJobs(8),
  trivialJobs(500),
  step(),
  output(),
  starts(),
  workflowFiles(),
  ...(process.env.KUBECONFIG === undefined ? [] : [hookRows(), dockerfileRows(), kroRows()])
].flatMap((part) => {
  for (const { budget, figures, measured, unit, what } of part) {
    const verdict = measured <= budget ? "ok  " : "OVER"
    process.stdout.write(`${verdict} ${what}: ${measured.toFixed(1)} ${unit} (budget ${budget}) — ${figures}\n`)
  }
  return part
})
const over = rows.filter(({ budget, measured }) => !(measured <= budget))
process.stdout.write(`${rows.length - over.length} within budget, ${over.length} over\n`)
process.exitCode = over.length === 0 ? 0 : 1
