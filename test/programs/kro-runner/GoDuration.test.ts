import { assert, describe, it } from "@effect/vitest"
import { Duration, Schema } from "effect"
import * as GoDuration from "../../../src/programs/kro-runner/GoDuration.ts"

const millis = (text: string) => {
  const parsed = GoDuration.parse(text)
  return parsed === undefined ? undefined : Duration.toMillis(parsed)
}

describe("GoDuration", () => {
  it.each([
    ["0", 0],
    ["0s", 0],
    ["+5s", 5000],
    ["90s", 90_000],
    ["10m", 600_000],
    ["1h30m", 5_400_000],
    ["1.5h", 5_400_000],
    [".5s", 500],
    ["5.s", 5000],
    ["300ms", 300],
    ["1h2m3s4ms", 3_723_004],
    ["2us", 0.002],
    ["2µs", 0.002],
    ["1m1m", 120_000],
    ["-5m", 0],
    ["", undefined],
    ["5", undefined],
    ["5 s", undefined],
    ["s", undefined],
    ["1d", undefined],
    ["five", undefined],
    [".s", undefined],
    ["1.2.3s", undefined],
    ["--5s", undefined]
  ])("reads %j as %j ms", (text, expected) => {
    assert.strictEqual(millis(text), expected)
  })

  it.each([
    [0, "0s"],
    [1.5, "1.5ms"],
    [1500, "1.5s"],
    [90_000, "1m30s"],
    [300_000, "5m0s"],
    [5_400_000, "1h30m0s"]
  ])("writes %j ms as %s", (millis, expected) => {
    assert.strictEqual(GoDuration.format(Duration.millis(millis)), expected)
  })

  it.prop("reads what it writes", [Schema.Int], ([n]) => {
    const written = Math.abs(n % 1e9)
    assert.strictEqual(millis(GoDuration.format(Duration.millis(written))), written)
  })

  it.prop("never throws", [Schema.String], ([text]) => {
    GoDuration.parse(text)
  })
})
