import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import * as Arguments from "../../../src/programs/kro-runner/Arguments.ts"

const parse = (...argv: ReadonlyArray<string>) => Arguments.parse(argv)
const flags = (...argv: ReadonlyArray<string>) => Object.fromEntries(Result.getOrThrow(parse(...argv)).flags)
const command = (...argv: ReadonlyArray<string>) => Result.getOrThrow(parse(...argv)).command

describe("Arguments", () => {
  it.each([
    [["--scale-set-name", "a"], { "scale-set-name": "a" }],
    [["--scale-set-name=a"], { "scale-set-name": "a" }],
    [["--scale-set-name="], { "scale-set-name": "" }],
    [["-s", "a"], { "scale-set-name": "a" }],
    [["-s=a"], { "scale-set-name": "a" }],
    [["-sa"], { "scale-set-name": "a" }],
    [["-r", "b", "-c", "jit=="], { "runner-name": "b", "actions-runner-input-jitconfig": "jit==" }],
    [["--actions-runner-input-jitconfig=a=b=="], { "actions-runner-input-jitconfig": "a=b==" }],
    [["-r", "a", "--runner-name=b"], { "runner-name": "b" }],
    [["extra", "-n", "ns", "more"], { namespace: "ns" }],
    [["--", "-x"], {}],
    [[], {}]
  ])("reads %j", (argv, expected) => {
    assert.deepStrictEqual(flags(...argv), expected)
  })

  it("knows its commands", () => {
    assert.strictEqual(command(), "run")
    assert.strictEqual(command("whatever"), "run")
    assert.strictEqual(command("check", "-s", "a"), "check")
    assert.strictEqual(command("-s", "a", "role"), "role")
    assert.strictEqual(command("--help", "check"), "help")
    assert.strictEqual(command("-h"), "help")
    assert.strictEqual(command("--version"), "version")
  })

  it("collects what is set", () => {
    assert.deepStrictEqual(Result.getOrThrow(parse("--set", "a=1", "--set=b=2=3")).set, ["a=1", "b=2=3"])
  })

  it.each([
    [["--nope=s3cret"], "unknown flag --nope"],
    [["-x"], "unknown flag -x"],
    [["-xs3cret"], "unknown flag -x"],
    [["-c"], "the flag --actions-runner-input-jitconfig needs a value"]
  ])("refuses %j, and shows no value", (argv, expected) => {
    const parsed = parse(...argv)
    assert.strictEqual(Result.isFailure(parsed) ? parsed.failure : "", expected)
  })

  it("names every flag in its help", () => {
    for (const flag of [
      "-s, --scale-set-name",
      "-r, --runner-name",
      "-c, --actions-runner-input-jitconfig",
      "--rgd",
      "--set"
    ]) {
      assert.include(Arguments.help, flag)
    }
  })

  it.prop("never throws", [Schema.Array(Schema.String)], ([argv]) => {
    Arguments.parse(argv)
  })
})
