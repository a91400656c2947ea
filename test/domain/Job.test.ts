import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { HealthCheck, Port } from "../../src/domain/Container.ts"
import * as EnvVars from "../../src/domain/EnvVars.ts"
import { identifiedSteps, Job, JobContainer, JobSpec, JobStep, Service } from "../../src/domain/Job.ts"
import { ContainerStep, ScriptStep, StepFile } from "../../src/domain/Step.ts"

const decode = Schema.decodeUnknownSync(Job)

describe("a job from JSON", () => {
  it("needs little; the rest has the defaults that code has too", () => {
    const job = decode({ name: "build", steps: [{ run: { _tag: "ScriptStep", script: "make" } }] })
    assert.deepStrictEqual(
      job,
      new Job({ name: "build", steps: [new JobStep({ run: new ScriptStep({ script: "make" }) })] })
    )
    const { retry, timeouts } = job
    assert.deepStrictEqual(
      [timeouts.provision, timeouts.total, timeouts.stopGrace, timeouts.conclude, timeouts.release].map(
        Duration.toSeconds
      ),
      [600, 6 * 3600, 5, 300, 60]
    )
    assert.isUndefined(timeouts.step)
    assert.deepStrictEqual([retry.attempts, Duration.toSeconds(retry.delay), retry.rerun], [3, 1, false])
    assert.deepStrictEqual([job.owner, job.services, job.env, job.volumes, job.labels], ["jobscope", [], {}, [], {}])
    assert.deepStrictEqual([job.steps[0]?.if, job.steps[0]?.continueOnError], ["success", false])
    assert.deepStrictEqual(job.steps[0]?.run, new ScriptStep({ script: "make", shell: "sh -e {0}" }))
  })

  it("takes durations as people write them", () => {
    const job = decode({
      name: "a",
      timeouts: { total: "90 minutes", step: "2 hours" },
      retry: { delay: "500 millis" },
      steps: []
    })
    assert.deepStrictEqual(
      [job.timeouts.total, job.timeouts.step!, job.retry.delay].map(Duration.toMillis),
      [5_400_000, 7_200_000, 500]
    )
  })

  it("keeps secrets out of sight, but has them", () => {
    const job = decode({
      name: "a",
      env: { TOKEN: "hunter2" },
      container: { image: "app:1", credentials: { username: "me", password: "hunter3" } },
      steps: []
    })
    assert.deepStrictEqual(EnvVars.reveal(job.env), { TOKEN: "hunter2" })
    assert.strictEqual(Redacted.value(job.container!.credentials!.password), "hunter3")
    assert.strictEqual(job.container!.credentials!.server, "")
  })

  const wrong: ReadonlyArray<{ readonly title: string; readonly job: unknown; readonly says: string }> = [
    { title: "no name", job: { steps: [] }, says: '["name"]' },
    { title: "an empty name", job: { name: "", steps: [] }, says: '["name"]' },
    { title: "no steps", job: { name: "a" }, says: '["steps"]' },
    { title: "a step of no kind", job: { name: "a", steps: [{ run: { script: "" } }] }, says: '["run"]' },
    {
      title: "an unknown condition",
      job: { name: "a", steps: [{ run: { _tag: "ScriptStep", script: "" }, if: "maybe" }] },
      says: '["if"]'
    },
    { title: "no attempts", job: { name: "a", retry: { attempts: 0 }, steps: [] }, says: '["attempts"]' },
    { title: "half an attempt", job: { name: "a", retry: { attempts: 1.5 }, steps: [] }, says: '["attempts"]' },
    { title: "a duration that is none", job: { name: "a", timeouts: { total: "soon" }, steps: [] }, says: '["total"]' },
    {
      title: "a port that is none",
      job: { name: "a", container: { image: "a", ports: [{ container: 0 }] }, steps: [] },
      says: '["container"]'
    },
    {
      title: "a port too high",
      job: { name: "a", container: { image: "a", ports: [{ container: 65536 }] }, steps: [] },
      says: '["container"]'
    },
    {
      title: "a step file with a directory",
      job: { name: "a", steps: [{ run: { _tag: "ScriptStep", script: "", files: [{ name: "../up" }] } }] },
      says: '["files"]'
    },
    { title: "a variable that is no text", job: { name: "a", env: { A: 1 }, steps: [] }, says: '["A"]' }
  ]
  it.each(wrong)("is refused with its place: $title", ({ job, says }) => {
    assert.throws(() => decode(job), says)
  })

  it("names of step files", () => {
    for (const name of ["a", "_a", "0", "A.b-c_d"]) assert.strictEqual(new StepFile({ name }).content, "")
    for (const name of ["", ".", "..", ".a", "-a", "a/b", "a\\b", "a b", "a\n"]) {
      assert.throws(() => new StepFile({ name }), Error, undefined, JSON.stringify(name))
    }
  })

  it("bounds of ports and health checks", () => {
    assert.deepStrictEqual(
      [new Port({ container: 1, host: 0 }).protocol, new Port({ container: 65535 }).host],
      ["tcp", undefined]
    )
    for (const fields of [{ container: 0 }, { container: 65536 }, { container: 80.5 }, { container: 80, host: -1 }]) {
      assert.throws(() => new Port(fields))
    }
    const check = new HealthCheck({ command: "true" })
    assert.deepStrictEqual(
      [check.interval, check.timeout, check.startPeriod].map(Duration.toSeconds).concat(check.retries),
      [1, 5, 0, 30]
    )
    assert.throws(() => new HealthCheck({ command: "true", retries: 0 }))
  })

  it("is a spec too", () => {
    assert.instanceOf(new Job({ name: "a", steps: [] }), JobSpec)
  })
})

describe("identifiedSteps", () => {
  const script = (script: string, fields: { readonly id?: string; readonly name?: string } = {}) =>
    new JobStep({ run: new ScriptStep({ script }), ...fields })
  const table: ReadonlyArray<{
    readonly title: string
    readonly steps: ReadonlyArray<JobStep>
    readonly expected: ReadonlyArray<readonly [string, string]>
  }> = [
    { title: "none", steps: [], expected: [] },
    {
      title: "by position",
      steps: [script("a"), script("b")],
      expected: [
        ["step-1", "a"],
        ["step-2", "b"]
      ]
    },
    {
      title: "positions count steps with ids too",
      steps: [script("a", { id: "x" }), script("b")],
      expected: [
        ["x", "a"],
        ["step-2", "b"]
      ]
    },
    { title: "given names", steps: [script("a", { name: "Build" })], expected: [["step-1", "Build"]] },
    {
      title: "the first line that says something",
      steps: [script("\n\n  set -e  \nmake")],
      expected: [["step-1", "set -e"]]
    },
    { title: "an empty script", steps: [script(" \n\t\n")], expected: [["step-1", "(empty script)"]] },
    { title: "a line of 60", steps: [script("x".repeat(60))], expected: [["step-1", "x".repeat(60)]] },
    {
      title: "a longer line is cut to 60",
      steps: [script("x".repeat(61))],
      expected: [["step-1", `${"x".repeat(59)}…`]]
    },
    { title: "CRLF", steps: [script("make\r\nmake test")], expected: [["step-1", "make"]] },
    {
      title: "a comment says nothing",
      steps: [script("#!/bin/bash\n# builds it\nmake"), script("# only a comment")],
      expected: [
        ["step-1", "make"],
        ["step-2", "(empty script)"]
      ]
    },
    {
      title: "a container step",
      steps: [
        new JobStep({ run: new ContainerStep({ image: "app:1" }) }),
        new JobStep({ run: new ContainerStep({ image: "app:1", entryPoint: ["sh"], args: ["-c", "make"] }) })
      ],
      expected: [
        ["step-1", "app:1"],
        ["step-2", "app:1 sh -c make"]
      ]
    }
  ]
  it.each(table)("$title", ({ expected, steps }) => {
    const identified = identifiedSteps(new Job({ name: "a", steps }))
    assert.deepStrictEqual(
      identified.map(({ id, name }) => [id, name]),
      expected.map(([id, name]) => [id, name])
    )
    assert.deepStrictEqual(
      identified.map(({ step }) => step),
      steps
    )
  })

  it("the command is whole, whatever the name is", () => {
    const line = "x".repeat(100)
    const [step] = identifiedSteps(new Job({ name: "a", steps: [script(`\n${line}\nmake`, { name: "Build" })] }))
    assert.deepStrictEqual([step?.name, step?.command], ["Build", line])
  })
})

describe("the schemas are apart", () => {
  it("a container, a service", () => {
    assert.deepStrictEqual({ ...new JobContainer({ image: "a" }) }, { image: "a", args: [], ports: [], mounts: [] })
    assert.deepStrictEqual(
      { ...new Service({ name: "db" }) },
      { name: "db", command: [], env: {}, ports: [], mounts: [] }
    )
  })
})
