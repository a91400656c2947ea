import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as HookNames from "../../../src/programs/hook/internal/HookNames.ts"

const long = "r".repeat(80)

describe("HookNames", () => {
  it("are those of GitHub's hooks", () => {
    assert.strictEqual(HookNames.ownerLabel, "runner-pod")
    assert.strictEqual(HookNames.jobPod("runner-abc"), "runner-abc-workflow")
    assert.strictEqual(HookNames.jobPod(long), `${"r".repeat(54)}-workflow`)
    assert.strictEqual(HookNames.child("runner-abc", "step", "0123456789"), "runner-abc-step-01234567")
    assert.strictEqual(HookNames.child(long, "step", "0123456789").length, 63)
    assert.strictEqual(HookNames.child(long, "secret", "0123456789"), `${"r".repeat(47)}-secret-01234567`)
  })

  it.each([
    [["redis"], ["redis"]],
    [
      ["redis:7", "postgres:16"],
      ["redis", "postgres"]
    ],
    [
      ["ghcr.io/acme/Redis:7", "redis"],
      ["redis-0", "redis-1"]
    ],
    [["localhost:5000/redis@sha256:aaaa"], ["redis"]],
    [["redis:7@sha256:aaaa"], ["redis"]],
    [["a/my_image.v2:x"], ["my-image-v2"]],
    [["job"], ["job-0"]],
    [
      ["fs-init", "job"],
      ["fs-init-0", "job-0"]
    ],
    [
      ["redis", "redis", "redis-0"],
      ["redis-1", "redis-2", "redis-0"]
    ],
    [["___"], ["service"]],
    [
      ["", ""],
      ["service-0", "service-1"]
    ],
    [[`x/${"a".repeat(100)}`], ["a".repeat(63)]],
    [
      [`x/${"a".repeat(100)}`, `y/${"a".repeat(100)}`],
      [`${"a".repeat(59)}-0`, `${"a".repeat(59)}-1`]
    ]
  ] as ReadonlyArray<[ReadonlyArray<string>, ReadonlyArray<string>]>)("services of %j are %j", (images, names) => {
    assert.deepStrictEqual(HookNames.services(images), names)
  })

  it.effect.prop("services of any images have valid names, none twice", [Schema.Array(Schema.String)], ([images]) => {
    const all = HookNames.services([...images, ...images, "job"])
    assert.lengthOf(all, 2 * images.length + 1)
    assert.strictEqual(new Set([...all, "job", "fs-init"]).size, all.length + 2)
    for (const name of all) assert.match(name, /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/)
    return Effect.void
  })
})
