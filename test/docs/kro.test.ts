/** docs/kro.md: what it has of the code. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, it } from "@effect/vitest"
import * as Yaml from "effect/encoding/Yaml"
import * as KroCalls from "jobscope/backends/kro/KroCalls"
import * as KubeCalls from "jobscope/backends/kubernetes/KubeCalls"
import * as FakeRights from "../../src/testing/kubernetes/FakeRights.ts"

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

interface Rule {
  readonly apiGroups: ReadonlyArray<string>
  readonly resources: ReadonlyArray<string>
  readonly verbs: ReadonlyArray<string>
}

it("the examples for the hook have the rights of all that is called beside the chart's Role", () => {
  const read = (path: string) => readFileSync(join(import.meta.dirname, "../../examples", path), "utf8")
  const values = Yaml.parse(read("arc/kro.yaml")) as {
    readonly containerMode: { readonly kubernetesModeAdditionalRoleRules: ReadonlyArray<Rule> }
  }
  const cluster = Yaml.parse(read("kro/hook-rbac.yaml").split(/^---$/m)[0] ?? "") as {
    readonly rules: ReadonlyArray<Rule>
  }
  const given = [
    ...FakeRights.actionsRunnerController,
    ...[...values.containerMode.kubernetesModeAdditionalRoleRules, ...cluster.rules].flatMap(
      ({ apiGroups, resources, verbs }) =>
        apiGroups.flatMap((group) => resources.map((resource) => ({ group, resource, verbs })))
    )
  ]
  const calls = KroCalls.hostedCallsFor({ group: "kro.run", plural: "hookenvironments" })
  for (const call of [...KroCalls.clusterCalls, ...calls.filter(({ without }) => without === undefined)]) {
    assert.isTrue(
      given.some((rule) => FakeRights.covers(rule, call)),
      `${call.verb} ${call.resource}`
    )
  }
})
