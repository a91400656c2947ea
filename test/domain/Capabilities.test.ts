import { assert, describe, it } from "@effect/vitest"
import * as Capabilities from "../../src/domain/Capabilities.ts"
import { Volume } from "../../src/domain/Container.ts"
import { Job, JobContainer, JobSpec, JobStep, Service, Workspace } from "../../src/domain/Job.ts"
import { ContainerStep, ScriptStep } from "../../src/domain/Step.ts"

const all: Capabilities.Capabilities = {
  hostJobs: true,
  hostScripts: true,
  containerJobs: true,
  containerSteps: true,
  dockerfileSteps: true,
  serviceImages: true,
  serviceCommands: true,
  workspaces: ["in-place", "copy"],
  volumes: true,
  handOver: true,
  runToCompletion: true
}
const script = new JobStep({ run: new ScriptStep({ script: "true" }) })
const containerStep = new JobStep({ run: new ContainerStep({ image: "tool:1" }) })
const dockerfileStep = new JobStep({ run: new ContainerStep({ dockerfile: "/a/Dockerfile" }) })
const container = new JobContainer({ image: "app:1" })
const image = new Service({ name: "db", image: "postgres:17" })
const command = new Service({ name: "cache", command: ["redis-server"] })

interface Case {
  readonly title: string
  readonly has: Partial<Capabilities.Capabilities>
  readonly job: Omit<ConstructorParameters<typeof Job>[0], "name">
  /** Words of the feature and the hint. */
  readonly lacks?: readonly [feature: string, hint: string]
}

describe("missingFor", () => {
  const table: ReadonlyArray<Case> = [
    { title: "a host job", has: {}, job: { steps: [script] } },
    {
      title: "no host jobs",
      has: { hostJobs: false },
      job: { steps: [script] },
      lacks: ["without a container", "Give the job a container"]
    },
    {
      title: "no host scripts",
      has: { hostScripts: false },
      job: { services: [image], steps: [containerStep, script] },
      lacks: ["script steps in jobs without a container", "Give the job a container"]
    },
    {
      title: "nothing that a job could be",
      has: { hostScripts: false },
      job: { steps: [containerStep] },
      lacks: ["without a container and without services", "Give the job a container"]
    },
    {
      title: "services and container steps need no host scripts",
      has: { hostScripts: false },
      job: { services: [image], steps: [containerStep] }
    },
    {
      title: "a container job needs no host scripts",
      has: { hostScripts: false },
      job: { container, steps: [script] }
    },
    { title: "a container job needs no host jobs", has: { hostJobs: false }, job: { container, steps: [script] } },
    {
      title: "no container jobs",
      has: { containerJobs: false },
      job: { container, steps: [] },
      lacks: ["app:1", "Remove the job's container"]
    },
    { title: "a host job needs no container jobs", has: { containerJobs: false }, job: { steps: [script] } },
    {
      title: "no services from images",
      has: { serviceImages: false },
      job: { services: [image], steps: [] },
      lacks: ["db: postgres:17", "Give the service a `command`"]
    },
    {
      title: "no services at all",
      has: { serviceImages: false, serviceCommands: false, containerJobs: false },
      job: { services: [image], steps: [] },
      lacks: ["db: postgres:17", "Use a backend that runs images"]
    },
    {
      title: "no services beside containers",
      has: { serviceImages: false, serviceCommands: false },
      job: { services: [image], steps: [] },
      lacks: ["db: postgres:17", "Describe it together with the environment"]
    },
    {
      title: "no services from commands",
      has: { serviceCommands: false },
      job: { services: [image, command], steps: [] },
      lacks: ["cache", "Give the service an image"]
    },
    { title: "services of both kinds", has: {}, job: { services: [image, command], steps: [] } },
    {
      title: "a command for an image is a service from an image",
      has: { serviceCommands: false },
      job: { services: [new Service({ name: "db", image: "postgres:17", command: ["postgres", "-v"] })], steps: [] }
    },
    {
      title: "no workspaces",
      has: { workspaces: [] },
      job: { workspace: new Workspace({ path: "/src" }), steps: [] },
      lacks: ["workspaces of mode copy", "Leave the workspace out"]
    },
    {
      title: "no workspaces of this mode",
      has: { workspaces: ["copy"] },
      job: { workspace: new Workspace({ path: "/src", mode: "in-place" }), steps: [] },
      lacks: ["workspaces of mode in-place", "Use one of: copy"]
    },
    { title: "a job without a workspace needs none", has: { workspaces: [] }, job: { steps: [script] } },
    {
      title: "no volumes",
      has: { volumes: false },
      job: { volumes: [new Volume({ name: "v" })], steps: [] },
      lacks: ["volumes", "Leave the job's volumes out"]
    },
    { title: "a job without volumes needs none", has: { volumes: false }, job: { steps: [] } },
    {
      title: "no container steps",
      has: { containerSteps: false },
      job: { steps: [script, containerStep] },
      lacks: ["container steps (image tool:1)", "Make it a script step"]
    },
    {
      title: "no container steps from a Dockerfile",
      has: { dockerfileSteps: false },
      job: { steps: [containerStep, dockerfileStep] },
      lacks: ["from a Dockerfile (/a/Dockerfile)", "push the image"]
    },
    {
      title: "no container steps at all",
      has: { containerSteps: false },
      job: { steps: [dockerfileStep] },
      lacks: ["container steps (/a/Dockerfile)", "Make it a script step"]
    },
    { title: "container steps from a Dockerfile", has: {}, job: { steps: [dockerfileStep] } },
    { title: "container steps", has: {}, job: { steps: [script, containerStep] } },
    {
      title: "hand-over and completion are asked for later",
      has: { handOver: false, runToCompletion: false },
      job: { steps: [script] }
    }
  ]

  it.each(table)("$title", ({ has, job, lacks }) => {
    const missing = Capabilities.missingFor("mine", { ...all, ...has }, new Job({ name: "a", ...job }))
    if (lacks === undefined) return assert.isUndefined(missing)
    assert.strictEqual(missing?.backend, "mine")
    assert.include(missing?.feature, lacks[0])
    assert.include(missing?.hint, lacks[1])
    assert.include(missing?.message, "The mine backend has no ")
    return assert.strictEqual(missing?.advice, missing?.hint)
  })

  it("tells the first thing that is missing", () => {
    const job = new Job({ name: "a", container, services: [image], steps: [containerStep] })
    assert.include(Capabilities.missingFor("mine", Capabilities.minimal, job)?.feature, "app:1")
  })

  it("looks at a spec without steps too", () => {
    assert.isUndefined(Capabilities.missingFor("mine", Capabilities.minimal, new JobSpec({ name: "a" })))
    assert.isDefined(Capabilities.missingFor("mine", Capabilities.minimal, new JobSpec({ name: "a", container })))
  })

  it("minimal is a host for scripts", () => {
    assert.isUndefined(Capabilities.missingFor("mine", Capabilities.minimal, new Job({ name: "a", steps: [script] })))
    const { hostJobs, hostScripts, workspaces, ...rest } = Capabilities.minimal
    assert.deepStrictEqual([hostJobs, hostScripts, workspaces], [true, true, []])
    assert.isFalse(Object.values(rest).some(Boolean))
  })
})

describe("a container step", () => {
  it("has an image, a Dockerfile, or both", () => {
    assert.throws(() => new ContainerStep({}))
    assert.throws(() => new ContainerStep({ image: "" }))
    assert.strictEqual(new ContainerStep({ dockerfile: "/D" }).image, "")
    assert.strictEqual(new ContainerStep({ image: "a", dockerfile: "/D" }).image, "a")
  })
})

describe("missingForStep", () => {
  it.each([
    { run: script.run, containerSteps: false, missing: false },
    { run: script.run, containerSteps: true, missing: false },
    { run: containerStep.run, containerSteps: false, missing: true },
    { run: containerStep.run, containerSteps: true, missing: false }
  ])("$run._tag with containerSteps: $containerSteps", ({ containerSteps, missing, run }) => {
    assert.strictEqual(Capabilities.missingForStep("mine", { ...all, containerSteps }, run) !== undefined, missing)
  })
})
