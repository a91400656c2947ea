import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import type { PodManifest } from "../../../src/backends/pod/PodOptions.ts"
import * as HookConfig from "../../../src/programs/hook/internal/HookConfig.ts"
import * as RunnerPod from "../../../src/programs/hook/internal/RunnerPod.ts"

const config = (env: Record<string, string> = {}) => {
  const read = HookConfig.read({
    ACTIONS_RUNNER_POD_NAME: "runner-abc",
    RUNNER_WORKSPACE: "/home/runner/_work/repo",
    ...env
  })
  return Result.isSuccess(read) ? read.success.config : assert.fail(read.failure)
}

type Volume = NonNullable<NonNullable<PodManifest["spec"]>["volumes"]>[number]
type Mount = NonNullable<NonNullable<PodManifest["spec"]>["containers"][number]["volumeMounts"]>[number]

const pod = (volume: Omit<Volume, "name">, mount: Partial<Mount> = {}): PodManifest => ({
  metadata: { name: "runner-abc", uid: "u-1" },
  spec: {
    nodeName: "node-1",
    volumes: [
      { name: "work", ...volume },
      { name: "hook", configMap: { name: "hook" } }
    ],
    containers: [
      { name: "other" },
      {
        name: "runner",
        volumeMounts: [
          { name: "hook", mountPath: "/home/runner/k8s" },
          { name: "work", mountPath: "/home/runner/_work", ...mount }
        ]
      }
    ]
  }
})

const claim = { persistentVolumeClaim: { claimName: "shared" } }
const look = (manifest: PodManifest | undefined, env: Record<string, string> = {}) =>
  RunnerPod.factsOf(manifest, config(env), { POD_NAME: "runner-abc" })
const facts = (manifest: PodManifest | undefined, env?: Record<string, string>) => look(manifest, env).facts

describe("how the work directory is shared", () => {
  it.each([
    [
      "an ephemeral claim, ARC's default",
      pod({ ephemeral: {} }),
      { claim: "runner-abc-work", root: "/home/runner/_work" }
    ],
    ["a claim", pod(claim), { claim: "shared", root: "/home/runner/_work" }],
    [
      "a directory of a claim",
      pod(claim, { subPath: "a/b" }),
      { claim: "shared", root: "/home/runner/_work", subPath: "a/b" }
    ],
    [
      "a directory that is called after the pod",
      pod(claim, { subPathExpr: "w/$(POD_NAME)/$(X)" }),
      { claim: "shared", root: "/home/runner/_work", subPath: "w/runner-abc/$(X)" }
    ],
    ["a claim further up", pod(claim, { mountPath: "/home/runner/" }), { claim: "shared", root: "/home/runner" }],
    ["a claim that holds everything", pod(claim, { mountPath: "/" }), { claim: "shared", root: "/" }]
  ] as ReadonlyArray<[string, PodManifest, object]>)("%s", (_, manifest, expected) => {
    assert.deepStrictEqual(facts(manifest).claim as object, { _tag: "Claim", ...expected })
  })

  it.each([
    ["nothing is mounted", { metadata: { name: "runner-abc" }, spec: { containers: [{ name: "runner" }] } }],
    ["an emptyDir", pod({ emptyDir: {} })],
    ["a claim for something else", pod(claim, { mountPath: "/home/runner/_workspace" })],
    ["there is no pod", undefined]
  ] as ReadonlyArray<[string, PodManifest | undefined]>)("not at all: %s", (_, manifest) => {
    const found = facts(manifest)
    assert.isUndefined(found.claim)
    assert.deepStrictEqual(found.placement, { _tag: "Anywhere" })
  })

  it("the innermost mount is what is there", () => {
    const both = pod(claim, { mountPath: "/home/runner" })
    const spec = both.spec
    const inner: PodManifest = {
      ...both,
      spec: {
        ...spec,
        volumes: [...(spec?.volumes ?? []), { name: "scratch", emptyDir: {} }],
        containers: [
          {
            name: "runner",
            volumeMounts: [
              { name: "scratch", mountPath: "/home/runner/_work" },
              { name: "work", mountPath: "/home/runner" }
            ]
          }
        ]
      }
    }
    assert.isUndefined(facts(inner).claim)
  })

  it("configuration decides before the pod does", () => {
    assert.isUndefined(facts(pod(claim), { JOBSCOPE_SHARING: "copy" }).claim)
    assert.strictEqual(facts(pod(claim), { ACTIONS_RUNNER_CLAIM_NAME: "mine" }).claim?.claim, "mine")
    const alone = facts(undefined, { ACTIONS_RUNNER_CLAIM_NAME: "mine" })
    assert.deepStrictEqual(alone.claim as object, { _tag: "Claim", claim: "mine", root: "/home/runner/_work" })
    assert.match(look(pod({ emptyDir: {} }), { JOBSCOPE_SHARING: "claim" }).warnings.join(), /is on no claim/)
  })
})

describe("where pods may run", () => {
  it.each([
    [{}, { _tag: "Near", node: "node-1", required: true }],
    [{ ACTIONS_RUNNER_HOOK_RWO: "true" }, { _tag: "Near", node: "node-1", required: true }],
    [{ ACTIONS_RUNNER_HOOK_RWO: "false" }, { _tag: "Near", node: "node-1", required: false }],
    [{ ACTIONS_RUNNER_USE_KUBE_SCHEDULER: "true" }, { _tag: "Near", node: "node-1", required: true }],
    [{ ACTIONS_RUNNER_USE_KUBE_SCHEDULER: "false" }, { _tag: "On", node: "node-1" }],
    [{ DISABLE_KUBE_SCHEDULER: "true" }, { _tag: "On", node: "node-1" }],
    [{ JOBSCOPE_SHARING: "copy", ACTIONS_RUNNER_HOOK_RWO: "true" }, { _tag: "Anywhere" }]
  ] as ReadonlyArray<[Record<string, string>, object]>)("%j: %j", (env, placement) => {
    assert.deepStrictEqual(facts(pod(claim), env).placement as object, placement)
  })
})

it("what is made belongs to the runner's pod, if there is one", () => {
  assert.deepStrictEqual(facts(pod(claim)).ownerReference as object, {
    apiVersion: "v1",
    kind: "Pod",
    name: "runner-abc",
    uid: "u-1"
  })
  assert.isUndefined(facts(undefined).ownerReference)
  assert.match(look(undefined).warnings.join(), /no pod runner-abc/)
})
