import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { decode, encodeStdin, verdictOf } from "../../../src/backends/kubernetes/internal/execFrames.ts"
import { exited, frame, status } from "./support/FakeApi.ts"

describe("frames", () => {
  it.effect.prop("carry any bytes", [Schema.Uint8Array], ([bytes]) =>
    Effect.sync(() => {
      const decoded = decode(frame(2, bytes))
      if (bytes.length === 0) assert.strictEqual(decoded._tag, "Ignored")
      else assert.deepStrictEqual(decoded, { _tag: "Output", stream: "stderr", bytes: Buffer.from(bytes) })
    })
  )

  it.each([0, 1, 128 * 1024, 128 * 1024 + 1, 1_000_000])("of %i bytes of stdin are those bytes", (size) => {
    const bytes = Uint8Array.from({ length: size }, (_, index) => index % 251)
    for (const parts of [
      [bytes],
      [bytes.subarray(0, 7), new Uint8Array(0), bytes.subarray(7, 200_000), bytes.subarray(200_000)]
    ]) {
      const frames = [...encodeStdin(parts)]
      assert.isTrue(frames.every((each) => each[0] === 0 && each.length > 1))
      // No more of them than it takes.
      assert.strictEqual(frames.length, Math.ceil(size / (128 * 1024)))
      assert.isTrue(Buffer.concat(frames.map((each) => each.subarray(1))).equals(bytes))
    }
  })
})

describe("a status frame", () => {
  const verdict = (text: Buffer) => verdictOf(text.subarray(1).toString())
  it.each([0, 1, 3, 137, 255])("says the exit code %i", (code) => {
    assert.deepStrictEqual(verdict(exited(code)), { _tag: "Exited", code })
  })

  it.each(["", "{}", "null", '{"status":"Failure","reason":"NonZeroExitCode"}', "Success"])(
    "never means 0 by accident: %s",
    (text) => {
      assert.strictEqual(verdictOf(text)._tag, "Unreadable")
    }
  )

  it("that names no exit code, or an empty one, is unreadable", () => {
    const text = JSON.stringify(status(500, "NonZeroExitCode", "x", { causes: [{ reason: "ExitCode", message: "" }] }))
    assert.strictEqual(verdictOf(text)._tag, "Unreadable")
  })

  it("of another failure is kept", () => {
    assert.strictEqual(verdictOf(JSON.stringify(status(500, "InternalError", "x")))._tag, "Failed")
  })
})
