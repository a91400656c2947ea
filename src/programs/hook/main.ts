/**
 * `hook/index.js`: a container hook for the GitHub Actions runner, which calls it for each job and step.
 *
 * It runs on the runner's own Node 20.
 */
import * as Process from "node:process"
import * as Effect from "effect/Effect"
import * as Forwarder from "./internal/Forwarder.ts"
import { runMain } from "./internal/HookMain.ts"
import * as HookProgram from "./internal/HookProgram.ts"

/** Until its end: the runner closes it. */
const stdin = Effect.callback<string>((resume) => {
  const chunks: Array<Buffer> = []
  process.stdin.on("data", (chunk: Buffer) => chunks.push(chunk))
  process.stdin.on("error", () => resume(Effect.succeed("")))
  process.stdin.on("end", () => resume(Effect.sync(() => Buffer.concat(chunks).toString())))
})

const host = { arch: process.arch, program: process.argv[1] ?? "" }

const forward = Forwarder.work(process.argv)
if (forward !== undefined) forward()
else runMain((hook) => HookProgram.run(stdin, Process.env, host, hook))
