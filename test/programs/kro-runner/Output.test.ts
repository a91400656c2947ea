import { assert, describe, it } from "@effect/vitest"
import { Redacted, Schema } from "effect"
import * as Output from "../../../src/programs/kro-runner/Output.ts"

describe("redaction", () => {
  const secret = Buffer.from(JSON.stringify({ ".runner": "abc", ".credentials": 'd"e' })).toString("base64")
  const redact = Output.redactorOf(Redacted.make(secret))

  it("hides the configuration, however it is encoded", () => {
    for (const form of [secret, Buffer.from(secret).toString("base64"), Buffer.from(secret, "base64").toString()]) {
      assert.strictEqual(redact(`a ${form} b`), "a *** b")
      assert.strictEqual(redact(JSON.stringify({ form })), '{"form":"***"}')
    }
  })

  it("leaves the rest alone", () => {
    assert.strictEqual(redact("nothing here"), "nothing here")
    assert.strictEqual(Output.redactorOf(undefined)("as it is"), "as it is")
  })

  it.prop("never lets it through", [Schema.NonEmptyString, Schema.String, Schema.String], ([jit, before, after]) => {
    const secret = `secret-${jit}`
    assert.notInclude(Output.redactorOf(Redacted.make(secret))(`${before}${secret}${after}`), secret)
  })
})
