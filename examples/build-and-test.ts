/**
 * A program that embeds jobscope: it builds and tests a project on this machine, in a copy of its directory, and shows what
 * happens.
 */
import * as Effect from "effect/Effect"
import * as LocalBackend from "jobscope/backends/local/LocalBackend"
import * as JobLifecycle from "jobscope/domain/JobLifecycle"
import * as JobMain from "jobscope/programs/console/JobMain"
import { job } from "./job.ts"

JobMain.runMain(JobLifecycle.run(job).pipe(Effect.provide(LocalBackend.layer())))
