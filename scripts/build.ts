/**
 * Builds what is published: `node scripts/build.ts [--out <folder>]`, into dist unless told otherwise.
 *
 * The library is src compiled by tsc, file by file. Every program (src/programs/<name>/main.ts) is bundled as well, into
 * <name>/index.js (`bundle.ts`).
 */
import { spawnSync } from "node:child_process"
import { globSync, mkdirSync, rmSync, writeFileSync } from "node:fs"
import { basename, dirname, join, resolve } from "node:path"
import { parseArgs } from "node:util"
import { bundle } from "./bundle.ts"

const root = dirname(import.meta.dirname)

const compile = (out: string) => {
  const tsc = spawnSync("tsc", ["-p", "tsconfig.build.json", "--outDir", out], { cwd: root, stdio: "inherit" })
  if (tsc.error !== undefined) throw tsc.error
  if (tsc.status !== 0) process.exit(tsc.status ?? 1)
}

/** For scripts/size.ts, which says what makes a bundle large. */
const cache = join(root, "node_modules/.cache/jobscope")

const { values } = parseArgs({ options: { out: { type: "string", default: join(root, "dist") } } })
const out = resolve(values.out)
rmSync(out, { recursive: true, force: true })
compile(out)
const programs = globSync("src/programs/*/main.ts", { cwd: root }).map((main) => basename(dirname(main)))
mkdirSync(cache, { recursive: true })
await Promise.all(
  programs.map(async (program) => {
    const metafile = await bundle(program, join(out, program))
    writeFileSync(join(cache, `${program}.json`), JSON.stringify(metafile))
  })
)
