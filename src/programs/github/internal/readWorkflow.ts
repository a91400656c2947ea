import type { JobSyntax, WorkflowSyntax } from "../WorkflowSyntax.ts"
import * as Availability from "./availability.ts"
import { isNothing, readEntries, readFields, readString, readVariables } from "./fields.ts"
import { readEvents } from "./readEvents.ts"
import { checkNeeds, readConcurrency, readDefaults, readJob } from "./readJob.ts"
import { checkReferences } from "./references.ts"
import { type Source, start } from "./source.ts"
import { readYaml } from "./yaml.ts"

const keys = ["name", "run-name", "on", "permissions", "env", "defaults", "concurrency", "jobs"]

/** The workflow of a text; what is wrong is reported, and then the result is only good for finding more of it. */
export const readWorkflow = (source: Source): WorkflowSyntax | undefined => {
  const root = readYaml(source)
  if (root === undefined) return undefined
  const fields = readFields(source, root, "A workflow", keys)
  if (fields === undefined) return undefined
  const on = fields.get("on")
  if (on === undefined)
    source.report("missing-key", start, "The workflow has no `on`", { hint: "For example `on: push`." })
  const jobs = fields.get("jobs")
  if (jobs === undefined || isNothing(jobs) || (jobs.kind === "mapping" && jobs.entries.length === 0)) {
    source.report("missing-key", fields.entry("jobs")?.keyRange ?? start, "The workflow has no jobs")
  }
  const entries = jobs === undefined || isNothing(jobs) ? [] : readEntries(source, jobs, "`jobs`")
  const read: ReadonlyArray<JobSyntax> = entries.flatMap((entry) => readJob(source, entry) ?? [])
  checkNeeds(
    source,
    read,
    entries.map(({ key }) => key)
  )
  const workflow: WorkflowSyntax = {
    file: source.file,
    range: fields.range,
    name: readString(source, fields.get("name"), "`name`", Availability.nowhere),
    runName: readString(source, fields.get("run-name"), "`run-name`", Availability.runName),
    on: on === undefined ? [] : readEvents(source, on),
    env: readVariables(source, fields.get("env"), "`env`", Availability.workflowEnv),
    defaults: readDefaults(source, fields.get("defaults"), Availability.nowhere),
    concurrency: readConcurrency(source, fields.get("concurrency"), Availability.concurrency),
    jobs: read
  }
  checkReferences(source, workflow)
  return workflow
}
