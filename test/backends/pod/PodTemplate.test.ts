import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { ContainerRole, PodManifest } from "../../../src/backends/pod/PodOptions.ts"
import * as PodTemplate from "../../../src/backends/pod/PodTemplate.ts"

const template = (yaml: string) => {
  const parsed = PodTemplate.parse(yaml)
  return Result.isSuccess(parsed) ? parsed.success : assert.fail(parsed.failure)
}

const jobPod: PodManifest = {
  metadata: { name: "runner-workflow", labels: { "runner-pod": "runner", "jobscope.dev/owner": "runner" } },
  spec: {
    restartPolicy: "Never",
    automountServiceAccountToken: false,
    securityContext: { fsGroup: 1001 },
    imagePullSecrets: [{ name: "registry" }],
    hostAliases: [{ ip: "127.0.0.1", hostnames: ["redis"] }],
    initContainers: [{ name: "fs-init", image: "runner", resources: {} }],
    volumes: [{ name: "work", emptyDir: {} }],
    containers: [
      {
        name: "job",
        image: "node:22",
        command: ["sh", "supervisor"],
        env: [{ name: "CI", value: "true" }],
        volumeMounts: [{ name: "work", mountPath: "/__w" }],
        ports: [{ containerPort: 80 }]
      },
      { name: "redis", image: "redis:7", volumeMounts: [{ name: "work", mountPath: "/__w" }] }
    ]
  }
}
const jobRoles = new Map<string, ContainerRole>([
  ["job", "job"],
  ["redis", "service"]
])

const stepPod: PodManifest = {
  metadata: { name: "runner-step", labels: { "runner-pod": "runner" } },
  spec: {
    containers: [
      { name: "step", image: "tool:1", command: ["/tool"], args: ["x"], envFrom: [{ secretRef: { name: "env" } }] },
      { name: "files", image: "node:22", command: ["sh"] }
    ]
  }
}
const stepRoles = new Map<string, ContainerRole>([["step", "step"]])

const applied = (yaml: string, options?: PodTemplate.Options) =>
  PodTemplate.apply(template(yaml), jobPod, jobRoles, options)
const toStep = (yaml: string, options?: PodTemplate.Options) =>
  PodTemplate.apply(template(yaml), stepPod, stepRoles, options)

const containerOf = (pod: PodManifest, name: string) => {
  const container = pod.spec?.containers.find((one) => one.name === name)
  return container ?? assert.fail(`no container ${name}`)
}

describe("reading a template", () => {
  it.each([
    ["a text", "hello"],
    ["nothing", ""],
    ["a list", "- a"],
    ["no YAML", "a: [1, 2"],
    ["a container without a name", "spec:\n  containers:\n    - image: x"],
    ["containers that are no list", "spec:\n  containers:\n    name: x"],
    ["labels that are no texts", "metadata:\n  labels:\n    a: [1]"]
  ])("refuses %s", (_, yaml) => {
    assert.isTrue(Result.isFailure(PodTemplate.parse(yaml)))
  })

  it("takes empty parts, other metadata, comments and a document's start", () => {
    assert.isTrue(Result.isSuccess(PodTemplate.parse("---\n# ours\nmetadata:\n  name: x\nspec:\n  containers:\n")))
    assert.isTrue(Result.isSuccess(PodTemplate.parse("spec: {}")))
  })
})

describe("metadata", () => {
  it("labels and annotations are added, and win", () => {
    const { pod, warnings } = PodTemplate.apply(
      template("metadata:\n  name: other\n  labels: { team: build, a: '2' }\n  annotations: { note: hi }"),
      { ...jobPod, metadata: { ...jobPod.metadata, labels: { ...jobPod.metadata?.labels, a: "1" } } },
      jobRoles
    )
    assert.deepStrictEqual(pod.metadata, {
      name: "runner-workflow",
      labels: { "runner-pod": "runner", "jobscope.dev/owner": "runner", team: "build", a: "2" },
      annotations: { note: "hi" }
    })
    assert.deepStrictEqual(warnings, ["The label a is overwritten by the pod template."])
  })

  it.each([true, false])("the labels by which a pod is found again stay (strict: %s)", (strict) => {
    const { pod, warnings } = applied("metadata:\n  labels: { runner-pod: mine, jobscope.dev/owner: me }", { strict })
    assert.deepStrictEqual(pod.metadata?.labels, jobPod.metadata?.labels)
    assert.lengthOf(warnings, 2)
  })
})

describe("containers", () => {
  it("$job is laid over the job's container only", () => {
    const { pod, warnings } = applied(`
spec:
  containers:
    - name: $job
      env: [{ name: CI, value: maybe }, { name: EXTRA, value: x }]
      volumeMounts: [{ name: cache, mountPath: /cache }]
      ports: [{ containerPort: 80, name: http }]
      workingDir: /srv
      securityContext: { privileged: true }
`)
    const job = containerOf(pod, "job")
    assert.deepStrictEqual(job.env, [
      { name: "CI", value: "maybe" },
      { name: "EXTRA", value: "x" }
    ])
    assert.deepStrictEqual(job.volumeMounts, [
      { name: "work", mountPath: "/__w" },
      { name: "cache", mountPath: "/cache" }
    ])
    assert.deepStrictEqual(job.ports, [{ containerPort: 80, name: "http" }])
    assert.strictEqual(job.workingDir, "/srv")
    assert.deepStrictEqual(job.securityContext, { privileged: true })
    assert.deepStrictEqual(containerOf(pod, "redis"), jobPod.spec?.containers[1])
    assert.deepStrictEqual(warnings, [])
  })

  it("its image is the job's", () => {
    const { pod, warnings } = applied(
      "spec:\n  containers:\n    - name: $job\n      image: other\n      command: [sleep]"
    )
    assert.strictEqual(containerOf(pod, "job").image, "node:22")
    assert.deepStrictEqual(containerOf(pod, "job").command, ["sleep"])
    assert.match(warnings.join(), /image .* \$job is ignored/)
  })

  it("$redis is laid over the service of that name", () => {
    const { pod } = applied("spec:\n  containers:\n    - name: $redis\n      args: [--port, '1']")
    assert.deepStrictEqual(containerOf(pod, "redis").args, ["--port", "1"])
    assert.isUndefined(containerOf(pod, "job").args)
  })

  it("of several services of one image, $redis is each without an overlay of its own; strictly it is none", () => {
    const two: PodManifest = {
      spec: {
        containers: ["job", "redis-0", "redis-1"].map((name) => ({ name, image: "x" }))
      }
    }
    const roles = new Map<string, ContainerRole>([
      ["job", "job"],
      ["redis-0", "service"],
      ["redis-1", "service"]
    ])
    const both = template(
      "spec:\n  containers:\n    - { name: $redis, args: [a] }\n    - { name: $redis-1, args: [b] }"
    )
    const args = (strict: boolean) =>
      PodTemplate.apply(both, two, roles, { strict }).pod.spec?.containers.map((container) => container.args)
    assert.deepStrictEqual(args(false), [undefined, ["a"], ["b"]])
    assert.deepStrictEqual(args(true), [undefined, undefined, ["b"]])
  })

  it("an overlay that fits nothing is told; others are side-cars", () => {
    const { pod, warnings } = applied(
      "spec:\n  containers:\n    - name: $mysql\n      args: [x]\n    - name: proxy\n      image: proxy:1"
    )
    assert.deepStrictEqual(
      pod.spec?.containers.map(({ name }) => name),
      ["job", "redis", "proxy"]
    )
    assert.deepStrictEqual(warnings, ["The pod template's container $mysql fits no container of this job."])
  })

  it("a container of our own is not a service, even if it is called like one", () => {
    const { pod } = toStep("spec:\n  containers:\n    - name: $files\n      args: [x]")
    assert.isUndefined(containerOf(pod, "files").args)
  })

  it("in a step's pod $job is the step, whose command and variables stay", () => {
    const yaml = `
spec:
  containers:
    - name: $job
      command: [sleep]
      args: [inf]
      envFrom: [{ configMapRef: { name: more } }]
      resources: { limits: { cpu: "1" } }
    - name: $redis
      args: [x]
`
    const { pod, warnings } = toStep(yaml)
    assert.deepStrictEqual(containerOf(pod, "step"), {
      name: "step",
      image: "tool:1",
      command: ["/tool"],
      args: ["x"],
      envFrom: [{ secretRef: { name: "env" } }, { configMapRef: { name: "more" } }],
      resources: { limits: { cpu: "1" }, requests: {} }
    })
    assert.deepStrictEqual(warnings, [])
    assert.deepStrictEqual(containerOf(toStep(yaml, { strict: true }).pod, "step").command, ["sleep"])
  })

  it("never changes what it was given (the official hook's mounts leak into services)", () => {
    const before = structuredClone(jobPod)
    const yaml =
      "spec:\n  containers:\n    - { name: $job, volumeMounts: [{ name: c, mountPath: /c }], env: [{ name: A, value: b }] }"
    const first = applied(yaml).pod
    assert.deepStrictEqual(jobPod, before)
    assert.deepStrictEqual(applied(yaml).pod, first)
    assert.lengthOf(containerOf(first, "redis").volumeMounts ?? [], 1)
  })

  it("what a job asks of resources counts before the template's", () => {
    const pod: PodManifest = {
      spec: { containers: [{ name: "job", image: "x", resources: { limits: { memory: "2Gi" }, requests: {} } }] }
    }
    const overlay = template(
      "spec:\n  containers:\n    - name: $job\n      resources: { limits: { cpu: '4', memory: 8Gi }, requests: { cpu: '1', memory: 8Gi } }"
    )
    const resources = (strict: boolean) =>
      containerOf(PodTemplate.apply(overlay, pod, new Map([["job", "job"]]), { strict }).pod, "job").resources
    assert.deepStrictEqual(resources(false), { limits: { cpu: "4", memory: "2Gi" }, requests: { cpu: "1" } })
    assert.deepStrictEqual(resources(true), {
      limits: { cpu: "4", memory: "8Gi" },
      requests: { cpu: "1", memory: "8Gi" }
    })
  })
})

describe("the pod", () => {
  it("volumes are added, and one of a known name replaces it", () => {
    const { pod } = applied(
      "spec:\n  volumes:\n    - { name: cache, emptyDir: {} }\n    - { name: work, hostPath: { path: /w } }"
    )
    assert.deepStrictEqual(pod.spec?.volumes, [
      { name: "cache", emptyDir: {} },
      { name: "work", hostPath: { path: "/w" } }
    ])
  })

  it("fields that the pod has not are taken as they are", () => {
    const { pod } = applied("spec:\n  runtimeClassName: gvisor\n  priorityClassName: low\n  serviceAccountName: ci")
    assert.strictEqual(pod.spec?.runtimeClassName, "gvisor")
    assert.strictEqual(pod.spec?.priorityClassName, "low")
    assert.strictEqual(pod.spec?.serviceAccountName, "ci")
    assert.isFalse("automountServiceAccountToken" in (pod.spec ?? {}), "an account that is named is meant to be used")
    const without = applied("spec:\n  serviceAccountName: ci\n  automountServiceAccountToken: false").pod
    assert.isFalse(without.spec?.automountServiceAccountToken)
  })

  it("what the pod needs is kept beside what the template wants", () => {
    const { pod, warnings } = applied(`
spec:
  restartPolicy: Always
  securityContext: { runAsNonRoot: true }
  imagePullSecrets: [{ name: mine }, { name: registry }]
  tolerations: [{ key: ci, operator: Exists }]
  hostAliases: [{ ip: 10.0.0.1, hostnames: [git] }]
  initContainers:
    - { name: warm, image: busybox }
    - { name: $fs-init, image: other, resources: { limits: { cpu: 100m } } }
`)
    const spec = pod.spec
    assert.strictEqual(spec?.restartPolicy, "Never")
    assert.deepStrictEqual(spec?.securityContext, { fsGroup: 1001, runAsNonRoot: true })
    assert.deepStrictEqual(spec?.imagePullSecrets, [{ name: "mine" }, { name: "registry" }])
    assert.deepStrictEqual(spec?.tolerations, [{ key: "ci", operator: "Exists" }])
    assert.deepStrictEqual(
      spec?.hostAliases?.map(({ hostnames }) => hostnames),
      [["redis"], ["git"]]
    )
    assert.deepStrictEqual(spec?.initContainers, [
      { name: "fs-init", image: "runner", resources: { limits: { cpu: "100m" }, requests: {} } },
      { name: "warm", image: "busybox" }
    ])
    assert.lengthOf(warnings, 2)
    assert.match(warnings.join(), /restartPolicy: Always/)
  })

  it("strictly, the template's replaces it, as in GitHub's own hooks", () => {
    const { pod } = applied(
      `
spec:
  restartPolicy: OnFailure
  securityContext: { runAsNonRoot: true }
  imagePullSecrets: [{ name: mine }]
  initContainers: [{ name: warm, image: busybox }]
  containers:
    - { name: $job, env: [{ name: CI, value: "no" }] }
`,
      { strict: true }
    )
    const spec = pod.spec
    assert.strictEqual(spec?.restartPolicy, "OnFailure")
    assert.deepStrictEqual(spec?.securityContext, { runAsNonRoot: true })
    assert.deepStrictEqual(spec?.imagePullSecrets, [{ name: "mine" }])
    assert.deepStrictEqual(spec?.initContainers, [{ name: "warm", image: "busybox" }])
    assert.deepStrictEqual(containerOf(pod, "job").env, [
      { name: "CI", value: "true" },
      { name: "CI", value: "no" }
    ])
  })

  it("a node must fit both affinities, each alternative of one with each of the other", () => {
    const required = (...keys: ReadonlyArray<string>) => ({
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: keys.map((key) => ({ matchExpressions: [{ key, operator: "Exists" }] }))
      }
    })
    const base: PodManifest = {
      spec: { containers: [], affinity: { nodeAffinity: required("host") } }
    }
    const overlay = {
      spec: {
        affinity: {
          nodeAffinity: {
            ...required("a", "b"),
            preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 1, preference: {} }]
          },
          podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: "zone" }] }
        }
      }
    }
    const { pod } = PodTemplate.apply(overlay, base, new Map())
    const expression = (key: string) => ({ key, operator: "Exists" })
    assert.deepStrictEqual(pod.spec?.affinity, {
      nodeAffinity: {
        preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 1, preference: {} }],
        requiredDuringSchedulingIgnoredDuringExecution: {
          nodeSelectorTerms: [
            { matchExpressions: [expression("host"), expression("a")] },
            { matchExpressions: [expression("host"), expression("b")] }
          ]
        }
      },
      podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: "zone" }] }
    })
  })

  it.effect.prop(
    "an empty template changes nothing, any template keeps what identifies the pod",
    [PodTemplate.PodTemplate],
    ([any]) => {
      const empty = PodTemplate.apply({}, jobPod, jobRoles).pod
      assert.deepStrictEqual(empty, { ...jobPod, metadata: { ...jobPod.metadata, annotations: {} } })
      const { pod } = PodTemplate.apply(any, jobPod, jobRoles)
      assert.strictEqual(pod.metadata?.name, jobPod.metadata?.name)
      assert.strictEqual(pod.metadata?.labels?.["runner-pod"], "runner")
      assert.deepStrictEqual(
        pod.spec?.containers.slice(0, 2).map(({ name }) => name),
        ["job", "redis"]
      )
      return Effect.void
    }
  )

  it("is decoded from JSON too", () => {
    assert.isTrue(Result.isSuccess(Schema.decodeResult(PodTemplate.PodTemplate)({ metadata: null, spec: null })))
  })
})
