/** Holds the bundled programs of a build (`dist/<program>/index.js`) to their budgets. */
import { globSync, readFileSync, statSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import type { Metafile } from "esbuild"

/** In KB (1000 bytes). A program that is not here yet fails, so that every new one gets a number on purpose. */
const budgets: Record<string, number> = {
  cli: 1000,
  reaper: 350,
  hook: 300,
  "kro-runner": 350
}

const root = dirname(import.meta.dirname)
const kb = (bytes: number) => `${(bytes / 1000).toFixed(1)} KB`

/** What is in the bundle, by package and, for our own code, by folder. */
const explain = (program: string) => {
  const file = join(root, "node_modules/.cache/jobscope", `${program}.json`)
  const metafile: Metafile = JSON.parse(readFileSync(file, "utf8"))
  const totals = new Map<string, number>()
  for (const output of Object.values(metafile.outputs)) {
    for (const [input, { bytesInOutput }] of Object.entries(output.inputs)) {
      const name = /node_modules\/((?:@[^/]+\/)?[^/]+)(?!.*node_modules)/.exec(input)?.[1] ?? dirname(input)
      totals.set(name, (totals.get(name) ?? 0) + bytesInOutput)
    }
  }
  const largest = [...totals].sort(([, a], [, b]) => b - a).slice(0, 10)
  for (const [name, bytes] of largest) console.log(`    ${kb(bytes).padStart(10)}  ${name}`)
}

let failed = false
for (const file of globSync("dist/*/index.js", { cwd: root })) {
  const program = basename(dirname(file))
  const size = statSync(join(root, file)).size
  const budget = budgets[program]
  const within = budget !== undefined && size <= budget * 1000
  console.log(
    `${within ? "ok  " : "OVER"} ${program}: ${kb(size)} of ${budget === undefined ? "no budget" : `${budget} KB`}`
  )
  if (within) continue
  failed = true
  explain(program)
}
if (failed) process.exitCode = 1
