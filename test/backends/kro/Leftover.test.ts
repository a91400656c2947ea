import { assert, describe, it } from "@effect/vitest"
import type { ChildView } from "jobscope/backends/kro/ChildView"
import * as Leftover from "jobscope/backends/kro/Leftover"
import { instance, progressing } from "./support.ts"

const us: Leftover.Claimant = { environment: "r", owner: "me", provision: "now", once: "jit", ownerUid: "pod2" }
const { once: _, ...reusable } = us

const ours = { labels: { "jobscope.dev/environment": "r" } }
const marks = (once: string, more: object = {}) => ({
  ...ours,
  annotations: { "jobscope.dev/owner": "me", "jobscope.dev/provision": "then", "jobscope.dev/once": once },
  ownerReferences: [{ apiVersion: "v1", kind: "Pod", name: "r", uid: "pod1" }],
  ...more
})
const deleting = { deletionTimestamp: "2026-01-01T00:00:00Z" }
const ended: ChildView = { _tag: "Ended", completion: { exitCode: 0, evidence: "observed" }, detail: "done" }
const running: ChildView = { _tag: "Running" }

describe("Leftover", () => {
  it.each<[string, object, Leftover.Claimant, ChildView | undefined, Partial<Leftover.Decision>]>([
    ["not ours", {}, us, undefined, { _tag: "Refuse" }],
    ["another environment's", { labels: { "jobscope.dev/environment": "x" } }, us, undefined, { _tag: "Refuse" }],
    ["kro-actions-runner's", { labels: { "kro.run/runner-name": "r" } }, us, running, { _tag: "Replace" }],
    [
      "our own, the answer was lost",
      { ...ours, annotations: { "jobscope.dev/provision": "now" } },
      us,
      undefined,
      { _tag: "Adopt", reown: false }
    ],
    [
      "the same JIT, our pod",
      marks("jit", { ownerReferences: [{ uid: "pod2" }] }),
      us,
      running,
      { _tag: "Adopt", reown: false }
    ],
    ["the same JIT, a pod that is gone", marks("jit"), us, running, { _tag: "Adopt", reown: true }],
    ["the same JIT, and its work has ended", marks("jit"), us, ended, { _tag: "Adopt", reown: true }],
    [
      "the same JIT, its work has ended, and it is being deleted",
      marks("jit", deleting),
      us,
      ended,
      { _tag: "Finished" }
    ],
    ["the same JIT, being deleted", marks("jit", deleting), us, running, { _tag: "Await" }],
    ["another JIT", marks("old"), us, running, { _tag: "Replace" }],
    ["another JIT, its work has ended, and it is being deleted", marks("old", deleting), us, ended, { _tag: "Await" }],
    ["nothing is used up, the same owner's", marks("old"), reusable, running, { _tag: "Replace" }],
    [
      "nothing is used up, another owner's",
      { ...ours, annotations: { "jobscope.dev/owner": "you" } },
      reusable,
      running,
      { _tag: "Refuse" }
    ]
  ])("%s", (_, metadata, claimant, work, expected) => {
    assert.deepInclude(Leftover.decide(instance(progressing, metadata), claimant, work), expected)
  })
})
