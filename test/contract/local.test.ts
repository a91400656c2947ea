import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll } from "@effect/vitest"
import * as LocalBackend from "jobscope/backends/local/LocalBackend"
import { suite } from "./JobBackendContract.ts"

const stateDirectory = mkdtempSync(join(tmpdir(), "jobscope-contract-"))
afterAll(() => rmSync(stateDirectory, { recursive: true, force: true }))

const layer = LocalBackend.layer({ stateDirectory })

suite("local", layer, {
  secondProcess: layer,
  brokenJob: { services: [{ name: "broken", command: ["false"], ports: [{ container: 1 }] }] as never }
})
