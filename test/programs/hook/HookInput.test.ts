import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as EnvVars from "../../../src/domain/EnvVars.ts"
import * as HookInput from "../../../src/programs/hook/internal/HookInput.ts"

const parse = (value: unknown) => HookInput.parse(`${JSON.stringify(value)}\n`)

const refusal = (stdin: string) => Effect.map(Effect.flip(HookInput.parse(stdin)), ({ message }) => message)

/** As a runner of today writes it, all that may be null being null. */
const container = {
  image: "node:22",
  dockerfile: null,
  entryPoint: null,
  entryPointArgs: [],
  workingDirectory: "/__w/r/r",
  createOptions: null,
  registry: null,
  environmentVariables: { HOME: "/github/home", EMPTY: null, TOKEN: "s3cret" },
  portMappings: [],
  systemMountVolumes: [
    { userProvidedValue: null, sourceVolumePath: "/home/runner/_work", targetVolumePath: "/__w", readOnly: false }
  ],
  userMountVolumes: [{ userProvidedValue: "/data", sourceVolumePath: null, targetVolumePath: "/data", readOnly: null }]
}

describe("HookInput", () => {
  it.effect("prepare_job", () =>
    Effect.gen(function* () {
      const input = yield* parse({
        command: "prepare_job",
        responseFile: "/r.json",
        state: null,
        args: { container, services: [{ image: "redis", registry: { username: null, password: "p", serverUrl: "" } }] },
        unknown: { a: 1 }
      })
      if (input.command !== "prepare_job") return assert.fail(input.command)
      assert.strictEqual(input.responseFile, "/r.json")
      assert.isNull(input.state)
      const read = input.args.container
      assert.strictEqual(read?.image, "node:22")
      assert.isFalse("createOptions" in (read ?? {}))
      assert.deepStrictEqual(EnvVars.reveal(read?.environmentVariables ?? {}), {
        HOME: "/github/home",
        EMPTY: "",
        TOKEN: "s3cret"
      })
      assert.deepStrictEqual(read?.userMountVolumes, [{ targetVolumePath: "/data", readOnly: false }])
      assert.deepStrictEqual(input.args.services[0]?.portMappings, [])
      assert.strictEqual(Redacted.value(input.args.services[0]!.registry!.password!), "p")
      assert.notInclude(JSON.stringify(input), "s3cret")
    })
  )

  it.effect("prepare_job without anything in it", () =>
    Effect.gen(function* () {
      for (const args of [null, {}, { container: null, services: null }]) {
        const input = yield* parse({ command: "prepare_job", args })
        assert.deepStrictEqual(input, {
          command: "prepare_job",
          responseFile: undefined,
          state: undefined,
          args: { services: [] }
        })
      }
    })
  )

  it.effect.each([
    ["a list", ["/b", "/a"], ["/b", "/a"]],
    ["one text, from runners up to 2.293", "/b:/a", ["/b", "/a"]],
    ["an empty text", "", []],
    ["null", null, []],
    ["a list with holes", ["/a", null, ""], ["/a"]]
  ] as ReadonlyArray<[string, unknown, ReadonlyArray<string>]>)(
    "run_script_step with prependPath as %s",
    ([, prependPath, expected]) =>
      Effect.gen(function* () {
        const input = yield* parse({
          command: "run_script_step",
          responseFile: null,
          state: { jobPod: "p", other: { deep: null } },
          args: {
            entryPoint: "bash",
            entryPointArgs: ["-e", "", "/x.sh"],
            environmentVariables: null,
            prependPath,
            workingDirectory: null
          }
        })
        if (input.command !== "run_script_step") return assert.fail(input.command)
        assert.deepStrictEqual(input.args, {
          entryPoint: "bash",
          entryPointArgs: ["-e", "", "/x.sh"],
          environmentVariables: {},
          prependPath: expected
        })
        assert.isUndefined(input.responseFile)
        assert.deepStrictEqual(input.state, { jobPod: "p", other: { deep: null } }, "the state is not ours to change")
      })
  )

  it.effect("run_container_step and cleanup_job", () =>
    Effect.gen(function* () {
      const step = yield* parse({
        command: "run_container_step",
        args: { ...container, image: null, dockerfile: "/D" }
      })
      assert.isTrue(step.command === "run_container_step" && step.args.dockerfile === "/D" && !("image" in step.args))
      assert.strictEqual((yield* parse({ command: "cleanup_job", args: null })).command, "cleanup_job")
      assert.strictEqual((yield* parse({ command: "cleanup_job" })).command, "cleanup_job")
    })
  )

  it.effect("the document may have a byte order mark and several lines", () =>
    Effect.gen(function* () {
      const input = yield* HookInput.parse('\uFEFF{\n"command":\n"cleanup_job"\n}\n\n')
      assert.strictEqual(input.command, "cleanup_job")
    })
  )

  it.effect.each([
    ["", /^stdin is not valid: nothing is there/],
    ["  \n", /nothing is there/],
    ["s3cret {", /^stdin is not valid: it is not JSON \(8 characters\)/],
    ['"s3cret"', /^stdin is not valid: expected object/],
    ["[]", /^stdin is not valid/],
    ['{"args":{}}', /^command is not valid: missing key/i],
    ['{"command":"reboot"}', /^command is not valid: "reboot" is not known here/],
    ['{"command":"run_script_step","args":{}}', /^args\.entryPoint is not valid/],
    ['{"command":"prepare_job","args":{"container":"s3cret"}}', /^args\.container is not valid: expected object/],
    [
      '{"command":"prepare_job","args":{"services":[{"environmentVariables":{"A":["s3cret"]}}]}}',
      /^args\.services\.0\.environmentVariables\.A is not valid: expected string/
    ],
    ['{"command":"prepare_job","args":{"services":{"a":"s3cret"}}}', /^args\.services is not valid: expected array/],
    [
      '{"command":"run_container_step","args":{"registry":{"password":{"a":"s3cret"}}}}',
      /^args\.registry\.password is not valid: expected string/
    ]
  ] as ReadonlyArray<[string, RegExp]>)("names what is wrong and shows no value: %s", ([stdin, expected]) =>
    Effect.gen(function* () {
      const message = yield* refusal(stdin)
      assert.match(message, expected)
      assert.notInclude(message, "s3cret")
    })
  )

  it.effect.prop("any JSON is read or refused", [Schema.Json], ([json]) =>
    Effect.gen(function* () {
      for (const args of [json, { container: json }, { environmentVariables: json, entryPoint: "x" }]) {
        for (const command of ["prepare_job", "run_script_step", "run_container_step", "cleanup_job"]) {
          yield* Effect.ignore(parse({ command, args, state: json }))
        }
      }
    })
  )
})
