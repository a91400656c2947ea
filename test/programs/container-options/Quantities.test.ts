import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Quantities from "../../../src/programs/container-options/Quantities.ts"

describe("Quantities", () => {
  it.each([
    ["512m", "512Mi"],
    ["512M", "512Mi"],
    ["512mb", "512Mi"],
    ["512 MiB", "512Mi"],
    ["1.5g", "1536Mi"],
    ["2G", "2Gi"],
    ["1t", "1Ti"],
    ["64k", "64Ki"],
    ["1048576", "1048576"],
    ["100b", "100"],
    ["0.3k", "307"],
    ["", undefined],
    ["lots", undefined],
    ["-1", undefined],
    ["1x", undefined],
    ["1.2.3g", undefined]
  ])("bytes: %s is %s", (text, quantity) => {
    assert.strictEqual(Quantities.ofBytes(text), quantity)
  })

  it.each([
    ["1", "1"],
    ["2.0", "2"],
    ["1.5", "1500m"],
    [".5", "500m"],
    ["0.001", "1m"],
    ["0.0001", undefined],
    ["0", undefined],
    ["all", undefined],
    ["1e3", undefined]
  ])("cpus: %s is %s", (text, quantity) => {
    assert.strictEqual(Quantities.ofCpus(text), quantity)
  })

  it.each([
    ["10s", 10_000],
    ["1m30s", 90_000],
    ["500ms", 500],
    ["1.5h", 5_400_000],
    ["0", 0],
    ["0s", 0],
    ["10", undefined],
    ["", undefined],
    ["ten", undefined],
    ["1d", undefined]
  ])("durations: %s is %s ms", (text, millis) => {
    const duration = Quantities.ofDuration(text)
    assert.strictEqual(duration === undefined ? undefined : Duration.toMillis(duration), millis)
  })
})
