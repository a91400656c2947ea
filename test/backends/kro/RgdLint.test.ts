import { assert, describe, it } from "@effect/vitest"
import * as RgdLint from "jobscope/backends/kro/RgdLint"
import { cel, podNode, rgd } from "./support.ts"

const schema = { spec: { runnerName: "string | required=true" }, status: {} }
const found = (definition: Parameters<typeof RgdLint.lint>[0], options?: RgdLint.Options) =>
  RgdLint.lint(definition, options).map(({ message, severity, where }) => `${severity} ${where}: ${message}`)
const withNodes = (...resources: ReadonlyArray<object>) => rgd({ schema, resources: resources as never })

describe("RgdLint", () => {
  it("finds nothing in a good one", () => {
    assert.deepStrictEqual(found(withNodes(podNode())), [])
  })

  it.each<[string, Parameters<typeof RgdLint.lint>[0], RegExp, RgdLint.Options?]>([
    [
      "no work",
      withNodes({ id: "config", template: { apiVersion: "v1", kind: "ConfigMap" } }),
      /^warning metadata.annotations: .*readiness alone/
    ],
    [
      "work that is none",
      rgd({ schema }, { annotations: { "jobscope.dev/work-node": "x" } }),
      /^error metadata.annotations: .*no resource of it/
    ],
    [
      "the state as result",
      rgd({ schema }, { annotations: { "jobscope.dev/result-field": "state" } }),
      /^error .*KRO's own/
    ],
    [
      "an undeclared result",
      rgd({ schema }, { annotations: { "jobscope.dev/result-field": "code" } }),
      /^error .*does not declare/
    ],
    [
      "ready while running",
      withNodes(podNode("runnerPod", { readyWhen: [cel("runnerPod.status.phase in ['Running', 'Succeeded']")] })),
      /^warning resources.runnerPod.readyWhen: .*still runs/
    ],
    [
      "a time to live",
      withNodes(podNode(), {
        id: "job",
        template: { apiVersion: "argoproj.io/v1alpha1", kind: "Workflow", spec: { ttlSecondsAfterFinished: 5 } }
      }),
      /^error resources.job: .*second time/
    ],
    [
      "a Job",
      withNodes(podNode(), { id: "job", template: { apiVersion: "batch/v1", kind: "Job" } }),
      /^warning resources.job: .*without its pods/
    ],
    [
      "an external secret",
      withNodes(podNode(), { id: "jit", externalRef: { apiVersion: "v1", kind: "Secret" } }),
      /^warning resources.jit: .*before 0.9.4/,
      { kroVersion: "v0.9.3" }
    ],
    [
      "an id",
      withNodes(podNode(), { id: "my-config", template: { apiVersion: "v1", kind: "ConfigMap" } }),
      /^error resources.my-config: .*lowerCamelCase/
    ],
    [
      "a long name",
      withNodes(podNode()),
      /^error resources.runnerPod.metadata.name: .*68 characters/,
      { runnerName: "r".repeat(64) }
    ],
    [
      "a secret in clear",
      withNodes(
        podNode(),
        { id: "jit", externalRef: { apiVersion: "v1", kind: "Secret" } },
        {
          id: "machine",
          template: { apiVersion: "x/v1", kind: "Machine", spec: { userData: cel("string(jit.data.jitToken)") } }
        }
      ),
      /^warning resources.machine: .*everybody/,
      { kroVersion: "v0.9.4" }
    ],
    [
      "restarts",
      withNodes(podNode("runnerPod", {}, { restartPolicy: "OnFailure" })),
      /^error resources.runnerPod.spec.restartPolicy/
    ],
    [
      "a long end",
      withNodes(podNode("runnerPod", {}, { terminationGracePeriodSeconds: 60 })),
      /^warning .*60 s to end, and the runner pod has 30 s/
    ],
    [
      "the old key, of ARC's Secret",
      withNodes(podNode("runnerPod", {}, { env: [{ key: ".jitconfig" }] })),
      /^error resources: .*only jitToken/
    ],
    [
      "the old key, of a Secret that is named",
      rgd({
        schema: { ...schema, spec: { jitConfigSecretName: "string" } },
        resources: [podNode("runnerPod", {}, { env: [{ key: ".jitconfig" }] })] as never
      }),
      /^warning schema.spec.jitConfigSecretName: .*Secret of its own/
    ]
  ])("finds %s", (_, definition, expected, options) => {
    const findings = found(definition, options)
    assert.lengthOf(findings, 1, findings.join("\n"))
    assert.match(findings[0]!, expected)
  })

  it("knows versions in which a mistake is none", () => {
    const external = withNodes(podNode(), { id: "jit", externalRef: { apiVersion: "v1", kind: "Secret" } })
    for (const [kroVersion, count] of [
      ["v0.9.4", 0],
      ["v0.10.0", 0],
      ["1.0.0", 0],
      ["v0.8.9", 1],
      [undefined, 1],
      ["devel", 1]
    ] as const) {
      assert.lengthOf(found(external, { kroVersion }), count, kroVersion)
    }
  })
})
