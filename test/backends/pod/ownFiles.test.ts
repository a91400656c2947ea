import { assert, it } from "@effect/vitest"
import { ownFiles } from "../../../src/backends/pod/internal/ownFiles.ts"
import { Mount } from "../../../src/domain/Container.ts"
import * as EnvVars from "../../../src/domain/EnvVars.ts"

const mounts = [
  new Mount({ source: "/home/runner/_work", target: "/__w" }),
  new Mount({ source: "/home/runner/_work/_temp", target: "/__w/_temp" }),
  new Mount({ source: "/home/runner/_work/_temp/_runner_file_commands", target: "/github/file_commands" }),
  new Mount({ source: "named-volume", target: "/volume" })
]
const perStep = ["/home/runner/_work/_temp/_runner_file_commands"]

const of = (env: Readonly<Record<string, string>>) => ownFiles(EnvVars.fromRecord(env), mounts, perStep)

it("a step's own files are those that its variables name, wherever its container has them", () => {
  const own = { directory: "/home/runner/_work/_temp/_runner_file_commands", name: "set_output_1" }
  const [inJob, inStep] = ["/__w/_temp/_runner_file_commands/set_output_1", "/github/file_commands/set_output_1"]
  assert.deepStrictEqual(of({ GITHUB_OUTPUT: inJob, HOME: "/github/home" }), [{ ...own, inPod: inJob }])
  assert.deepStrictEqual(of({ GITHUB_OUTPUT: inStep }), [{ ...own, inPod: inStep }])
})

it("neither other files nor paths that lead elsewhere are its own", () => {
  for (const path of [
    "",
    "/__w/_temp/_runner_file_commands",
    "/__w/_temp/_runner_file_commands/",
    "/__w/_temp/_runner_file_commands/..",
    "/__w/_temp/_runner_file_commands/directory/file",
    "/__w/_temp/_runner_file_commands/../../secret",
    "/__w/_temp/other",
    "/volume/file",
    "set_output_1"
  ]) {
    assert.deepStrictEqual(of({ PATH_OF: path }), [], path)
  }
})
