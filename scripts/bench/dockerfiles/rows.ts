/** Steps of a Dockerfile on a real cluster, by each builder that is at hand, beside ordinary steps that do the same work. */
import { spawnSync } from "node:child_process"
import { join } from "node:path"
import type { Row } from "../row.ts"

const root = join(import.meta.dirname, "../../..")

export const dockerfileRows = (): ReadonlyArray<Row> => {
  const { status, stderr, stdout } = spawnSync(
    process.execPath,
    ["--conditions=@jobscope/source", join(import.meta.dirname, "run.ts")],
    { cwd: root, encoding: "utf8" }
  )
  if (status !== 0) throw new Error(`the measurement of Dockerfiles failed:\n${stderr}`)
  const medians: Record<string, number> = JSON.parse(stdout)
  return ["plain", "installing"].map((kind) => {
    const ordinary = medians[`ordinary ${kind}`] ?? Number.NaN
    const figures = Object.entries(medians).flatMap(([what, ms]) =>
      what.includes(kind) ? [`${what.replace(` ${kind}`, "")} ${(ms / 1000).toFixed(2)} s`] : []
    )
    return {
      what: `Dockerfile, inline, ${kind}: over an ordinary container step with the same work`,
      figures: figures.join(", "),
      measured: (medians[`inline ${kind} cold`] ?? Number.NaN) - ordinary,
      unit: "ms",
      budget: 1000
    }
  })
}
