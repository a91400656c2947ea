/**
 * `workflowFile.ts jobs <count> <at a time>` and `workflowFile.ts lines <count>`: runs a workflow file on the local backend, of trivial jobs or of one
 * step that writes so many lines, and prints what it took as JSON. Every line has to come once, and in order.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as LocalBackend from "jobscope/backends/local/LocalBackend"
import { JobEvents } from "jobscope/domain/JobEvent"
import * as LineSplitter from "jobscope/domain/LineSplitter"
import * as WorkflowFile from "jobscope/programs/github/WorkflowFile"
import * as WorkflowRun from "jobscope/programs/github/WorkflowRun"

const [what, count = "250", atATime = "8"] = process.argv.slice(2)
const directory = mkdtempSync(join(tmpdir(), "jobscope-bench-"))
const job = (index: number, script: string) => `  j${index}: { runs-on: x, steps: [{ run: "${script}" }] }`
const jobs =
  what === "jobs"
    ? Array.from({ length: Number(count) }, (_, index) => job(index, "true"))
    : [job(0, `seq -f 'line %.0f of the output' ${count}`)]

let next = 1
const lines = LineSplitter.make()
const before = performance.now()
const { result } = await Effect.runPromise(
  WorkflowFile.fromText(`on: push\njobs:\n${jobs.join("\n")}\n`, { workspace: directory }).pipe(
    Effect.flatMap((file) =>
      WorkflowRun.run(file, { parallel: Number(atATime), secrets: { TOKEN: Redacted.make("a-secret-of-some-length") } })
    ),
    Effect.provideService(JobEvents, {
      emit: (event) =>
        Effect.sync(() => {
          if (event._tag !== "StepOutput") return
          for (const line of lines.push(event.bytes)) {
            if (line !== `line ${next++} of the output`) throw new Error(`line ${next - 1} is: ${line}`)
          }
        })
    }),
    Effect.provide([LocalBackend.layer({ stateDirectory: join(directory, "state") }), NodeFileSystem.layer])
  )
)
const wall = performance.now() - before
rmSync(directory, { recursive: true, force: true })
if (result.conclusion !== "success") throw new Error(`it did not succeed: ${result.conclusion}`)
if (what === "lines" && next !== Number(count) + 1) throw new Error(`${next - 1} lines came`)
process.stdout.write(JSON.stringify({ wall, peak: process.resourceUsage().maxRSS * 1024 }))
