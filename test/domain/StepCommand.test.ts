import { assert, describe, it } from "@effect/vitest"
import * as EnvVars from "../../src/domain/EnvVars.ts"
import { JobSpec } from "../../src/domain/Job.ts"
import { ContainerStep, ScriptStep, StepFile } from "../../src/domain/Step.ts"
import * as StepCommand from "../../src/domain/StepCommand.ts"

const script = (fields: Partial<ConstructorParameters<typeof ScriptStep>[0]> = {}) =>
  new ScriptStep({ script: "make", ...fields })
const spec = (fields: Partial<ConstructorParameters<typeof JobSpec>[0]> = {}) => new JobSpec({ name: "a", ...fields })

describe("commandLine", () => {
  it.each([
    { shell: "sh -e {0}", path: "/s/1", line: "sh -e /s/1" },
    { shell: "bash", path: "/s/1", line: "bash /s/1" },
    { shell: "env A={0} sh {0}", path: "/s/1", line: "env A=/s/1 sh /s/1" },
    { shell: "sh {0} --fast", path: "/s/1", line: "sh /s/1 --fast" },
    { shell: "sh {0}", path: "/a b/it's $&", line: String.raw`sh '/a b/it'\''s $&'` }
  ])("$shell, $path", ({ line, path, shell }) => {
    assert.strictEqual(StepCommand.commandLine(script({ shell }), path), line)
  })

  it("without a shell it is sh, that stops at the first failure", () => {
    assert.strictEqual(StepCommand.commandLine(script(), "/s/1"), "sh -e /s/1")
  })
})

describe("variables", () => {
  const base = { PATH: "/bin", HOME: "/root", A: "base" }
  const at = (name: string) => `/files/${name}`

  it("the step's are stronger than the job's, and these than the base", () => {
    const job = spec({ env: EnvVars.fromRecord({ A: "job", B: "job" }) })
    const step = script({ env: EnvVars.fromRecord({ B: "step" }) })
    assert.deepStrictEqual(StepCommand.variables(job, step, base, at), { ...base, A: "job", B: "step" })
  })

  it("name the step's files, where they have a variable", () => {
    const files = [new StepFile({ name: "one", variable: "ONE" }), new StepFile({ name: "two" })]
    const step = script({ files, env: EnvVars.fromRecord({ ONE: "mine" }) })
    assert.strictEqual(StepCommand.variables(spec(), step, {}, at).ONE, "/files/one")
    const container = new ContainerStep({ image: "app:1", files })
    assert.deepStrictEqual(StepCommand.variables(spec(), container, {}, at), { ONE: "/files/one" })
  })

  it("prependPath comes before the PATH that results, first one first", () => {
    const pathOf = (step: ScriptStep, from: Readonly<Record<string, string>>) =>
      StepCommand.variables(spec(), step, from, at).PATH
    const prependPath = ["/x", "/y"]
    assert.strictEqual(pathOf(script({ prependPath }), base), "/x:/y:/bin")
    assert.strictEqual(pathOf(script({ prependPath, env: EnvVars.fromRecord({ PATH: "/own" }) }), base), "/x:/y:/own")
    // An empty entry would be the working directory.
    assert.strictEqual(pathOf(script({ prependPath }), {}), "/x:/y")
    assert.strictEqual(pathOf(script({ prependPath }), { PATH: "" }), "/x:/y")
    assert.isUndefined(pathOf(script(), {}))
  })

  it("__proto__ is a name like any other", () => {
    const env = EnvVars.fromRecord(JSON.parse('{ "__proto__": "1" }'))
    const variables = StepCommand.variables(spec({ env }), script(), {}, at)
    assert.deepStrictEqual(Object.entries(variables), [["__proto__", "1"]])
  })
})

describe("workingDirectory", () => {
  it.each([
    { expected: "/w" },
    { job: "sub", expected: "/w/sub" },
    { job: "/abs", expected: "/abs" },
    { step: "sub", expected: "/w/sub" },
    { step: "/abs", expected: "/abs" },
    { job: "/abs", step: "/other", expected: "/other" }
  ])("job $job, step $step: $expected", ({ expected, job, step }) => {
    const directory = StepCommand.workingDirectory(
      spec(job === undefined ? {} : { workingDirectory: job }),
      script(step === undefined ? {} : { workingDirectory: step }),
      "/w"
    )
    assert.strictEqual(directory, expected)
  })
})
