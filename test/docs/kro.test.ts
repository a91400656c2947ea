/** docs/kro.md: what it has of the code. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, it } from "@effect/vitest"
import * as KroCalls from "jobscope/backends/kro/KroCalls"
import * as KubeCalls from "jobscope/backends/kubernetes/KubeCalls"

it("docs/kro.md has the Roles for environments for steps", () => {
  const page = readFileSync(join(import.meta.dirname, "../../docs/kro.md"), "utf8")
  const name = "jobscope-environments"
  const calls = KroCalls.hostedCallsFor({ group: "kro.run", plural: "jobenvironments" })
  const roles = [
    KubeCalls.renderRole({ kind: "ClusterRole", name, calls: KroCalls.clusterCalls }),
    KubeCalls.renderRole({ name, calls })
  ]
  const [, shown] = /<!-- role -->\n([\s\S]*?)\n<!-- \/role -->/.exec(page) ?? []
  assert.strictEqual(shown, `\`\`\`yaml\n${roles.join("---\n")}\`\`\``, "paste the expected text")
})
