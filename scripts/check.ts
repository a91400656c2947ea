/**
 * Everything that is checked without running the program: `node scripts/check.ts [name ...]` (no name: all of them).
 * One line a check with its duration; the output of those that fail.
 */
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { performance } from "node:perf_hooks"

const root = dirname(import.meta.dirname)
const scratch = mkdtempSync(join(tmpdir(), "jobscope-check-"))
const tarball = join(scratch, "jobscope-*.tgz")

interface Check {
  readonly name: string
  readonly command: string
}

/** Two at a time; a stage starts when the one before it is through. */
const stages: ReadonlyArray<ReadonlyArray<Check>> = [
  [
    {
      name: "build",
      command: `node scripts/build.ts && npm pack --silent --ignore-scripts --pack-destination ${scratch}`
    },
    { name: "types", command: "tsc" },
    { name: "lint", command: "biome check --error-on-warnings" },
    { name: "unused", command: "knip" }
  ],
  [
    { name: "size", command: "node scripts/size.ts" },
    { name: "publint", command: `publint run ${tarball} --strict` },
    { name: "attw", command: `attw ${tarball} --profile esm-only` }
  ]
]

const run = async ({ command, name }: Check): Promise<boolean> => {
  const started = performance.now()
  const child = spawn(command, { cwd: root, shell: true, stdio: ["ignore", "pipe", "pipe"] })
  const chunks: Array<Buffer> = []
  child.stdout.on("data", (chunk) => chunks.push(chunk))
  child.stderr.on("data", (chunk) => chunks.push(chunk))
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve))
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  console.log(`${code === 0 ? "ok  " : "FAIL"} ${name.padEnd(8)} ${seconds.padStart(5)} s`)
  if (code !== 0) console.log(`${Buffer.concat(chunks).toString().trimEnd()}\n     (${command}: exit code ${code})`)
  return code === 0
}

const names = stages.flat().map(({ name }) => name)
const wanted = new Set(process.argv.slice(2))
const unknown = [...wanted].filter((name) => !names.includes(name))
if (unknown.length > 0) {
  console.error(`no such check: ${unknown.join(", ")} (there are ${names.join(", ")})`)
  process.exit(2)
}
// The second stage looks at what the build made.
if (stages[1]?.some(({ name }) => wanted.has(name))) wanted.add("build")

const failed: Array<string> = []
for (const stage of stages) {
  const queue = stage.filter(({ name }) => wanted.size === 0 || wanted.has(name))
  const work = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      if (!(await run(next))) failed.push(next.name)
    }
  }
  await Promise.all([work(), work()])
}
rmSync(scratch, { recursive: true, force: true })
if (failed.length > 0) {
  console.log(`failed: ${failed.join(", ")}`)
  process.exitCode = 1
}
